"""How well drums are hit, how loud and when, beside the same hits without dynamics and timing."""

from collections.abc import Sequence

import numpy as np

from kikibouba.data.groove_inputs import DRUMS
from kikibouba.evaluate.rank_correlation import spearman

MILLISECONDS = 60_000 / 120 / 4 / 2
"""Of an offset of 1, half a sixteenth, at 120 quarters a minute"""


def groove_figures(said: Sequence[np.ndarray], played: Sequence[np.ndarray]) -> dict[str, float]:
    """What a model made of performances, compared with these hit by hit.

    Args:
        said: n performances [T, 27] (hits, velocities, offsets of nine drums each), of a model.
        played: the true ones.

    Returns: `hit precision`, `hit recall` and `hit F1` over all drums and steps; and over the hits that are
        in both, `velocity MAE` (of 0 to 127) and `offset MAE ms` (at 120 quarters a minute), each beside that
        of a flat performance ("…, flat": all hits on the grid, all of one loudness, the median of the true
        ones), the rank correlation with the truth, and the standard deviations of what was said and what was
        played. All of these are 0 if no hit is in both.
    """
    ours, true = (np.array(arrays, np.float64).reshape(-1, 3 * DRUMS) for arrays in (said, played))
    hit, wanted = ours[:, :DRUMS] > 0.5, true[:, :DRUMS] > 0.5
    both = hit & wanted
    precision, recall = both.sum() / max(hit.sum(), 1), both.sum() / max(wanted.sum(), 1)
    figures = {
        "hit precision": float(precision),
        "hit recall": float(recall),
        "hit F1": float(2 * precision * recall / max(precision + recall, 1e-9)),
    }
    velocity, wanted_velocity = (127 * x[:, DRUMS : 2 * DRUMS][both] for x in (ours, true))
    ms, wanted_ms = (MILLISECONDS * x[:, 2 * DRUMS :][both] for x in (ours, true))
    flat = float(np.median(wanted_velocity)) if both.any() else 0.0
    return (
        figures
        | _beside_flat("velocity", "", velocity, wanted_velocity, flat)
        | _beside_flat("offset", " ms", ms, wanted_ms, 0.0)
    )


def _beside_flat(name: str, unit: str, said: np.ndarray, played: np.ndarray, flat: float) -> dict[str, float]:
    """Figures of n values said and played [n] each, and of saying `flat` every time; 0 where n is 0."""
    if not len(played):
        said = played = np.zeros(1)
    return {
        f"{name} MAE{unit}": float(np.abs(said - played).mean()),
        f"{name} MAE{unit}, flat": float(np.abs(flat - played).mean()),
        f"{name} correlation": spearman(said, played),
        f"{name} spread{unit}, said": float(said.std()),
        f"{name} spread{unit}, played": float(played.std()),
    }
