"""Spearman's rank correlation: does one quantity rise when another does, by whatever curve."""

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks 0..n-1 of values [n]; equal values share the mean of their ranks. [n] float64"""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    return (last - (counts - 1) / 2)[group]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the ranks of a and b [n], -1..1. Pairs with a NaN are left out; a constant gives 0."""
    both = np.isfinite(a) & np.isfinite(b)
    rank_a, rank_b = ranks(a[both]), ranks(b[both])
    if both.sum() < 2 or not rank_a.std() or not rank_b.std():
        return 0.0
    return float(np.corrcoef(rank_a, rank_b)[0, 1])
