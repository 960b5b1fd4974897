"""What a kind of content (melody, drums, groove, sketch, …) must know about itself to be read, modelled and
written.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from kikibouba.data.artifacts import Artifact


class Item(NamedTuple):
    """One of the things in a file, with what the file says about it."""

    content: Any
    """What `Representation.windows` takes."""
    split: str | None = None
    """The split it belongs to, if the file names one."""
    category: str | None = None
    """What kind of thing it is, if the file says so."""
    where: str = ""
    """Where in the file it is, or what it is called there; "" if it is alone."""
    key: str = ""
    """From what its split is drawn where no list says it; "" if it goes where its file goes."""


class Representation(Protocol):
    """A small frozen dataclass with pure functions. Arrays are numpy; nothing here knows torch.

    The three forms of one example:
        item      what a file holds: a `NoteSequence`, or a drawing as stroke-3 [N, 3]
        array     one training example [T] or [T, K]: labels (melody, drums, trio), numbers (groove), or
                  stroke-3 [N, 3] float32 (sketch)
        artifact  what a user sees, hears and saves: `Tune`, `Drawing`

    What every kind has is below. Some have more, which others need not have:

        layout: Layout                      what the columns of an array are, for models that go by it; then
                                            there is also `steps`, the length of an array
        bars, steps_per_quarter: int        of music: how long an example is, and the grid; whole pieces can
                                            then be cut into examples (`data.pieces`)
        suffixes: tuple[str, ...]           the files that `prepare` looks for; else every file of a folder
        read_many(path, problems) → Iterator[Item]   instead of `read`, where a file holds many items one by
                                            one, or says which split or category each belongs to; for each
                                            that cannot be read, `problems` gets a line "where: why"
        names_splits: bool                  some files say themselves which split an item belongs to, so even
                                            those in no split list are read
        warnings(item) → list[str]          what looks wrong about an item that can be used
        named(item) → item                  the item with the chords and keys that its examples are told
        fill_up(array) → array              an example of fewer bars, filled up with silence; by default
                                            with rows of zeros
        one_instrument: bool                an example is of one instrument, so a whole piece follows one
        controls_from_text(chords, key)     what a user writes as control columns [T, C]
        in_use() → Representation           the same for the files that a trained model is given, if they
                                            differ from those it is trained on
        scale_factor: float                 what `prepare` divides examples by; 1 lets it find out
    """

    kind: str
    """"melody", "drums", "sketch", …: the word after `prepare` and `--to`."""

    def read(self, path: Path) -> list[Any]:
        """Items of a file: parsing and no more. Raises KikiboubaError if the file is broken."""
        ...

    def windows(self, item: Any) -> list[np.ndarray]:
        """All examples in an item, in order, without duplicates: at least one.

        Raises:
            KikiboubaError: there is none; says which rule rejected the item, and a remedy if there is one.
        """
        ...

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random variation of an example that means the same (training only)."""
        ...

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Examples → (x, lengths), padded to the longest of them: the layout of `models.base.Batch`."""
        ...

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The inverse of `collate`: what a model decoded → examples."""
        ...

    def to_artifact(self, array: np.ndarray) -> Artifact:
        """An example as something to see, hear and save."""
        ...

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Perceptual measures [n] of examples by name (angularity, jaggedness, density, …)."""
        ...
