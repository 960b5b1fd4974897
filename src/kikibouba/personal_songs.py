"""What `personalize` learns from: the examples in a few songs or drawings, and variations of them."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kikibouba.errors import KikiboubaError
from kikibouba.inputs import Source, read_windows

FEWEST = 5
"""Examples that four sliders can be learnt from, barely."""

MOST = 2_000
"""Examples that are learnt from, at most, chosen at random by the seed."""

VARIED = 64
"""Examples that variations fill up to."""


class Songs(NamedTuple):
    """What is learnt from."""

    examples: list[np.ndarray]
    """What the songs hold, as arrays of a representation."""
    names: list[str]
    """Of the songs that could be read."""
    skipped: dict[str, str]
    """Song → why it could not."""


def read_songs(
    songs: Source | Sequence[Source], representation: Any, fewest: int = FEWEST, seed: int = 0
) -> Songs:
    """The examples in songs, at most `MOST`; of several songs, those that cannot be read are skipped with a
    warning.

    Args:
        songs: files, tunes, drawings or examples; one or several.
        representation: of the model that will see them.
        fewest: examples that are needed.
        seed: of the choice among too many.

    Raises:
        KikiboubaError: nothing usable in any song, or too few examples (says how many, and a remedy).
    """
    several = isinstance(songs, Sequence) and not isinstance(songs, str)
    sources: list[Source] = list(songs) if several else [songs]  # type: ignore[arg-type, list-item]
    if not sources:
        raise KikiboubaError("there are no songs to learn from: name one or more")
    examples: list[np.ndarray] = []
    names, skipped = [], {}
    for number, source in enumerate(sources, 1):
        name = str(source) if isinstance(source, str | Path) else f"{type(source).__name__} {number}"
        try:
            examples += read_windows(source, representation)
            names.append(name)
        except KikiboubaError as error:
            if len(sources) == 1:
                raise
            skipped[name] = str(error).removeprefix(f"{name}: ")
            warnings.warn(f"skipped {name}: {skipped[name]}", stacklevel=3)
    if not names:
        raise KikiboubaError(f"none of the {len(sources)} songs can be read")
    if skipped:
        warnings.warn(f"songs learnt from: {len(names)}, skipped: {len(skipped)}", stacklevel=3)
    if len(examples) < fewest:
        raise KikiboubaError(_too_few(len(examples), fewest, representation))
    chosen = np.sort(np.random.default_rng([seed, 3]).permutation(len(examples))[:MOST])
    return Songs([examples[i] for i in chosen.tolist()], names, skipped)


def _too_few(count: int, fewest: int, representation: Any) -> str:
    bars = getattr(representation, "bars", None)
    what = "drawings" if bars is None else f"different {bars}-bar windows"
    more = "more of them" if bars is None else "a longer song, or several"
    return (
        f"too little to learn from: {count} {what} where {fewest} are needed; give {more}, or vary what is "
        "there (augment=True, --augment)"
    )


def varied(examples: Sequence[np.ndarray], representation: Any, seed: int = 0) -> list[np.ndarray]:
    """The examples, and after them as many variations (`Representation.augment`) as fill up to `VARIED`."""
    rng = np.random.default_rng([seed, 4])
    missing = range(len(examples), VARIED)
    return [*examples, *(representation.augment(examples[i % len(examples)], rng) for i in missing)]
