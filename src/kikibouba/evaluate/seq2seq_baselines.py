"""What translation must beat: the source itself, any target, and the target of the most similar source."""

from collections.abc import Sequence

import numpy as np

from kikibouba.data.event_tokens import Steps

MOST = 6_000
"""Training windows that a neighbour is looked for in, at most."""

TRANSPOSITIONS = np.arange(-5, 7)


def onset_roll(notes: Steps, steps: int) -> np.ndarray:
    """Which pitch class starts when: float32 [12, T] of length 1, or zeros without notes."""
    roll = np.zeros((12, steps), np.float32)
    inside = notes.start < steps
    roll[notes.pitch[inside] % 12, notes.start[inside]] = 1
    return roll / max(float(np.linalg.norm(roll)), 1e-12)


def nearest(sources: Sequence[Steps], known: Sequence[Steps], steps: int) -> list[tuple[int, int]]:
    """For each source the known source that is most like it, and by how many semitones its target must be
    moved; all twelve keys are tried.

    Args:
        sources: windows.
        known: those of the training set.
        steps: T, their length.
    """
    table = np.stack([onset_roll(notes, steps).reshape(-1) for notes in known])
    found = []
    for notes in sources:
        roll = onset_roll(notes, steps)
        keys = np.stack([np.roll(roll, t, axis=0).reshape(-1) for t in TRANSPOSITIONS])
        best = int((keys @ table.T).argmax())
        key, number = divmod(best, len(table))
        found.append((number, -int(TRANSPOSITIONS[key])))
    return found


def transposed(notes: Steps, semitones: int) -> Steps:
    """Notes in another key; those that leave the range of MIDI are dropped."""
    pitch = notes.pitch + semitones
    return notes._replace(pitch=pitch).rows((pitch >= 0) & (pitch < 128))


def nearest_velocities(
    known: np.ndarray, velocities: np.ndarray, features: np.ndarray, block: int = 512
) -> np.ndarray:
    """The velocity [n] of the most similar of the known notes for each of n notes.

    Args:
        known: [N, F] features of notes, `velocities` [N] with them.
        features: [n, F]; each feature is divided by its spread over the known notes first.
        block: how many notes are compared at a time.
    """
    spread = np.maximum(known.std(axis=0), 1e-6)
    a, b = (features / spread).astype(np.float32), (known / spread).astype(np.float32)
    norms = (b * b).sum(axis=1)
    chosen = [
        np.argmin(norms - 2 * a[first : first + block] @ b.T, axis=1) for first in range(0, len(a), block)
    ]
    return velocities[np.concatenate(chosen)] if chosen else velocities[:0]
