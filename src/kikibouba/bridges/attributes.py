"""What should correspond between domains (bouba ↔ kiki), and attribute values as classes.

Aligning distributions says nothing about meaning: unsupervised, a spiky drawing may well become a calm
tune. People do share a sense of it, so attributes computed from the data itself serve as labels: a value is
replaced by its quantile bin *within its domain*, and the same bin means the same thing everywhere.
"""

from collections.abc import Sequence

import numpy as np

from kikibouba.errors import KikiboubaError, did_you_mean

CORRESPONDENCES = {
    "spikiness": {"sketch": "angularity", "melody": "jaggedness", "drums": "syncopation"},
    "density": {"sketch": "density", "melody": "density", "drums": "density"},
}
"""What people agree on: its name → kind of representation → the attribute that measures it there."""


def resolve(attributes: Sequence[Sequence[str]], kinds: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """`ModelConfig.attributes` with every row spelled out: one attribute name per domain.

    Args:
        attributes: rows of one name per domain, kept as they are, or of a single one of `CORRESPONDENCES`.
        kinds: of the domains' representations.

    Raises:
        KikiboubaError: unknown correspondence, or one that says nothing about a kind.

    >>> resolve([["spikiness"], ["aspect", "register"]], ["sketch", "melody"])
    (('angularity', 'jaggedness'), ('aspect', 'register'))
    """
    rows = []
    for row in attributes:
        if len(row) == 1:
            if row[0] not in CORRESPONDENCES:
                hint = did_you_mean(row[0], CORRESPONDENCES)
                raise KikiboubaError(f"nothing is known to correspond as {row[0]!r}{hint}")
            measures = CORRESPONDENCES[row[0]]
            if missing := sorted(set(kinds) - set(measures)):
                raise KikiboubaError(
                    f"{row[0]!r} says nothing about {missing[0]}: name one attribute per domain"
                )
            row = [measures[kind] for kind in kinds]
        rows.append(tuple(row))
    return tuple(rows)


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
