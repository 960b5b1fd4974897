"""Attributes as classes that can be asked for: thirds of what is measured, keys, and labels a user gives."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kikibouba.bridges.attribute_vectors import ALIASES
from kikibouba.bridges.latent_constraints.config import LEVELS, ModelConfig
from kikibouba.errors import KikiboubaError, did_you_mean

FLAT = 0.01
"""An attribute whose deviation is a smaller share of its largest value does not vary."""

FEWEST = 3
"""Examples of a class that something can be learnt from, barely."""


Labels = Mapping[str, np.ndarray]
"""Name → a label for each item, [n] of str, "" for none."""


class Classes(NamedTuple):
    """One attribute as classes."""

    names: tuple[str, ...]
    thresholds: tuple[float, ...]
    """Where the second class begins, the third, …; () if the classes are not ranges of a number."""

    def of(self, values: np.ndarray) -> np.ndarray:
        """Values of the attribute [n], numbers or names ("" unknown) → classes [n] int64; -1 unknown."""
        if self.thresholds:
            found = np.searchsorted(self.thresholds, values, side="right")
            return np.where(np.isfinite(values), found, -1)
        numbers = {name: number for number, name in enumerate(self.names)}
        return np.array([numbers.get(value, -1) for value in values.tolist()], np.int64)


def levels(name: str, values: np.ndarray) -> Classes:
    """Low, mid and high: the thirds of the values [n], as far as equal values allow; with two values low and
    high.

    Raises:
        KikiboubaError: the values do not vary.
    """
    if not varies(values):
        value = f"{values[0]:.4g}" if len(values) else "nothing"
        raise KikiboubaError(
            f"the attribute {name!r} does not vary: it is {value} in all {len(values)} examples; leave it "
            "out, or give more different examples"
        )
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) == 2:
        return Classes((LEVELS[0], LEVELS[-1]), (float(distinct[1]),))
    below = np.cumsum(counts)[:-1] / len(values)  # the share of values below distinct[1:]
    first = int(np.abs(below[:-1] - 1 / 3).argmin())
    second = first + 1 + int(np.abs(below[first + 1 :] - 2 / 3).argmin())
    return Classes(LEVELS, (float(distinct[first + 1]), float(distinct[second + 1])))


def varies(values: np.ndarray) -> bool:
    """Whether an attribute [n] has values to tell apart."""
    return bool(len(values)) and values.std() > FLAT * np.abs(values).max()


def named(name: str, values: np.ndarray, known: Sequence[str] = ()) -> Classes:
    """The classes of labels [n] of str, "" for none: those with enough examples, `known` ones in their order.

    Raises:
        KikiboubaError: fewer than two.
    """
    found, counts = np.unique(values[values != ""], return_counts=True)
    enough = found[counts >= FEWEST].tolist()
    if len(enough) < 2:
        there = ", ".join(f"{label} ({count})" for label, count in zip(found, counts, strict=True)) or "none"
        raise KikiboubaError(
            f"the labels {name!r} need two classes or more with {FEWEST} training examples each, to tell "
            f"them apart; there are: {there}"
        )
    return Classes(tuple(sorted(enough, key=[*known, *enough].index)), ())


def classes_of(config: ModelConfig, measured: Mapping[str, np.ndarray], labels: Labels) -> np.ndarray:
    """The classes [n, A] int64 of n items, -1 unknown.

    Args:
        config: with attributes, classes and thresholds.
        measured, labels: attributes and labels of the items by name; more than needed, or fewer.
    """
    columns = []
    for name, names, thresholds in zip(config.attributes, config.classes, config.thresholds, strict=True):
        found = Classes(names, thresholds)
        values = (measured if found.thresholds else labels).get(name)
        columns.append(None if values is None else found.of(values))
    (n,) = {len(values) for values in (*measured.values(), *labels.values())}
    return np.stack([np.full(n, -1) if column is None else column for column in columns], axis=1)


def measured_labels(representation: Any, examples: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Labels that a representation gives examples itself (the key of melodies): [n] of str, "" for none."""
    if not hasattr(representation, "labels"):
        return {}
    found = representation.labels(examples)
    return {name: np.array([*representation.LABELS[name], ""])[numbers] for name, numbers in found.items()}


def classes_in(config: ModelConfig, representation: Any, examples: Sequence[np.ndarray]) -> np.ndarray:
    """The classes [n, A] int64 that examples measure, -1 where nobody can tell."""
    labels = measured_labels(representation, examples)
    return classes_of(config, representation.attributes(examples), labels)


def asked(config: ModelConfig, wishes: Mapping[str, str | float]) -> np.ndarray:
    """What a user asks for, as labels [A] int64, -1 = free.

    Args:
        config: of trained constraints.
        wishes: attribute → the name of a class (low, mid, high, C, …), or a number: the class it falls into.

    Raises:
        KikiboubaError: no such attribute or class; says the nearest.

    >>> config = ModelConfig(attributes=("density",), classes=(LEVELS,), thresholds=((0.3, 0.5),))
    >>> asked(config, {"density": 0.4}), asked(config, {"density": "high"})
    (array([1]), array([2]))
    """
    labels = np.full(len(config.attributes), -1, np.int64)
    for wish, value in wishes.items():
        name = ALIASES.get(wish, wish)
        if name not in config.attributes:
            hint = did_you_mean(name, config.attributes)
            raise KikiboubaError(f"nothing was learnt about {wish!r}{hint}")
        i = config.attributes.index(name)
        labels[i] = _class(name, Classes(config.classes[i], config.thresholds[i]), value)
    return labels


def _class(name: str, classes: Classes, value: str | float) -> int:
    if isinstance(value, str) and value in classes.names:
        return classes.names.index(value)
    try:
        number = float(value)
        if not classes.thresholds or not np.isfinite(number):
            raise ValueError
    except ValueError:
        allowed = ", ".join(classes.names) + (", or a number" if classes.thresholds else "")
        raise KikiboubaError(f"{name} cannot be {value!r}; allowed: {allowed}") from None
    return int(classes.of(np.array([number]))[0])
