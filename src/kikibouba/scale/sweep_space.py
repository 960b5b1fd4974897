"""The points of a search space: a grid, random draws, or every draw with the whole grid."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from kikibouba.errors import KikiboubaError, did_you_mean

ATTEMPTS = 1_000
"""Times that a draw which repeats an earlier one is drawn again."""

DIGITS = 4
"""Significant digits that drawn numbers are rounded to, so that a trial's name says them in full."""


@dataclass(frozen=True)
class Choice:
    """One of some values, all equally likely."""

    values: tuple[Any, ...]

    @classmethod
    def of(cls, name: str, values: Any) -> "Choice":
        """From a list in a sweep file, which has no value twice."""
        if not isinstance(values, list):
            raise KikiboubaError(f"{name} = {values!r} must be a list of values, e.g. {name} = [{values!r}]")
        if not values:
            raise KikiboubaError(f"{name} = [] lists no values")
        for number, value in enumerate(values):
            if value in values[:number]:
                raise KikiboubaError(f"{name} lists {value!r} twice")
        return cls(tuple(values))

    def draw(self, rng: np.random.Generator) -> Any:
        """One of them."""
        return self.values[int(rng.integers(len(self.values)))]


@dataclass(frozen=True)
class Range:
    """A number between two, both included; on a logarithmic scale if `log`."""

    low: float
    high: float
    log: bool
    whole: bool

    @classmethod
    def of(cls, name: str, spec: Mapping[str, Any], example: Any) -> "Range":
        """From a table {min, max, log} in a sweep file.

        Args:
            name: the field.
            spec: the table.
            example: a value of the field: whole numbers are drawn for a field of whole numbers.
        """
        for key in spec:
            if key not in ("min", "max", "log"):
                raise KikiboubaError(
                    f"unknown key {key!r} of {name}{did_you_mean(key, ['min', 'max', 'log'])}"
                )
        if isinstance(example, bool) or not isinstance(example, int | float):
            raise KikiboubaError(
                f"{name} is no number, so it has no range; list values, e.g. {name} = [..., ...]"
            )
        low, high, log = spec.get("min"), spec.get("max"), spec.get("log", False)
        numbers = [v for v in (low, high) if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < 2 or not all(map(math.isfinite, numbers)) or not numbers[0] < numbers[1]:
            raise KikiboubaError(
                f"{name} needs two numbers, e.g. {{ min = 1e-4, max = 1e-2 }}, min below max"
            )
        if log and numbers[0] <= 0:
            raise KikiboubaError(f"{name} has min = {low}; a logarithmic range must be above 0")
        return cls(float(numbers[0]), float(numbers[1]), bool(log), isinstance(example, int))

    def draw(self, rng: np.random.Generator) -> float | int:
        """One number, rounded to what a name can say."""
        share = rng.random()
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        elif self.whole:
            value = math.floor(self.low + share * (self.high - self.low + 1))
        else:
            value = self.low + share * (self.high - self.low)
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else float(f"{value:.{DIGITS}g}")


def points(
    grid: Mapping[str, Choice], drawn: Mapping[str, Choice | Range], draws: Any, seed: int
) -> Iterator[dict[str, Any]]:
    """Settings of all trials in order. More draws leave the first ones as they were.

    Args:
        grid: fields of which every combination is a trial.
        drawn: fields that are drawn at random.
        draws: how many times; None where nothing is drawn.
        seed: of the draws.

    Raises:
        KikiboubaError: nothing varies, no number of draws, or fewer different ones than asked for.
    """
    if not grid and not drawn:
        raise KikiboubaError("nothing varies: list values under [grid], or ranges under [random]")
    if drawn and (not isinstance(draws, int) or isinstance(draws, bool) or draws < 1):
        raise KikiboubaError("[random] needs a number of draws, e.g. draws = 20")
    if draws is not None and not drawn:
        raise KikiboubaError("[random] draws nothing: give it a field, e.g. train.learning_rate")
    for draw in _draws(drawn, draws or 1, seed):
        for values in product(*(choice.values for choice in grid.values())):
            yield dict(zip(grid, values, strict=True)) | draw


def _draws(drawn: Mapping[str, Choice | Range], draws: int, seed: int) -> Iterator[dict[str, Any]]:
    """Different draws; one that is equal to an earlier one is drawn again."""
    seen: list[dict[str, Any]] = []
    for number in range(draws):
        for attempt in range(ATTEMPTS):
            rng = np.random.default_rng([seed, number, attempt])
            found = {name: what.draw(rng) for name, what in drawn.items()}
            if found not in seen:
                seen.append(found)
                yield found
                break
        else:
            raise KikiboubaError(
                f"there are hardly {draws} different draws (found {number}); lower random.draws"
            )
