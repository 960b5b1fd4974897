"""How a drum pattern feels, in numbers: busy or sparse, off the beat or on it, bright or dark."""

import numpy as np

LOW = (0, 1, 4, 5, 6)
"""Kick, snare and toms: they carry the rhythm that syncopation is measured on; cymbals mostly tick along."""
BRIGHT = (2, 3, 7, 8)
"""Hi-hats and cymbals."""


def measure(hits: np.ndarray, steps_per_bar: int) -> dict[str, np.ndarray]:
    """Attributes of n patterns at once, float64 [n] each, never NaN.

        density      strokes a step, all drums counted
        syncopation  of kick, snare and toms together, see `syncopation`
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
        "syncopation": syncopation(np.any(hits[:, :, LOW], axis=2), steps_per_bar),
        "brightness": hits[:, :, BRIGHT].sum(axis=(1, 2)) / np.maximum(strokes, 1),
    }


def measure_playing(hits: np.ndarray, velocities: np.ndarray, offsets: np.ndarray) -> dict[str, np.ndarray]:
    """Attributes of how n patterns are played, float64 [n] each, never NaN.

        loudness  mean velocity of the strokes, 0 to 1
        lateness  how long after their step of the grid the strokes come on average, in steps, -0.5 (rushed)
                  to 0.5 (laid back)
        swing     lateness of the strokes on every second step, less that of all the others; 0 if there are
                  none of either

    Args:
        hits: [n, T, 9] bool or 0/1.
        velocities: [n, T, 9], 0 to 1.
        offsets: [n, T, 9], how early each stroke is, in half steps, -1 to 1.
    """
    hit = hits.astype(bool)
    late = -offsets.astype(np.float64) / 2
    weak, strong = _mean(late[:, 1::2], hit[:, 1::2]), _mean(late[:, ::2], hit[:, ::2])
    both = hit[:, 1::2].any(axis=(1, 2)) & hit[:, ::2].any(axis=(1, 2))
    return {
        "loudness": _mean(velocities, hit),
        "lateness": _mean(late, hit),
        "swing": np.where(both, weak - strong, 0.0),
    }


def _mean(values: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """[n]: mean of values [n, T, 9] where something is hit; 0 where nothing is."""
    total = np.where(hit, values, 0).sum(axis=(1, 2), dtype=np.float64)
    return total / np.maximum(hit.sum(axis=(1, 2)), 1)


def syncopation(on: np.ndarray, steps_per_bar: int) -> np.ndarray:
    """Syncopation [n], 0 to 4, of rhythms [n, T] bool, true where something starts.

    After Longuet-Higgins and Lee: the weight of step s of a bar of B steps is -log2(B / gcd(s, B)), so 0 on
    the first beat, -1 in the middle of the bar, -4 on every second sixteenth. An onset is syncopated by as
    much as the heaviest silent step between it and the next one (the rhythm repeats) is heavier than its own
    step; the mean over all onsets.
    """
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
