"""Principal components."""

import numpy as np
import pytest

from kikibouba.data.whitening import fit_whitening
from kikibouba.errors import KikiboubaError


def frames(count: int = 400, width: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((count, width)) @ rng.standard_normal((width, width)) + 50.0


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    x = frames()
    found = fit_whitening([x], 4)
    _, values, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    np.testing.assert_allclose(found.scale, values[:4] / np.sqrt(len(x) - 1), rtol=1e-5)
    np.testing.assert_allclose(np.abs((found.components * axes[:4]).sum(1)), 1, atol=1e-5)
    assert (found.components[np.arange(4), np.abs(found.components).argmax(1)] > 0).all()


def test_what_comes_out_is_white() -> None:
    y = fit_whitening([frames()], 3).apply(frames())
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(y.T), np.eye(3), atol=1e-4)


def test_with_all_components_nothing_is_lost() -> None:
    x = frames()
    found = fit_whitening([x], x.shape[1])
    np.testing.assert_allclose(found.undo(found.apply(x)), x, rtol=1e-5)
    fewer = fit_whitening([x], 3)
    assert np.abs(fewer.undo(fewer.apply(x)) - x).max() > 0.1


def test_parts_make_no_difference() -> None:
    x = frames()
    whole, parts = fit_whitening([x], 4), fit_whitening([x[:7], x[7:200], x[200:]], 4)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_constant_direction_stays_finite() -> None:
    x = np.concatenate([frames(width=2), np.ones((400, 1))], 1)
    assert np.isfinite(fit_whitening([x], 3).apply(x)).all()


@pytest.mark.parametrize(
    ("count", "components", "message"),
    [(4, 4, "more than 4 training frames, and there are 4"), (400, 7, "more than the 6 numbers of a frame")],
)
def test_too_few_frames_or_numbers_are_refused(count: int, components: int, message: str) -> None:
    with pytest.raises(KikiboubaError, match=message):
        fit_whitening([frames()[:count]], components)


def test_no_frames_at_all_are_refused() -> None:
    with pytest.raises(KikiboubaError, match="there are 0"):
        fit_whitening([], 2)
