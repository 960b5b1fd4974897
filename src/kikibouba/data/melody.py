"""Melodies as labels on a grid of sixteenths, the way MusicVAE sees them.

    label 0              nothing happens: what sounds goes on
    label 1              note off
    label 2 + (p - 21)   pitch p starts, 21 <= p <= 108

A file becomes examples in these steps: cut at tempo and meter changes; drop notes of other programs and pitches;
snap to the grid; of notes of an instrument that start together keep the highest; a new note ends the one before; a
silence of a bar or more ends the phrase; slide a window of `bars` bars over each phrase, bar by bar; drop repetitions
within each cut piece. Every instrument counts as a melody, accompaniment too: that is how the original was trained.

Follows the original code. It departs from it in two points that the original leaves to chance: examples come in the
order of the music (the original's in the order of a hash table), and all of them (the original keeps 5 a file).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kikibouba.data.midi import read_midi
from kikibouba.data.notes import (
    DEFAULT_QPM,
    NoteSequence,
    QuantizedSequence,
    make_notes,
    quantize,
    split_on_time_changes,
)
from kikibouba.data.windows import find_phrases, slice_bars, unique_rows
from kikibouba.errors import KikiboubaError

if TYPE_CHECKING:
    from kikibouba.data.artifacts import Tune

NO_EVENT, NOTE_OFF, FIRST_PITCH = 0, 1, 2
QUARTERS_PER_BAR = 4
VELOCITY = 80
"""Loudness of decoded notes"""


@dataclass(frozen=True)
class MelodyRepresentation:
    """What a melody example is. Arrays are labels [steps] uint8."""

    kind: ClassVar[str] = "melody"

    bars: int = 2
    min_pitch: int = 21
    max_pitch: int = 108
    valid_programs: tuple[int, ...] | None = tuple(range(32))
    """General MIDI programs that may carry a melody: here pianos, mallets, organs, guitars. None: all."""
    gap_bars: float = 1.0
    """A silence of this many bars ends a phrase; 0: none does."""
    skip_polyphony: bool = False
    """True: an instrument is left at its first chord. False: the highest note of a chord counts."""
    max_bars: int | None = 100
    """Longer phrases are cut."""
    add_end_token: bool = False
    """Ends every example with one more label, the last of the vocabulary."""
    pad_to_total_time: bool = False
    """Keeps the silence before and after each phrase, up to the length of the piece."""
    max_windows: int | None = None
    """At most this many examples a file, the first ones."""
    transpose_range: tuple[int, ...] = (-5, 5)
    """Semitones, both ends included, by which training examples are shifted at random."""
    steps_per_quarter: int = 4

    def __post_init__(self) -> None:
        if self.bars < 1 or self.steps_per_quarter < 1:
            raise KikiboubaError("bars and steps_per_quarter must be at least 1")
        if not 0 <= self.min_pitch <= self.max_pitch <= 127:
            raise KikiboubaError(f"pitches {self.min_pitch} to {self.max_pitch} are not within 0 to 127")
        if 0 < self.gap_bars < 1 or self.gap_bars < 0:
            raise KikiboubaError("gap_bars must be 0 (silence ends no phrase) or at least 1")
        if len(self.transpose_range) != 2 or self.transpose_range[0] > self.transpose_range[1]:
            raise KikiboubaError("transpose_range must be [lowest, highest] in semitones, e.g. [-5, 5]")

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
        return FIRST_PITCH + self.max_pitch - self.min_pitch + 1 + self.add_end_token

    def input_table(self) -> np.ndarray:
        """[depth, depth] float32: what an encoder sees of each label, here one-hot."""
        return np.eye(self.depth, dtype=np.float32)

    def read(self, path: Path) -> list[NoteSequence]:
        """The piece in a MIDI file.

        Raises:
            KikiboubaError: the file is broken, or holds no melody; names the rule that rejected it.
        """
        sequence = read_midi(path)
        if not self.windows(sequence):
            raise KikiboubaError(f"{path}: no melody: {self._why_none(sequence)}")
        return [sequence]

    def windows(self, item: NoteSequence) -> list[np.ndarray]:
        """All examples of a piece, labels [steps] uint8 each, in order of instrument and time."""
        found = [self._windows_of_piece(piece) for piece in split_on_time_changes(item)]
        return [row for rows in found for row in rows][: self.max_windows]

    def _windows_of_piece(self, piece: NoteSequence) -> np.ndarray:
        empty = np.zeros((0, self.steps), np.uint8)
        kept = piece.notes[self._usable(piece.notes)]
        if not len(kept):
            return empty
        try:
            quantized = quantize(NoteSequence(kept, piece.tempos, piece.time_signatures), self.steps_per_quarter)
        except KikiboubaError:
            return empty
        if quantized.steps_per_bar != self.steps_per_bar:
            return empty
        rows = self._slice(quantized)
        if self.add_end_token:
            rows = np.pad(rows, ((0, 0), (0, 1)), constant_values=self.depth - 1)
        return unique_rows(rows)

    def _usable(self, notes: np.ndarray) -> np.ndarray:
        usable = (notes["pitch"] >= self.min_pitch) & (notes["pitch"] <= self.max_pitch)
        usable &= ~notes["is_drum"] & (notes["velocity"] > 0)
        if self.valid_programs is not None:
            usable &= np.isin(notes["program"], self.valid_programs)
        return usable

    def _slice(self, piece: QuantizedSequence) -> np.ndarray:
        instrument, start, end, pitch = top_line(piece)
        phrases = find_phrases(instrument, start, end, self.steps_per_bar, self.gap_bars, self.max_bars)
        line = np.zeros(int(phrases.bars.sum()) * self.steps_per_bar, np.uint8)
        # a note off where a note ends before the next one of its instrument starts
        length = end - start
        cut = np.zeros(len(start), bool)
        cut[:-1] = (instrument[1:] == instrument[:-1]) & (end[:-1] > start[1:])
        off = ~cut & (length < phrases.room)
        line[(phrases.position + length)[off]] = NOTE_OFF
        on = phrases.room > 0
        line[phrases.position[on]] = FIRST_PITCH + pitch[on] - self.min_pitch
        rows = slice_bars(line, phrases, self.bars, self.steps_per_bar)
        # what sounds across the start of a window is not heard in it, so neither is its end
        return rows * (np.maximum.accumulate(rows, axis=1) >= FIRST_PITCH)

    def _why_none(self, sequence: NoteSequence) -> str:
        return "no usable notes"

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The melody transposed by a random interval."""
        low, high = self.transpose_range
        return self.transpose(array, int(rng.integers(low, high, endpoint=True)))

    def transpose(self, array: np.ndarray, semitones: int) -> np.ndarray:
        """Labels [steps] shifted; a note that leaves the range vanishes, with its note off.

        Follows the original, which transposes before it extracts, except that a note which ended where the vanished
        one began still ends there.
        """
        out = array.astype(np.int64)
        notes = (out >= FIRST_PITCH) & (out <= FIRST_PITCH + self.max_pitch - self.min_pitch)
        out[notes] += semitones
        gone = notes & ((out < FIRST_PITCH) | (out > FIRST_PITCH + self.max_pitch - self.min_pitch))
        if gone.any():
            out[gone] = NOTE_OFF
            events = np.flatnonzero(out)
            silent_before = np.append(True, out[events[:-1]] == NOTE_OFF)
            out[events[silent_before & (out[events] == NOTE_OFF)]] = NO_EVENT
        return out.astype(array.dtype)

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(x [B, steps] int64, lengths [B] int64)."""
        x = np.stack(arrays).astype(np.int64)
        return x, np.full(len(x), x.shape[1], np.int64)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """Decoded labels [B, T] → one array [length] uint8 each."""
        return [row[:length].astype(np.uint8) for row, length in zip(x, lengths, strict=True)]

    def to_artifact(self, array: np.ndarray) -> "Tune":
        """The melody as a tune at 120 quarters a minute."""
        from kikibouba.data.artifacts import Tune

        return Tune(self.to_sequence(array))

    def to_sequence(self, array: np.ndarray) -> NoteSequence:
        """Labels [T] → notes. A note ends at the next one, at a note off or at the end (token) of the melody."""
        labels = np.asarray(array, np.int64)
        if self.add_end_token:
            labels = labels[: np.append(np.flatnonzero(labels == self.depth - 1), len(labels))[0]]
        events = np.flatnonzero(labels)
        ends = np.append(events[1:], len(labels))
        is_note = labels[events] >= FIRST_PITCH
        start, end = events[is_note], ends[is_note]
        seconds = 60.0 / DEFAULT_QPM / self.steps_per_quarter
        pitch = labels[start] - FIRST_PITCH + self.min_pitch
        return NoteSequence(
            notes=make_notes(pitch, start * seconds, end * seconds, VELOCITY),
            tempos=np.array([[0.0, DEFAULT_QPM]]),
            total_time=float(end.max(initial=0) * seconds),
        )

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Perceptual measures [n]."""
        raise NotImplementedError


def top_line(piece: QuantizedSequence) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The highest note at every onset of every instrument.

    Returns:
        (instrument, start, end, pitch): [N] each, in order of instrument and onset; steps may overlap.
    """
    notes = piece.notes
    order = np.lexsort((notes["start"], -notes["pitch"], piece.q_start, notes["instrument"]))
    instrument, start = notes["instrument"][order], piece.q_start[order]
    first = np.ones(len(order), bool)
    first[1:] = (instrument[1:] != instrument[:-1]) | (start[1:] != start[:-1])
    order = order[first]
    return instrument[first], start[first], piece.q_end[order], notes["pitch"][order]
