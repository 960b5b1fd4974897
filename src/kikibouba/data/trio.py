"""Melody, bass and drums that play together, as three labels a step, the way MusicVAE's trios see them.

    column 0   melody   labels of `melody.MelodyRepresentation`, 0 … 89
    column 1   bass     the same
    column 2   drums    labels of `drums.DrumsRepresentation`, 0 … 511
    columns 3 … 4       chord and key, if a model is told them (`chord_controls`)

An instrument of a file is a melody, a bass or drums by the program of its notes. Every melody is put together
with every bass and all drums of the file. A window needs all three in each of its bars, where a silence of up
to `gap_bars` bars counts as playing; at both ends of a piece it is enough if one of them plays. Unlike in a
melody of its own, silence ends no phrase, bars are counted from the start of the piece, repetitions stay, and
so does a note off whose note began before the window.

Follows the original code, which keeps 5 windows a file where here all are kept, and with `gap_bars` 0 takes
every bar for covered.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from kikibouba.data.artifacts import Tune
from kikibouba.data.chord_controls import ChordVocabulary
from kikibouba.data.drum_kits import drums_by_class
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.grid import grid_warnings
from kikibouba.data.layout import Layout, one_hot
from kikibouba.data.melody import MelodyRepresentation, top_line, write_labels
from kikibouba.data.music_files import MUSIC_SUFFIXES, each_piece_of, read_music
from kikibouba.data.notes import NoteSequence
from kikibouba.data.representation import Item
from kikibouba.data.windows import check_length, each_piece, quantize_in_four
from kikibouba.errors import KikiboubaError

PARTS = ("melody", "bass", "drums")
MELODY, BASS, DRUMS, OTHER = 0, 1, 2, 3
BASS_INSTRUMENT, BASS_PROGRAM = 1, 33
"""Of decoded notes: fingered electric bass"""
MAX_INSTRUMENT = 127
"""Instruments with a higher number are passed over."""
MAX_WINDOWS = 2**16
"""Of a piece, unless `max_windows` is set: ten melodies times ten basses are too many."""


class Together(NamedTuple):
    """A melody, a bass and drums, and where all three play."""

    instruments: tuple[int, int, int]
    first_bars: np.ndarray
    """[W] int64: bars of the piece in which a window starts"""


@dataclass(frozen=True)
class TrioRepresentation:
    """What a trio example is. Arrays are labels [steps, 3 … 5] uint16."""

    kind: ClassVar[str] = "trio"
    suffixes: ClassVar[tuple[str, ...]] = MUSIC_SUFFIXES

    bars: int = 16
    min_pitch: int = 21
    max_pitch: int = 108
    melody_programs: tuple[int, ...] = tuple(range(32))
    """General MIDI programs that play melodies: here pianos, mallets, organs, guitars"""
    bass_programs: tuple[int, ...] = tuple(range(32, 40))
    pitch_classes: Literal["reduced", "reduced_2018", "roland"] = "reduced"
    """The table of drums; see `data.drum_kits`."""
    gap_bars: int = 2
    """A part may be silent for so many bars before and after one in which it plays."""
    max_bars: int = 1024
    """Longer pieces are cut."""
    max_windows: int | None = None
    """At most this many examples a file, the first ones."""
    transpose_range: tuple[int, ...] = (0, 0)
    """Semitones, both ends included, by which training examples are shifted at random."""
    steps_per_quarter: int = 4
    chords: ChordVocabulary = "none"
    """Which chords a model is told at every step; see `data.chords`."""
    condition_on_key: bool = False
    """True: a model is told the key at every step."""

    def __post_init__(self) -> None:
        if self.gap_bars < 0 or self.max_bars < 1:
            raise KikiboubaError("gap_bars must be 0 or more and max_bars at least 1")
        if any(not 0 <= program <= 127 for program in self.melody_programs + self.bass_programs):
            raise KikiboubaError("melody_programs and bass_programs must be within 0 to 127")
        if both := set(self.melody_programs) & set(self.bass_programs):
            raise KikiboubaError(f"programs {sorted(both)} cannot be both melody and bass; choose one")
        _ = self.depths  # melody and drums check the rest

    @property
    def melody(self) -> MelodyRepresentation:
        """What a melody or a bass is, with the columns of chord and key."""
        return MelodyRepresentation(
            bars=self.bars,
            min_pitch=self.min_pitch,
            max_pitch=self.max_pitch,
            valid_programs=None,
            transpose_range=self.transpose_range,
            steps_per_quarter=self.steps_per_quarter,
            chords=self.chords,
            condition_on_key=self.condition_on_key,
        )

    @property
    def drums(self) -> DrumsRepresentation:
        """What a drum part is."""
        return DrumsRepresentation(
            bars=self.bars, pitch_classes=self.pitch_classes, steps_per_quarter=self.steps_per_quarter
        )

    @property
    def steps_per_bar(self) -> int:
        """16 sixteenths"""
        return self.melody.steps_per_bar

    @property
    def steps(self) -> int:
        """Length of an example."""
        return self.bars * self.steps_per_bar

    @property
    def depths(self) -> tuple[int, int, int]:
        """Sizes of the three vocabularies."""
        return self.melody.depth, self.melody.depth, self.drums.depth

    @property
    def layout(self) -> Layout:
        """Three columns of labels, read and said as one-hot vectors, and those of chord and key."""
        parts = tuple(
            one_hot(column, depth, name)
            for column, (depth, name) in enumerate(zip(self.depths, PARTS, strict=True))
        )
        return Layout(inputs=parts, outputs=parts, controls=self.melody.controls.parts(len(parts)))

    def read(self, path: Path) -> list[NoteSequence]:
        """The pieces in a file of music. Raises KikiboubaError if it is broken."""
        return read_music(path)

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """Each piece in a file; `problems` gets a line for each that cannot be read."""
        return each_piece_of(path, problems)

    def named(self, item: NoteSequence) -> NoteSequence:
        """The piece with the chords and keys that its examples are told, guessed where it names none."""
        return self.melody.controls.named(item, lambda piece: piece)

    def warnings(self, item: NoteSequence) -> list[str]:
        """What looks wrong about a piece's meter and beat, one line each."""
        return grid_warnings(item, self.steps_per_quarter)

    def windows(self, item: NoteSequence) -> list[np.ndarray]:
        """All examples of a piece, by time change, melody, bass, drums and time.

        Raises:
            KikiboubaError: there are none; names the rule that rejected the piece, the part that is missing.
        """
        rows = (row for rows in each_piece(item, self._windows_of_piece) for row in rows)
        return list(rows if self.max_windows is None else islice(rows, self.max_windows))

    def _windows_of_piece(self, piece: NoteSequence) -> np.ndarray:
        """[W, steps, 3 … 5] uint16; raises KikiboubaError if there is none."""
        quantized = quantize_in_four(piece, self.steps_per_quarter)
        size = self.steps_per_bar
        check_length(quantized.q_end, size)
        num_bars = min(-(-quantized.total_steps // size), self.max_bars)
        part_of = self._parts(piece.notes)
        lines = self._lines(piece, part_of, num_bars * size)
        playing = covered_bars(piece.notes["instrument"], quantized.q_start, quantized.q_end, num_bars, size)
        groups = self._together(part_of, {i: playing[i] for i in lines})
        if not (controls := self.melody.controls).num_columns:
            told = np.zeros((num_bars * size, 0), np.uint16)
        else:
            told = controls.encode(*controls.of_piece(piece, num_bars * size))
        found: list[np.ndarray] = []
        for instruments, first_bars in groups:
            columns = np.column_stack([*(lines[i] for i in instruments), told]).astype(np.uint16)
            bars = columns.reshape(num_bars, size, -1)[first_bars[:, None] + np.arange(self.bars)]
            found.append(bars.reshape(len(first_bars), self.steps, columns.shape[1]))
            if self.max_windows is not None and sum(map(len, found)) >= self.max_windows:
                break
        return np.concatenate(found)[: self.max_windows]

    def _parts(self, notes: np.ndarray) -> dict[int, int]:
        """Instrument → MELODY, BASS, DRUMS; those of another or of several kinds are left out.

        Raises:
            KikiboubaError: one of the three is missing; names it.
        """
        by_program = np.full(128, OTHER)
        by_program[list(self.melody_programs)] = MELODY
        by_program[list(self.bass_programs)] = BASS
        part = np.where(notes["is_drum"], DRUMS, by_program[np.clip(notes["program"], 0, 127)])
        pairs = np.unique(np.stack([notes["instrument"], part]), axis=1)
        alone = np.bincount(pairs[0])[pairs[0]] == 1
        usable = alone & (pairs[1] != OTHER) & (pairs[0] <= MAX_INSTRUMENT)
        part_of = dict(pairs[:, usable].T.tolist())
        if missing := [name for i, name in enumerate(PARTS) if i not in part_of.values()]:
            raise KikiboubaError(
                f"it has no {' and no '.join(missing)}: a trio needs a melody (programs "
                f"{_span(self.melody_programs)}), a bass ({_span(self.bass_programs)}) and drums (channel "
                "10); name other programs in melody_programs and bass_programs"
            )
        return part_of

    def _lines(self, piece: NoteSequence, part_of: dict[int, int], num_steps: int) -> dict[int, np.ndarray]:
        """Instrument → its labels [num_steps] uint16, for those that have any note of use."""
        instrument, pitch = piece.notes["instrument"], piece.notes["pitch"]
        pitched = [i for i, part in part_of.items() if part != DRUMS]
        in_range = (pitch >= self.min_pitch) & (pitch <= self.max_pitch) & (piece.notes["velocity"] > 0)
        melodic = replace(piece, notes=piece.notes[np.isin(instrument, pitched) & in_range])
        top = top_line(quantize_in_four(melodic, self.steps_per_quarter))
        found, row = np.unique(top.instrument, return_inverse=True)
        room = num_steps - top.start
        labels = write_labels(top, row * num_steps + top.start, room, len(found) * num_steps, self.min_pitch)
        lines = dict(zip(found.tolist(), labels.reshape(-1, num_steps).astype(np.uint16), strict=True))

        on_drums = [i for i, part in part_of.items() if part == DRUMS]
        drums, classes = drums_by_class(
            replace(piece, notes=piece.notes[np.isin(instrument, on_drums)]), self.pitch_classes
        )
        start = quantize_in_four(drums, self.steps_per_quarter).q_start
        found, row = np.unique(drums.notes["instrument"], return_inverse=True)
        hits = np.zeros((len(found), num_steps), np.uint16)
        inside = start < num_steps
        np.bitwise_or.at(hits, (row[inside], start[inside]), (1 << classes[inside]).astype(np.uint16))
        return lines | dict(zip(found.tolist(), hits, strict=True))

    def _together(self, part_of: dict[int, int], playing: dict[int, np.ndarray]) -> list[Together]:
        """Every melody with every bass and all drums, where they play together for long enough.

        Args:
            part_of: instrument → part.
            playing: instrument → the bars [num_bars] bool in which it plays, where it has notes of use.

        Raises:
            KikiboubaError: none do, or there are too many of them.
        """
        gap = self.gap_bars
        filled = {i: _spread(bars, gap) for i, bars in playing.items()}
        groups, longest = [], 0
        melodies, basses, kits = ([i for i in filled if part_of[i] == part] for part in (MELODY, BASS, DRUMS))
        for melody, bass, kit in product(melodies, basses, kits):
            bars = np.stack([filled[melody], filled[bass], filled[kit]])
            joint = np.logical_and.reduce(bars)
            if gap:
                joint[:gap], joint[-gap:] = bars[:, :gap].any(), bars[:, -gap:].any()
            run = _run_lengths(joint)
            longest = max(longest, int(run.max(initial=0)))
            groups.append(Together((melody, bass, kit), np.flatnonzero(run >= self.bars) - self.bars + 1))
        if longest < self.bars:
            raise KikiboubaError(
                f"its melody, bass and drums play together for {longest} of the {self.bars} bars needed "
                f"(a bar counts if each plays at most {gap} bar(s) away); fewer bars or a larger gap_bars "
                "may keep it"
            )
        if self.max_windows is None and sum(len(group.first_bars) for group in groups) > MAX_WINDOWS:
            raise KikiboubaError(f"it would give more than {MAX_WINDOWS} windows; set max_windows")
        return groups

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The trio transposed by a random interval, if `transpose_range` says so; the original's never is."""
        low, high = self.transpose_range
        return self.transpose(array, int(rng.integers(low, high, endpoint=True)))

    def transpose(self, array: np.ndarray, semitones: int) -> np.ndarray:
        """An example shifted but for its drums; see `MelodyRepresentation.transpose`."""
        shifted = array.copy()
        told = list(range(3, array.shape[1]))
        shifted[:, [MELODY, *told]] = self.melody.transpose(array[:, [MELODY, *told]], semitones)
        shifted[:, BASS] = self.melody.transpose(array[:, BASS], semitones)
        return shifted

    def fill_up(self, array: np.ndarray) -> np.ndarray:
        """An example of fewer bars with silence behind it, [steps, 3 … 5]; chord and key go on."""
        filled = np.pad(array, [(0, self.steps - len(array)), (0, 0)], mode="edge")
        filled[:, MELODY] = self.melody.fill_up(array[:, MELODY])
        filled[:, BASS] = self.melody.fill_up(array[:, BASS])
        filled[len(array) :, DRUMS] = 0
        return filled

    def controls_from_text(self, chords: str, key: str = "") -> np.ndarray:
        """Chords such as "C G Am F", spread evenly, as [steps, 1 … 2] int64; see `MelodyRepresentation`."""
        return self.melody.controls_from_text(chords, key)

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(x [B, steps, 3 … 5] int64, lengths [B] int64)."""
        return self.melody.collate(arrays)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """What was decoded [B, T, 3 … 5] → one array [length, 3 … 5] uint16 each."""
        return [row[:length].astype(np.uint16) for row, length in zip(x, lengths, strict=True)]

    def to_artifact(self, array: np.ndarray) -> Tune:
        """The trio as a tune at 120 quarters a minute."""
        return Tune(self.to_sequence(array))

    def to_sequence(self, array: np.ndarray) -> NoteSequence:
        """An example → notes of three instruments, chords and keys."""
        array = np.asarray(array)
        told = list(range(3, array.shape[1]))
        melody = self.melody.to_sequence(array[:, [MELODY, *told]])
        bass = replace(self.melody, chords="none", condition_on_key=False).to_sequence(array[:, BASS])
        drums = self.drums.to_sequence(array[:, DRUMS])
        bass.notes["instrument"], bass.notes["program"] = BASS_INSTRUMENT, BASS_PROGRAM
        return replace(
            melody,
            notes=np.concatenate([melody.notes, bass.notes, drums.notes]),
            total_time=max(melody.total_time, bass.total_time, drums.total_time),
        )

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """The measures [n] of melodies and of drums, as "melody_density", "drums_density", …"""
        rows = [np.asarray(array) for array in arrays]
        melody = self.melody.attributes(row[:, MELODY] for row in rows)
        drums = self.drums.attributes(row[:, DRUMS] for row in rows)
        named = {f"melody_{name}": values for name, values in melody.items()}
        return named | {f"drums_{name}": values for name, values in drums.items()}


def covered_bars(
    instrument: np.ndarray, start: np.ndarray, end: np.ndarray, num_bars: int, steps_per_bar: int
) -> dict[int, np.ndarray]:
    """Instrument → the bars [num_bars] bool in which one of its notes sounds.

    Args:
        instrument, start, end: [N] of the notes; steps.
        num_bars: bars from here on are left out.
        steps_per_bar: at least 1.
    """
    found, row = np.unique(instrument, return_inverse=True)
    edges = np.zeros((len(found), num_bars + 1), np.int64)
    np.add.at(edges, (row, np.minimum(start // steps_per_bar, num_bars)), 1)
    np.add.at(edges, (row, np.minimum(-(-end // steps_per_bar), num_bars)), -1)
    return dict(zip(found.tolist(), np.cumsum(edges, axis=1)[:, :-1] > 0, strict=True))


def _spread(bars: np.ndarray, gap: int) -> np.ndarray:
    """Bars [N] bool, and all that lie no more than `gap` bars from one of them."""
    padded = np.pad(bars, gap)
    return np.any([padded[shift : shift + len(bars)] for shift in range(2 * gap + 1)], axis=0)


def _run_lengths(flags: np.ndarray) -> np.ndarray:
    """[N] bool → how many flags in a row, up to and with this one, are set, int64 [N]."""
    index = np.arange(1, len(flags) + 1)
    return index - np.maximum.accumulate(np.where(flags, 0, index))


def _span(programs: tuple[int, ...]) -> str:
    """Programs for a message."""
    spans = len(programs) > 2 and programs == tuple(range(programs[0], programs[-1] + 1))
    return f"{programs[0]} to {programs[-1]}" if spans else ", ".join(map(str, programs))
