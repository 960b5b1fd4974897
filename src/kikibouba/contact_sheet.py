"""Many sources and their translations on one page and in one file of sound, ordered by an attribute.

files ─all drawings in them→ ordered from round to spiky, n of them ─translate→ pairs ─→ PNG, WAV
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kikibouba.data.artifacts import Artifact, Tune
from kikibouba.data.picture import pairs_picture
from kikibouba.data.pieces import Piece, join
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.generate import Model
from kikibouba.inputs import Source, read_examples
from kikibouba.translator import TEMPERATURE, Translator

PAUSE = 1.0
"""Seconds of silence after each tune."""


@dataclass(frozen=True, eq=False)
class ContactSheet:
    """Sources in the order of an attribute, and what they became."""

    by: str
    """The attribute."""
    values: list[float]
    """Of each source."""
    sources: list[Artifact]
    """As the model sees them."""
    results: list[Artifact]
    seconds: float | None
    """How long a result lasts; None for drawings."""

    def picture(self, columns: int = 4) -> bytes:
        """PNG: each source above its translation, in reading order."""
        captions = [f"{number}   {self.by} {value:.2f}" for number, value in enumerate(self.values, 1)]
        return pairs_picture(list(zip(self.sources, self.results, strict=True)), captions, columns)

    def together(self) -> Artifact:
        """All translations in one: tunes one after the other, a second apart, or drawings on a sheet."""
        space = None if self.seconds is None else self.seconds + PAUSE
        return join(self.results, Piece([], []), space)


def contact_sheet(
    translator: Translator,
    sources: Sequence[Source],
    to: str | None = None,
    *,
    kind: str = "sketch",
    n: int = 16,
    by: str | None = None,
    seed: int = 0,
    temperature: float = TEMPERATURE,
) -> ContactSheet:
    """Translate n of the examples in some sources, ordered from little to much of an attribute.

    Args:
        translator: knows both kinds.
        sources: files or artifacts; all drawings of a file, the first example of a piece.
        to: kind of the results; may be left out where only one is possible.
        kind: of the sources.
        n: at most so many; of more, those that divide the order into equal parts, ends included.
        by: attribute; by default the first that the translator lets correspond.
        seed, temperature: see `Translator.translate`.

    Raises:
        KikiboubaError: nothing usable in a source, no such attribute, n below 1.
    """
    if n < 1:
        raise KikiboubaError(f"a sheet of {n} translations shows nothing; ask for 1 or more")
    here = translator.domain(kind, other_than=to)
    base = translator.bases[here]
    arrays = [
        array
        for source in sources
        for array in read_examples(source, base.representation, whole=base.seconds is None)
    ]
    rows = translator.preset.model.attributes
    by = by or (rows[0][list(translator.bases).index(here)] if rows else None)
    by, values = _measured(base, arrays, by)
    order = np.argsort(values, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(n, len(order))).round().astype(int))]
    results = [
        translator.translate(arrays[i], to, kind=here, seed=seed + number, temperature=temperature)
        for number, i in enumerate(chosen.tolist())
    ]
    seconds = next((base.seconds for base in translator.bases.values() if base.seconds), None)
    return ContactSheet(
        by,
        values[chosen].tolist(),
        [base.representation.to_artifact(arrays[i]) for i in chosen.tolist()],
        results,
        seconds if isinstance(results[0], Tune) else None,
    )


def _measured(base: Model, arrays: Sequence[np.ndarray], by: str | None) -> tuple[str, np.ndarray]:
    """An attribute, by default the first there is, and its values [n] for examples."""
    measured = base.representation.attributes(arrays)
    by = by or next(iter(measured))
    if by not in measured:
        raise KikiboubaError(f"{base.kind} has no attribute {by!r}{did_you_mean(by, measured)}")
    return by, measured[by]


def sources_in(paths: Sequence[str | Path]) -> list[Path]:
    """Files, and of folders the drawings in them, sorted."""
    from kikibouba.inputs import SKETCH_SUFFIXES

    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.name.lower().endswith(SKETCH_SUFFIXES))
        else:
            found.append(path)
    if not found:
        raise KikiboubaError(f"no drawing in {', '.join(map(str, paths))}")
    return found
