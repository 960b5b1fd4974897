"""Written music (ABC, MusicXML) as it sounds: repeats played, ties joined, quarters turned into seconds.

A `Score` is what stands on paper, bar by bar, in exact fractions of a quarter note. `perform` plays it: what
is repeated is played again, with its first and second endings; jumps in words (da capo, al segno) are not
followed.

Bars of a `NoteSequence` are counted from the last change of meter. A score need not start with a whole bar:
where a whole bar does not start on a bar line so counted, the upbeat before it gets a meter of its own.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, groupby, pairwise
from typing import TypeVar

import numpy as np

from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, make_notes
from kikibouba.errors import KikiboubaError

T = TypeVar("T")

TICKS_PER_QUARTER = 480
MAX_BARS_PLAYED = 16384
MAX_NOTES_PLAYED = 2**20
MAX_SECONDS = 12 * 3600.0


@dataclass
class WrittenNote:
    """A note head. Times are quarters."""

    start: Fraction
    """from the start of its bar"""
    length: Fraction
    pitch: int
    velocity: int
    tied: bool = False
    """to the next note of its pitch"""


@dataclass
class Part:
    """What one instrument plays."""

    bars: list[list[WrittenNote]] = field(default_factory=list)
    name: str = ""
    program: int = 0
    is_drum: bool = False


@dataclass
class Bar:
    """What a bar says to all parts. Times are quarters from the start of the bar."""

    length: Fraction = Fraction(0)
    """as long as what is written in it, whatever the meter"""
    meter: tuple[int, int] | None = None
    """that begins here"""
    key: tuple[int, int] | None = None
    """(tonic 0 … 11, mode 0 major or 1 minor) that begins here"""
    tempos: list[tuple[Fraction, float]] = field(default_factory=list)
    """(time, quarters a minute)"""
    chords: list[tuple[Fraction, str]] = field(default_factory=list)
    starts_repeat: bool = False
    plays: int = 1
    """How often what it ends is played; above 1 it ends a repeat."""
    ends_section: bool = False
    """A double bar line, to which a later repeat without a beginning goes back."""
    endings: frozenset[int] = frozenset()
    """It is played only in these passes; none: in all."""


@dataclass
class Score:
    """A piece on paper."""

    parts: list[Part]
    bars: list[Bar]
    title: str = ""


def perform(score: Score) -> NoteSequence:
    """The score as it sounds.

    Raises:
        KikiboubaError: there are no notes, or far too many.
    """
    order = play_order(score.bars)
    played = [score.bars[i] for i in order]
    starts = list(accumulate((bar.length for bar in played), initial=Fraction(0)))
    timed = list(zip(starts, played, strict=False))
    clock = _Clock(_moved((start, bar.tempos) for start, bar in timed))
    notes = [_play(part, i, order, starts, clock) for i, part in enumerate(score.parts)]
    everything = np.concatenate([*notes, make_notes(np.zeros(0), np.zeros(0), np.zeros(0))])
    if not len(everything):
        raise KikiboubaError("it has no notes")
    total_time = float(everything["end"].max())
    if total_time > MAX_SECONDS:
        raise KikiboubaError(f"it lasts {total_time / 3600:.0f} hours; at most 12 are read")
    chords = _moved((start, bar.chords) for start, bar in timed)
    keys = _moved((start, [(Fraction(0), bar.key)]) for start, bar in timed if bar.key)
    meters = [(clock.seconds(at), *meter) for at, meter in _meters(timed)]
    return NoteSequence(
        notes=everything,
        tempos=np.array(clock.tempos),
        time_signatures=np.array(meters, np.float64).reshape(-1, 3),
        key_signatures=np.array([(clock.seconds(at), *key) for at, key in keys], np.float64).reshape(-1, 3),
        total_time=total_time,
        ticks_per_quarter=TICKS_PER_QUARTER,
        instrument_names=tuple(part.name for part in score.parts),
        chords=tuple((clock.seconds(at), symbol) for at, symbol in chords),
        name=score.title,
    )


def play_order(bars: Sequence[Bar]) -> list[int]:
    """The numbers of the bars in the order in which they are played.

    A repeat goes back to the bar that starts it; if none does, to the end of the repeat before, or to the
    last double bar line, or to the beginning.
    """
    order: list[int] = []
    first, turn, explicit, here = 0, 1, False, 0
    while here < len(bars):
        bar = bars[here]
        leaves_endings = here > 0 and bool(bars[here - 1].endings) and not bar.endings and here > first
        if leaves_endings or (bar.starts_repeat and here > first):
            first, turn, explicit = here, 1, bar.starts_repeat
        explicit |= bar.starts_repeat
        if bar.endings and turn not in bar.endings:
            here += 1
            continue
        order.append(here)
        if len(order) > MAX_BARS_PLAYED:
            raise KikiboubaError(f"with its repeats it has more than {MAX_BARS_PLAYED} bars")
        if bar.plays > 1 and turn < _num_turns(bars, here):
            here, turn = first, turn + 1
            continue
        if (bar.plays > 1 and not bar.endings) or (bar.ends_section and not explicit and not bar.endings):
            first, turn, explicit = here + 1, 1, False
        here += 1
    return order


def _num_turns(bars: Sequence[Bar], here: int) -> int:
    """How often the repeat that ends here is played: as often as its endings, if it has some, say."""
    if not bars[here].endings:
        return bars[here].plays
    low = high = here
    while low > 0 and bars[low - 1].endings:
        low -= 1
    while high + 1 < len(bars) and bars[high + 1].endings:
        high += 1
    return max(2, *(max(bar.endings) for bar in bars[low : high + 1]))


def _moved(rows: Iterable[tuple[Fraction, list[tuple[Fraction, T]]]]) -> list[tuple[Fraction, T]]:
    """What happens in bars, each with its start, in order of time and without what repeats the one before."""
    moved = [(start + at, what) for start, happens in rows for at, what in happens]
    moved.sort(key=lambda row: row[0])
    return [next(group) for _, group in groupby(moved, key=lambda row: row[1])]


class _Clock:
    """Quarters → seconds."""

    def __init__(self, tempos: list[tuple[Fraction, float]]) -> None:
        by_time = {Fraction(0): DEFAULT_QPM} | dict(tempos)
        self._starts, qpm = list(by_time), list(by_time.values())
        self._seconds = [0.0]
        for (start, end), speed in zip(pairwise(self._starts), qpm, strict=False):
            self._seconds.append(self._seconds[-1] + float(end - start) * 60.0 / speed)
        self.tempos = list(zip(self._seconds, qpm, strict=True))
        """(seconds, quarters a minute)"""

    def seconds(self, quarters: Fraction) -> float:
        last = bisect_right(self._starts, quarters) - 1
        since, qpm = self.tempos[last]
        return since + float(quarters - self._starts[last]) * 60.0 / qpm


def _play(part: Part, instrument: int, order: list[int], starts: list[Fraction], clock: _Clock) -> np.ndarray:
    """The notes of a part [N] NOTE_DTYPE, tied ones joined."""
    rows: list[tuple[Fraction, Fraction, int, int]] = []
    held: dict[int, int] = {}  # pitch → the row of a note that waits for the one it is tied to
    for start, i in zip(starts, order, strict=False):
        for note in sorted(part.bars[i] if i < len(part.bars) else (), key=lambda note: note.start):
            begin = start + note.start
            row = (begin, begin + note.length, note.pitch, note.velocity)
            before = held.pop(note.pitch, None)
            if before is not None and rows[before][1] == begin:
                rows[before] = (rows[before][0], *row[1:3], rows[before][3])
            else:
                before = len(rows)
                rows.append(row)
            if note.tied:
                held[note.pitch] = before
        if len(rows) > MAX_NOTES_PLAYED:
            raise KikiboubaError(f"with its repeats it has more than {MAX_NOTES_PLAYED} notes")
    seconds = [(clock.seconds(begin), clock.seconds(end), p, v) for begin, end, p, v in rows if end > begin]
    start, end, pitch, velocity = np.array(seconds).reshape(-1, 4).T
    return make_notes(pitch, start, end, velocity, instrument, part.program, part.is_drum)


def _meters(bars: Sequence[tuple[Fraction, Bar]]) -> list[tuple[Fraction, tuple[int, int]]]:
    """(start, meter) where it changes; and where a whole bar would not start on a bar line otherwise."""
    found: list[tuple[Fraction, tuple[int, int]]] = []
    counted_from, meter = Fraction(0), None
    for start, bar in bars:
        if bar.meter and bar.meter != meter:
            meter, counted_from = bar.meter, start
            found.append((start, meter))
        whole = Fraction(4 * meter[0], meter[1]) if meter else Fraction(0)
        if meter and bar.length >= whole and (upbeat := (start - counted_from) % whole):
            short = upbeat / 4
            if short.denominator & (short.denominator - 1) == 0 and short.numerator < 256:
                found = [row for row in found if row[0] < start - upbeat]
                found += [(start - upbeat, (short.numerator, short.denominator)), (start, meter)]
                counted_from = start
    return found
