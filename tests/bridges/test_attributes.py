"""Attribute values as equally filled classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikibouba.bridges.attributes import QuantileBins, resolve
from kikibouba.errors import KikiboubaError


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 10))
def test_classes_are_equally_filled_even_where_values_repeat(seed: int, num_bins: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 4, size=4000).astype(float)  # fewer values than classes
    counts = np.bincount(QuantileBins(values, num_bins).label(values, rng), minlength=num_bins)
    assert len(counts) == num_bins
    assert np.abs(counts / 4000 - 1 / num_bins).max() < 0.05


def test_greater_values_never_get_lower_classes() -> None:
    values = np.random.default_rng(0).standard_normal(500)
    labels = QuantileBins(values, 8).label(np.sort(values), np.random.default_rng(1))
    assert (np.diff(labels) >= 0).all()
    assert labels.min() == 0
    assert labels.max() == 7


def test_values_beyond_the_training_range_get_the_end_classes_and_nan_none() -> None:
    bins = QuantileBins(np.arange(10.0), 5)
    assert bins.label(np.array([-99.0, 99.0, np.nan]), np.random.default_rng(0)).tolist() == [0, 4, -1]


def test_an_attribute_without_values_is_an_error() -> None:
    with pytest.raises(KikiboubaError, match="no finite value"):
        QuantileBins(np.full(3, np.nan), 4)


def test_correspondences_are_spelled_out_by_kind() -> None:
    rows = [["spikiness"], ["aspect", "register"]]
    assert resolve(rows, ["drums", "sketch"]) == (("syncopation", "angularity"), ("aspect", "register"))
    assert resolve([["density"]], ["sketch", "melody", "drums"]) == (("density", "density", "density"),)
    with pytest.raises(KikiboubaError, match="did you mean 'density'"):
        resolve([["densty"]], ["sketch", "melody"])
    with pytest.raises(KikiboubaError, match="says nothing about sound"):
        resolve([["density"]], ["sketch", "sound"])
