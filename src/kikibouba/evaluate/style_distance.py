"""How far one set of examples is from another in style: five or more plain statistics, each on its own.

    music       pitch_classes  shares of the notes in the twelve pitch classes
                intervals      shares of the steps from note to note of one instrument, in semitones; an
                               octave or more counts as one
                rhythm         shares of the times from note to note of one instrument, in steps of the
                               grid; a bar or more counts as one
                density        notes a bar of each example
                register       MIDI pitch of each note
    drums       classes        shares of the strokes on each drum
                positions      shares of the strokes on each step of the bar
                and what `Representation.attributes` measures: density, syncopation, brightness, …
    drawings    what `Representation.attributes` measures: angularity, density, aspect, size, strokes

Two sets of shares are as far apart as the total variation distance says: half the sum of their differences, 0
to 1. Two sets of values (density, register, attributes) are as far apart as Wasserstein's first distance
says, in the unit of the value: how far the values of one set must be moved, on average, to become the other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kikibouba.data.artifacts import Tune
from kikibouba.data.notes import DEFAULT_QPM
from kikibouba.data.windows import QUARTERS_PER_BAR

OCTAVE = 12

Style = Mapping[str, "Shares | np.ndarray"]
"""Statistic → shares, or values [n] float64."""


class Shares:
    """A histogram that sums to 1; of nothing, to 0."""

    def __init__(self, bins: np.ndarray, size: int) -> None:
        """`bins`: int [n], 0 to size - 1, one for each thing that is counted."""
        self.values = np.bincount(bins, minlength=size) / max(len(bins), 1)


def style_distance(a: Style, b: Style) -> dict[str, float]:
    """Statistic → distance between two sets of examples, 0 if they are alike in it."""
    return {name: _distance(a[name], b[name]) for name in a}


def _distance(a: Any, b: Any) -> float:
    if isinstance(a, Shares):
        if a.values.any() != b.values.any():
            return 1.0
        return float(np.abs(a.values - b.values).sum() / 2)
    return wasserstein(a, b)


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """Wasserstein's first distance between two samples [n], [m]: the area between their distributions."""
    points = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(np.sort(sample), points[:-1], side="right") / len(sample) for sample in (a, b)]
    return float(np.abs(below[0] - below[1]) @ np.diff(points))


def style_of(representation: Any, arrays: Sequence[np.ndarray]) -> Style:
    """The statistics of a set of examples of a representation, at least one."""
    artifacts = [representation.to_artifact(array) for array in arrays]
    tunes = [artifact.notes.notes for artifact in artifacts if isinstance(artifact, Tune)]
    if not tunes:
        return _attributes(representation, arrays)
    notes, which = np.concatenate(tunes), np.repeat(np.arange(len(tunes)), [len(tune) for tune in tunes])
    seconds = 60.0 / DEFAULT_QPM / representation.steps_per_quarter
    steps = np.rint(notes["start"] / seconds).astype(np.int64)
    steps_per_bar = representation.steps_per_quarter * QUARTERS_PER_BAR
    if representation.kind in ("drums", "groove"):
        counted = {
            "classes": Shares(notes["pitch"], 128),
            "positions": Shares(steps % steps_per_bar, steps_per_bar),
        }
        return counted | _attributes(representation, arrays)
    density = np.bincount(which, minlength=len(tunes)) / representation.bars
    pitched = ~notes["is_drum"]
    return _melodic(notes[pitched], which[pitched], steps[pitched], steps_per_bar) | {"density": density}


def _attributes(representation: Any, arrays: Sequence[np.ndarray]) -> dict[str, Any]:
    return {name: np.asarray(values, float) for name, values in representation.attributes(arrays).items()}


def _melodic(notes: np.ndarray, which: np.ndarray, step: np.ndarray, steps_per_bar: int) -> dict[str, Any]:
    """Statistics of pitched notes [n], their examples [n] and steps [n]."""
    order = np.lexsort((-notes["pitch"], step, notes["instrument"], which))
    pitch, instrument, which, step = (
        column[order].astype(np.int64) for column in (notes["pitch"], notes["instrument"], which, step)
    )
    linked = (which[1:] == which[:-1]) & (instrument[1:] == instrument[:-1])
    interval = np.diff(pitch)[linked].clip(-OCTAVE, OCTAVE)
    wait = np.diff(step)[linked].clip(0, steps_per_bar)
    return {
        "pitch_classes": Shares(pitch % OCTAVE, OCTAVE),
        "intervals": Shares(interval + OCTAVE, 2 * OCTAVE + 1),
        "rhythm": Shares(wait, steps_per_bar + 1),
        "register": (pitch if len(pitch) else np.zeros(1)).astype(float),
    }
