"""What a kind of content (melody, drums, sketch) must know about itself to be read, modelled and written."""

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


class Representation(Protocol):
    """A small frozen dataclass with pure functions. Arrays are numpy; nothing here knows torch.

    The three forms of one example:
        item      what a file holds: a `NoteSequence`, or a drawing as stroke-3 [N, 3]
        array     one training example: labels [T] int (melody, drums) or stroke-3 [N, 3] float32 (sketch)
        artifact  what a user sees, hears and saves: `Tune`, `Drawing`
    """

    kind: str
    """"melody", "drums" or "sketch": the word after `--to`."""

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
