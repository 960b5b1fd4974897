"""How a drawing, a tune or a beat feels, on scales that they share: spiky or round, busy or bare.

Two measures correspond where people agree that they do (`bridges.attributes.CORRESPONDENCES`). Their units
differ, so each is told as the share of held-out examples of its kind that have less of it: 0 the roundest,
1 the spikiest.
"""

from collections.abc import Mapping

import numpy as np

from kikibouba.bridges.attributes import CORRESPONDENCES

GRID = np.linspace(0.0, 1.0, 11)

QUANTILES: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("sketch", "spikiness"): (0, 0.0819, 0.252, 0.469, 0.682, 0.889, 1.13, 1.46, 1.9, 2.65, 10.7),
    ("sketch", "density"): (1.01, 2.74, 3.17, 3.51, 3.82, 4.11, 4.46, 4.85, 5.36, 6.27, 42.9),
    ("melody", "spikiness"): (0, 0.0811, 0.116, 0.156, 0.2, 0.255, 0.362, 0.527, 0.618, 0.704, 0.917),
    ("melody", "density"): (0, 0.188, 0.25, 0.312, 0.344, 0.406, 0.438, 0.5, 0.5, 0.656, 1),
    ("drums", "spikiness"): (0, 0, 0, 0.0769, 0.143, 0.231, 0.333, 0.429, 0.571, 0.917, 2.8),
    ("drums", "density"): (0.406, 0.688, 0.781, 0.875, 0.969, 1.06, 1.22, 1.34, 1.53, 1.69, 2.16),
}
"""(kind, correspondence) → its values at `GRID` in test data; printed by `runs/measure_feeling.py`."""


def feeling(kind: str, attributes: Mapping[str, float]) -> dict[str, float]:
    """The correspondences that are known of a kind, each 0..1.

    Args:
        kind: "sketch", "melody", "drums"; of any other nothing is known.
        attributes: as its representation measures them.
    """
    return {
        name: rank(kind, name, attributes[measures[kind]])
        for name, measures in CORRESPONDENCES.items()
        if (kind, name) in QUANTILES and measures[kind] in attributes
    }


def rank(kind: str, name: str, value: float) -> float:
    """The share of held-out examples of a kind with less of a correspondence, read off the table."""
    values = QUANTILES[kind, name]
    return float(np.interp(value, values, GRID, left=0.0, right=1.0))
