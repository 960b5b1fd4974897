"""How much two windows of music have in common, in numbers; all of notes on a grid (`event_tokens.Steps`)."""

from collections.abc import Iterable

import numpy as np

from kikibouba.data.event_tokens import Steps


def onset_f1(said: Steps, wanted: Steps) -> float:
    """Rhythm: F1 of the sets of steps at which something starts. 1 if neither has a note."""
    return _f1(np.unique(said.start), np.unique(wanted.start))


def note_f1(said: Steps, wanted: Steps) -> float:
    """F1 of the sets of (step, pitch). 1 if neither has a note."""
    return _f1(np.unique(said.start * 128 + said.pitch), np.unique(wanted.start * 128 + wanted.pitch))


def _f1(a: np.ndarray, b: np.ndarray) -> float:
    """2 |a ∩ b| / (|a| + |b|) of arrays without repetitions."""
    return 1.0 if not len(a) + len(b) else 2 * len(np.intersect1d(a, b)) / (len(a) + len(b))


def chroma(notes: Steps, bars: int, steps_per_bar: int) -> np.ndarray:
    """How long each pitch class sounds in each bar, in steps, float64 [bars, 12]."""
    total = np.zeros((bars, 12))
    for bar in range(bars):
        first, last = bar * steps_per_bar, (bar + 1) * steps_per_bar
        sounding = np.minimum(notes.start + notes.duration, last) - np.maximum(notes.start, first)
        np.add.at(total[bar], notes.pitch % 12, np.maximum(sounding, 0))
    return total


def chroma_similarity(said: Steps, wanted: Steps, bars: int, steps_per_bar: int) -> float:
    """Harmony: mean over the bars in which `wanted` sounds of the cosine of both chromas; 0 where `said` is
    silent. NaN if `wanted` never sounds.
    """
    a, b = (chroma(notes, bars, steps_per_bar) for notes in (said, wanted))
    sounds = b.any(axis=1)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(axis=1) / np.maximum(norms, 1e-12)
    return float(cosine[sounds].mean()) if sounds.any() else float("nan")


def n_grams(notes: Steps, n: int) -> np.ndarray:
    """All runs of n notes as numbers int64 [N - n], the same in every key and at every place: the steps and
    semitones from each note to the next, and its duration.
    """
    order = np.lexsort((notes.pitch, notes.start))
    notes = notes.rows(order)
    words = np.stack([np.diff(notes.start), np.diff(notes.pitch) + 128, notes.duration[1:]])
    word = (words[0] * 256 + words[1]) * 1024 + words[2]
    runs = np.zeros(max(len(word) - n + 2, 0), np.int64)
    for shift in range(n - 1):  # a polynomial hash, modulo 2^64
        runs = runs * np.int64(1_000_003) + word[shift : shift + len(runs)]
    return runs


def copied(said: Iterable[Steps], known: np.ndarray, n: int) -> float:
    """Share of runs of n notes that occur in `known`, the sorted n-grams of the training set; 0 if there are
    none.
    """
    runs = np.concatenate([n_grams(notes, n) for notes in said] or [np.zeros(0, np.int64)])
    if not len(runs) or not len(known):
        return 0.0
    place = np.minimum(np.searchsorted(known, runs), len(known) - 1)
    return float((known[place] == runs).mean())


INTERVALS, LENGTHS = 25, 7


def style_profile(notes: Steps, steps_per_bar: int) -> np.ndarray:
    """What a style shows in, float64 [25 + steps_per_bar + 7]: how often each interval from onset to onset
    (an octave at most, down to up), each place in the bar, and each length (1, 2, 4, … steps) occurs, each
    group summing to 1, or 0 without notes.
    """
    order = np.lexsort((notes.pitch, notes.start))
    pitch, start, length = notes.pitch[order], notes.start[order], notes.duration[order]
    groups = [
        np.bincount(np.clip(np.diff(pitch), -12, 12) + 12, minlength=INTERVALS),
        np.bincount(start % steps_per_bar, minlength=steps_per_bar),
        np.bincount(np.minimum(np.log2(np.maximum(length, 1)).astype(int), LENGTHS - 1), minlength=LENGTHS),
    ]
    return np.concatenate([group / max(group.sum(), 1) for group in groups])
