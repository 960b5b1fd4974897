import math

import pytest

from kikibouba.nn.schedules import beta, kl_weight, learning_rate, sampling_probability


def test_learning_rate_falls_from_initial_to_minimum():
    assert learning_rate(0, 1e-3, 1e-5, 0.9999) == pytest.approx(1e-3)
    assert learning_rate(1, 1e-3, 1e-5, 0.9999) == pytest.approx(1e-5 + 99e-5 * 0.9999)
    assert learning_rate(10**7, 1e-3, 1e-5, 0.9999) == pytest.approx(1e-5)


def test_beta_without_annealing_is_zero_at_step_zero_as_in_the_original():
    assert [beta(step, 0.2, 0.0) for step in (0, 1, 2)] == [0.0, 0.2, 0.2]


def test_beta_anneals():
    assert beta(0, 0.2, 0.99999) == 0.0
    assert beta(100_000, 0.2, 0.99999) == pytest.approx(0.2 * (1 - 1 / math.e), rel=1e-4)


def test_kl_weight_rises_from_start_to_final():
    assert kl_weight(0, 0.5, 0.01, 0.99995) == pytest.approx(0.01)
    assert kl_weight(20_000, 0.5, 0.01, 0.99995) == pytest.approx(0.5 - 0.49 / math.e, rel=1e-4)


def test_sampling_probability():
    assert sampling_probability(123, "constant", 0.25) == 0.25
    assert sampling_probability(2, "exponential", 0.9) == pytest.approx(0.19)
    assert sampling_probability(0, "inverse_sigmoid", 1000) == pytest.approx(0.000999, rel=1e-3)
    assert sampling_probability(6908, "inverse_sigmoid", 1000) == pytest.approx(0.5, abs=1e-4)
    assert sampling_probability(10**9, "inverse_sigmoid", 1000) == pytest.approx(1.0)


def test_unknown_schedule_is_named():
    with pytest.raises(ValueError, match="'linear' must be constant, exponential or inverse_sigmoid"):
        sampling_probability(0, "linear", 0.5)
