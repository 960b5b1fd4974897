"""How a drum pattern feels, in numbers: busy or sparse, off the beat or on it, bright or dark."""

import numpy as np

LOW = (0, 1, 4, 5, 6)
"""Kick, snare and toms: they carry the rhythm that syncopation is measured on; cymbals mostly tick along."""
BRIGHT = (2, 3, 7, 8)
"""Hi-hats and cymbals."""


def measure(hits: np.ndarray, steps_per_bar: int) -> dict[str, np.ndarray]:
    """Attributes of n patterns at once, float64 [n] each, never NaN.

        density      strokes a step, all drums counted
        syncopation  after Longuet-Higgins and Lee: the weight of step s of a bar of B steps is
                     -log2(B / gcd(s, B)), so 0 on the first beat, -1 in the middle of the bar, -4 on every
                     second sixteenth. A stroke of kick, snare or toms is syncopated by as much as the
                     heaviest silent step between it and the next one (the pattern repeats) is heavier than
                     its own step; the mean over all those strokes, 0 to 4
        brightness   share of hi-hats and cymbals among the strokes; 0 without strokes

    Args:
        hits: [n, T, 9] bool or 0/1.
        steps_per_bar: B.
    """
    hits = hits.astype(bool)
    length = hits.shape[1]
    strokes = hits.sum(axis=(1, 2))
    return {
        "density": strokes / max(length, 1),
        "syncopation": _syncopation(np.any(hits[:, :, LOW], axis=2), steps_per_bar),
        "brightness": hits[:, :, BRIGHT].sum(axis=(1, 2)) / np.maximum(strokes, 1),
    }


def _syncopation(on: np.ndarray, steps_per_bar: int) -> np.ndarray:
    """[n] of rhythms [n, T] bool."""
    n, length = on.shape
    weight = -np.log2(steps_per_bar / np.gcd(np.arange(length), steps_per_bar))
    total = np.zeros(n)
    heaviest_rest = np.full(n, -np.inf)
    for step in [
        *reversed(range(length)),
        *reversed(range(length)),
    ]:  # the second round has seen the repetition
        here = on[:, step]
        if step == length - 1:
            total[:] = 0
        total += np.where(here, np.maximum(heaviest_rest - weight[step], 0), 0)
        heaviest_rest = np.where(here, -np.inf, np.maximum(heaviest_rest, weight[step]))
    return total / np.maximum(on.sum(axis=1), 1)
