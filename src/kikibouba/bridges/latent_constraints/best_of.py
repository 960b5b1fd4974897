"""Try, decode, measure, and try again what is not what was asked: the critics may err, measuring does not."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Moved(NamedTuple):
    """n latent vectors before and after, and what they decode to."""

    start: np.ndarray
    """[n, Z]"""
    z: np.ndarray
    """[n, Z]"""
    arrays: list[np.ndarray]
    """n examples of the representation."""
    has: np.ndarray
    """[n, A] int64: the classes they measure, -1 where nobody can tell."""

    def misses(self, labels: np.ndarray, ordered: np.ndarray) -> np.ndarray:
        """How far each is from what was asked, [n, A]: 0 if it is that, was not asked or cannot be told; else
        1, or the number of levels between.

        Args:
            labels: [A] int64 what was asked for, -1 = free.
            ordered: [A] bool, whether the classes of an attribute are levels.
        """
        counts = (labels >= 0) & (self.has >= 0)
        away = np.abs(self.has - labels)
        return counts * np.where(ordered, away, np.minimum(away, 1))


def best_of(
    tries: int,
    labels: np.ndarray,
    ordered: np.ndarray,
    attempt: Callable[[int], Moved],
) -> Moved:
    """Of several attempts each row's best, the first of equals; no more attempts than it takes.

    Args:
        tries: at most, 1 or more.
        labels, ordered: see `Moved.misses`.
        attempt: number of the try, from 0 → n rows.
    """
    best = attempt(0)
    for number in range(1, tries):
        if not best.misses(labels, ordered).any():
            break
        now = attempt(number)
        take = now.misses(labels, ordered).sum(1) < best.misses(labels, ordered).sum(1)
        best = Moved(
            np.where(take[:, None], now.start, best.start),
            np.where(take[:, None], now.z, best.z),
            [new if better else old for new, old, better in zip(now.arrays, best.arrays, take, strict=True)],
            np.where(take[:, None], now.has, best.has),
        )
    return best
