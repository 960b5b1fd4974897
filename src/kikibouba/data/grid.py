"""Does a piece sit on the grid its file claims? If not, windows of it look fine and are garbage.

The standing example are POP909's untouched files: most declare bars of one quarter, and each song starts a
constant time before its first beat, so that a sixteenth grid from tick 0 cuts every note in the wrong
place.
"""

from collections import Counter

import numpy as np

from kikibouba.data.notes import NoteSequence, quantize, split_on_time_changes
from kikibouba.errors import KikiboubaError

OFF_GRID = 0.1
"""Distance from the grid, in steps, beyond which an onset does not count as on it."""
MANY = 0.5
"""Share of onsets off the grid that is worth a warning."""
FEW = 0.1
"""Up to this share of notes in bars that cannot be used, such as an upbeat, no warning is worth it."""
CONSTANT = 0.8
"""Mean phase vector length (1: all onsets lie equally far from the grid) that shows a shift, not freedom."""


def grid_warnings(sequence: NoteSequence, steps_per_quarter: int = 4) -> list[str]:
    """What looks wrong about a piece's meter and beat, one line each; nothing if all is well.

    Warns of meters whose bars do not have `4 * steps_per_quarter` steps, and of onsets that are mostly off
    the grid by the same amount. Freely played music, off the grid by varying amounts, gives no warning.
    """
    meters: Counter[str] = Counter()
    steps = []
    for piece in split_on_time_changes(sequence):
        if not len(piece.notes):
            continue
        try:
            quantized = quantize(piece, steps_per_quarter)
        except KikiboubaError as error:
            meters[str(error)] += len(piece.notes)
            continue
        steps.append(piece.notes["start"] * quantized.steps_per_second)
        if quantized.steps_per_bar != 4 * steps_per_quarter:
            meters[f"the meter is {quantized.meter}"] += len(piece.notes)
    warnings = []
    if meters.total() > FEW * len(sequence.notes):
        worst, _ = meters.most_common(1)[0]
        share = meters.total() / len(sequence.notes)
        warnings.append(
            f"{worst}: {share:.0%} of the notes lie in bars that do not last four quarters and are left out; "
            "if the music is in 4/4, correct the time signature"
        )
    return warnings + _shift_warning(np.concatenate([*steps, np.zeros(0)]))


def _shift_warning(steps: np.ndarray) -> list[str]:
    """A warning if most onsets [N], in steps, miss the grid by the same amount."""
    if not len(steps) or np.mean(np.abs(steps - np.rint(steps)) > OFF_GRID) < MANY:
        return []
    phase = np.exp(2j * np.pi * steps).mean()
    shift = np.angle(phase) / (2 * np.pi)
    if np.abs(phase) < CONSTANT:
        return []
    return [
        f"most notes lie {shift:+.2f} steps off the grid: the first beat is not at the start of the file; "
        "shift the notes so that it is"
    ]
