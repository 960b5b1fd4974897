"""Bars of up to eight instruments as tracks of events, the way multitrack MusicVAE sees them.

An example is one bar in 4/4: eight tracks one after the other, each with room for 64 labels. A track is its
program, then its notes as they start and end, with the time that passes and the loudness where it changes,
then an end label (`data.performance` lists the labels); unused tracks are an end label alone. Drums come
last. With chords each label also has the chord that holds at its time.

A file becomes examples in these steps: cut it at tempo and meter changes; let the sustain pedal lengthen
notes; guess chords if they are to be told and the file names none; cut it into bars, each note off at its
bar's end; snap to a grid of 96 steps a bar; keep the bars that keep the rules (2 to 8 instruments, at least 8
events, none of them with more than 62).

Follows the original code, except: the tracks of one program come in the order of their instruments (the
original's in the order of a hash table); an instrument that changes its program within a bar is two tracks
(there the original fails); a transposition keeps all notes within 0 to 127 (the original draws one, and drops
those that leave).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np

from kikibouba.data import multitrack_attributes
from kikibouba.data.artifacts import Tune
from kikibouba.data.chord_controls import ChordControls, ChordVocabulary, symbols_by_step
from kikibouba.data.chord_inference import infer_chords
from kikibouba.data.chords import NUM_CLASSES, chord_class, chord_name, transpose_classes
from kikibouba.data.grid import grid_warnings
from kikibouba.data.layout import Layout, Part
from kikibouba.data.multitrack_bars import Tracks, cut_bars
from kikibouba.data.music_files import MUSIC_SUFFIXES, each_piece_of, read_music
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, chords_within
from kikibouba.data.performance import (
    NUM_PITCHES,
    PerformanceVocabulary,
    TrackEvents,
    read_track,
    to_events,
)
from kikibouba.data.representation import Item
from kikibouba.data.sustain import apply_sustain
from kikibouba.data.windows import QUARTERS_PER_BAR, each_piece, quantize_in_four
from kikibouba.errors import KikiboubaError

TICKS_PER_QUARTER = 480
"""Of decoded bars: a multiple of the grid's steps, so that a file holds them exactly."""


@dataclass(frozen=True)
class MultitrackRepresentation:
    """What a bar of several instruments is. Arrays are labels [steps] uint16, with chords [steps, 2]."""

    kind: ClassVar[str] = "multitrack"
    suffixes: ClassVar[tuple[str, ...]] = MUSIC_SUFFIXES
    bars: ClassVar[int] = 1

    velocity_bins: int = 8
    """Degrees of loudness; 0: loudness is left out."""
    min_instruments: int = 2
    max_instruments: int = 8
    """Bars with fewer or more instruments are left out; the greater number is that of an example's tracks."""
    min_events: int = 8
    """Bars with fewer events, of all tracks together, are left out."""
    events_per_instrument: int = 64
    """Room of a track, for its program and end too; a bar with a longer one is left out."""
    chords: ChordVocabulary = "none"
    """Which chords a model is told at every label; see `data.chords`."""
    max_windows: int | None = None
    """At most this many bars a file, the first ones."""
    transpose_range: tuple[int, ...] = (-3, 3)
    """Semitones, both ends included, by which training examples are shifted at random; drums are not."""
    steps_per_quarter: int = 24

    def __post_init__(self) -> None:
        if not 1 <= self.min_instruments <= self.max_instruments:
            raise KikiboubaError("min_instruments must be at least 1, max_instruments at least as many")
        if not 0 <= self.velocity_bins <= 127:
            raise KikiboubaError("velocity_bins must be 0 (loudness is left out) to 127")
        if self.steps_per_quarter < 1 or self.events_per_instrument < 3:
            raise KikiboubaError("steps_per_quarter must be at least 1, events_per_instrument at least 3")
        if len(self.transpose_range) != 2 or self.transpose_range[0] > self.transpose_range[1]:
            raise KikiboubaError("transpose_range must be [lowest, highest] in semitones, e.g. [-3, 3]")

    @property
    def steps_per_bar(self) -> int:
        """96"""
        return self.steps_per_quarter * QUARTERS_PER_BAR

    @property
    def steps(self) -> int:
        """Length of an example, in labels."""
        return self.max_instruments * self.events_per_instrument

    @cached_property
    def vocabulary(self) -> PerformanceVocabulary:
        """Which label means what."""
        return PerformanceVocabulary(self.steps_per_bar, self.velocity_bins)

    @property
    def depth(self) -> int:
        """Number of labels, the padding not counted."""
        return self.vocabulary.padding

    @property
    def num_chords(self) -> int:
        """Number of chord classes, and the label of chords beside padding; 0 without chords."""
        return NUM_CLASSES[self.chords] if self.chords != "none" else 0

    @property
    def layout(self) -> Layout:
        """One column of labels, one-hot or zeros where padding is; and one of chords likewise."""
        labels = _one_hot_or_zeros(0, self.depth)
        controls = (_one_hot_or_zeros(1, self.num_chords),) if self.num_chords else ()
        words = self.vocabulary
        return Layout((labels,), (labels,), controls, padding=words.padding, end=words.end)

    def read(self, path: Path) -> list[NoteSequence]:
        """The pieces in a file of music. Raises KikiboubaError if it is broken."""
        return read_music(path)

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """Each piece in a file; `problems` gets a line for each that cannot be read."""
        return each_piece_of(path, problems)

    def named(self, item: NoteSequence) -> NoteSequence:
        """The piece with the chords that its examples are told, guessed where it names none."""
        controls = ChordControls(self.chords, key=False, steps_per_quarter=self.steps_per_quarter)
        return controls.named(item, apply_sustain)

    def warnings(self, item: NoteSequence) -> list[str]:
        """What looks wrong about a piece's meter and beat, one line each."""
        return grid_warnings(item)

    def windows(self, item: NoteSequence) -> list[np.ndarray]:
        """All usable bars of a piece in order, also those that repeat: [steps] or [steps, 2] uint16 each.

        Raises:
            KikiboubaError: there are none; names the rule that rejected most of them.
        """
        rows = (row for rows in each_piece(item, self._windows_of_piece) for row in rows)
        return list(rows if self.max_windows is None else islice(rows, self.max_windows))

    def _windows_of_piece(self, piece: NoteSequence) -> np.ndarray:
        """[W, steps] or [W, steps, 2] uint16; raises KikiboubaError if there is none."""
        quantize_in_four(piece, self.steps_per_quarter)
        piece = apply_sustain(piece)
        if self.num_chords and not piece.chords:
            piece = infer_chords(piece, self.steps_per_quarter)
        tracks = cut_bars(piece, self.steps_per_quarter, QUARTERS_PER_BAR)
        events = to_events(tracks.notes, len(tracks.bar), self.vocabulary)
        count = np.bincount(events.track, minlength=len(tracks.bar))
        reasons = self._rejections(tracks, count)
        chords = self._chords(piece, tracks, events, reasons) if self.num_chords else None
        usable = np.array([not reason for reason in reasons])
        if not usable.any():
            (reason, number), *_ = Counter(reasons).most_common(1)
            raise KikiboubaError(f"none of its {len(reasons)} bars can be used: {number} x {reason}")
        return self._rows(tracks, events, usable, chords)

    def _rejections(self, tracks: Tracks, count: np.ndarray) -> list[str]:
        """By bar the rule that rejects it, "" where none does; `count` [K] are the events of each track."""
        num_bars, room = len(tracks.bar_steps), self.events_per_instrument - 2
        num_tracks = np.bincount(tracks.bar, minlength=num_bars)
        num_events = np.bincount(tracks.bar, count, minlength=num_bars)
        longest = np.zeros(num_bars, np.int64)
        np.maximum.at(longest, tracks.bar, count)
        few, many = self.min_instruments, self.max_instruments
        rules = {
            f"fewer than {few} instruments; lower min_instruments, or prepare it as melody": num_tracks < few,
            f"more than {many} instruments; join some, or raise max_instruments": num_tracks > many,
            f"more than {room} events of an instrument; raise events_per_instrument": longest > room,
            f"fewer than {self.min_events} events; lower min_events": num_events < self.min_events,
            "": np.ones(num_bars, bool),
        }
        return [list(rules)[rule] for rule in np.stack(list(rules.values())).argmax(axis=0).tolist()]

    def _chords(
        self, piece: NoteSequence, tracks: Tracks, events: TrackEvents, reasons: list[str]
    ) -> np.ndarray:
        """The class [M] of the chord at every event; bars in which one cannot be told get a reason."""
        classes = np.zeros(len(events.step), np.int64)
        bounds = np.searchsorted(tracks.bar[events.track], np.arange(len(reasons) + 1))
        for bar, (first, last) in enumerate(pairwise(bounds.tolist())):
            if reasons[bar]:
                continue
            start, end = tracks.bar_times[bar : bar + 2].tolist()
            try:
                within = chords_within(piece.chords, start, end)
                index, symbols = symbols_by_step(within, tracks.steps_per_second, int(tracks.bar_steps[bar]))
                at = index[np.minimum(events.step[first:last], len(index) - 1)]
                used, where = np.unique(at, return_inverse=True)
                classes[first:last] = np.array([chord_class(symbols[i], self.chords) for i in used])[where]
            except KikiboubaError as error:
                reasons[bar] = str(error)
        return classes

    def _rows(
        self, tracks: Tracks, events: TrackEvents, usable: np.ndarray, chords: np.ndarray | None
    ) -> np.ndarray:
        """The usable bars [B] bool as examples; `chords` [M] are the class at every event, if any is told."""
        words, every = self.vocabulary, np.arange(len(tracks.bar))
        count = np.bincount(events.track, minlength=len(every))
        # a track whose notes all round to the bar's end has none left; to the original it is one of drums
        program = np.where(tracks.is_drum | (count == 1), words.drums, words.program + tracks.program)
        columns = [np.concatenate([program, events.label, np.full(len(every), words.end)])]
        if chords is not None:
            last = np.cumsum(count) - 1
            columns.append(np.concatenate([np.zeros(len(every), np.int64), chords, chords[last]]))
        track = np.concatenate([every, events.track, every])
        order = np.argsort(track, kind="stable")
        track, labels = track[order], np.stack(columns, axis=1)[order]

        room, row = self.events_per_instrument, np.cumsum(usable) - 1
        slot = every - np.searchsorted(tracks.bar, tracks.bar)
        head = row[tracks.bar] * self.steps + slot * room
        place = head[track] + np.arange(len(track)) - np.searchsorted(track, track)
        rows = np.empty((usable.sum() * self.steps, len(columns)), np.uint16)
        rows[:] = (words.padding, self.num_chords)[: len(columns)]
        rows[::room] = (words.end, 0)[: len(columns)]
        kept = usable[tracks.bar[track]]
        rows[place[kept]] = labels[kept]
        return rows.reshape(usable.sum(), self.steps, *([len(columns)] if chords is not None else []))

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The bar transposed by a random interval, of those that keep all its notes within 0 to 127."""
        low, high = self.transpose_range
        pitch = self._pitches(array)
        if len(pitch):
            low, high = max(low, -int(pitch.min())), min(high, NUM_PITCHES - 1 - int(pitch.max()))
        return self.transpose(array, int(rng.integers(low, high, endpoint=True)) if low <= high else 0)

    def transpose(self, array: np.ndarray, semitones: int) -> np.ndarray:
        """An example with all its notes but drums, and its chords, shifted.

        Raises:
            KikiboubaError: a note would leave 0 to 127.
        """
        pitch = self._pitches(array) + semitones
        if ((pitch < 0) | (pitch >= NUM_PITCHES)).any():
            raise KikiboubaError(f"transposed by {semitones}, a note leaves the pitches 0 to 127")
        shifted = array.copy()
        labels = shifted.reshape(self.steps, -1)
        labels[self._is_pitch(array), 0] += np.array(semitones).astype(array.dtype)
        if self.num_chords:
            told = labels[:, 1] < self.num_chords
            labels[told, 1] = transpose_classes(labels[told, 1], semitones)
        return shifted

    def _is_pitch(self, array: np.ndarray) -> np.ndarray:
        """[steps] bool: labels that start or end a note, of tracks that are not drums."""
        tracks = array.reshape(self.steps, -1)[:, 0].reshape(self.max_instruments, -1)
        is_drum = (tracks == self.vocabulary.drums).any(axis=1, keepdims=True)
        return ((tracks < 2 * NUM_PITCHES) & ~is_drum).reshape(-1)

    def _pitches(self, array: np.ndarray) -> np.ndarray:
        """[n] int64: the pitches in these labels."""
        labels = array.reshape(self.steps, -1)[:, 0]
        return labels[self._is_pitch(array)].astype(np.int64) % NUM_PITCHES

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(x [B, steps] or [B, steps, 2] int64, lengths [B] int64: all places, used or not)."""
        x = np.stack(arrays).astype(np.int64)
        return x, np.full(len(x), self.steps, np.int64)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """What was decoded [B, steps, …] → one array [steps, …] uint16 each."""
        return list(x.astype(np.uint16))

    def controls_from_text(self, chords: str) -> np.ndarray:
        """A chord such as "Am" → the control column [steps, 1] int64 of a bar over which it holds.

        As in examples the program of a track is told no chord, all that follows it the one given.

        Raises:
            KikiboubaError: unreadable, or more than one; or the model is told none.
        """
        told = ChordControls(self.chords, key=False, steps_per_quarter=1).from_text(chords, "", 1)
        column = np.full((self.max_instruments, self.events_per_instrument), told[0, 0])
        column[:, 0] = 0
        return column.reshape(-1, 1)

    def to_artifact(self, array: np.ndarray) -> Tune:
        """The bar as a tune at 120 quarters a minute."""
        return Tune(self.to_sequence(array))

    def to_sequence(self, array: np.ndarray) -> NoteSequence:
        """An example → notes, one instrument a track, and chords; see `performance.read_track`."""
        columns = np.asarray(array, np.int64).reshape(self.max_instruments, self.events_per_instrument, -1)
        seconds = 60.0 / (self.steps_per_quarter * DEFAULT_QPM)
        parts, told = [], {}
        for instrument, track in enumerate(columns):
            notes, steps = read_track(track[:, 0], self.vocabulary)
            notes["instrument"] = instrument
            parts.append(notes)
            heard = (steps < self.steps_per_bar) & (track[:, -1] < self.num_chords)
            told |= dict(zip(steps[heard].tolist(), track[heard, -1].tolist(), strict=True))
        notes = np.concatenate(parts)
        notes["start"] *= seconds
        notes["end"] *= seconds
        return NoteSequence(
            notes=notes,
            tempos=np.array([[0.0, DEFAULT_QPM]]),
            total_time=float(notes["end"].max(initial=0.0)),
            ticks_per_quarter=TICKS_PER_QUARTER,
            chords=_changes(told, seconds) if self.num_chords else (),
        )

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """density, loudness, register and so on [n] of bars; formulas in `multitrack_attributes.measure`."""
        return multitrack_attributes.measure([self.to_sequence(array) for array in arrays])


def _changes(told: dict[int, int], seconds: float) -> tuple[tuple[float, str], ...]:
    """Step → class of the chord, as (time, symbol) where it changes."""
    steps = sorted(told)
    before = [None, *(told[step] for step in steps)]
    return tuple(
        (step * seconds, chord_name(told[step]))
        for step, last in zip(steps, before, strict=False)
        if told[step] != last
    )


def _one_hot_or_zeros(column: int, depth: int) -> Part:
    """A column of labels 0 … depth - 1, each a one-hot vector, and the label `depth`, which is zeros."""
    return Part(column, column + 1, np.eye(depth + 1, depth, dtype=np.float32))
