"""Mixtures of normals over frames, against scipy-free arithmetic in float64."""

import math

import numpy as np
import pytest
import torch

from kikibouba.nn.univariate_mixture import Kind, draw, log_density, output_size, split_output

WIDTH, K = 3, 4
KINDS: list[Kind] = ["channels", "frames"]


def outputs(kind: Kind, rows: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, output_size(kind, WIDTH, K), generator=generator)


def normal(x: float, mu: float, log_sigma: float) -> float:
    return math.exp(-0.5 * ((x - mu) / math.exp(log_sigma)) ** 2) / (
        math.exp(log_sigma) * math.sqrt(2 * math.pi)
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def expected(kind: Kind, y: np.ndarray, x: np.ndarray) -> float:
    """ln p(x) of one row, as the documentation says it."""
    if kind == "channels":
        total = 0.0
        for w in range(WIDTH):
            pi, mu, log_sigma = y[w * 3 * K : (w + 1) * 3 * K].reshape(3, K)
            shares = softmax(pi)
            total += math.log(sum(shares[k] * normal(x[w], mu[k], log_sigma[k]) for k in range(K)))
        return total
    shares, mu = softmax(y[:K]), y[K : K + K * WIDTH].reshape(K, WIDTH)
    log_sigma = y[K + K * WIDTH :].reshape(K, WIDTH)
    return math.log(
        sum(
            shares[k] * math.prod(normal(x[w], mu[k, w], log_sigma[k, w]) for w in range(WIDTH))
            for k in range(K)
        )
    )


@pytest.mark.parametrize("kind", KINDS)
def test_densities_are_those_of_the_formula(kind: Kind) -> None:
    y, x = outputs(kind), torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(1))
    found = log_density(split_output(y, kind, WIDTH, K, -15.0), x)
    wanted = [expected(kind, *(row.double().numpy() for row in pair)) for pair in zip(y, x, strict=True)]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)


def test_sizes_are_the_documented_ones() -> None:
    assert output_size("channels", 6, 20) == 360
    assert output_size("frames", 6, 20) == 20 + 2 * 6 * 20


@pytest.mark.parametrize("kind", KINDS)
def test_the_narrowest_component_has_a_limit(kind: Kind) -> None:
    mixture = split_output(torch.full((1, output_size(kind, WIDTH, K)), -50.0), kind, WIDTH, K, -2.0)
    at_the_mean = log_density(mixture, torch.full((1, WIDTH), -50.0))
    assert at_the_mean.item() == pytest.approx(WIDTH * (2.0 - 0.5 * math.log(2 * math.pi)), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_without_noise_gives_the_likeliest_component_s_mean(kind: Kind) -> None:
    mixture = split_output(outputs(kind), kind, WIDTH, K, -15.0)
    found = draw(mixture, 0.0, 0.0, True, None)
    best = mixture.log_pi.argmax(-1)
    for row in range(5):
        for w in range(WIDTH):
            c, d = (w, 0) if kind == "channels" else (0, w)
            assert found[row, w] == mixture.mu[row, c, best[row, c], d]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_is_that_of_the_shares(temperature: float) -> None:
    """Components with means 0, 1, 2, 3 and no width: how often each is drawn."""
    logits = torch.tensor([0.0, 1.0, -0.5, 0.3])
    row = torch.cat([logits, torch.arange(4.0), torch.full((4,), -15.0)])
    mixture = split_output(row.expand(20_000, -1), "channels", 1, 4, -15.0)
    drawn = draw(mixture, temperature, 1.0, False, torch.Generator().manual_seed(0)).round().long()
    shares = torch.bincount(drawn.flatten(), minlength=4) / 20_000
    np.testing.assert_allclose(shares, softmax(logits.numpy() / temperature), atol=0.015)


@pytest.mark.parametrize("variance", [0.0, 0.3, 1.0])
def test_the_variance_is_multiplied_even_when_greedy(variance: float) -> None:
    row = torch.tensor([0.0, 2.0, math.log(3.0)])
    mixture = split_output(row.expand(20_000, -1), "channels", 1, 1, -15.0)
    drawn = draw(mixture, 0.5, variance, True, torch.Generator().manual_seed(0))
    assert drawn.mean().item() == pytest.approx(2.0, abs=0.08)
    assert drawn.std().item() == pytest.approx(3.0 * math.sqrt(variance), abs=0.06)
