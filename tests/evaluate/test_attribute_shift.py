"""What is said about attribute vectors, on decoders that can be worked out by hand."""

import numpy as np
import pytest

from kikibouba.evaluate.attribute_shift import calibrated, shift_figures

MU = np.random.default_rng(0).standard_normal((50, 3))
VECTORS = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_a_faithful_decoder():
    found = shift_figures(MU, VECTORS, lambda z: z[:, :2], ("a", "b"))
    assert found == pytest.approx(
        {"a moved": 1.0, "a gain": 1.0, "a others": 0.0, "b moved": 1.0, "b gain": 1.0, "b others": 0.0}
    )


def test_an_attribute_that_drags_another_along():
    found = shift_figures(MU, VECTORS, lambda z: np.stack([z[:, 0], z[:, 1] - z[:, 0]], 1), ("a", "b"))
    assert found["a others"] == pytest.approx(1.0)
    assert found["b others"] == 0.0


def test_a_decoder_that_does_not_care():
    found = shift_figures(MU, VECTORS, lambda z: np.zeros((len(z), 2)), ("a", "b"))
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(("strength", "length"), [(1.0, 1.0), (0.5, 2.0), (0.4, 2.5), (0.05, 3.0)])
def test_lengths_make_up_for_a_weak_answer_up_to_threefold(strength, length):
    out = calibrated(MU, VECTORS, lambda z: strength * z[:, :2])
    np.testing.assert_allclose(out, length * VECTORS)
