"""A piece cut into its bars, and each bar into tracks: one for each instrument that plays in it.

Follows the original code. Bars are counted in seconds from the start of the piece, by its tempo. A note
belongs to the bar in which it starts and is cut off at that bar's end. What is snapped to the grid is its
time within the bar, so a note just before a bar line can be snapped to that very line.
"""

from typing import NamedTuple

import numpy as np

from kikibouba.data.notes import DEFAULT_QPM, NoteSequence
from kikibouba.data.performance import TrackNotes
from kikibouba.errors import KikiboubaError

MAX_BARS = 65536


class Tracks(NamedTuple):
    """All tracks of a piece, bar after bar; within a bar by program, drums last, equal ones by instrument."""

    bar_times: np.ndarray
    """[B + 1] float64: where each of the B bars starts, and where the last one ends, in seconds"""
    bar_steps: np.ndarray
    """[B] int64: the step at which each bar's last note ends"""
    bar: np.ndarray
    """[K] int64: the bar of each track"""
    program: np.ndarray
    """[K] int64, 0 … 127; meaningless for drums"""
    is_drum: np.ndarray
    """[K] bool"""
    notes: TrackNotes
    """of all tracks, in order of track, exact start and pitch"""
    steps_per_second: float


def cut_bars(piece: NoteSequence, steps_per_quarter: int, quarters_per_bar: int) -> Tracks:
    """The tracks of a piece of one tempo, whose bars have `quarters_per_bar`.

    Raises:
        KikiboubaError: it lasts no time, or too long.
    """
    qpm = float(piece.tempos[0, 1]) if len(piece.tempos) else DEFAULT_QPM
    steps_per_second = steps_per_quarter * qpm / 60.0
    times = _bar_times(piece.total_time, 60.0 * quarters_per_bar / qpm)
    notes = piece.notes[np.argsort(piece.notes["start"], kind="stable")]
    bar = np.searchsorted(times, notes["start"], side="right") - 1
    notes, bar = notes[bar < len(times) - 1], bar[bar < len(times) - 1]
    start = notes["start"] - times[bar]
    end = np.minimum(notes["end"], times[bar + 1]) - times[bar]
    q_start = (start * steps_per_second + 0.5).astype(np.int64)
    q_end = (end * steps_per_second + 0.5).astype(np.int64)
    q_end += q_end == q_start
    bar_steps = np.zeros(len(times) - 1, np.int64)
    np.maximum.at(bar_steps, bar, q_end)

    _, first, track = np.unique(_track_keys(notes, bar), return_index=True, return_inverse=True)
    order = np.lexsort((notes["pitch"], start, track))
    columns = (track, q_start, q_end, notes["pitch"], notes["velocity"])
    return Tracks(
        bar_times=times,
        bar_steps=bar_steps,
        bar=bar[first],
        program=notes["program"][first].astype(np.int64),
        is_drum=notes["is_drum"][first],
        notes=TrackNotes(*(column[order].astype(np.int64) for column in columns)),
        steps_per_second=steps_per_second,
    )


def _bar_times(total_time: float, seconds: float) -> np.ndarray:
    """Multiples of a bar's length up to the end of the piece, and that end."""
    if not total_time > 0:
        raise KikiboubaError("it lasts no time")
    if total_time / seconds > MAX_BARS:
        raise KikiboubaError(
            f"it claims to last {total_time / seconds:.0f} bars; at most {MAX_BARS} are read"
        )
    times = np.append(0.0, np.arange(seconds, total_time, seconds))
    return np.append(times, total_time) if total_time > times[-1] else times


def _track_keys(notes: np.ndarray, bar: np.ndarray) -> np.ndarray:
    """[N] int64: the same for notes of one track, and in the order of tracks."""
    is_drum, instrument = notes["is_drum"].astype(np.int64), notes["instrument"].astype(np.int64)
    program = np.where(notes["is_drum"], 0, notes["program"]).astype(np.int64)
    return ((bar * 2 + is_drum) * 128 + program) * 2**15 + instrument
