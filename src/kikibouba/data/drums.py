"""Drum patterns as labels on a grid of sixteenths, the way MusicVAE sees them.

A label is a set of drums that are struck together: bit c is set where drum class c is hit, so 9 classes give
512 labels and 0 is silence. The encoder sees the bits and one more that says "nothing is hit" (its `roll`).

Follows the original code: drum notes of all instruments form one pattern, pitches outside the table are
ignored, a silence of a bar or more ends the pattern, a window of `bars` bars slides over it bar by bar,
repetitions are dropped within each piece of constant tempo and meter. Examples come in the order of the
music (the original's in the order of a hash table), and all of them (the original keeps 5 a file).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from kikibouba.data import drum_attributes
from kikibouba.data.artifacts import Tune
from kikibouba.data.grid import grid_warnings
from kikibouba.data.layout import Layout, Part, one_hot
from kikibouba.data.midi import read_midi
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, make_notes
from kikibouba.data.windows import (
    QUARTERS_PER_BAR,
    Phrases,
    check_usable,
    each_piece,
    find_phrases,
    quantize_in_four,
    slice_bars,
    stack_padded,
    unique_rows,
)
from kikibouba.errors import KikiboubaError, did_you_mean

VELOCITY, INSTRUMENT = 80, 9
"""Of decoded notes"""

REDUCED = (
    (36, 35),  # kick
    (38, 27, 28, 31, 32, 33, 34, 37, 39, 40, 56, 65, 66, 75, 85),  # snare, and whatever clicks or claps
    (42, 44, 54, 68, 69, 70, 71, 73, 78, 80, 22),  # closed hi-hat
    (46, 67, 72, 74, 79, 81, 26),  # open hi-hat
    (45, 29, 41, 43, 61, 64, 84),  # low tom
    (48, 47, 60, 63, 77, 86, 87),  # mid tom
    (50, 30, 62, 76, 83),  # high tom
    (49, 52, 55, 57, 58),  # crash
    (51, 53, 59, 82),  # ride
)
"""Pitches of each of the nine classes; the first is the one a decoded hit gets."""

REDUCED_2018 = (
    REDUCED[0],
    REDUCED[1],
    REDUCED[2][:-1],
    REDUCED[3][:-1],
    (45, 29, 41, 61, 64, 84),
    REDUCED[5],
    (50, 30, 43, 62, 76, 83),
    (49, 55, 57, 58),
    (51, 52, 53, 59, 82),
)
"""The table until April 2019: what magenta.js uses, and what the drum models published in 2018 learned."""

ROLAND = (
    (36,),
    (38, 37, 40),
    (42, 22, 44),
    (46, 26),
    (43, 58),
    (47, 45),
    (50, 48),
    (49, 52, 55, 57),
    (51, 53, 59),
)
"""The pads of the electronic kit on which the Groove MIDI Dataset was played."""

FULL = tuple((pitch,) for pitches in REDUCED_2018 for pitch in pitches)
"""61 classes of one pitch each."""

PITCH_CLASSES = {"reduced": REDUCED, "reduced_2018": REDUCED_2018, "roland": ROLAND}


SWAPPED_CLASSES = ((2, 3, 8), (4, 5, 6))
"""Classes that play each other's part in `DrumsRepresentation.augment`: what keeps time, and the toms."""


@dataclass(frozen=True)
class DrumsRepresentation:
    """What a drum example is. Arrays are labels [steps] uint16."""

    kind: ClassVar[str] = "drums"

    bars: int = 2
    pitch_classes: Literal["reduced", "reduced_2018", "roland"] = "reduced"
    gap_bars: float = 1.0
    """A silence of this many bars ends a pattern; 0: none does."""
    max_bars: int | None = 100
    """Longer patterns are cut."""
    add_end_token: bool = False
    """Ends every example with one more label, the last of the vocabulary."""
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
        if self.pitch_classes not in PITCH_CLASSES:
            hint = did_you_mean(self.pitch_classes, PITCH_CLASSES)
            raise KikiboubaError(f"unknown pitch_classes {self.pitch_classes!r}{hint}")
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
    def depth(self) -> int:
        """Size of the vocabulary."""
        return 2 ** len(self.classes) + self.add_end_token

    @property
    def layout(self) -> Layout:
        """One column of labels, read as a roll and said as one-hot vectors."""
        return Layout(inputs=(Part(0, 1, self.roll()),), outputs=(one_hot(0, self.depth),))

    def roll(self) -> np.ndarray:
        """[depth, classes + 1] float32: what an encoder sees of each label: its bits, and 1 if there is none.

        An end token has a column of its own, before the last.
        """
        count = len(self.classes) + self.add_end_token
        labels = np.arange(2 ** len(self.classes))
        if self.add_end_token:
            labels = np.append(labels, 2 ** len(self.classes))
        bits = labels[:, None] >> np.arange(count) & 1
        return np.column_stack([bits, labels == 0]).astype(np.float32)

    def read(self, path: Path) -> list[NoteSequence]:
        """The piece in a MIDI file.

        Raises:
            KikiboubaError: the file is broken, or holds no drum pattern; names the rule that rejected it.
        """
        sequence = read_midi(path)
        try:
            check_usable(sequence, self._phrases)
        except KikiboubaError as error:
            raise KikiboubaError(f"no drum pattern in {path}: {error}") from None
        return [sequence]

    def warnings(self, item: NoteSequence) -> list[str]:
        """What looks wrong about a piece's meter and beat, one line each."""
        return grid_warnings(item, self.steps_per_quarter)

    def windows(self, item: NoteSequence) -> list[np.ndarray]:
        """All examples of a piece, labels [steps] uint16 each, in order of time."""
        rows = (row for rows in each_piece(item, self._windows_of_piece) for row in rows)
        return list(rows if self.max_windows is None else islice(rows, self.max_windows))

    def _windows_of_piece(self, piece: NoteSequence) -> np.ndarray:
        """[W, steps] uint16; raises KikiboubaError if there is none."""
        hits, phrases = self._phrases(piece)
        line = np.zeros(int(phrases.bars.sum()) * self.steps_per_bar, np.uint16)
        on = phrases.room > 0
        line[phrases.position[on]] = hits[on]
        rows = slice_bars(line, phrases.first_bar, phrases.bars, self.bars, self.steps_per_bar)
        if self.add_end_token:
            rows = np.pad(rows, ((0, 0), (0, 1)), constant_values=self.depth - 1)
        return unique_rows(rows)

    def _phrases(self, piece: NoteSequence) -> tuple[np.ndarray, Phrases]:
        """The label of each onset of a piece, and its phrases; raises if none fills a window."""
        bit = self._bit_of_pitch()
        usable = self._usable(piece, bit)
        quantized = quantize_in_four(usable, self.steps_per_quarter)
        start, which = np.unique(quantized.q_start, return_inverse=True)
        hits = np.zeros(len(start), np.uint16)
        np.bitwise_or.at(hits, which, bit[usable.notes["pitch"]])
        one_part = np.zeros(len(start), np.int64)
        steps_per_bar = self.steps_per_bar
        phrases = find_phrases(one_part, start, start + 1, steps_per_bar, self.gap_bars, self.max_bars)
        longest = int(phrases.bars.max())
        if longest < self.bars:
            raise KikiboubaError(
                f"its longest pattern has {longest} of the {self.bars} bars needed "
                f"(silence for {self.gap_bars:g} bar(s) ends a pattern)"
            )
        return hits, phrases

    def _bit_of_pitch(self) -> np.ndarray:
        """[128] uint16: the bit of each pitch's class, 0 for pitches that are in none."""
        bit = np.zeros(128, np.uint16)
        for c, pitches in enumerate(self.classes):
            bit[list(pitches)] = 1 << c
        return bit

    def _usable(self, piece: NoteSequence, bit: np.ndarray) -> NoteSequence:
        """The piece with only its drums that have a class; raises if there are none."""
        notes = piece.notes
        drums = notes["is_drum"] & (notes["velocity"] > 0)
        usable = drums & (bit[np.clip(notes["pitch"], 0, 127)] > 0)
        if usable.any():
            return replace(piece, notes=notes[usable])
        if not drums.any():
            raise KikiboubaError("none of its notes are drums (channel 10)")
        raise KikiboubaError(f"none of its drums is in the table {self.pitch_classes!r}")

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random variation, by `rotate`, `swap_classes`, `drop_class_prob` and `drop_hit_prob`.

        All are off by default: the original varies drums in no way. A few thousand patterns are soon known
        by heart.
        """
        grid, end = np.split(array, [self.bars * self.steps_per_bar])
        if self.rotate:
            quarters = len(grid) // self.steps_per_quarter
            grid = np.roll(grid, self.steps_per_quarter * int(rng.integers(quarters)))
        place = np.arange(len(REDUCED), dtype=np.uint16)
        if self.swap_classes:
            for group in SWAPPED_CLASSES:
                place[list(group)] = rng.permutation(group)
        heard = rng.random(len(REDUCED)) >= self.drop_class_prob
        kept = rng.random((len(grid), len(REDUCED))) >= self.drop_hit_prob * rng.random()
        hits = (grid[:, None] >> np.arange(len(REDUCED), dtype=np.uint16)) & (heard & kept)
        return np.concatenate([(hits << place).sum(1).astype(array.dtype), end])

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(x [B, steps] int64, lengths [B] int64)."""
        x = np.stack(arrays).astype(np.int64)
        return x, np.full(len(x), x.shape[1], np.int64)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """Decoded labels [B, T] → one array [length] uint16 each."""
        return [row[:length].astype(np.uint16) for row, length in zip(x, lengths, strict=True)]

    def to_artifact(self, array: np.ndarray) -> Tune:
        """The pattern as a tune at 120 quarters a minute."""
        return Tune(self.to_sequence(array))

    def to_sequence(self, array: np.ndarray) -> NoteSequence:
        """Labels [T] → drum notes of one step each, the first pitch of every class that is hit."""
        labels = np.asarray(array, np.int64)
        if self.add_end_token:
            labels = labels[: np.append(np.flatnonzero(labels == self.depth - 1), len(labels))[0]]
        step, c = np.nonzero(labels[:, None] >> np.arange(len(self.classes)) & 1)
        pitch = np.array([pitches[0] for pitches in self.classes])[c]
        seconds = 60.0 / DEFAULT_QPM / self.steps_per_quarter
        notes = make_notes(pitch, step * seconds, (step + 1) * seconds, VELOCITY, INSTRUMENT, 0, True)
        return NoteSequence(
            notes=notes,
            tempos=np.array([[0.0, DEFAULT_QPM]]),
            total_time=float(notes["end"].max(initial=0.0)),
        )

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """density, syncopation and brightness [n] of patterns; formulas in `drum_attributes.measure`."""
        labels = stack_padded(arrays, 0)
        labels[labels == 2 ** len(self.classes)] = 0  # the end token
        hits = labels[:, :, None] >> np.arange(len(self.classes)) & 1
        return drum_attributes.measure(hits, self.steps_per_bar)
