"""What is left of a melody without its pitches: its shape, or its rhythm, one label a step.

    shape    0 the melody falls, 1 it stays, 2 it rises, to the note that comes next; after the last note as
             to the last one, and 1 throughout if there are not two notes
    rhythm   1 where a note starts, else 0

These are the converters MelodyShapeConverter and MelodyRhythmConverter of magenta.js, which TensorFlow's
version does not have. Melodies are found in files as `MelodyRepresentation` finds them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from kikibouba.data.artifacts import Tune
from kikibouba.data.chord_controls import ChordControls, ChordVocabulary
from kikibouba.data.layout import Layout, Part, one_hot
from kikibouba.data.melody import FIRST_PITCH, MelodyRepresentation
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, make_notes
from kikibouba.data.windows import stack_padded, unique_rows

FALLS, STAYS, RISES = 0, 1, 2
RHYTHM_PITCH, DRUM_CHANNEL, VELOCITY = 38, 9, 80
"""Of decoded notes: a rhythm is played on a snare drum."""


@dataclass(frozen=True)
class MelodyOutlineRepresentation:
    """What an outline is. Arrays are labels [steps] uint8; with chords or a key [steps, 2 … 3]."""

    kind: ClassVar[str] = "melody_outline"

    outline: Literal["shape", "rhythm"] = "shape"
    bars: int = 2
    min_pitch: int = 21
    max_pitch: int = 108
    steps_per_quarter: int = 4
    chords: ChordVocabulary = "none"
    """Which chords a model is told at every step; see `data.chords`."""
    condition_on_key: bool = False
    """True: a model is told the key at every step."""

    def __post_init__(self) -> None:
        _ = self.melody  # checks the fields that they share

    @cached_property
    def melody(self) -> MelodyRepresentation:
        """The melodies of which these are outlines."""
        return MelodyRepresentation(
            bars=self.bars,
            min_pitch=self.min_pitch,
            max_pitch=self.max_pitch,
            valid_programs=None,
            steps_per_quarter=self.steps_per_quarter,
            chords=self.chords,
            condition_on_key=self.condition_on_key,
        )

    @property
    def steps_per_bar(self) -> int:
        """16 sixteenths"""
        return self.melody.steps_per_bar

    @property
    def steps(self) -> int:
        """Length of an example."""
        return self.melody.steps

    @property
    def controls(self) -> ChordControls:
        """The columns of chords and keys."""
        return self.melody.controls

    @property
    def layout(self) -> Layout:
        """One column: a shape as one-hot vectors, a rhythm as a single bit; and those of chord and key."""
        bit = Part(0, 1, np.array([[0], [1]], np.float32))
        labels = one_hot(0, 3) if self.outline == "shape" else bit
        return Layout((labels,), (labels,), self.controls.parts(1))

    def read(self, path: Path) -> list[NoteSequence]:
        """The piece in a MIDI file. Raises KikiboubaError if the file is broken."""
        return self.melody.read(path)

    def warnings(self, item: NoteSequence) -> list[str]:
        """What looks wrong about a piece's meter and beat, one line each."""
        return self.melody.warnings(item)

    def windows(self, item: NoteSequence) -> list[np.ndarray]:
        """The outlines of all melodies in a piece, none twice. Raises KikiboubaError if there are none."""
        return list(unique_rows(np.stack([self.of_melody(array) for array in self.melody.windows(item)])))

    def of_melody(self, array: np.ndarray) -> np.ndarray:
        """The outline of a melody's labels [steps] or [steps, K]; columns of chord and key stay."""
        columns = array.reshape(len(array), -1).copy()
        pitches = columns[:, 0].astype(np.int64)
        onsets = np.flatnonzero(pitches >= FIRST_PITCH)
        if self.outline == "rhythm":
            columns[:, 0] = pitches >= FIRST_PITCH
        elif len(onsets) < 2:
            columns[:, 0] = STAYS
        else:
            direction = STAYS + np.sign(np.diff(pitches[onsets]))
            next_onset = np.searchsorted(onsets[1:], np.arange(len(pitches)))
            columns[:, 0] = direction[np.minimum(next_onset, len(direction) - 1)]
        return columns.reshape(array.shape)

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The same: transposing a melody changes neither its shape nor its rhythm."""
        return array

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(x [B, steps] or [B, steps, 2 … 3] int64, lengths [B] int64)."""
        return self.melody.collate(arrays)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """What was decoded [B, T, …] → one array [length, …] uint8 each."""
        return self.melody.split_batch(x, lengths)

    def to_artifact(self, array: np.ndarray) -> Tune:
        """The outline as a tune at 120 quarters a minute."""
        return Tune(self.to_sequence(array))

    def to_sequence(self, array: np.ndarray) -> NoteSequence:
        """A shape as a note a step, which moves by semitones from the middle; a rhythm as drum strokes."""
        labels = np.asarray(array, np.int64).reshape(len(array), -1)[:, 0]
        is_rhythm = self.outline == "rhythm"
        if is_rhythm:
            step = np.flatnonzero(labels)
            pitch = np.full(len(step), RHYTHM_PITCH)
        else:
            step, pitch, now = np.arange(len(labels)), np.empty(len(labels), np.int64), self._middle
            for t, move in enumerate(labels - STAYS):
                now = pitch[t] = min(max(now + int(move), self.min_pitch), self.max_pitch)
        seconds = 60.0 / DEFAULT_QPM / self.steps_per_quarter
        channel = DRUM_CHANNEL if is_rhythm else 0
        notes = make_notes(pitch, step * seconds, (step + 1) * seconds, VELOCITY, channel, 0, is_rhythm)
        return NoteSequence(
            notes=notes,
            tempos=np.array([[0.0, DEFAULT_QPM]]),
            total_time=float(notes["end"].max(initial=0.0)),
        )

    @property
    def _middle(self) -> int:
        """The pitch from which shapes set out, halves rounded up."""
        return (self.min_pitch + self.max_pitch + 1) // 2

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Of outlines, [n] each: of shapes contour (mean of -1, 0, 1) and jaggedness (share of steps at which
        the direction changes); of rhythms density (notes a step).
        """
        first = [array.reshape(len(array), -1)[:, 0] for array in arrays]
        labels = stack_padded(first, STAYS if self.outline == "shape" else 0)
        if self.outline == "rhythm":
            return {"density": labels.mean(axis=1)}
        changes = (np.diff(labels.astype(np.int64), axis=1) != 0).mean(axis=1)
        return {"contour": labels.mean(axis=1) - STAYS, "jaggedness": changes}
