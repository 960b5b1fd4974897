"""What the columns of an example are: what a model reads, what it says, and what it is told at every step.

An example is an array [T] or [T, K]: T steps of K columns. A melody has one column of labels; a trio has
three; a groove has 54 columns of numbers. A `Part` names columns and says what a model sees in them:

    labels    one column of whole numbers 0 … D - 1, each standing for a row of a table [D, W]
    numbers   any columns, seen as they are

A `Layout` puts parts together: the encoder reads the inputs, the decoder says the outputs and reads back what
it said last, and both are told the controls (a chord, a key) at each step.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Part:
    """Some columns of an example, and what a model sees in them."""

    start: int
    """First column."""
    stop: int
    """The column after the last one; `start + 1` for labels."""
    table: np.ndarray | None = None
    """float32 [D, W]: row d is what label d stands for. None: the columns are numbers, seen as they are."""
    adds_none: bool = False
    """For numbers: one more feature follows, 1 where all the others are 0."""
    name: str = ""
    """What it is called where there are several: "bass"."""

    @property
    def width(self) -> int:
        """W, how many features a model sees."""
        return self.stop - self.start + self.adds_none if self.table is None else self.table.shape[1]


@dataclass(frozen=True, eq=False)
class Layout:
    """How the columns of an example enter and leave a model."""

    inputs: tuple[Part, ...]
    """What the encoder reads."""
    outputs: tuple[Part, ...]
    """What the decoder says. A decoded example has these columns, in this order."""
    controls: tuple[Part, ...] = ()
    """What encoder and decoder are told; all zeros (labels 0) where nothing is said. In a decoded example
    these columns follow the outputs.
    """
    padding: int | None = None
    """The label in the first column that stands for no step at all (an unused place in a track), or None:
    every step is real. Its row in a table, if it has one, is zero.
    """
    end: int | None = None
    """The label in the first column that ends an example (or a track), or None."""


def one_hot(column: int, depth: int, name: str = "") -> Part:
    """A column of labels 0 … depth - 1, each seen as a one-hot vector."""
    return Part(column, column + 1, np.eye(depth, dtype=np.float32), name=name)
