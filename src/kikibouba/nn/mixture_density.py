"""Mixtures of bivariate normals over pen offsets, evaluated in log space.

    p(dx, dy) = sum_k pi_k N(dx, dy | mu_k, sigma_k, rho_k)

The original evaluates the densities themselves and adds 1e-6 before the logarithm. Here `logaddexp` adds
the same floor: equal in exact arithmetic, and finite where the original's exp and 1 - rho² leave float32's
range.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

DENSITY_FLOOR = 1e-6
MAX_LOG_SIGMA = 15.0
MAX_CORRELATION_LOGIT = 8.0
"""tanh(8) = 1 - 2e-7: float32 cannot tell the next from 1, where the density is not defined."""


class Mixture(NamedTuple):
    """Raw outputs of the network for one mixture per row; each [..., M] (the same shape)."""

    log_pi: Tensor
    """Logits of the component weights."""
    mu_x: Tensor
    mu_y: Tensor
    log_sigma_x: Tensor
    log_sigma_y: Tensor
    correlation_logit: Tensor
    """rho = tanh of it."""


def split_output(y: Tensor) -> tuple[Tensor, Mixture]:
    """The decoder's output [..., 3 + 6M] → (pen logits [..., 3], Mixture), blocks in the original's order."""
    pi, mu_x, mu_y, sigma_x, sigma_y, rho = y[..., 3:].chunk(6, -1)
    return y[..., :3], Mixture(
        pi,
        mu_x,
        mu_y,
        sigma_x.clamp(-MAX_LOG_SIGMA, MAX_LOG_SIGMA),
        sigma_y.clamp(-MAX_LOG_SIGMA, MAX_LOG_SIGMA),
        rho.clamp(-MAX_CORRELATION_LOGIT, MAX_CORRELATION_LOGIT),
    )


def log_density(mixture: Mixture, offsets: Tensor) -> Tensor:
    """log(p(dx, dy) + 1e-6) in nats: offsets [..., 2] → [...], at least log(1e-6) = -13.8.

    With a, b the standardised offsets and r the correlation logit, 1/(1 - rho²) = cosh² r, hence
    log N = -((a - rho b) cosh r)² / 2 - b² / 2 - log(2 pi sigma_x sigma_y) + log cosh r.
    """
    r = mixture.correlation_logit
    a = (offsets[..., :1] - mixture.mu_x) * torch.exp(-mixture.log_sigma_x)
    b = (offsets[..., 1:] - mixture.mu_y) * torch.exp(-mixture.log_sigma_y)
    cosh = torch.cosh(r)
    squares = ((a - torch.tanh(r) * b) * cosh).square() + b.square()
    log_normal = (
        torch.log(cosh) - 0.5 * squares - mixture.log_sigma_x - mixture.log_sigma_y - math.log(2 * math.pi)
    )
    log_p = torch.logsumexp(torch.log_softmax(mixture.log_pi, -1) + log_normal, -1)
    return torch.logaddexp(log_p, log_p.new_tensor(math.log(DENSITY_FLOOR)))


def gumbel_noise(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Noise g for which argmax(logits + g) is a draw from softmax(logits); finite."""
    uniform = torch.rand(shape, generator=generator, device=like.device, dtype=like.dtype)
    return -torch.log(
        -torch.log(uniform.clamp(torch.finfo(like.dtype).tiny, 1 - torch.finfo(like.dtype).eps))
    )


def sample_offsets(parameters: Tensor, component: Tensor, noise: Tensor) -> Tensor:
    """Offsets (dx, dy) [B, 2] drawn from one component of each row's mixture.

    Args:
        parameters: the mixtures' raw outputs [B, 6M], as in `split_output`.
        component: [B] int64.
        noise: independent normal [B, 2]; its deviation multiplies the component's.
    """
    batch = len(component)
    chosen = parameters.view(batch, 6, -1).gather(2, component[:, None, None].expand(batch, 6, 1)).squeeze(2)
    sigma = chosen[:, 3:5].clamp(-MAX_LOG_SIGMA, MAX_LOG_SIGMA).exp_()
    logit = chosen[:, 5:].clamp(-MAX_CORRELATION_LOGIT, MAX_CORRELATION_LOGIT)
    # rho = tanh(logit), so sqrt(1 - rho²) = 1 / cosh(logit).
    x, y = noise[:, :1], noise[:, 1:]
    return torch.addcmul(
        chosen[:, 1:3], sigma, torch.cat([x, (y / logit.cosh()).addcmul_(x, logit.tanh())], 1)
    )
