"""How a melody feels, in numbers: jagged or smooth, busy or calm, high or low, rising or falling, …"""

import numpy as np

from kikibouba.data.drum_attributes import syncopation

LEAP = 4
"""Semitones; a larger interval is a leap."""
OCTAVE = 12

MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""How well each pitch class, from the tonic up, fits a major and a minor key, as listeners rated it
(Krumhansl and Kessler 1982).
"""
FEWEST_FOR_A_KEY = 3
"""Notes"""


def measure(
    pitch: np.ndarray, off: np.ndarray, default_pitch: float, steps_per_bar: int = 16
) -> dict[str, np.ndarray]:
    """Attributes of n melodies at once, float64 [n] each, never NaN.

        jaggedness  (mean |interval| / 12 + leaps + staccato / 4) / 2.25, between 0 and 1. Intervals are those
                    between successive notes, an octave at most each; leaps: their share of more than 4
                    semitones; staccato: share of notes that sound for at most half of the time until the next
                    note (or the end). Without intervals the first two terms are 0
        density     notes a step
        register    mean pitch of the notes; `default_pitch` without notes
        contour     correlation of the notes' pitches with time, times the pitches' standard deviation, in
                    semitones: above 0 when the melody rises; 0 for fewer than two notes
        range       semitones from the lowest to the highest note
        repetition  share of the notes whose pitch was played before; 0 without notes
        syncopation of the onsets, see `drum_attributes.syncopation`

    Args:
        pitch: [n, T] int, the MIDI pitch where a note starts, -1 elsewhere.
        off: [n, T] bool, where a note off stands.
        default_pitch: `register` of a melody without notes.
        steps_per_bar: for `syncopation`.
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
        "range": np.where(
            count > 0, pitch.max(axis=1, initial=-1) - np.where(on, pitch, 128).min(axis=1, initial=128), 0
        ).astype(np.float64),
        "repetition": (count - _distinct(pitch)) / some,
        "syncopation": syncopation(on, steps_per_bar) if length else np.zeros(n),
    }


def key(pitch: np.ndarray) -> np.ndarray:
    """The key signature [n] int64 that fits n melodies best: the tonic 0 … 11 (from C) of its major key.

    Of the 24 profiles `MAJOR` and `MINOR` the one that correlates most with how often each pitch class is
    played (Krumhansl and Schmuckler); a minor key counts as its relative major, which has the same notes. -1
    for fewer than three notes.

    Args:
        pitch: as for `measure`.
    """
    classes = np.where(pitch >= 0, pitch % OCTAVE, -1)
    counts = (classes[:, :, None] == np.arange(OCTAVE)).sum(axis=1).astype(np.float64)
    counts -= counts.mean(axis=1, keepdims=True)
    relative = np.roll(MINOR, -3)  # as seen from the relative major's tonic, three semitones above
    profiles = np.array([np.roll(mode, tonic) for tonic in range(OCTAVE) for mode in (MAJOR, relative)])
    profiles -= profiles.mean(axis=1, keepdims=True)
    fit = counts @ (profiles / np.linalg.norm(profiles, axis=1, keepdims=True)).T
    enough = (pitch >= 0).sum(axis=1) >= FEWEST_FOR_A_KEY
    return np.where(enough, fit.argmax(axis=1) // 2, -1)


def _distinct(codes: np.ndarray) -> np.ndarray:
    """How many different values of 0 and more each row of codes [n, T] holds."""
    ordered = np.sort(codes, axis=1)
    new = np.ones_like(ordered, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return (new & (ordered >= 0)).sum(axis=1)


def _next_after(mask: np.ndarray) -> np.ndarray:
    """[n, T]: the first step after each at which the mask holds; T where there is none."""
    length = mask.shape[1]
    here = np.where(mask, np.arange(length), length)
    upcoming = np.minimum.accumulate(here[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([upcoming[:, 1:], np.full((len(mask), 1), length)], axis=1)
