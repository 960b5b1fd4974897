"""Is what a personal model makes like its songs? Samples of it and of its base, compared with them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kikibouba.evaluate.style_distance import style_distance, style_of
from kikibouba.generate import Model

SAMPLES = 64
"""Of each model, unless more are asked for."""


def compare(
    mine: Model,
    base: Model,
    examples: Sequence[np.ndarray],
    n: int = SAMPLES,
    seed: int = 0,
    temperature: float = 0.5,
) -> dict[str, Any]:
    """How far samples of two models are from examples, by `evaluate.style_distance`, and how new they are.

    Args:
        mine: the personal model, or any other.
        base: of the same representation.
        examples: what the songs hold.
        n: samples of each model.
        seed, temperature: of the samples; see `Model.sample`.

    Returns:
        `distances`: statistic → {"base": …, "personal": …}; `closer`: in how many of them the personal
        samples are nearer; `new`: share of the personal samples that equal none of the examples; `different`:
        share of them left when those that equal each other count once; `samples`, `examples`: how many.
    """
    representation = mine.representation
    made = {
        name: model.sample_arrays(n, temperature, seed)
        for name, model in (("base", base), ("personal", mine))
    }
    song = style_of(representation, examples)
    apart = {name: style_distance(style_of(representation, arrays), song) for name, arrays in made.items()}
    distances = {
        name: {"base": apart["base"][name], "personal": apart["personal"][name]} for name in apart["base"]
    }
    known = {_key(array) for array in examples}
    keys = [_key(array) for array in made["personal"]]
    return {
        "distances": distances,
        "closer": sum(pair["personal"] < pair["base"] for pair in distances.values()),
        "new": sum(key not in known for key in keys) / n,
        "different": len(set(keys)) / n,
        "samples": n,
        "examples": len(examples),
    }


def _key(array: np.ndarray) -> bytes:
    """Equal for equal examples, whatever their type."""
    return np.asarray(array, np.float32).tobytes()


def report_lines(report: dict[str, Any]) -> list[str]:
    """What `compare` found as the lines of a table."""
    distances = report["distances"]
    width = max(map(len, distances))
    lines = [f"{'distance to the songs':<{width}}   base  personal"]
    lines += [
        f"{name:<{width}}  {pair['base']:>{len(lines[0]) - width - 12}.3f}  {pair['personal']:8.3f}"
        for name, pair in distances.items()
    ]
    return [
        *lines,
        f"closer in {report['closer']} of {len(distances)}; of {report['samples']} samples "
        f"{report['new']:.0%} are new, {report['different']:.0%} differ from each other",
    ]


def slider_lines(sliders: Sequence[dict[str, float]]) -> list[str]:
    """What each latent does, one line each, with the attributes it goes with most closely."""
    lines = []
    for number, slider in enumerate(sliders, 1):
        related = {name: value for name, value in slider.items() if name != "share"}
        most = sorted(related, key=lambda name: -abs(related[name]))[:2]
        what = ", ".join(f"{name} {related[name]:+.2f}" for name in most)
        lines.append(f"z{number}  {slider['share']:4.0%} of the variety  {what}")
    return lines
