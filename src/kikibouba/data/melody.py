"""Melodies as labels on a grid of sixteenths, the way MusicVAE sees them.

    label 0              nothing happens: what sounds goes on
    label 1              note off
    label 2 + (p - 21)   pitch p starts, 21 <= p <= 108

A file becomes examples in these steps: cut it at tempo and meter changes; drop notes of other programs and
pitches; snap to the grid; of the notes of an instrument that start together keep the highest; a new note ends
the one before; a silence of a bar or more ends the phrase; slide a window of `bars` bars over each phrase,
bar by bar; drop repetitions within each of the pieces cut. Every instrument counts as a melody,
accompaniment too: that is how the original was trained.

An example may also tell the chord and the key at every step (`chord_controls`), as columns after the labels.

Follows the original code. It departs from it where the original leaves things to chance: examples come in the
order of the music (the original's in the order of a hash table), and all of them (the original keeps 5 a
file).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from kikibouba.data import melody_attributes
from kikibouba.data.artifacts import Tune
from kikibouba.data.chord_controls import ChordControls, ChordVocabulary
from kikibouba.data.chords import ROOT_NAMES
from kikibouba.data.grid import grid_warnings
from kikibouba.data.layout import Layout, one_hot
from kikibouba.data.music_files import MUSIC_SUFFIXES, each_piece_of, read_music
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, QuantizedSequence, make_notes
from kikibouba.data.representation import Item
from kikibouba.data.windows import (
    MAX_STEPS,
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

NO_EVENT, NOTE_OFF, FIRST_PITCH = 0, 1, 2
VELOCITY = 80
"""Loudness of decoded notes"""


class TopLine(NamedTuple):
    """The highest note at every onset of every instrument, in order of instrument and onset."""

    instrument: np.ndarray
    """[N] int16"""
    start: np.ndarray
    """[N] int64, steps"""
    end: np.ndarray
    """[N] int64, steps; may lie after the next start"""
    pitch: np.ndarray
    """[N] int16"""
    chord: np.ndarray
    """[N] bool: other notes start at the same step"""


def top_line(piece: QuantizedSequence) -> TopLine:
    """Of notes of an instrument that start at the same step keep the highest; of equals the first."""
    notes = piece.notes
    order = np.lexsort((notes["start"], -notes["pitch"], piece.q_start, notes["instrument"]))
    instrument, start = notes["instrument"][order], piece.q_start[order]
    first = np.ones(len(order), bool)
    first[1:] = (instrument[1:] != instrument[:-1]) | (start[1:] != start[:-1])
    chord = ~np.append(first[1:], True)
    order = order[first]
    return TopLine(instrument[first], start[first], piece.q_end[order], notes["pitch"][order], chord[first])


def write_labels(
    top: TopLine, position: np.ndarray, room: np.ndarray, num_steps: int, min_pitch: int
) -> np.ndarray:
    """Melodies as labels on one line [num_steps] uint8.

    Args:
        top: N onsets.
        position: [N] the step of the line of each, where `room` is above 0.
        room: [N] steps from each to the end of its melody; 0 or less: it is left out.
        num_steps: length of the line.
        min_pitch: the pitch of the first label for notes.
    """
    line = np.zeros(num_steps, np.uint8)
    # a note off where a note ends before the next one of its instrument starts
    cut = np.zeros(len(top.start), bool)
    cut[:-1] = (top.instrument[1:] == top.instrument[:-1]) & (top.end[:-1] > top.start[1:])
    length = top.end - top.start
    off = ~cut & (length < room)
    line[(position + length)[off]] = NOTE_OFF
    on = room > 0
    line[position[on]] = top.pitch[on] + (FIRST_PITCH - min_pitch)
    return line


@dataclass(frozen=True)
class MelodyRepresentation:
    """What a melody example is.

    Arrays are labels [steps] uint8; with chords or a key [steps, 2 … 3] uint8, the melody first.
    """

    kind: ClassVar[str] = "melody"
    LABELS: ClassVar[dict[str, tuple[str, ...]]] = {"key": ROOT_NAMES}
    """The names of the classes that `labels` tells apart."""
    suffixes: ClassVar[tuple[str, ...]] = MUSIC_SUFFIXES
    one_instrument: ClassVar[bool] = True

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
    chords: ChordVocabulary = "none"
    """Which chords a model is told at every step; see `data.chords`."""
    condition_on_key: bool = False
    """True: a model is told the key at every step."""

    def __post_init__(self) -> None:
        if self.bars < 1 or self.steps_per_quarter < 1:
            raise KikiboubaError("bars and steps_per_quarter must be at least 1")
        if not 0 <= self.min_pitch <= self.max_pitch <= 127:
            raise KikiboubaError(f"pitches {self.min_pitch} to {self.max_pitch} are not within 0 to 127")
        if any(not 0 <= program <= 127 for program in self.valid_programs or ()):
            raise KikiboubaError(f"valid_programs {self.valid_programs} are not all within 0 to 127")
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

    @property
    def controls(self) -> ChordControls:
        """The columns of chords and keys."""
        return ChordControls(self.chords, self.condition_on_key, self.steps_per_quarter)

    @property
    def layout(self) -> Layout:
        """One column of labels, read and said as one-hot vectors, and those of chord and key."""
        labels = one_hot(0, self.depth)
        return Layout(inputs=(labels,), outputs=(labels,), controls=self.controls.parts(1))

    def read(self, path: Path) -> list[NoteSequence]:
        """The pieces in a file of music. Raises KikiboubaError if it is broken."""
        return read_music(path)

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """Each piece in a file; `problems` gets a line for each that cannot be read."""
        return each_piece_of(path, problems)

    def named(self, item: NoteSequence) -> NoteSequence:
        """The piece with the chords and keys that its examples are told, guessed where it names none."""
        return self.controls.named(item, self._usable)

    def warnings(self, item: NoteSequence) -> list[str]:
        """What looks wrong about a piece's meter and beat, one line each."""
        return grid_warnings(item, self.steps_per_quarter)

    def windows(self, item: NoteSequence) -> list[np.ndarray]:
        """All examples of a piece, in order of time change, instrument and time.

        Raises:
            KikiboubaError: there are none; names the rule that rejected the piece.
        """
        rows = (row for rows in each_piece(item, self._windows_of_piece) for row in rows)
        return list(rows if self.max_windows is None else islice(rows, self.max_windows))

    def _windows_of_piece(self, piece: NoteSequence) -> np.ndarray:
        """[W, steps] or [W, steps, 2 … 3] uint8; raises KikiboubaError if there is none."""
        usable = self._usable(piece)
        top, phrases, total_steps = self._phrases(usable)
        line, phrases = self._line(top, phrases, total_steps)
        rows = slice_bars(line, phrases.first_bar, phrases.bars, self.bars, self.steps_per_bar)
        # what sounds across the start of a window is not heard in it, so neither is its end
        rows *= np.maximum.accumulate(rows, axis=1) >= FIRST_PITCH
        rows = (
            self._with_controls(rows, usable, phrases, total_steps)
            if self.controls.num_columns
            else unique_rows(rows)
        )
        return self._with_end(rows)

    def _with_controls(
        self, rows: np.ndarray, piece: NoteSequence, phrases: Phrases, total_steps: int
    ) -> np.ndarray:
        """Windows [W, T] → [W, T, 2 … 3] uint8, those that differ in their notes, chord symbols or keys."""
        told, symbols = self.controls.of_piece(piece, total_steps)
        bar = np.repeat(phrases.origin - phrases.first_bar, phrases.bars) + np.arange(phrases.bars.sum())
        step = bar[:, None] * self.steps_per_bar + np.arange(self.steps_per_bar)
        line = told[np.minimum(step.ravel(), total_steps - 1)]
        told = slice_bars(line, phrases.first_bar, phrases.bars, self.bars, self.steps_per_bar)
        rows = unique_rows(np.concatenate([rows[..., None].astype(told.dtype), told], axis=2))
        return np.concatenate([rows[..., :1], self.controls.encode(rows[..., 1:], symbols)], axis=2).astype(
            np.uint8
        )

    def _with_end(self, rows: np.ndarray) -> np.ndarray:
        """Windows [W, T, …], each ended by the end token if there is one; chord and key go on."""
        if not self.add_end_token:
            return rows
        rows = np.concatenate([rows, rows[:, -1:]], axis=1)
        (rows[..., 0] if rows.ndim == 3 else rows)[:, -1] = self.depth - 1
        return rows

    def _phrases(self, piece: NoteSequence) -> tuple[TopLine, Phrases, int]:
        """The top line of a piece of usable notes, its phrases, its length in steps; raises if none fills a
        window.
        """
        quantized = quantize_in_four(piece, self.steps_per_quarter)
        top = top_line(quantized)
        phrases = self._find(top)
        if self.skip_polyphony:
            top = self._before_chords(top, phrases)
            phrases = self._find(top)
        longest = int(phrases.bars.max(initial=0))
        if self.pad_to_total_time and longest:
            longest = quantized.total_steps // self.steps_per_bar
        if longest < self.bars:
            kind = "phrase before a chord" if self.skip_polyphony else "phrase"
            raise too_short(kind, longest, self.bars, self.gap_bars)
        return top, phrases, quantized.total_steps

    def _find(self, top: TopLine) -> Phrases:
        steps_per_bar, gap_bars, max_bars = self.steps_per_bar, self.gap_bars, self.max_bars
        return find_phrases(top.instrument, top.start, top.end, steps_per_bar, gap_bars, max_bars)

    def _usable(self, piece: NoteSequence) -> NoteSequence:
        """The piece with only those notes that may be part of a melody; raises if there are none."""
        notes = piece.notes
        pitched = ~notes["is_drum"] & (notes["velocity"] > 0)
        program = pitched
        if self.valid_programs is not None:
            program = pitched & self._is_valid_program()[np.clip(notes["program"], 0, 127)]
        usable = program & (notes["pitch"] >= self.min_pitch) & (notes["pitch"] <= self.max_pitch)
        if usable.any():
            return replace(piece, notes=notes if usable.all() else notes[usable])
        if not pitched.any():
            raise KikiboubaError("all its notes are drums (channel 10); prepare it as drums")
        if not program.any():
            found = ", ".join(map(str, np.unique(notes["program"][pitched]).tolist()))
            raise KikiboubaError(f"its programs ({found}) are not among valid_programs; none would allow all")
        low, high = notes["pitch"][program].min(), notes["pitch"][program].max()
        raise KikiboubaError(
            f"no note lies within the pitches {self.min_pitch} to {self.max_pitch}: "
            f"they are {low} to {high}; set min_pitch and max_pitch, or transpose it"
        )

    def _is_valid_program(self) -> np.ndarray:
        """[128] bool"""
        valid = np.zeros(128, bool)
        valid[list(self.valid_programs or ())] = True
        return valid

    def _before_chords(self, top: TopLine, phrases: Phrases) -> TopLine:
        """Only the phrases of each instrument before the first one with a chord."""
        with_chord = np.bincount(phrases.phrase, top.chord, len(phrases.bars)) > 0
        bad = np.flatnonzero(with_chord[phrases.phrase])
        first_bad = np.full(int(top.instrument.max(initial=0)) + 1, len(top.start))
        np.minimum.at(first_bad, top.instrument[bad], bad)
        keep = np.arange(len(top.start)) < first_bad[top.instrument]
        return TopLine(*(column[keep] for column in top))

    def _line(self, top: TopLine, phrases: Phrases, total_steps: int) -> tuple[np.ndarray, Phrases]:
        """All phrases as labels on one line [steps] uint8, and where they lie on it."""
        size = int(phrases.bars.sum()) * self.steps_per_bar
        line = write_labels(top, phrases.position, phrases.room, size, self.min_pitch)
        return self._pad(line, phrases, total_steps) if self.pad_to_total_time else (line, phrases)

    def _pad(self, line: np.ndarray, phrases: Phrases, total_steps: int) -> tuple[np.ndarray, Phrases]:
        """Each phrase with the silence before it, and after it up to the last whole bar of the piece."""
        size, bars = self.steps_per_bar, total_steps // self.steps_per_bar
        if len(phrases.bars) * total_steps > MAX_STEPS:
            raise KikiboubaError("it is too long for pad_to_total_time")
        padded = np.zeros((len(phrases.bars), bars * size), np.uint8)
        for row, origin, first, count in zip(
            padded, phrases.origin, phrases.first_bar, phrases.bars, strict=True
        ):
            phrase = line[first * size : (first + count) * size]
            end = (origin + count) * size
            row[origin * size : end] = phrase[: len(row) - origin * size]
            events = phrase[phrase > NO_EVENT]
            if end < len(row) and events[-1] != NOTE_OFF:  # the last note must end somewhere
                row[end] = NOTE_OFF
        count = np.full(len(padded), bars)
        first_bar = np.arange(len(padded)) * bars
        return padded.reshape(-1), replace(phrases, origin=0 * count, first_bar=first_bar, bars=count)

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The melody transposed by a random interval."""
        low, high = self.transpose_range
        return self.transpose(array, int(rng.integers(low, high, endpoint=True)))

    def transpose(self, array: np.ndarray, semitones: int) -> np.ndarray:
        """An example shifted, with chords and keys; a note that leaves the range vanishes, with its note off.

        Follows the original, which transposes before it extracts, except that a note which ended where the
        vanished one began still ends there.
        """
        if array.ndim == 2:
            labels = self.transpose(array[:, 0], semitones)
            return np.column_stack([labels, self.controls.transpose(array[:, 1:], semitones)])
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

    def fill_up(self, array: np.ndarray) -> np.ndarray:
        """An example of fewer bars with silence behind it, [steps] or [steps, K]. What still sounds ends."""
        rows, token = np.split(array, [len(array) - self.add_end_token])
        steps = self.steps - self.add_end_token
        filled = np.pad(rows, [(0, steps - len(rows)), *([(0, 0)] * (rows.ndim - 1))], mode="edge")
        labels = filled.reshape(steps, -1)[:, 0]
        labels[len(rows) :] = NO_EVENT
        events = labels[labels > NO_EVENT]
        if len(rows) < steps and len(events) and events[-1] != NOTE_OFF:
            labels[len(rows)] = NOTE_OFF
        return np.concatenate([filled, token])

    def controls_from_text(self, chords: str, key: str = "") -> np.ndarray:
        """Chords such as "C G Am F", spread evenly over an example's quarters → its control columns.

        Args:
            chords: symbols; commas and bar lines may stand between. "": none.
            key: such as "C" or "F#m", if the model is told a key.

        Returns:
            [steps, 1 … 2] int64: the columns that follow the melody in an example.

        Raises:
            KikiboubaError: unreadable, too many, or the model is told no chords.
        """
        told = self.controls.from_text(chords, key, self.bars * QUARTERS_PER_BAR)
        return np.concatenate([told, told[-1:]]) if self.add_end_token else told

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(x [B, steps] or [B, steps, 2 … 3] int64, lengths [B] int64)."""
        x = np.stack(arrays).astype(np.int64)
        return x, np.full(len(x), x.shape[1], np.int64)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """What was decoded [B, T, …] → one array [length, …] uint8 each."""
        return [row[:length].astype(np.uint8) for row, length in zip(x, lengths, strict=True)]

    def to_artifact(self, array: np.ndarray) -> Tune:
        """The melody as a tune at 120 quarters a minute."""
        return Tune(self.to_sequence(array))

    def to_sequence(self, array: np.ndarray) -> NoteSequence:
        """An example → notes, chords and keys.

        A note ends at the next one, at a note off or at the melody's end (token).
        """
        columns = np.asarray(array, np.int64).reshape(len(array), -1)
        if self.add_end_token:
            columns = columns[~np.logical_or.accumulate(columns[:, 0] == self.depth - 1)]
        labels = columns[:, 0]
        events = np.flatnonzero(labels)
        ends = np.append(events[1:], len(labels))
        is_note = labels[events] >= FIRST_PITCH
        start, end = events[is_note], ends[is_note]
        seconds = 60.0 / DEFAULT_QPM / self.steps_per_quarter
        pitch = labels[start] - FIRST_PITCH + self.min_pitch
        chords, keys = self.controls.to_events(columns[:, 1:], seconds)
        return NoteSequence(
            notes=make_notes(pitch, start * seconds, end * seconds, VELOCITY),
            tempos=np.array([[0.0, DEFAULT_QPM]]),
            key_signatures=keys,
            chords=chords,
            total_time=float(end.max(initial=0) * seconds),
        )

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """jaggedness, density, register, contour, range, repetition and syncopation [n] of melodies; formulas
        in `melody_attributes.measure`.
        """
        pitch, labels = self._pitches(arrays)
        middle = (self.min_pitch + self.max_pitch) / 2
        return melody_attributes.measure(pitch, labels == NOTE_OFF, middle, self.steps_per_bar)

    def labels(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """The class of melodies, int64 [n]: the key, an index of `LABELS["key"]`; -1 unknown."""
        return {"key": melody_attributes.key(self._pitches(arrays)[0])}

    def _pitches(self, arrays: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(the MIDI pitch where a note starts and -1 elsewhere, the labels), [n, longest] of melodies."""
        labels = stack_padded((array[:, 0] if array.ndim == 2 else array for array in arrays), NO_EVENT)
        note = (labels >= FIRST_PITCH) & (labels <= FIRST_PITCH + self.max_pitch - self.min_pitch)
        return np.where(note, labels - FIRST_PITCH + self.min_pitch, -1), labels
