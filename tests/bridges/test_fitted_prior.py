"""The fitted prior: its moments, its file, and what a damaged one says."""

import numpy as np
import pytest

from kikibouba.bridges.fitted_prior import FILE_NAME, FittedPrior, load_prior
from kikibouba.errors import KikiboubaError


def fitted() -> tuple[FittedPrior, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mu = (rng.normal(size=(4_000, 3)) @ rng.normal(size=(3, 3)) + [1, 2, 3]).astype(np.float32)
    sigma = np.full_like(mu, 0.5)
    return FittedPrior.fit(mu, sigma), mu, sigma


def test_draws_have_the_moments_of_the_aggregate_posterior():
    prior, mu, sigma = fitted()
    rng = np.random.default_rng(1)
    real = mu + sigma * rng.standard_normal(mu.shape)
    drawn = prior.sample(40_000, rng)
    assert np.allclose(drawn.mean(0), mu.mean(0), atol=0.05)
    assert np.allclose(np.cov(drawn.T), np.cov(real.T), atol=0.15)


def test_file_keeps_it_to_half_precision(tmp_path):
    prior, _, _ = fitted()
    prior.save(tmp_path)
    again = load_prior(tmp_path, 3)
    assert np.allclose(again.mean, prior.mean, rtol=1e-3)
    assert np.allclose(again.factor, prior.factor, rtol=1e-3, atol=1e-3)


def test_no_file_no_prior(tmp_path):
    assert load_prior(tmp_path, 3) is None


def test_damaged_or_foreign_files_are_named(tmp_path):
    prior, _, _ = fitted()
    prior.save(tmp_path)
    with pytest.raises(KikiboubaError, match="another model"):
        load_prior(tmp_path, 4)
    (tmp_path / FILE_NAME).write_bytes(b"broken")
    with pytest.raises(KikiboubaError, match="damaged"):
        load_prior(tmp_path, 3)
