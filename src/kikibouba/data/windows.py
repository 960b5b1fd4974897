"""From onsets on a grid of steps to windows of whole bars: what melodies and drums have in common.

A *phrase* is a stretch of bars without a long silence. It starts with the bar of its first onset and ends
with the bar in which its last note ends, so neither silent bars before the first note nor those after the
last one appear. Every window of `bars` bars inside a phrase is one example; the hop is one bar.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from kikibouba.data.notes import NoteSequence, QuantizedSequence, quantize, split_on_time_changes
from kikibouba.errors import KikiboubaError

T = TypeVar("T")

QUARTERS_PER_BAR = 4
MAX_STEPS = 2**20
"""Longest piece laid out on a grid: 65536 bars. Damaged files may claim more than memory can hold."""


@dataclass
class Phrases:
    """P phrases laid one after the other on one line of steps, and where N onsets lie on it."""

    origin: np.ndarray
    """[P] int64: the bar of the piece in which each phrase starts"""
    first_bar: np.ndarray
    """[P] int64: the bar of the line in which it starts"""
    bars: np.ndarray
    """[P] int64: how long it is"""
    phrase: np.ndarray
    """[N] int64: the phrase of each onset"""
    position: np.ndarray
    """[N] int64: the step of the line of each onset, where `room` is above 0"""
    room: np.ndarray
    """[N] int64: steps from each onset to the end of its phrase; 0 or less if the phrase was cut before it"""


def find_phrases(
    part: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    steps_per_bar: int,
    gap_bars: float,
    max_bars: int | None,
) -> Phrases:
    """Cut onsets into phrases.

    Args:
        part: [N] int, not decreasing; phrases do not run across parts (instruments).
        start: [N] steps of the onsets, increasing within a part.
        end: [N] steps at which a silence after each onset would begin.
        steps_per_bar: at least 1.
        gap_bars: a silence of this many bars, or more, ends a phrase; 0: none does.
        max_bars: longer phrases are cut to this length.
    """
    check_length(end, steps_per_bar)
    breaks = np.ones(len(start), bool)
    breaks[1:] = part[1:] != part[:-1]
    if gap_bars:
        breaks[1:] |= start[1:] - end[:-1] >= gap_bars * steps_per_bar
    head = np.flatnonzero(breaks)
    tail = np.append(head, len(start))[1:] - 1
    origin = start[head] // steps_per_bar
    bars = -(-end[tail] // steps_per_bar) - origin
    if max_bars is not None:
        bars = np.minimum(bars, max_bars)
    first_bar = np.cumsum(bars) - bars
    phrase = np.cumsum(breaks) - 1
    inside = start - (origin * steps_per_bar)[phrase]
    room = (bars * steps_per_bar)[phrase] - inside
    return Phrases(origin, first_bar, bars, phrase, inside + (first_bar * steps_per_bar)[phrase], room)


def check_length(end: np.ndarray, steps_per_bar: int) -> None:
    """Raise KikiboubaError if one of these steps [N] is beyond `MAX_STEPS`."""
    if len(end) and end.max() > MAX_STEPS:
        raise KikiboubaError(f"it claims to last {end.max() // steps_per_bar} bars; at most 65536 are read")


def slice_bars(
    line: np.ndarray, first_bar: np.ndarray, phrase_bars: np.ndarray, bars: int, steps_per_bar: int
) -> np.ndarray:
    """All windows [W, bars * steps_per_bar, …] of a line of labels that lie inside a phrase, in order.

    Args:
        line: [any number of bars * steps_per_bar] labels, or rows of columns [that number, …].
        first_bar: [P] where each phrase starts on the line.
        phrase_bars: [P] how long it is.
        bars: length of a window.
        steps_per_bar: at least 1.
    """
    count = np.maximum(phrase_bars - bars + 1, 0)
    first = np.repeat(first_bar - (np.cumsum(count) - count), count) + np.arange(count.sum())
    columns = line.shape[1:]
    rows = line.reshape(-1, steps_per_bar, *columns)[first[:, None] + np.arange(bars)]
    return rows.reshape(len(first), bars * steps_per_bar, *columns)


def unique_rows(rows: np.ndarray) -> np.ndarray:
    """The examples [W, …] without repetitions, in the order in which they first appear."""
    content, size = rows.tobytes(), rows.itemsize * math.prod(rows.shape[1:])
    unique = dict.fromkeys([content[i : i + size] for i in range(0, len(content), size)])
    return np.frombuffer(b"".join(unique), rows.dtype).reshape(-1, *rows.shape[1:])


def stack_padded(arrays: Iterable[np.ndarray], padding: int) -> np.ndarray:
    """Arrays [T_i] → [n, longest], padded on the right."""
    rows = [np.asarray(array) for array in arrays]
    stacked = np.full((len(rows), max(map(len, rows), default=0)), padding, np.int64)
    for target, row in zip(stacked, rows, strict=True):
        target[: len(row)] = row
    return stacked


def quantize_in_four(piece: NoteSequence, steps_per_quarter: int) -> QuantizedSequence:
    """`quantize`, but only if a bar lasts four quarters: 4/4, 2/2, 8/8, …

    Raises:
        KikiboubaError: names the meter.
    """
    quantized = quantize(piece, steps_per_quarter)
    if quantized.steps_per_bar != steps_per_quarter * QUARTERS_PER_BAR:
        allowed = f"only bars of {steps_per_quarter * QUARTERS_PER_BAR} steps (4/4, 2/2) are used"
        remedy = "if the music is in 4/4, correct the time signature"
        raise KikiboubaError(f"the meter is {quantized.meter}; {allowed}; {remedy}")
    return quantized


def too_short(what: str, longest: int, bars: int, gap_bars: float) -> KikiboubaError:
    """The error that no `what` (phrase, pattern) of a piece fills a window."""
    larger = f", or a gap_bars above {gap_bars:g} (bars of silence that end a {what})," if gap_bars else ""
    return KikiboubaError(
        f"its longest {what} has {longest} of the {bars} bars needed; fewer bars{larger} may keep it"
    )


def each_piece(sequence: NoteSequence, extract: Callable[[NoteSequence], T]) -> Iterator[T]:
    """What `extract` finds in each piece of constant tempo and meter; pieces it rejects are passed over.

    If it rejects them all, the error by which it rejects the one with most notes is raised.
    """
    error, most, found = KikiboubaError("it has no notes"), 0, False
    pieces = [piece for piece in split_on_time_changes(sequence) if len(piece.notes)]
    for piece in pieces:
        try:
            result = extract(piece)
        except KikiboubaError as rejection:
            if len(piece.notes) > most:
                error, most = rejection, len(piece.notes)
        else:
            found = True
            yield result
    if not found:
        cut = f" (changes of tempo or meter cut it into {len(pieces)} pieces)" * (len(pieces) > 1)
        raise KikiboubaError(f"{error}{cut}")
