"""What should correspond between domains (bouba ↔ kiki, sheep ↔ folk), and attribute values as classes.

Aligning distributions says nothing about meaning: unsupervised, a spiky drawing may well become a calm
tune. People do share a sense of it, so attributes computed from the data itself serve as labels: a value is
replaced by its quantile bin *within its domain*, and the same bin means the same thing everywhere. Where
examples have categories, a user may say which belong together.
"""

from collections.abc import Collection, Sequence

import numpy as np

from kikibouba.errors import KikiboubaError, did_you_mean

CORRESPONDENCES = {
    "spikiness": {
        "sketch": "angularity",
        "melody": "jaggedness",
        "drums": "syncopation",
        "audio": "brightness",
    },
    "density": {"sketch": "density", "melody": "density", "drums": "density", "audio": "loudness"},
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


MANY = 12
"""More names than this are not all listed in a message."""

EVERY_SHARED = ("*",)
"""The row of `ModelConfig.categories` that stands for every name that all domains know."""


def resolve_categories(
    rows: Sequence[Sequence[str]], known: Sequence[Collection[str]], domains: Sequence[str]
) -> tuple[tuple[str, ...], ...]:
    """`ModelConfig.categories` with `EVERY_SHARED` spelled out; two classes or more, or none.

    Args:
        rows: a class each: one category per domain, or several joined by "+".
        known: the categories that each domain's examples have.
        domains: their names, for messages.

    Raises:
        KikiboubaError: a category that a domain's examples do not have (says the nearest) or that stands in
            two rows, or fewer than two classes.

    >>> resolve_categories([("*",)], [{"cat", "dog", "pig"}, {"dog", "cat"}], ["sketch", "melody"])
    (('cat', 'cat'), ('dog', 'dog'))
    """
    if not rows:
        return ()
    spelled: list[tuple[str, ...]] = []
    for row in rows:
        if tuple(row) == EVERY_SHARED:
            shared = set(known[0]).intersection(*known[1:])
            spelled += [(name,) * len(domains) for name in sorted(shared)]
        else:
            spelled.append(tuple(row))
    for k, domain in enumerate(domains):
        names = [name for row in spelled for name in row[k].split("+")]
        for name in names:
            if name not in known[k]:
                raise KikiboubaError(f"no example of {domain} is labelled {name!r}{nearest(name, known[k])}")
            if names.count(name) > 1:
                raise KikiboubaError(f"{name!r} of {domain} stands in two classes; name it in one")
    if len(spelled) < 2:
        found = "; ".join(f"{domain}: {_some(names)}" for domain, names in zip(domains, known, strict=True))
        raise KikiboubaError(
            f"{len(spelled)} class is too few to tell things apart by; two or more are needed, named alike "
            f"in all domains or told with --match ({found})"
        )
    return tuple(spelled)


def nearest(name: str, known: Collection[str]) -> str:
    """A hint to append to an error, as `did_you_mean`, which does not list hundreds of names."""
    hint = did_you_mean(name, known)
    return hint if len(known) <= MANY or hint.startswith("; did you mean") else f"; there are {_some(known)}"


def _some(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:MANY]) or "no labels"
    return f"{first}, … ({len(names)})" if len(names) > MANY else first


class QuantileBins:
    """Equally filled classes for the values of one attribute in one domain."""

    def __init__(self, values: np.ndarray, num_bins: int, name: str = "an attribute"):
        """Args:
        values: [n] float, the training set's; NaN is ignored.
        num_bins: number of classes.
        name: of the attribute, for messages.

        Raises:
            KikiboubaError: no finite value, or all are equal.
        """
        self.reference = np.sort(values[np.isfinite(values)])
        if not len(self.reference):
            raise KikiboubaError(
                f"{name} has no finite value in the training set: leave it out of `attributes`"
            )
        if self.reference[0] == self.reference[-1]:
            raise KikiboubaError(
                f"{name} is {self.reference[0]:g} for all of the training set, so it tells nothing apart: "
                "leave it out of `attributes`"
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
