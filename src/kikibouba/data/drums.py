"""Drum patterns as labels on a grid of sixteenths, the way MusicVAE sees them.

A label is a set of drums that are struck together: bit c is set where drum class c is hit, so 9 classes give
512 labels and 0 is silence. The encoder sees the bits and one more that says "nothing is hit" (its `roll`).
The decoder says labels, or with `roll_output` the bits one by one, as a NADE does. The 61 classes of
`pitch_classes="full"` make too many labels; there the bits themselves are the example.

Follows the original code: drum notes of all instruments form one pattern, pitches outside the table are
ignored, a silence of a bar or more ends the pattern, a window of `bars` bars slides over it bar by bar,
repetitions are dropped within each piece of constant tempo and meter. Examples come in the order of the
music (the original's in the order of a hash table), and all of them (the original keeps 5 a file).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from kikibouba.data import drum_attributes
from kikibouba.data.artifacts import Tune
from kikibouba.data.drum_kits import PITCH_CLASSES, REDUCED, check_table, drums_by_class, merge_classes
from kikibouba.data.grid import grid_warnings
from kikibouba.data.layout import Layout, Part, one_hot
from kikibouba.data.music_files import MUSIC_SUFFIXES, each_piece_of, read_music
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, make_notes
from kikibouba.data.representation import Item
from kikibouba.data.windows import (
    QUARTERS_PER_BAR,
    Phrases,
    each_piece,
    find_phrases,
    quantize_in_four,
    slice_bars,
    stack_padded,
    too_short,
    unique_rows,
)
from kikibouba.errors import KikiboubaError

VELOCITY, INSTRUMENT = 80, 9
"""Of decoded notes"""

SWAPPED_CLASSES = ((2, 3, 8), (4, 5, 6))
"""Classes that play each other's part in `DrumsRepresentation.augment`: what keeps time, and the toms."""


@dataclass(frozen=True)
class DrumsRepresentation:
    """What a drum example is: labels [steps] uint16, or with 61 classes bits [steps, depth] uint8."""

    kind: ClassVar[str] = "drums"
    suffixes: ClassVar[tuple[str, ...]] = MUSIC_SUFFIXES

    bars: int = 2
    pitch_classes: Literal["reduced", "reduced_2018", "roland", "full"] = "reduced"
    roll_output: bool = False
    """The decoder says for every class whether it is hit, not which of 512 labels it is. Always so with 61
    classes.
    """
    one_hot_input: bool = False
    """The encoder reads which of the 512 labels it is, not for every class whether it is hit."""
    gap_bars: float = 1.0
    """A silence of this many bars ends a pattern; 0: none does."""
    max_bars: int | None = 100
    """Longer patterns are cut."""
    add_end_token: bool = False
    """Ends every example with one more label, the last of the vocabulary (of a roll: one more column)."""
    max_windows: int | None = None
    """At most this many examples a file, the first ones."""
    steps_per_quarter: int = 4
    rotate: bool = False
    """Training examples start on any of their quarters, what came before following at the end."""
    swap_classes: bool = False
    """In training examples the toms change places, and so do the closed hat, the open hat and the ride."""
    drop_class_prob: float = 0.0
    """Probability with which each class falls silent in a training example."""
    drop_hit_prob: float = 0.0
    """Largest probability with which single hits are left out of a training example; drawn anew for each."""

    def __post_init__(self) -> None:
        if self.bars < 1 or self.steps_per_quarter < 1:
            raise KikiboubaError("bars and steps_per_quarter must be at least 1")
        check_table(self.pitch_classes)
        if self.pitch_classes == "full" and self.swap_classes:
            raise KikiboubaError("swap_classes needs a table of nine classes; switch it off for the full one")
        if 0 < self.gap_bars < 1 or self.gap_bars < 0:
            raise KikiboubaError("gap_bars must be 0 (silence ends no pattern) or at least 1")

    @property
    def classes(self) -> tuple[tuple[int, ...], ...]:
        """MIDI pitches of each drum class."""
        return PITCH_CLASSES[self.pitch_classes]

    @property
    def steps_per_bar(self) -> int:
        """16 sixteenths"""
        return self.steps_per_quarter * QUARTERS_PER_BAR

    @property
    def steps(self) -> int:
        """Length of an example."""
        return self.bars * self.steps_per_bar + self.add_end_token

    @property
    def is_full(self) -> bool:
        """Whether examples are bits, there being too many classes for labels."""
        return self.pitch_classes == "full"

    @property
    def depth(self) -> int:
        """Size of the vocabulary; with 61 classes, the number of columns."""
        return (len(self.classes) if self.is_full else 2 ** len(self.classes)) + self.add_end_token

    @property
    def layout(self) -> Layout:
        """One column of labels, read as a roll and said as one-hot vectors or as a roll; or columns of bits.

        A roll that is read has one more column, last, that is 1 where all the others are 0.
        """
        if self.is_full:
            return Layout((Part(0, self.depth, adds_none=True),), (Part(0, self.depth),))
        roll = self.roll()
        said = Part(0, 1, roll[:, :-1]) if self.roll_output else one_hot(0, self.depth)
        read = one_hot(0, self.depth) if self.one_hot_input else Part(0, 1, roll)
        return Layout(inputs=(read,), outputs=(said,))

    def roll(self) -> np.ndarray:
        """[depth, classes + 1] float32: what an encoder sees of each label: its bits, and 1 if there is none.

        An end token has a column of its own, before the last.
        """
        bits = self._bits(np.arange(self.depth))
        return np.column_stack([bits, ~bits.any(1)]).astype(np.float32)

    def _bits(self, array: np.ndarray) -> np.ndarray:
        """Labels [T] (or bits) → bits [T, classes + end token] bool."""
        if self.is_full:
            return array.astype(bool)
        labels, count = array.astype(np.int64)[:, None], len(self.classes)
        bits = labels >> np.arange(count + self.add_end_token) & 1
        return bits.astype(bool)

    def _labels(self, bits: np.ndarray) -> np.ndarray:
        """Bits [T, classes] → an array without an end token: labels [T] uint16, or the bits as uint8."""
        if self.is_full:
            return bits.astype(np.uint8)
        return bits.astype(np.uint16) @ (1 << np.arange(len(self.classes), dtype=np.uint16))

    def read(self, path: Path) -> list[NoteSequence]:
        """The pieces in a file of music. Raises KikiboubaError if it is broken."""
        return read_music(path)

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """Each piece in a file; `problems` gets a line for each that cannot be read."""
        return each_piece_of(path, problems)

    def warnings(self, item: NoteSequence) -> list[str]:
        """What looks wrong about a piece's meter and beat, one line each."""
        return grid_warnings(item, self.steps_per_quarter)

    def windows(self, item: NoteSequence) -> list[np.ndarray]:
        """All examples of a piece, in order of time.

        Raises:
            KikiboubaError: there are none; names the rule that rejected the piece.
        """
        rows = (row for rows in each_piece(item, self._windows_of_piece) for row in rows)
        return list(rows if self.max_windows is None else islice(rows, self.max_windows))

    def _windows_of_piece(self, piece: NoteSequence) -> np.ndarray:
        """[W, steps] uint16, or [W, steps, depth] uint8; raises KikiboubaError if there is none."""
        hits, phrases = self._phrases(piece)
        line = np.zeros((int(phrases.bars.sum()) * self.steps_per_bar, len(self.classes)), bool)
        on = phrases.room > 0
        line[phrases.position[on]] = hits[on]
        labels = self._labels(line)
        rows = slice_bars(labels, phrases.first_bar, phrases.bars, self.bars, self.steps_per_bar)
        return self._with_end(unique_rows(rows))

    def _with_end(self, rows: np.ndarray) -> np.ndarray:
        """Examples [W, T, …], each ended by the end token if there is one."""
        if not self.add_end_token:
            return rows
        if not self.is_full:
            return np.pad(rows, ((0, 0), (0, 1)), constant_values=self.depth - 1)
        rows = np.pad(rows, ((0, 0), (0, 1), (0, 1)))
        rows[:, -1, -1] = 1
        return rows

    def _phrases(self, piece: NoteSequence) -> tuple[np.ndarray, Phrases]:
        """What is hit at each onset of a piece, [N, classes] bool, and its phrases; raises if none fills a
        window.
        """
        usable, class_of_note = drums_by_class(piece, self.pitch_classes)
        quantized = quantize_in_four(usable, self.steps_per_quarter)
        start, which = np.unique(quantized.q_start, return_inverse=True)
        hits = np.zeros((len(start), len(self.classes)), bool)
        hits[which, class_of_note] = True
        one_part = np.zeros(len(start), np.int64)
        steps_per_bar = self.steps_per_bar
        phrases = find_phrases(one_part, start, start + 1, steps_per_bar, self.gap_bars, self.max_bars)
        longest = int(phrases.bars.max())
        if longest < self.bars:
            raise too_short("pattern", longest, self.bars, self.gap_bars)
        return hits, phrases

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random variation, by `rotate`, `swap_classes`, `drop_class_prob` and `drop_hit_prob`.

        All are off by default: the original varies drums in no way. A few thousand patterns are soon known
        by heart.
        """
        count, length = len(self.classes), self.bars * self.steps_per_bar
        hits = self._bits(array[:length])[:, :count]
        if self.rotate:
            quarters = length // self.steps_per_quarter
            hits = np.roll(hits, self.steps_per_quarter * int(rng.integers(quarters)), axis=0)
        player = np.arange(count)
        if self.swap_classes:
            for group in SWAPPED_CLASSES:
                player[rng.permutation(group)] = group
        heard = rng.random(count) >= self.drop_class_prob
        kept = rng.random((length, count)) >= self.drop_hit_prob * rng.random()
        varied = array.copy()
        varied[(slice(length), slice(count))[: array.ndim]] = self._labels((hits & heard & kept)[:, player])
        return varied

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Examples → (x [B, T] int64, or float32 [B, T, depth] of bits; lengths [B] int64)."""
        if self.is_full:
            x = np.array(arrays, np.float32).reshape(len(arrays), -1, self.depth)
        else:
            x = stack_padded(arrays, 0)
        return x, np.full(len(x), x.shape[1], np.int64)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """What was decoded → one array [length] uint16, or [length, depth] uint8, each."""
        dtype = np.uint8 if self.is_full else np.uint16
        return [row[:length].astype(dtype) for row, length in zip(x, lengths, strict=True)]

    def to_artifact(self, array: np.ndarray) -> Tune:
        """The pattern as a tune at 120 quarters a minute."""
        return Tune(self.to_sequence(array))

    def to_sequence(self, array: np.ndarray) -> NoteSequence:
        """An example → drum notes of one step each, the first pitch of every class that is hit."""
        bits = self._bits(np.asarray(array))
        if self.add_end_token:
            bits = bits[~np.logical_or.accumulate(bits[:, -1]), :-1]
        step, c = np.nonzero(bits)
        pitch = np.array([pitches[0] for pitches in self.classes])[c]
        seconds = 60.0 / DEFAULT_QPM / self.steps_per_quarter
        notes = make_notes(pitch, step * seconds, (step + 1) * seconds, VELOCITY, INSTRUMENT, 0, True)
        return NoteSequence(
            notes=notes,
            tempos=np.array([[0.0, DEFAULT_QPM]]),
            total_time=float(notes["end"].max(initial=0.0)),
        )

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """density, syncopation and brightness [n] of patterns; formulas in `drum_attributes.measure`.

        The 61 classes are first merged into nine.
        """
        if self.is_full:
            arrays = [merge_classes(array[:, : len(self.classes)]) for array in arrays]
        hits = stack_padded(arrays, 0)[:, :, None] >> np.arange(len(REDUCED)) & 1
        return drum_attributes.measure(hits, self.steps_per_bar)
