"""LCMusicVAE, a latent constraint of one domain: a linear VAE over z whose code must also say the music.

    z' ~ N(W z + b, softplus(V z + c)²)                 z: a sample of the frozen base's posterior
    ẑ  ~ N(W' z' + b', softplus(V' z' + c')²)
    loss = - log p(x | z') + beta · max(KL(z' ‖ N(0, I)) - free_bits, 0) + |ẑ - z|₂     means over the batch

-log p(x | z') comes from a decoder of MusicVAE's kind, small and trained along; it makes z' keep what is
heard. Once trained it is not used: music is made as z' ~ N(0, I) → ẑ → the base's own decoder.

Follows the code of LCMusicVAE (config `lc-cat-mel_2bar_big`), which cites arXiv:1902.08261 for the idea: the
error is the Euclidean norm, not its square, and beta rises so slowly that it hardly counts in short runs.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.bridges.lc_music_vae.config import ModelConfig
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import LossParts, Normal
from kikibouba.models.music_vae import hyperparameters
from kikibouba.models.music_vae import model as music_vae
from kikibouba.models.music_vae.stack import NO_NOISE, Noise, latent_linear
from kikibouba.nn import schedules


class LCBatch(NamedTuple):
    """Examples and what their base makes of them."""

    x: Tensor
    """[B, T] or [B, T, K], see `models.base.Batch`."""
    lengths: Tensor
    """[B] int64"""
    mu: Tensor
    """[B, Z] of the base's posterior"""
    sigma: Tensor
    """[B, Z]"""


class LinearNormal(nn.Module):
    """v → N(W v + b, softplus(V v + c)²)."""

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.mu = latent_linear(input_size, output_size)
        self.sigma = latent_linear(input_size, output_size)

    def forward(self, v: Tensor) -> Normal:
        """v [B, input_size] → [B, output_size]."""
        return Normal(self.mu(v), F.softplus(self.sigma(v)))


class LCMusicVAE(nn.Module):
    """The bridge; a `bridges.over_base.OneBaseBridge`."""

    def __init__(self, config: ModelConfig, representation: music_vae.MusicRepresentation) -> None:
        super().__init__()
        if config.encoded_z_size < 1:
            raise KikiboubaError(f"model.encoded_z_size {config.encoded_z_size} must be 1 or more")
        self.config, self.z_size = config, config.encoded_z_size
        self.latent_encoder = LinearNormal(config.z_size, self.z_size)
        self.latent_decoder = LinearNormal(self.z_size, config.z_size)
        small = hyperparameters.ModelConfig(
            z_size=self.z_size, encoder="none", dec_rnn_size=config.dec_rnn_size
        )
        hyperparameters.check(small, representation)
        self.said = music_vae.MusicVAE(small, representation.layout, representation.steps)

    def encode(self, q: Normal) -> Normal:
        """The base's posterior [B, Z] → the bridge's [B, D], that of its mean."""
        return self.latent_encoder(q.mu)

    def decode(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """z' [B, D] → ẑ of the base, drawn. [B, Z]"""
        return self.latent_decoder(z).sample(generator)

    def loss(self, batch: LCBatch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """See the module's text; held out without scheduled sampling."""
        c, z = self.config, Normal(batch.mu, batch.sigma).sample(generator)
        shapes = (len(z), self.z_size), z.shape
        eps, eps_base = (torch.randn(shape, generator=generator, device=z.device) for shape in shapes)
        noise = NO_NOISE
        if self.training:
            probability = schedules.sampling_probability(step, c.sampling_schedule, c.sampling_rate)
            noise = Noise(1.0, probability, generator)
        return self.loss_from_noise(batch, step, z, eps, eps_base, noise)

    def loss_from_noise(
        self, batch: LCBatch, step: int, z: Tensor, eps: Tensor, eps_base: Tensor, noise: Noise = NO_NOISE
    ) -> LossParts:
        """`loss` with the noise given.

        Args:
            step: for beta.
            z: [B, Z] samples of the base's posterior.
            eps, eps_base: [B, D] and [B, Z], standard normal noise of z' and ẑ.
            noise: scheduled sampling.

        Returns: loss, r_loss (nats an example), kl_loss (beyond the free bits), distance (Euclidean), beta.
        """
        q = self.latent_encoder(z)
        code = q.mu + q.sigma * eps
        x = music_vae.time_first(batch.x)
        raw, targets = self.said.teacher_forced(code, x, noise)
        real = torch.arange(len(x), device=x.device)[:, None] < batch.lengths
        r_loss = (self.said.decoder.head.nats(raw, targets) * real).sum() / len(z)
        free = self.config.free_bits * math.log(2)
        kl_loss = (music_vae.kl_from_standard_normal(q).sum(-1) - free).clamp(min=0).mean()
        guess = self.latent_decoder(code)
        distance = torch.linalg.vector_norm(guess.mu + guess.sigma * eps_base - z, dim=-1).mean()
        beta = schedules.beta(step, self.config.max_beta, self.config.beta_rate)
        return {
            "loss": r_loss + beta * kl_loss + distance,
            "r_loss": r_loss.detach(),
            "kl_loss": kl_loss.detach(),
            "distance": distance.detach(),
            "beta": torch.tensor(beta),
        }


def build(config: ModelConfig, representation: music_vae.MusicRepresentation) -> LCMusicVAE:
    """The untrained bridge of a configuration."""
    return LCMusicVAE(config, representation)
