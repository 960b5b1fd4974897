"""Drum performances with their dynamics and timing, the way GrooVAE sees them.

A step of the grid has three numbers for each of nine drum classes:

    hit        1 or 0
    velocity   of the loudest hit of that class in the step, 0 to 1; 0 without a hit
    offset     how early it comes: (time of the step - time of the hit) / half a step, -1 to 1

An example is what a model is to say: rows [T, 27] of 9 hits, 9 velocities, 9 offsets. What it reads is
derived from that when a batch is made (`groove_inputs`): the same without dynamics and timing, so that it
learns to put them in (`humanize`); all drums tapped on one (`tapify`); without some of the drums
(`add_instruments`). So a dataset serves all models of the same length.

Follows the original code: bars count from the start of the file to that of the last hit, windows follow each
other without overlap, silent ones too, and what is left at the end is lost; a tempo or meter that changes is
refused. It departs where the original gives up: notes that are no drums, or whose pitch is not in the table,
are ignored (the original stops with an error, or takes a piano for drums); notes are left out anew each time
an example is seen; and drums that follow each other (`split_instruments`) find back together. Velocities and
offsets in bins are left out: no model of the original can say them.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from kikibouba.data import drum_attributes, groove_inputs
from kikibouba.data.artifacts import Tune
from kikibouba.data.drum_kits import PITCH_CLASSES, check_table, drums_by_class
from kikibouba.data.drums import INSTRUMENT
from kikibouba.data.grid import grid_warnings
from kikibouba.data.groove_inputs import DRUMS
from kikibouba.data.layout import Layout, Part
from kikibouba.data.music_files import MUSIC_SUFFIXES, each_piece_of, read_music
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, make_notes
from kikibouba.data.representation import Item
from kikibouba.data.windows import QUARTERS_PER_BAR, check_length, quantize_in_four
from kikibouba.errors import KikiboubaError

Kit = Literal["roland", "reduced", "reduced_2018"]

TICKS_PER_QUARTER = 480
"""Of decoded files: a tick is 1/120 of a step."""


@dataclass(frozen=True)
class GrooveRepresentation:
    """What a drum performance is. Arrays are rows [steps, 27] float32."""

    kind: ClassVar[str] = "groove"
    suffixes: ClassVar[tuple[str, ...]] = MUSIC_SUFFIXES

    bars: int = 2
    pitch_classes: Kit = "roland"
    """Table of the files that a dataset is made from; the default is the kit of the Groove MIDI Dataset."""
    pitch_classes_in_use: Kit = "reduced"
    """Table of the files that a trained model is given, and of the notes it says."""
    hop_bars: int | None = None
    """From one example to the next; none: as many as an example has."""
    steps_per_quarter: int = 4
    humanize: bool = False
    """Inputs have neither velocities nor offsets."""
    tapify: bool = False
    """Inputs have but one drum: the open hi-hat takes over the loudest hit of every step."""
    fixed_velocities: bool = False
    """Inputs have no velocities."""
    add_instruments: tuple[int, ...] = ()
    """Drum classes that inputs lack, e.g. [2]: the closed hi-hat."""
    max_note_dropout_probability: float = 0.0
    """Largest probability with which notes are left out of inputs in training, soft ones first."""
    hits_as_controls: bool = False
    """Encoder and decoder are told the hits of every step: only velocities and offsets are left to say."""
    split_instruments: bool = False
    """The drums of a step come one after the other."""
    tells_drum: bool = True
    """If the drums are split, the model is told which is next."""

    def __post_init__(self) -> None:
        if self.bars < 1 or self.steps_per_quarter < 1 or (self.hop_bars is not None and self.hop_bars < 1):
            raise KikiboubaError("bars, hop_bars and steps_per_quarter must be at least 1")
        for table in (self.pitch_classes, self.pitch_classes_in_use):
            check_table(table)
            if len(PITCH_CLASSES[table]) != DRUMS:
                raise KikiboubaError(f"pitch_classes {table!r} has too many classes; a groove has nine")
        if not set(self.add_instruments) <= set(range(DRUMS)):
            raise KikiboubaError(f"add_instruments {self.add_instruments} must be classes from 0 to 8")
        if not 0 <= self.max_note_dropout_probability <= 1:
            raise KikiboubaError("max_note_dropout_probability must be between 0 and 1")

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
        """Length of an example as a model sees it."""
        return self.bars * self.steps_per_bar * (DRUMS if self.split_instruments else 1)

    @property
    def depth(self) -> int:
        """Numbers a step."""
        return 3 if self.split_instruments else 3 * DRUMS

    @property
    def layout(self) -> Layout:
        """Columns of numbers: what is read, what is said, and which drum is next if they are split."""
        d = self.depth
        hits = [Part(d, d + d // 3)] if self.hits_as_controls else []
        drum = [Part(2 * d, 2 * d + DRUMS)] if self.split_instruments and self.tells_drum else []
        return Layout((Part(0, d),), (Part(d, 2 * d),), (*hits, *drum))

    def in_use(self) -> "GrooveRepresentation":
        """The same for the files that a trained model is given and for what it says."""
        return replace(self, pitch_classes=self.pitch_classes_in_use)

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
        if not len(item.notes):
            raise KikiboubaError("it has no notes")
        rows = self._rows(item)
        length = self.bars * self.steps_per_bar
        if len(rows) < length:
            lasts = len(rows) // self.steps_per_bar
            raise KikiboubaError(f"it lasts {lasts} of the {self.bars} bars needed; repeat it")
        hop = (self.hop_bars or self.bars) * self.steps_per_bar
        return [rows[i : i + length] for i in range(0, len(rows) - length + 1, hop)]

    def _rows(self, piece: NoteSequence) -> np.ndarray:
        """All bars of a piece up to that of its last hit, [whole bars of steps, 27] float32."""
        drums, c = drums_by_class(piece, self.pitch_classes)
        step = quantize_in_four(drums, self.steps_per_quarter).q_start
        check_length(step, self.steps_per_bar)
        qpm = float(piece.tempos[0, 1]) if len(piece.tempos) else DEFAULT_QPM
        seconds = 60.0 / qpm / self.steps_per_quarter
        velocity = drums.notes["velocity"].astype(np.int64)
        offset = (seconds * step - drums.notes["start"]) / seconds * 2
        cell = step * DRUMS + c
        order = np.lexsort((-velocity, cell))
        loudest = order[np.unique(cell[order], return_index=True)[1]]
        step, c = step[loudest], c[loudest]
        bars = -(-(int(step.max()) + 1) // self.steps_per_bar)
        rows = np.zeros((bars * self.steps_per_bar, 3 * DRUMS), np.float32)
        rows[step, c] = 1
        rows[step, c + DRUMS] = velocity[loudest] / 127.0
        rows[step, c + 2 * DRUMS] = offset[loudest]
        return rows

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """With note dropout: rows [T, 54] of what is left to read and of what is to be said."""
        if not self.max_note_dropout_probability:
            return array
        left = groove_inputs.thin_out(array, self.max_note_dropout_probability, rng)
        return np.concatenate([left, array], axis=-1)

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Examples → (x [B, T, 54] float32, inputs and targets; lengths [B]).

        With `split_instruments` x is [B, 9 T, 15]: 3 inputs, 3 targets, one-hot which drum it is.
        """
        stacked = np.array(arrays, np.float32).reshape(len(arrays), self.bars * self.steps_per_bar, -1)
        played, targets = stacked[..., : 3 * DRUMS], stacked[..., -3 * DRUMS :]
        inputs = groove_inputs.tap(played, targets) if self.tapify else played
        inputs = groove_inputs.flatten(inputs, self.humanize or self.fixed_velocities, self.humanize)
        parts = [groove_inputs.silence(inputs, self.add_instruments), targets]
        if self.split_instruments:
            which = np.tile(np.eye(DRUMS, dtype=np.float32), (len(stacked), stacked.shape[1], 1))
            parts = [*map(groove_inputs.drum_by_drum, parts), which]
        x = np.concatenate(parts, axis=-1)
        return x, np.full(len(x), x.shape[1], np.int64)

    def usual_controls(self) -> np.ndarray | None:
        """What a model is told where nobody says more, [T, C] float32: which drum is next. None: nothing.

        Warns where it is left without the hits it is used to.
        """
        if self.hits_as_controls:
            warnings.warn(
                "this model plays the hits it is told; without any it may stay silent: name a file that has "
                "them (--controls-from), or give controls",
                stacklevel=3,
            )
        if not self.split_instruments:
            return None
        which = np.tile(np.eye(DRUMS, dtype=np.float32), (self.bars * self.steps_per_bar, 1))
        return np.pad(which, ((0, 0), (int(self.hits_as_controls), 0)))

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """What was decoded (the outputs come first), or a collated batch → rows [T, 27] float32 each.

        Whatever is said of a drum that is not hit becomes 0. Where hits were told, these are the hits.
        """
        d = self.depth
        collated = x.shape[-1] == 2 * d + DRUMS * self.split_instruments
        said = np.asarray(x[..., d : 2 * d] if collated else x[..., :d], np.float32)
        told = x[..., d : d + d // 3]  # after what was said
        if self.split_instruments:
            said, lengths = groove_inputs.all_at_once(said), lengths // DRUMS
        hits, velocities, offsets = np.split(said, 3, axis=-1)
        if self.hits_as_controls and not collated and told.any():
            hits = told.reshape(hits.shape)
        hit = hits > 0.5
        rows = np.concatenate([hit, hit * velocities.clip(0, 1), hit * offsets.clip(-1, 1)], axis=-1)
        return [row[:length].astype(np.float32) for row, length in zip(rows, lengths, strict=True)]

    def to_artifact(self, array: np.ndarray) -> Tune:
        """The performance as a tune at 120 quarters a minute."""
        return Tune(self.to_sequence(array))

    def to_sequence(self, array: np.ndarray) -> NoteSequence:
        """Rows [T, 27] → drum notes of one step each, the first pitch of every class that is hit.

        Follows the original code: a hit that comes early in the first step starts before 0.
        """
        hits, velocities, offsets = np.split(np.asarray(array, np.float64), 3, axis=-1)
        step, c = np.nonzero(hits > 0.5)
        pitch = np.array([pitches[0] for pitches in self.classes])[c]
        seconds = 60.0 / DEFAULT_QPM / self.steps_per_quarter
        start = (step - (offsets[step, c] / 2).clip(-0.5, 0.5)) * seconds
        velocity = np.rint(velocities[step, c] * 127).clip(0, 127)
        notes = make_notes(pitch, start, start + seconds, velocity, INSTRUMENT, 0, True)
        return NoteSequence(
            notes=notes,
            tempos=np.array([[0.0, DEFAULT_QPM]]),
            total_time=float(notes["end"].max(initial=0.0)),
            ticks_per_quarter=TICKS_PER_QUARTER,
        )

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Of drum patterns density, syncopation and brightness; of how they are played loudness, lateness and
        swing [n]; formulas in `drum_attributes`.
        """
        empty = np.zeros((0, self.bars * self.steps_per_bar, 3 * DRUMS), np.float32)
        hits, velocities, offsets = np.split(np.array([*arrays] or empty), 3, axis=-1)
        return drum_attributes.measure(hits, self.steps_per_bar) | drum_attributes.measure_playing(
            hits, velocities, offsets
        )
