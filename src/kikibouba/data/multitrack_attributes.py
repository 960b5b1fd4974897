"""How a bar of several instruments feels, in numbers: busy or calm, loud or soft, high or low."""

from collections.abc import Sequence

import numpy as np

from kikibouba.data.notes import NoteSequence

SIXTEENTH = 0.125
"""Seconds, at 120 quarters a minute"""
MIDDLE = 63.5


def measure(bars: Sequence[NoteSequence]) -> dict[str, np.ndarray]:
    """Attributes of n bars of 2 seconds, float64 [n] each, never NaN.

        density      notes a sixteenth, of all instruments together
        instruments  how many play
        drums        share of the notes that are drums
        loudness     mean velocity of the notes; 0 without notes
        register     mean pitch of what is not drums; 63.5 where there is nothing
        syncopation  share of the notes that start nearer to an odd sixteenth than to an even one

    Args:
        bars: as `MultitrackRepresentation.to_sequence` gives them.
    """
    rows = [_measure_one(bar.notes) for bar in bars]
    columns = np.array(rows, np.float64).reshape(-1, 6).T
    names = ("density", "instruments", "drums", "loudness", "register", "syncopation")
    return dict(zip(names, columns, strict=True))


def _measure_one(notes: np.ndarray) -> list[float]:
    if not len(notes):
        return [0.0, 0.0, 0.0, 0.0, MIDDLE, 0.0]
    pitched = notes[~notes["is_drum"]]
    sixteenth = np.rint(notes["start"] / SIXTEENTH)
    return [
        len(notes) / 16,
        len(np.unique(notes["instrument"])),
        notes["is_drum"].mean(),
        notes["velocity"].mean(),
        pitched["pitch"].mean() if len(pitched) else MIDDLE,
        (sixteenth % 2).mean(),
    ]
