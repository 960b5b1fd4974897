"""Spearman's rank correlation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kikibouba.evaluate.rank_correlation import ranks, spearman

VALUES = hnp.arrays(float, 12, elements=st.integers(-5, 5).map(float))


def test_equal_values_share_their_mean_rank() -> None:
    assert ranks(np.array([10.0, 20.0, 10.0, 30.0, 20.0, 20.0])).tolist() == [0.5, 3, 0.5, 5, 3, 3]


def test_a_worked_example() -> None:
    """Without ties rho = 1 - 6 sum(d²) / (n (n² - 1)); here the ranks differ by 1, 1, 1, 1 and 0."""
    a, b = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
    assert spearman(a, b) == pytest.approx(1 - 6 * 4 / (5 * 24))


@settings(deadline=None)
@given(VALUES, VALUES)
def test_only_order_matters(a: np.ndarray, b: np.ndarray) -> None:
    assert spearman(a, b) == pytest.approx(spearman(np.exp(a), b**3), abs=1e-9)
    assert spearman(a, b) == pytest.approx(-spearman(-a, b), abs=1e-9)
    assert -1 - 1e-9 <= spearman(a, b) <= 1 + 1e-9


def test_nan_is_left_out_and_a_constant_says_nothing() -> None:
    a = np.array([1.0, 2, np.nan, 3])
    assert spearman(a, np.array([1.0, 2, -100, 3])) == pytest.approx(1)
    assert spearman(a, np.ones(4)) == 0.0
