"""Whole pieces: music cut into windows one after the other, and what became of them put together again.

    NoteSequence ─cut→ arrays and their places ─a model, a translator→ artifacts ─join→ one tune

A model sees a few bars. A song is read from its first bar with an onset: a window there, the next one where
that ends, and so on; bars without onsets are passed over and stay silent. Where a phrase ends before its
last window is full, that window reaches back over bars that the one before has covered, and only what is
new in it counts; a phrase shorter than a window is filled up with silence.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from kikibouba.data.artifacts import Artifact, Drawing, Sound, Tune
from kikibouba.data.notes import (
    DEFAULT_QPM,
    NoteSequence,
    QuantizedSequence,
    concatenate,
    excerpt,
    pieces_with_starts,
    quantize,
)
from kikibouba.data.sheet import sheet
from kikibouba.data.windows import QUARTERS_PER_BAR
from kikibouba.errors import KikiboubaError


class Place(NamedTuple):
    """Where in a piece a window lies, in seconds."""

    start: float
    since: float
    """What starts before this belongs to the window before; `start` unless this window reaches back."""
    end: float
    qpm: float
    """Quarter notes a minute there."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A source as the examples of a model, in order."""

    arrays: list[np.ndarray]
    places: list[Place]
    """One for each array; none for drawings, which lie nowhere in time."""
    source: NoteSequence | None = None
    """Keeps its tempo, meter, key, chords and length."""


def cut(sequence: NoteSequence, representation: Any) -> Piece:
    """The windows that cover a piece.

    Args:
        sequence: any tempos and meters; what is not in four quarters a bar stays silent.
        representation: of music, with `bars` and `steps_per_quarter`. If it sees one instrument at a time
            (`one_instrument`), the first one that gives a window is followed. If it is told chords or keys
            that the piece does not name, they are guessed from all of it (`named`).

    Returns:
        At least one window.

    Raises:
        KikiboubaError: the piece holds none (`representation.windows` says why).
    """
    if hasattr(representation, "named"):  # chords are guessed from all bars and instruments
        sequence = representation.named(sequence)
    if getattr(representation, "one_instrument", False):
        sequence = _first_instrument(sequence, representation)
    found, left_out = [], 0
    for start, piece in pieces_with_starts(sequence):
        windows, missed = _windows_of_piece(piece, start, representation)
        found += windows
        left_out += missed
    if not found:
        representation.windows(sequence)
        raise KikiboubaError(f"it holds no usable {representation.kind}")
    if left_out:
        warnings.warn(
            f"{left_out} bars hold nothing that can be read as {representation.kind}; they stay silent",
            stacklevel=3,
        )
    arrays, places = zip(*found, strict=True)
    return Piece(list(arrays), list(places), sequence)


def join(artifacts: Sequence[Artifact], piece: Piece, seconds: float | None = None) -> Artifact:
    """What windows became, as one artifact: tunes at their places in the piece, drawings side by side, sounds
    one after the other.

    Args:
        artifacts: one for each window of the piece, all tunes (at their own tempo), drawings or sounds.
        piece: where they belong.
        seconds: how long each tune lasts. Needed where it does not last as long as its window, or where the
            piece has no places: then the tunes follow one another.
    """
    drawings = [artifact for artifact in artifacts if isinstance(artifact, Drawing)]
    tunes = [artifact.notes for artifact in artifacts if isinstance(artifact, Tune)]
    sounds = [artifact for artifact in artifacts if isinstance(artifact, Sound)]
    if drawings:
        return sheet(drawings)
    if sounds:
        return Sound(np.concatenate([sound.wave for sound in sounds]), sounds[0].rate)
    if not piece.places or seconds is not None:
        return Tune(concatenate(tunes, None if seconds is None else [seconds] * len(tunes)))
    notes = [_placed(tune, place) for tune, place in zip(tunes, piece.places, strict=True)]
    source = piece.source or _silence(piece.places)
    everything = np.concatenate(notes)
    total = max(source.total_time, float(everything["end"].max(initial=0.0)))
    return Tune(replace(source, notes=everything, total_time=total, instrument_names=(), pedals=_NO_PEDALS))


_NO_PEDALS = NoteSequence().pedals


def _placed(tune: NoteSequence, place: Place) -> np.ndarray:
    """The notes of a tune at its place, in its tempo, without what the window before has said already.

    Played a little early, a note belongs to the step it was played for: a 32nd is the tolerance.
    """
    stretch = (tune.tempos[0, 1] if len(tune.tempos) else DEFAULT_QPM) / place.qpm
    notes = tune.notes.copy()
    notes["start"] = notes["start"] * stretch + place.start
    notes["end"] = notes["end"] * stretch + place.start
    thirty_second = 60.0 / place.qpm / 8
    inside = (notes["start"] >= place.since - thirty_second) & (notes["start"] < place.end - 1e-6)
    notes = notes[inside]
    notes["start"] = np.maximum(notes["start"], 0.0)
    return notes


def _silence(places: Sequence[Place]) -> NoteSequence:
    """A piece without notes whose tempo is that of the windows; it begins in the tempo of the first."""
    tempos = [(0.0, places[0].qpm)]
    for place in places:
        if place.qpm != tempos[-1][1]:
            tempos.append((place.since, place.qpm))
    return NoteSequence(tempos=np.array(tempos), total_time=max(place.end for place in places))


def _first_instrument(sequence: NoteSequence, representation: Any) -> NoteSequence:
    """The notes of the first instrument with a usable window; all notes if none has one alone."""
    for instrument in np.unique(sequence.notes["instrument"]):
        part = replace(sequence, notes=sequence.notes[sequence.notes["instrument"] == instrument])
        if _any_window(part, representation) is not None:
            return part
    return sequence


def _any_window(sequence: NoteSequence, representation: Any) -> np.ndarray | None:
    """The first window of a sequence, or None."""
    try:
        return next(iter(representation.windows(sequence)), None)
    except KikiboubaError:
        return None


def _windows_of_piece(
    piece: NoteSequence, start: float, representation: Any
) -> tuple[list[tuple[np.ndarray, Place]], int]:
    """The windows of a piece of one tempo and meter that begins at `start`, and how many bars were lost."""
    try:
        grid = quantize(piece, representation.steps_per_quarter)
    except KikiboubaError:
        return [], 0
    steps_per_bar = representation.steps_per_quarter * QUARTERS_PER_BAR
    if grid.steps_per_bar != steps_per_bar:
        return [], 0
    bar_seconds = steps_per_bar / grid.steps_per_second
    qpm = 240.0 / bar_seconds
    found, missed, covered = [], 0, 0
    for bar in np.unique(grid.q_start // steps_per_bar).tolist():
        if bar < covered:
            continue
        for first, last, array in _attempts(piece, grid, bar, covered, representation):
            if array is not None:
                since, end = (start + b * bar_seconds for b in (bar, last))
                found.append((array, Place(start + first * bar_seconds, since, end, qpm)))
                covered = last
                break
        else:
            missed += 1
    return found, missed


def _attempts(
    piece: NoteSequence, grid: QuantizedSequence, bar: int, covered: int, representation: Any
) -> Iterator[tuple[int, int, np.ndarray | None]]:
    """Ways to read a bar: (first bar of a window, bar where it ends, the window if there is one), best
    first.
    """
    bars = representation.bars
    for back in range(min(bars, bar + 1) if 0 < covered == bar else 1):
        part = _bars(piece, grid, bar - back, bars, representation)
        yield bar - back, bar - back + bars, _any_window(part, representation)
    for fewer in reversed(range(1, bars)):
        short = replace(representation, bars=fewer)
        array = _any_window(_bars(piece, grid, bar, fewer, representation), short)
        yield bar, bar + fewer, None if array is None else _filled_up(array, representation)


def _bars(
    piece: NoteSequence, grid: QuantizedSequence, first_bar: int, bars: int, representation: Any
) -> NoteSequence:
    """The notes that start in some bars, the first of them moved to time 0.

    Which step a note belongs to is settled by the grid of the whole piece; how far off that step it was
    played is kept, but for a hair, lest rounding anew should choose another one.
    """
    size = representation.steps_per_quarter * QUARTERS_PER_BAR
    first, length = first_bar * size, bars * size
    inside = (grid.q_start >= first) & (grid.q_start < first + length)
    notes = piece.notes[inside].copy()
    for name, step in (("start", grid.q_start[inside]), ("end", grid.q_end[inside])):
        off = np.clip(notes[name] * grid.steps_per_second - step, -0.499, 0.499)
        notes[name] = np.minimum(step - first + off, length) / grid.steps_per_second
    begin, end = first / grid.steps_per_second, (first + length) / grid.steps_per_second
    return replace(excerpt(piece, begin, end), notes=notes, total_time=length / grid.steps_per_second)


def _filled_up(array: np.ndarray, representation: Any) -> np.ndarray:
    """A window of fewer bars with silence behind it. A row of zeros says that nothing happens; where that is
    not enough (a note must end), the representation has a `fill_up` of its own.
    """
    if hasattr(representation, "fill_up"):
        return representation.fill_up(array)
    missing = representation.steps - len(array)
    return np.pad(array, [(0, missing), *([(0, 0)] * (array.ndim - 1))])
