"""`NoteSequence`: a piece of music as one structured array of notes plus its tempo, meter and key changes.

The field names and the rules for splitting and quantising are those of Magenta's NoteSequence, so that the
arrays derived from it are the same. Times are seconds; drums are notes with `is_drum`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from kikibouba.data.chords import NO_CHORD, transpose_symbol
from kikibouba.errors import KikiboubaError

NOTE_DTYPE = np.dtype(
    [
        ("pitch", "i2"),  # 0..127, 60 = middle C
        ("velocity", "i2"),  # 1..127
        ("start", "f8"),  # seconds
        ("end", "f8"),  # seconds
        ("instrument", "i2"),  # 0, 1, …: one for each (track, channel, program) of the file
        ("program", "i2"),  # 0..127, General MIDI
        ("is_drum", "?"),
    ]
)

DEFAULT_QPM = 120.0
DEFAULT_METER = (4, 4)


def _table(columns: int) -> np.ndarray:
    return np.zeros((0, columns), np.float64)


@dataclass
class NoteSequence:
    """A piece of music. All functions on it are pure: they return a new one."""

    notes: np.ndarray = field(default_factory=lambda: np.zeros(0, NOTE_DTYPE))
    """[N] NOTE_DTYPE"""
    tempos: np.ndarray = field(default_factory=lambda: _table(2))
    """[K, 2] float64: (time in s, quarter notes a minute), in order of time; none means 120"""
    time_signatures: np.ndarray = field(default_factory=lambda: _table(3))
    """[K, 3] float64: (time in s, numerator, denominator), in order of time; none means 4/4"""
    key_signatures: np.ndarray = field(default_factory=lambda: _table(3))
    """[K, 3] float64: (time in s, key 0..11 from C, mode 0 major or 1 minor)"""
    total_time: float = 0.0
    """seconds; at least the end of the last note when read from a file"""
    ticks_per_quarter: int = 220
    instrument_names: tuple[str, ...] = ()
    """by instrument; "" where the file gives none"""
    chords: tuple[tuple[float, str], ...] = ()
    """(time in s, chord symbol such as "Am7"), in order of time"""
    pedals: np.ndarray = field(default_factory=lambda: _table(3))
    """[K, 3] float64: (time in s, instrument, value 0..127) of the sustain pedal, in order of time"""
    name: str = ""
    """What a file of several pieces calls this one; "" where it is the only one."""


@dataclass
class QuantizedSequence:
    """A sequence of one tempo and one meter on a grid of steps."""

    notes: np.ndarray
    """[N] NOTE_DTYPE, as they were"""
    q_start: np.ndarray
    """[N] int64, step of the onset"""
    q_end: np.ndarray
    """[N] int64, > q_start"""
    total_steps: int
    steps_per_second: float
    steps_per_bar: float
    """not an integer in, say, 7/32"""
    meter: str
    """such as 4/4"""


def make_notes(
    pitch: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    velocity: np.ndarray | int = 80,
    instrument: np.ndarray | int = 0,
    program: np.ndarray | int = 0,
    is_drum: np.ndarray | bool = False,
) -> np.ndarray:
    """Columns [N] (or one value for all) → notes [N] NOTE_DTYPE."""
    notes = np.empty(len(pitch), NOTE_DTYPE)
    columns = (pitch, velocity, start, end, instrument, program, is_drum)
    for name, column in zip(NOTE_DTYPE.names or (), columns, strict=True):
        notes[name] = column
    return notes


def quantize(sequence: NoteSequence, steps_per_quarter: int = 4) -> QuantizedSequence:
    """Snap notes to a grid of `steps_per_quarter`, halves rounded up; a note lasts at least one step.

    Raises:
        KikiboubaError: the tempo or the meter changes (see `split_on_time_changes`), the meter's denominator
            is no power of two or its numerator 0, or a note has a negative time.
    """
    numerator, denominator = _only_meter(sequence)
    qpm = _only_tempo(sequence)
    steps_per_second = steps_per_quarter * qpm / 60.0
    q_start = _to_steps(sequence.notes["start"], steps_per_second)
    q_end = _to_steps(sequence.notes["end"], steps_per_second)
    q_end += q_end == q_start
    if (q_start < 0).any() or (q_end < 0).any():
        raise KikiboubaError("a note has a negative time")
    total = max(int(sequence.total_time * steps_per_second + 0.5), int(q_end.max(initial=0)))
    steps_per_bar = steps_per_quarter * (4.0 / denominator * numerator)
    meter = f"{numerator}/{denominator}"
    return QuantizedSequence(sequence.notes, q_start, q_end, total, steps_per_second, steps_per_bar, meter)


def _to_steps(seconds: np.ndarray, steps_per_second: float) -> np.ndarray:
    return (seconds * steps_per_second + 0.5).astype(np.int64)


def _only_meter(sequence: NoteSequence) -> tuple[int, int]:
    meters = [(int(n), int(d)) for _, n, d in sequence.time_signatures.tolist()]
    if not meters:
        return DEFAULT_METER
    implied = [DEFAULT_METER] if sequence.time_signatures[0, 0] != 0 else []
    if len({*implied, *meters}) > 1:
        names = ", ".join(f"{n}/{d}" for n, d in dict.fromkeys([*implied, *meters]))
        raise KikiboubaError(f"the meter changes ({names}); split the sequence first")
    numerator, denominator = meters[0]
    if denominator < 1 or denominator & (denominator - 1):
        raise KikiboubaError(f"the meter {numerator}/{denominator} has a denominator that is no power of two")
    if numerator == 0:
        raise KikiboubaError(f"the meter {numerator}/{denominator} has no beats")
    return numerator, denominator


def _only_tempo(sequence: NoteSequence) -> float:
    tempos = sequence.tempos[:, 1].tolist()
    if not tempos:
        return DEFAULT_QPM
    implied = [DEFAULT_QPM] if sequence.tempos[0, 0] != 0 else []
    if len({*implied, *tempos}) > 1:
        raise KikiboubaError(f"the tempo changes ({len(tempos)} tempos); split the sequence first")
    return tempos[0]


def split_on_time_changes(sequence: NoteSequence) -> list[NoteSequence]:
    """Cut a sequence wherever its tempo or meter really changes, each piece shifted to start at 0.

    A note belongs to the piece it starts in; what sounds beyond that piece's end is lost. A piece has one
    tempo and one meter; its `total_time` is the end of its last note. Before the first change 120 quarters a
    minute and 4/4 hold.
    """
    return [piece for _, piece in pieces_with_starts(sequence)]


def pieces_with_starts(sequence: NoteSequence) -> list[tuple[float, NoteSequence]]:
    """The pieces of `split_on_time_changes`, each with the second at which it starts in the sequence."""
    changes = [(time, 0, tuple(meter)) for time, *meter in sequence.time_signatures.tolist()]
    changes += [(time, 1, tuple(qpm)) for time, *qpm in sequence.tempos.tolist()]
    changes = sorted((c for c in changes if c[0] < sequence.total_time), key=lambda change: change[0])
    state: list[tuple[float, ...]] = [DEFAULT_METER, (DEFAULT_QPM,)]
    times, states = [0.0], [tuple(state)]
    for time, which, value in changes:
        if value != state[which]:
            state[which] = value
            if time > times[-1]:
                times.append(time)
                states.append(tuple(state))
            else:
                states[-1] = tuple(state)
    if sequence.total_time > times[-1]:
        times.append(sequence.total_time)
    if len(times) == 2:
        return [(0.0, _piece(sequence, sequence.notes, 0.0, times[1], states[0]))]
    by_onset = sequence.notes[np.argsort(sequence.notes["start"], kind="stable")]
    cuts = np.searchsorted(np.sort(sequence.notes["start"]), times).tolist()
    pieces = []
    for (first, last), (start, end), piece_state in zip(
        pairwise(cuts), pairwise(times), states, strict=False
    ):
        notes = by_onset[first:last].copy()
        notes["end"] = np.minimum(notes["end"], end) - start
        notes["start"] -= start
        pieces.append((start, _piece(sequence, notes, start, end, piece_state)))
    return pieces


def excerpt(piece: NoteSequence, start: float, end: float) -> NoteSequence:
    """The seconds [start, end) of a piece of one tempo and meter, moved to 0; notes are cut at the end."""
    notes = piece.notes[(piece.notes["start"] >= start) & (piece.notes["start"] < end)].copy()
    notes["end"] = np.minimum(notes["end"], end) - start
    notes["start"] -= start
    meter = tuple(piece.time_signatures[0, 1:].tolist()) if len(piece.time_signatures) else DEFAULT_METER
    tempo = (float(piece.tempos[0, 1]),) if len(piece.tempos) else (DEFAULT_QPM,)
    return _piece(piece, notes, start, end, (meter, tempo))


def _piece(
    sequence: NoteSequence, notes: np.ndarray, start: float, end: float, state: tuple[tuple[float, ...], ...]
) -> NoteSequence:
    """The notes of [start, end), already moved to 0, with the (meter, tempo) and the keys that hold there."""
    keys = sequence.key_signatures
    first, last = np.searchsorted(keys[:, 0], start, "right"), np.searchsorted(keys[:, 0], end, "left")
    keys = keys[max(first - 1, 0) : last].copy()
    keys[:, 0] = np.maximum(keys[:, 0] - start, 0.0)
    return replace(
        sequence,
        notes=notes,
        tempos=np.array([[0.0, *state[1]]]),
        time_signatures=np.array([[0.0, *state[0]]], np.float64),
        key_signatures=keys,
        chords=chords_within(sequence.chords, start, end),
        pedals=_pedals_within(sequence.pedals, start, end),
        total_time=float(notes["end"].max(initial=0.0)),
    )


def chords_within(
    chords: tuple[tuple[float, str], ...], start: float, end: float
) -> tuple[tuple[float, str], ...]:
    """The chords of (start, end), moved to 0, after the one that holds at the start."""
    held = [(0.0, symbol) for time, symbol in chords if time <= start]
    return (*held[-1:], *((time - start, symbol) for time, symbol in chords if start < time < end))


def _pedals_within(pedals: np.ndarray, start: float, end: float) -> np.ndarray:
    """The pedal changes of (start, end), moved to 0, after those that hold at the start."""
    if not len(pedals):
        return pedals
    first, last = np.searchsorted(pedals[:, 0], start, "right"), np.searchsorted(pedals[:, 0], end, "left")
    _, latest = np.unique(pedals[:first, 1][::-1], return_index=True)
    inside = pedals[np.concatenate([np.sort(first - 1 - latest), np.arange(first, max(first, last))])]
    inside[:, 0] = np.maximum(inside[:, 0] - start, 0.0)
    return inside


def transpose(sequence: NoteSequence, semitones: int) -> NoteSequence:
    """Shift all notes but drums, the keys and the chords; notes that leave 0..127 are dropped."""
    notes = sequence.notes.copy()
    notes["pitch"] += np.where(notes["is_drum"], 0, semitones).astype(np.int16)
    notes = notes[(notes["pitch"] >= 0) & (notes["pitch"] <= 127)]
    keys = sequence.key_signatures.copy()
    keys[:, 1] = (keys[:, 1] + semitones) % 12
    return replace(
        sequence,
        notes=notes,
        key_signatures=keys,
        chords=tuple((time, transpose_symbol(symbol, semitones)) for time, symbol in sequence.chords),
        total_time=float(notes["end"].max(initial=0.0)),
    )


def concatenate(sequences: Sequence[NoteSequence], seconds: Sequence[float] | None = None) -> NoteSequence:
    """One sequence after the other.

    Args:
        sequences: at least one; tempos, meters, keys and chords that repeat are kept once. Where one names
            chords, there is no chord in another before its first.
        seconds: how long each part lasts; its `total_time` where not given.
    """
    if not sequences:
        raise KikiboubaError("there is nothing to concatenate")
    lengths = [s.total_time for s in sequences] if seconds is None else list(seconds)
    offsets = np.concatenate([[0.0], np.cumsum(lengths)]).tolist()
    notes = [s.notes.copy() for s in sequences]
    for part, offset in zip(notes, offsets, strict=False):
        part["start"] += offset
        part["end"] += offset
    return replace(
        sequences[0],
        notes=np.concatenate(notes),
        tempos=_joined([s.tempos for s in sequences], offsets),
        time_signatures=_joined([s.time_signatures for s in sequences], offsets),
        key_signatures=_joined([s.key_signatures for s in sequences], offsets),
        chords=_joined_chords([s.chords for s in sequences], offsets),
        pedals=_moved([s.pedals for s in sequences], offsets),
        total_time=offsets[-1],
    )


def _joined(tables: list[np.ndarray], offsets: list[float]) -> np.ndarray:
    """Tables moved to their places in time, without the rows that repeat the one before."""
    rows = _moved(tables, offsets)
    changed = np.ones(len(rows), bool)
    changed[1:] = (rows[1:, 1:] != rows[:-1, 1:]).any(axis=1)
    return rows[changed]


def _moved(tables: list[np.ndarray], offsets: list[float]) -> np.ndarray:
    """Tables [K, …] whose first column is the time, each moved by its offset, as one."""
    tables = [table.copy() for table in tables]
    for table, offset in zip(tables, offsets, strict=False):
        table[:, 0] += offset
    return np.concatenate(tables)


def _joined_chords(
    parts: list[tuple[tuple[float, str], ...]], offsets: list[float]
) -> tuple[tuple[float, str], ...]:
    joined: list[tuple[float, str]] = []
    for chords, offset in zip(parts if any(parts) else [], offsets, strict=False):
        starts_with_one = bool(chords) and chords[0][0] <= 0
        for time, symbol in chords if starts_with_one else [(0.0, NO_CHORD), *chords]:
            if not joined or joined[-1][1] != symbol:
                joined.append((time + offset, symbol))
    return tuple(joined)
