"""What GrooVAE's encoder gets to read: a performance with something taken away, which the decoder restores.

A performance is rows [..., 27] of 9 hits, 9 velocities and 9 offsets (`data.groove`). All functions take and
give float32 arrays with any leading axes, and leave their arguments as they are.
"""

from collections.abc import Sequence

import numpy as np

DRUMS = 9
"""Drum classes; a step has three numbers for each."""

TAPPED = 3
"""The class on which all drums are tapped: the open hi-hat."""

QUIETEST = 0.2
"""Of how likely a note is to be left out, what depends not on how soft it is."""


def thin_out(targets: np.ndarray, max_probability: float, rng: np.random.Generator) -> np.ndarray:
    """A performance with notes left out.

    Draws p from 0 to `max_probability`; each note is then left out with probability
    p * max(0.2, 1 - velocity): soft ones first.
    """
    probability = rng.uniform(0.0, max_probability)
    velocities = targets[..., DRUMS : 2 * DRUMS]
    kept = rng.random(velocities.shape) >= probability * np.maximum(QUIETEST, 1.0 - velocities)
    return targets * np.concatenate([kept] * 3, axis=-1)


def tap(played: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """All drums tapped on the open hi-hat: in every step, what `targets` has where `played` is loudest.

    Follows the original code: a step in which no note of `played` is left takes its kick from `targets`.
    """
    loudest = played[..., DRUMS : 2 * DRUMS].argmax(axis=-1)[..., None]
    tapped = np.zeros_like(targets)
    for part in range(0, 3 * DRUMS, DRUMS):
        taken = np.take_along_axis(targets[..., part : part + DRUMS], loudest, axis=-1)
        tapped[..., part + TAPPED] = taken[..., 0]
    return tapped


def silence(inputs: np.ndarray, drums: Sequence[int]) -> np.ndarray:
    """A performance without some of its drum classes."""
    left = inputs.copy()
    for c in drums:
        left[..., c::DRUMS] = 0
    return left


def flatten(inputs: np.ndarray, velocities: bool, offsets: bool) -> np.ndarray:
    """A performance without its velocities, or its offsets, or both: zeros in their place."""
    flat = inputs.copy()
    if velocities:
        flat[..., DRUMS : 2 * DRUMS] = 0
    if offsets:
        flat[..., 2 * DRUMS :] = 0
    return flat


def drum_by_drum(x: np.ndarray) -> np.ndarray:
    """Rows [B, T, 27] → [B, 9 T, 3]: the drums of a step one after the other."""
    return x.reshape(*x.shape[:2], 3, DRUMS).swapaxes(2, 3).reshape(len(x), -1, 3)


def all_at_once(x: np.ndarray) -> np.ndarray:
    """The inverse of `drum_by_drum`."""
    return x.reshape(len(x), -1, DRUMS, 3).swapaxes(2, 3).reshape(len(x), -1, 3 * DRUMS)
