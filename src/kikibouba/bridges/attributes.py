"""What should correspond between domains (bouba ↔ kiki), and attribute values as classes.

Aligning distributions says nothing about meaning: unsupervised, a spiky drawing may well become a calm
tune. People do share a sense of it, so attributes computed from the data itself serve as labels: a value is
replaced by its quantile bin *within its domain*, and the same bin means the same thing everywhere.
"""

from collections.abc import Sequence

import numpy as np

from kikibouba.errors import KikiboubaError

CORRESPONDENCES = (
    {"sketch": "angularity", "melody": "jaggedness", "drums": "syncopation"},
    {"sketch": "density", "melody": "density", "drums": "density"},
)
"""Spiky ↔ jagged ↔ syncopated, and busy ↔ busy ↔ busy: representation kind → its attribute."""


def correspondences(kinds: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The attributes that correspond between representations of these kinds, as `ModelConfig.attributes`.

    >>> correspondences(["sketch", "melody"])
    (('angularity', 'jaggedness'), ('density', 'density'))
    """
    return tuple(tuple(row[kind] for kind in kinds) for row in CORRESPONDENCES if set(kinds) <= set(row))


class QuantileBins:
    """Equally filled classes for the values of one attribute in one domain."""

    def __init__(self, values: np.ndarray, num_bins: int):
        """Args:
        values: [n] float, the training set's; NaN is ignored.
        num_bins: number of classes.
        """
        self.reference = np.sort(values[np.isfinite(values)])
        if not len(self.reference):
            raise KikiboubaError(
                "an attribute has no finite value in the training set: leave it out of `attributes`"
            )
        self.num_bins = num_bins

    def label(self, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Values [n] → classes [n] int64 in 0..num_bins-1; -1 for NaN (unlabelled).

        A value that many examples share (a melody has few possible densities) spans several quantiles; each
        example takes one of them at random, so the classes stay equally filled in every domain.
        """
        below = np.searchsorted(self.reference, values, side="left")
        up_to = np.searchsorted(self.reference, values, side="right")
        quantile = (below + rng.random(len(values)) * (up_to - below)) / len(self.reference)
        bins = np.minimum((quantile * self.num_bins).astype(np.int64), self.num_bins - 1)
        return np.where(np.isfinite(values), bins, -1)
