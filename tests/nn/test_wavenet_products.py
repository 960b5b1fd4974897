"""Products of a matrix with a vector, as the compiled WaveNet takes them, against numpy."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="numba is not installed")

from kikibouba.nn.wavenet_products import gemv, gemv_int8, peak
from kikibouba.nn.wavenet_vnni import available, gemv_vnni, tiles

SHAPES = [(256, 256), (64, 32), (48, 72), (5, 3), (130, 257)]


def given(rows, columns):
    rng = np.random.default_rng(rows)
    weight = rng.integers(-127, 128, (rows, columns)).astype(np.int8)
    scale, add = rng.random(rows, np.float32), rng.standard_normal(rows, np.float32)
    return weight, scale, 3 * rng.standard_normal(columns, np.float32), add, np.empty(rows, np.float32)


def expected(weight, scale, x, add):
    return add + scale * (weight.astype(np.float64) @ x)


@pytest.mark.parametrize("shape", SHAPES)
def test_float_weights(shape):
    weight, scale, x, add, out = given(*shape)
    gemv(weight * scale[:, None], x, add, out)
    np.testing.assert_allclose(out, expected(weight, scale, x, add), rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_bytes(shape):
    """x is off by up to half a step, which is its peak / 32767 for up to 516 columns."""
    weight, scale, x, add, out = given(*shape)
    gemv_int8(weight, scale, x, np.empty(len(x), np.int16), add, out)
    step = np.abs(x).max() / 32767
    within = scale * np.abs(weight.astype(float)).sum(1) * step / 2 + 0.01
    assert (np.abs(out - expected(weight, scale, x, add)) <= within).all()


@pytest.mark.skipif(not available(), reason="this CPU has no AVX-512 VNNI")
@pytest.mark.parametrize("shape", SHAPES)
def test_vnni_is_the_portable_product(shape):
    weight, scale, x, add, out = given(*shape)
    portable, room = out.copy(), (np.empty(len(x) + 3, np.int16), np.empty(len(out) + 63, np.float32))
    gemv_int8(weight, scale, x, room[0][: len(x)], add, portable)
    (packed,), (start,) = tiles(weight[None])
    gemv_vnni(packed, start, scale, x, *room, add, out)
    np.testing.assert_allclose(out, portable, rtol=1e-6, atol=1e-6 * np.abs(portable).max())


@pytest.mark.skipif(not available(), reason="this CPU has no AVX-512 VNNI")
def test_sums_as_large_as_they_get():
    """512 columns of weights and activations at full scale, of either sign."""
    weight = np.full((64, 512), 127, np.int8)
    weight[1] = -127
    (packed,), (start,) = tiles(weight[None])
    room, out = (np.empty(515, np.int16), np.empty(64, np.float32)), np.empty(64, np.float32)
    for sign in (1, -1):
        x = np.full(512, sign, np.float32)
        gemv_vnni(packed, start, np.ones(64, np.float32), x, *room, np.zeros(64, np.float32), out)
        np.testing.assert_allclose(out, sign * 127 * 512 * np.where(np.arange(64) == 1, -1, 1), rtol=1e-6)


def test_peak():
    room = np.empty(1, np.float32)
    assert peak(np.array([1, -3, 2], np.float32), room) == 3
    assert peak(np.zeros(5, np.float32), room) == np.float32(1e-12)
