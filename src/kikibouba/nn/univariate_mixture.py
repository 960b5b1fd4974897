"""Mixtures of normals over frames of numbers, evaluated in log space: how an Embedding RNN says a frame.

    channels    each number x_w by itself:  p(x) = prod_w sum_k pi_wk N(x_w | mu_wk, sigma_wk)
    frames      all of a frame together:    p(x) = sum_k pi_k prod_w N(x_w | mu_kw, sigma_kw)

The first is the original's: no correlation between channels. The second, a mixture density network over
frames, chooses one component for the whole frame.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Kind = Literal["channels", "frames"]

MOST_LOG_SIGMA = 15.0


class Mixture(NamedTuple):
    """One for each row. C is W for channels and 1 for frames, D the other way round: C * D = W."""

    log_pi: Tensor
    """[..., C, K] logits of the components"""
    mu: Tensor
    """[..., C, K, D]"""
    log_sigma: Tensor
    """[..., C, K, D]"""


def output_size(kind: Kind, width: int, components: int) -> int:
    """How many numbers a network says for a mixture over frames [W]."""
    return 3 * width * components if kind == "channels" else (1 + 2 * width) * components


def split_output(y: Tensor, kind: Kind, width: int, components: int, least_log_sigma: float) -> Mixture:
    """What a network says, [..., output_size], as a mixture; log sigma is kept at `least_log_sigma` or more.

    Channels: for each channel K logits, K means and K log sigmas, as in the original. Frames: K logits, then
    the means of each component, then its log sigmas.
    """
    if kind == "channels":
        log_pi, mu, log_sigma = y.unflatten(-1, (width, 3, components)).unbind(-2)
        mu, log_sigma = mu[..., None], log_sigma[..., None]
    else:
        log_pi, mu, log_sigma = y.split([components, width * components, width * components], -1)
        log_pi = log_pi[..., None, :]
        mu, log_sigma = (part.unflatten(-1, (1, components, width)) for part in (mu, log_sigma))
    return Mixture(log_pi, mu, log_sigma.clamp(least_log_sigma, MOST_LOG_SIGMA))


def log_density(mixture: Mixture, x: Tensor) -> Tensor:
    """log p(x) in nats: frames [..., W] → [...]."""
    log_pi, mu, log_sigma = mixture
    given = x.unflatten(-1, (mu.shape[-3], 1, mu.shape[-1]))
    squares = ((given - mu) * torch.exp(-log_sigma)).square()
    log_normal = (-0.5 * squares - log_sigma - 0.5 * math.log(2 * math.pi)).sum(-1)
    return torch.logsumexp(torch.log_softmax(log_pi, -1) + log_normal, -1).sum(-1)


def draw(
    mixture: Mixture,
    temperature: float,
    variance_temperature: float,
    greedy: bool,
    generator: torch.Generator | None,
) -> Tensor:
    """Frames [..., W].

    Args:
        temperature: divides the logits of the components; above 0 unless `greedy`.
        variance_temperature: multiplies the variances; 0 gives means.
        greedy: take the likeliest component. Noise is added all the same, as in the original.
        generator: of the noise.
    """
    log_pi, mu, log_sigma = mixture
    if not greedy:
        uniform = torch.rand(log_pi.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        tiny = torch.finfo(mu.dtype).tiny
        gumbel = -torch.log((-torch.log(uniform.clamp(min=tiny))).clamp(min=tiny))
        log_pi = log_pi / temperature + gumbel  # the largest is a draw from softmax(log_pi / temperature)
    chosen = log_pi.argmax(-1)[..., None, None].expand(*log_pi.shape[:-1], 1, mu.shape[-1])
    frame = mu.gather(-2, chosen).flatten(-3)
    if variance_temperature > 0:
        noise = torch.randn(frame.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        sigma = log_sigma.gather(-2, chosen).flatten(-3).exp()
        frame = frame + sigma * noise * math.sqrt(variance_temperature)
    return frame
