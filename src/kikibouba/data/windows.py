"""From events on a grid of steps to windows of whole bars: what melodies and drums have in common.

A *phrase* is a stretch of bars without a long silence. It starts at the bar of its first onset and ends at the end of
the bar in which its last note ends, so neither silent bars before the first note nor those after the last one appear.
Every window of `bars` bars inside a phrase is one example; the hop is one bar.
"""

from dataclasses import dataclass

import numpy as np

from kikibouba.errors import KikiboubaError

MAX_STEPS = 2**20
"""Longest sequence that is laid out on a grid: 65536 bars. Damaged files may claim more than memory can hold."""


@dataclass
class Phrases:
    """The phrases of one or several parts laid one after the other on one line of steps."""

    first_bar: np.ndarray
    """[P] int64: where each phrase starts on the line, in bars"""
    bars: np.ndarray
    """[P] int64: how long it is"""
    position: np.ndarray
    """[N] int64: where each onset lies on the line, in steps; -1 if its phrase was cut before it"""
    room: np.ndarray
    """[N] int64: steps from each onset to the end of its phrase"""


def find_phrases(
    part: np.ndarray, start: np.ndarray, end: np.ndarray, steps_per_bar: int, gap_bars: float, max_bars: int | None
) -> Phrases:
    """Cut onsets into phrases.

    Args:
        part: [N] int, not decreasing; phrases do not run across parts (instruments).
        start: [N] steps of the onsets, increasing within a part.
        end: [N] steps at which the silence after each onset may begin.
        steps_per_bar: at least 1.
        gap_bars: this many bars of silence, or more, end a phrase; 0: none does.
        max_bars: longer phrases are cut to this length.
    """
    if len(start) and int(end.max()) > MAX_STEPS:
        raise KikiboubaError(f"the piece is {int(end.max()) // steps_per_bar} bars long: the file is damaged")
    breaks = np.ones(len(start), bool)
    breaks[1:] = part[1:] != part[:-1]
    if gap_bars:
        breaks[1:] |= start[1:] - end[:-1] >= gap_bars * steps_per_bar
    head = np.flatnonzero(breaks)
    tail = np.append(head[1:], len(start)) - 1
    origin = start[head] // steps_per_bar
    bars = -(-end[tail] // steps_per_bar) - origin
    if max_bars is not None:
        bars = np.minimum(bars, max_bars)
    first_bar = np.cumsum(bars) - bars
    phrase = np.cumsum(breaks) - 1
    inside = start - (origin * steps_per_bar)[phrase]
    room = (bars * steps_per_bar)[phrase] - inside
    position = np.where(room > 0, inside + (first_bar * steps_per_bar)[phrase], -1)
    return Phrases(first_bar, bars, position, room)


def slice_bars(line: np.ndarray, phrases: Phrases, bars: int, steps_per_bar: int) -> np.ndarray:
    """All windows [W, bars * steps_per_bar] of a line of labels that lie inside a phrase, in order."""
    count = np.maximum(phrases.bars - bars + 1, 0)
    first = np.repeat(phrases.first_bar - (np.cumsum(count) - count), count) + np.arange(count.sum())
    rows = line.reshape(-1, steps_per_bar)[first[:, None] + np.arange(bars)]
    return rows.reshape(len(first), bars * steps_per_bar)


def unique_rows(rows: np.ndarray) -> np.ndarray:
    """The rows without repetitions, in the order in which they first appear."""
    content, size = rows.tobytes(), rows.itemsize * rows.shape[1]
    unique = dict.fromkeys([content[i : i + size] for i in range(0, len(content), size)])
    return np.frombuffer(b"".join(unique), rows.dtype).reshape(-1, rows.shape[1])
