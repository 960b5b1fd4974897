"""How a melody feels, in numbers: jagged or smooth, busy or calm, high or low, rising or falling."""

import numpy as np

LEAP = 4
"""Semitones; a larger interval is a leap."""
OCTAVE = 12


def measure(pitch: np.ndarray, off: np.ndarray, default_pitch: float) -> dict[str, np.ndarray]:
    """Attributes of n melodies at once, float64 [n] each, never NaN.

        jaggedness  (mean |interval| / 12 + leaps + staccato / 4) / 2.25, between 0 and 1. Intervals are those
                    between successive notes, an octave at most each; leaps: their share of more than 4
                    semitones; staccato: share of notes that sound for at most half of the time until the next
                    note (or the end). Without intervals the first two terms are 0
        density     notes a step
        register    mean pitch of the notes; `default_pitch` without notes
        contour     correlation of the notes' pitches with time, times the pitches' standard deviation, in
                    semitones: above 0 when the melody rises; 0 for fewer than two notes

    Args:
        pitch: [n, T] int, the MIDI pitch where a note starts, -1 elsewhere.
        off: [n, T] bool, where a note off stands.
        default_pitch: `register` of a melody without notes.
    """
    n, length = pitch.shape
    on = pitch >= 0
    count = on.sum(axis=1)
    some = np.maximum(count, 1)
    step = np.arange(length)

    latest = np.maximum.accumulate(np.where(on, step, -1), axis=1)
    before = np.concatenate([np.full((n, 1), -1), latest[:, :-1]], axis=1)
    linked = on & (before >= 0)
    interval = np.abs(pitch - np.take_along_axis(pitch, np.maximum(before, 0), axis=1)) * linked
    intervals = np.maximum(linked.sum(axis=1), 1)
    mean_interval = np.minimum(interval, OCTAVE).sum(axis=1) / intervals
    leaps = (interval > LEAP).sum(axis=1) / intervals

    sounding = _next_after(on | off) - step
    until_next = _next_after(on) - step
    staccato = (on & (2 * sounding <= until_next)).sum(axis=1) / some

    mean_pitch = np.where(on, pitch, 0).sum(axis=1) / some
    mean_step = (on * step).sum(axis=1) / some
    lateness = (step - mean_step[:, None]) * on
    spread = np.sqrt((lateness**2).sum(axis=1) / some)
    covariance = (lateness * (pitch - mean_pitch[:, None])).sum(axis=1) / some
    return {
        "jaggedness": (mean_interval / OCTAVE + leaps + staccato / 4) / 2.25,
        "density": count / max(length, 1),
        "register": np.where(count > 0, mean_pitch, default_pitch),
        "contour": np.where(spread > 0, covariance / np.where(spread > 0, spread, 1.0), 0.0),
    }


def _next_after(mask: np.ndarray) -> np.ndarray:
    """[n, T]: the first step after each at which the mask holds; T where there is none."""
    length = mask.shape[1]
    here = np.where(mask, np.arange(length), length)
    upcoming = np.minimum.accumulate(here[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([upcoming[:, 1:], np.full((len(mask), 1), length)], axis=1)
