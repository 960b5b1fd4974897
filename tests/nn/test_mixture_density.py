"""The mixture of bivariate normals: against the textbook formula, at the edges of float32, and its
sampler."""

import math

import pytest
import torch
from torch import Tensor

from kikibouba.nn.mixture_density import Mixture, gumbel_noise, log_density, sample_offsets, split_output

M = 5


def by_formula(mixture: Mixture, offsets: Tensor) -> Tensor:
    """ln(sum_k pi_k N_k + 1e-6) in probability space, as the original computes it."""
    pi, rho = torch.softmax(mixture.log_pi, -1), torch.tanh(mixture.correlation_logit)
    sigma_x, sigma_y = mixture.log_sigma_x.exp(), mixture.log_sigma_y.exp()
    a, b = (offsets[..., :1] - mixture.mu_x) / sigma_x, (offsets[..., 1:] - mixture.mu_y) / sigma_y
    q = a**2 + b**2 - 2 * rho * a * b
    normal = torch.exp(-q / (2 * (1 - rho**2))) / (2 * math.pi * sigma_x * sigma_y * torch.sqrt(1 - rho**2))
    return torch.log((pi * normal).sum(-1) + 1e-6)


def test_log_density_is_the_formula() -> None:
    torch.manual_seed(0)
    y = torch.randn(200, 3 + 6 * M, dtype=torch.float64)
    offsets = torch.randn(200, 2, dtype=torch.float64) * 3
    pen_logits, mixture = split_output(y)
    assert torch.equal(pen_logits, y[:, :3])
    torch.testing.assert_close(
        log_density(mixture, offsets), by_formula(mixture, offsets), rtol=1e-10, atol=1e-10
    )


def test_density_sums_to_one() -> None:
    torch.manual_seed(1)
    _, mixture = split_output(0.5 * torch.randn(3 + 6 * M, dtype=torch.float64))
    axis = torch.linspace(-25, 25, 1001, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    density = torch.exp(log_density(mixture, grid)) - 1e-6
    assert density.sum().item() * (axis[1] - axis[0]).item() ** 2 == pytest.approx(1, abs=1e-4)


def test_no_density_is_below_the_floor() -> None:
    _, mixture = split_output(torch.zeros(1, 3 + 6 * M))
    assert log_density(mixture, torch.tensor([[1e3, -1e3]])).item() == pytest.approx(math.log(1e-6), rel=1e-6)


@pytest.mark.parametrize("log_sigma", [-1000.0, -30.0, 0.0, 30.0, 1000.0])
@pytest.mark.parametrize("correlation", [-1000.0, -20.0, 0.0, 20.0, 1000.0])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (1e-4, -1e-4), (1e3, 1e3), (-1e3, 1e3)])
def test_extreme_parameters_give_finite_values_and_gradients(
    log_sigma: float, correlation: float, offset: tuple[float, float]
) -> None:
    y = torch.zeros(3 + 6 * M)
    y[3 + 3 * M : 3 + 5 * M], y[3 + 5 * M :] = log_sigma, correlation
    y.requires_grad_()
    value = log_density(split_output(y)[1], torch.tensor(offset))
    value.backward()
    assert value.isfinite()
    assert y.grad is not None
    assert y.grad.isfinite().all()
    drawn = sample_offsets(y.detach()[None, 3:], torch.zeros(1, dtype=torch.int64), torch.ones(1, 2))
    assert drawn.isfinite().all()


def test_samples_have_the_component_s_moments() -> None:
    n = 200_000
    y = torch.zeros(6, 2)
    y[:, 1] = torch.tensor([0.0, 0.5, -1.5, math.log(0.7), math.log(2.0), math.atanh(-0.6)])
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    drawn = sample_offsets(y.reshape(1, -1).expand(n, -1), torch.ones(n, dtype=torch.int64), noise).double()
    covariance = torch.tensor([[0.49, -0.6 * 1.4], [-0.6 * 1.4, 4.0]], dtype=torch.float64)
    torch.testing.assert_close(drawn.mean(0), torch.tensor([0.5, -1.5]).double(), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), covariance, atol=0.03, rtol=0)


def test_samples_without_noise_are_the_means() -> None:
    y = torch.randn(4, 6 * M, generator=torch.Generator().manual_seed(0))
    component = torch.tensor([0, 2, 4, 1])
    drawn = sample_offsets(y, component, torch.zeros(4, 2))
    wanted = y.view(4, 6, M)[torch.arange(4), 1:3, component]
    torch.testing.assert_close(drawn, wanted)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
def test_gumbel_noise_draws_from_softmax(temperature: float) -> None:
    n = 100_000
    logits = torch.tensor([1.0, 0.0, -1.0, 0.5])
    noise = gumbel_noise((n, 4), logits, torch.Generator().manual_seed(0))
    assert noise.isfinite().all()
    counts = (logits + temperature * noise).argmax(1).bincount(minlength=4)
    wanted = torch.softmax(logits / temperature, 0)
    deviation = torch.sqrt(wanted * (1 - wanted) / n)
    assert ((counts / n - wanted).abs() < 5 * deviation).all()
