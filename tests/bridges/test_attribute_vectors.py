"""Attribute vectors, on data whose directions are known, and as files."""

import numpy as np
import pytest

from kikibouba.bridges.attribute_vectors import AttributeVectors, fit_vectors, read_vectors
from kikibouba.errors import KikiboubaError

RNG = np.random.default_rng(0)
HASH = "0123456789abcdef"


def correlated(n=4_000):
    """z [n, 6], in which two attributes lie along the first two axes and go together."""
    z = RNG.standard_normal((n, 6)) * np.array([1.0, 1.0, 3.0, 0.5, 1.0, 1.0])
    z[:, 1] += 0.8 * z[:, 0]
    return z, np.stack([2.0 * z[:, 0], z[:, 1]], 1)


def prediction(z, values):
    """Least-squares weights [6, 2] of standardised attributes on z."""
    a = (values - values.mean(0)) / values.std(0)
    return np.linalg.lstsq(z - z.mean(0), a, rcond=None)[0]


@pytest.mark.parametrize("method", ["regression", "difference"])
def test_orthogonal_vectors_move_their_own_attribute_by_one_and_leave_the_other(method):
    z, values = correlated()
    answer = fit_vectors(z, values, method) @ prediction(z, values)
    np.testing.assert_allclose(answer, np.eye(2), atol=0.05)


@pytest.mark.parametrize("method", ["regression", "difference"])
def test_entangled_vectors_take_along_what_goes_with_the_attribute(method):
    z, values = correlated()
    answer = fit_vectors(z, values, method, orthogonal=False) @ prediction(z, values)
    correlation = np.corrcoef(values.T)[0, 1]
    np.testing.assert_allclose(answer, [[1, correlation], [correlation, 1]], atol=0.06)


def test_a_dead_dimension_does_no_harm():
    z, values = correlated(500)
    z[:, 5] = 7.0
    vectors = fit_vectors(z, values)
    assert np.isfinite(vectors).all()
    assert np.abs(vectors[:, 5]).max() == 0


def test_unknown_method():
    with pytest.raises(KikiboubaError, match="regression, difference"):
        fit_vectors(*correlated(50), "median")


def some():
    vectors = {name: RNG.standard_normal(4).astype(np.float32) for name in ("density", "register")}
    return AttributeVectors(vectors, {"density": 0.25, "register": 8.0}, HASH)


def test_shifts_add_up_and_know_aliases():
    vectors = some()
    expected = 1.5 * vectors.vectors["density"] - 2 * vectors.vectors["register"]
    np.testing.assert_allclose(vectors.shift({"note_density": 1.5, "register": -2}), expected, rtol=1e-6)
    with pytest.raises(KikiboubaError, match="did you mean 'register'"):
        vectors.shift({"registr": 1})


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_files_hold_what_was_saved(tmp_path, suffix):
    vectors = some()
    found = read_vectors(vectors.save(tmp_path / f"a{suffix}"), HASH)
    assert found.deviations == vectors.deviations
    for name, vector in vectors.vectors.items():
        np.testing.assert_array_equal(found.vectors[name], vector)
    one = read_vectors(vectors.only(["register"]).save(tmp_path / f"b{suffix}"), HASH)
    assert list(one.vectors) == list(one.deviations) == ["register"]
    with pytest.raises(KikiboubaError, match="other weights"):
        read_vectors(tmp_path / f"a{suffix}", "fedcba9876543210")


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}", b"PK\x03\x04rubbish", b"x" * 100])
def test_damaged_files(tmp_path, suffix, content):
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(KikiboubaError, match="kikibouba attribute"):
        read_vectors(tmp_path / f"a{suffix}", HASH)


def test_other_files(tmp_path):
    np.savez(tmp_path / "z.npz", mu=np.zeros((2, 4)))
    with pytest.raises(KikiboubaError, match="holds no attribute vectors"):
        read_vectors(tmp_path / "z.npz", HASH)
    nan = AttributeVectors({"density": np.full(4, np.nan, np.float32)}, {"density": 1.0}, HASH)
    with pytest.raises(KikiboubaError, match="finite"):
        read_vectors(nan.save(tmp_path / "nan.npz"), HASH)
    for bad in ("a.json", "a"):
        with pytest.raises(KikiboubaError, match="allowed"):
            read_vectors(tmp_path / bad, HASH)
        with pytest.raises(KikiboubaError, match="allowed"):
            some().save(tmp_path / bad)
    with pytest.raises(KikiboubaError, match="no file"):
        read_vectors(tmp_path / "a.npz", HASH)
