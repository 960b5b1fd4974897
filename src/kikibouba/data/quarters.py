"""Pieces counted in quarter notes, whatever their tempo does, and cut into bars of four.

Tempo changes move seconds, not quarters, so a piece that slows down keeps its bars. The meter is another
matter: a *section* is a stretch whose bars last four quarters (4/4, 2/2) or two (2/4, counted in twos); what
lies in other meters belongs to no section.
"""

from typing import NamedTuple

import numpy as np

from kikibouba.data.event_tokens import Steps
from kikibouba.data.notes import DEFAULT_METER, DEFAULT_QPM, NoteSequence
from kikibouba.data.windows import MAX_STEPS, QUARTERS_PER_BAR
from kikibouba.errors import KikiboubaError


class Section(NamedTuple):
    """A stretch of a piece in one meter, in quarters from the start of the piece."""

    start: float
    end: float


def to_quarters(seconds: np.ndarray, tempos: np.ndarray) -> np.ndarray:
    """Times [N] in seconds → quarters from the start, under `NoteSequence.tempos` [K, 2]."""
    begin, qpm, before = _tempo_map(tempos)
    part = np.maximum(np.searchsorted(begin, seconds, side="right") - 1, 0)
    return before[part] + (seconds - begin[part]) * qpm[part] / 60.0


def to_seconds(quarters: np.ndarray, tempos: np.ndarray) -> np.ndarray:
    """The inverse of `to_quarters`."""
    begin, qpm, before = _tempo_map(tempos)
    part = np.maximum(np.searchsorted(before, quarters, side="right") - 1, 0)
    return begin[part] + (quarters - before[part]) * 60.0 / qpm[part]


def _tempo_map(tempos: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each tempo: its first second, quarters a minute, and its first quarter; [K] each."""
    if not len(tempos) or tempos[0, 0] > 0:
        tempos = np.concatenate([[[0.0, DEFAULT_QPM]], tempos])
    begin, qpm = tempos.T
    return begin, qpm, np.cumsum(np.append(0.0, np.diff(begin) * qpm[:-1] / 60.0))


def sections(sequence: NoteSequence) -> list[Section]:
    """The stretches of a piece that have bars of four quarters, in order, at least one.

    Raises:
        KikiboubaError: no notes, or none in such a meter (names the meter).
    """
    if not len(sequence.notes):
        raise KikiboubaError("it has no notes")
    rows = sequence.time_signatures.tolist()
    if not rows or rows[0][0] > 0:
        rows.insert(0, [0.0, *DEFAULT_METER])
    meters = [(time, int(n), int(d)) for time, n, d in rows]
    begins = to_quarters(np.array([time for time, _, _ in meters]), sequence.tempos).tolist()
    last = float(to_quarters(np.array([sequence.notes["end"].max()]), sequence.tempos)[0])
    found: list[Section] = []
    for (_, n, d), start, end in zip(meters, begins, [*begins[1:], max(last, begins[-1])], strict=True):
        bar = 4.0 * n / d if d else 0.0
        if bar not in (2.0, 4.0) or end <= start:
            continue
        on_a_bar_line = found and found[-1].end == start and (start - found[-1].start) % QUARTERS_PER_BAR == 0
        if on_a_bar_line:  # 4/4 written again, or 2/2 after it
            start = found.pop().start
        found.append(Section(start, end))
    if not found:
        names = ", ".join(dict.fromkeys(f"{n}/{d}" for _, n, d in meters))
        raise KikiboubaError(f"the meter is {names}; only bars of four quarters (4/4, 2/2, 2/4) are used")
    return found


def steps_in(sequence: NoteSequence, section: Section, steps_per_quarter: int) -> tuple[Steps, np.ndarray]:
    """The pitched notes that start in a section, on its grid, halves rounded up; a note lasts a step or more.

    Returns:
        (notes with steps counted from the section's start, index [N] of each in `sequence.notes`).

    Raises:
        KikiboubaError: a note lies absurdly far on.
    """
    notes = sequence.notes
    start = to_quarters(notes["start"], sequence.tempos)
    step = np.floor((start - section.start) * steps_per_quarter + 0.5)
    length = np.floor((section.end - section.start) * steps_per_quarter + 0.5)
    chosen = np.flatnonzero((step >= 0) & (step < length) & ~notes["is_drum"])
    if len(chosen) and step[chosen].max() > MAX_STEPS:
        raise KikiboubaError("a note starts more than 65536 bars on: the file is damaged")
    notes, step = notes[chosen], step[chosen].astype(np.int64)
    end = to_quarters(notes["end"], sequence.tempos)
    end_step = np.floor((end - section.start) * steps_per_quarter + 0.5).astype(np.int64)
    columns = (step, notes["pitch"], np.maximum(end_step - step, 1), np.maximum(notes["velocity"], 1))
    return Steps(*(column.astype(np.int64) for column in columns)), chosen
