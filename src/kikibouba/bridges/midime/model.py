"""MidiMe: a VAE with a handful of dimensions over the latent space of a frozen model, learnt from one song.

    x ─base→ z ─encoder→ mu', sigma' → z' ─decoder→ ẑ ─base→ x̂

    h = ReLU-MLP(z);  mu' = A h + a;  sigma' = softplus(B h + b);  z' = mu' + sigma' ε;  ẑ = MLP(z')
    loss = mean over the batch of ½ |z - ẑ|²  +  beta · KL(N(mu', sigma'²) ‖ N(0, I))

The base never changes, so all of its music stays possible, but z' only knows the part that the song is in.
Dinculescu, Engel & Roberts 2019, "MidiMe: Personalizing a MusicVAE model with user data".

Two programs have it. magenta.js (preset `midime`) learns the means of the base's posteriors, all of them in
every step. SmallMusicVAE (preset `ae-cat-mel_2bar_big`) learns samples of them, two at a time, starts the
heads near zero, and lets beta rise so slowly that it is hardly there at the numbers of steps it suggests.

What differs: the encoder runs once a step, where magenta.js runs it for each term to the same effect;
`encode` gives the whole posterior, where magenta.js gives a noisy sample; beta may be 0. `standardise` and
`rearrange` are ours.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kikibouba.bridges.midime.config import ModelConfig
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import LossParts, Normal
from kikibouba.nn.schedules import beta


class MidiMe(nn.Module):
    """The bridge; a `bridges.over_base.OneBaseBridge`."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _check(config)
        self.config, self.z_size = config, config.latent_size
        self.encoder = _relu_layers([config.z_size, *config.encoder_layers])
        self.mu = _linear([config.z_size, *config.encoder_layers][-1], self.z_size, config.head_std)
        self.sigma = _linear(self.mu.in_features, self.z_size, config.head_std)
        self.decoder = _relu_layers([self.z_size, *config.decoder_layers])
        self.out = _linear([self.z_size, *config.decoder_layers][-1], config.z_size)
        self.register_buffer("mean", torch.zeros(config.z_size))
        self.register_buffer("std", torch.ones(()))

    def set_units(self, z: Tensor) -> None:
        """Standardise by the songs' own latents z [n, Z], if the configuration says so.

        Every dimension loses its mean, and all are divided by one number, so that the dimensions the base
        makes much of still count most.
        """
        if self.config.standardise:
            self.mean.copy_(z.mean(0))
            self.std.copy_((z - self.mean).square().mean().sqrt().clamp(min=1e-3))

    def encode(self, q: Normal) -> Normal:
        """The base's posterior [B, Z] → the bridge's [B, D], that of its mean."""
        return self._encode(self._standardised(q.mu))

    def decode(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """z' [B, D] → z [B, Z], in the base's units; nothing is drawn."""
        return self._decode(z) * self.std + self.mean

    def _standardised(self, z: Tensor) -> Tensor:
        return (z - self.mean) / self.std

    def _encode(self, x: Tensor) -> Normal:
        h = self.encoder(x)
        return Normal(self.mu(h), F.softplus(self.sigma(h)))

    def _decode(self, z: Tensor) -> Tensor:
        return self.out(self.decoder(z))

    def loss(self, q: Normal, step: int, generator: torch.Generator | None = None) -> LossParts:
        """½ squared error, summed over dimensions, plus beta times the KL term in nats; means over the batch.

        Args:
            q: posteriors of the base, [B, Z].
            step: for beta.
        """
        c = self.config
        x = self._standardised(q.sample(generator) if c.learn_from == "samples" else q.mu)
        own = self._encode(x)
        rebuilt = self._decode(self._truncated(own.sample(generator), generator))
        r_loss = 0.5 * (x - rebuilt).square().sum(-1).mean()
        kl_loss = 0.5 * (own.mu**2 + own.sigma**2 - 1 - 2 * own.sigma.log()).sum(-1).mean()
        weight = beta(step, c.max_beta, c.beta_rate) if c.beta_rate else c.max_beta
        return {
            "loss": r_loss + weight * kl_loss,
            "r_loss": r_loss.detach(),
            "kl_loss": kl_loss.detach(),
        }

    def _truncated(self, z: Tensor, generator: torch.Generator | None) -> Tensor:
        """z' [B, D] with the last latents of some rows set to 0."""
        if not self.config.truncated:
            return z
        kept = torch.randint(1, self.z_size + 1, (len(z), 1), generator=generator, device=z.device)
        whole = torch.rand(len(z), 1, generator=generator, device=z.device) >= self.config.truncated
        return z * (whole | (torch.arange(self.z_size, device=z.device) < kept))

    @torch.no_grad()
    def effects(self, mu: Tensor) -> Tensor:
        """How much each latent does, as shares [D] of the sum over all.

        What it does is the mean squared distance in z between what the songs' z' decode to and what they
        decode to when this latent is held at its mean.

        Args:
            mu: the songs' latents in the base, [n, Z].
        """
        own = self.encode(Normal(mu, torch.ones_like(mu))).mu
        whole, centre = self.decode(own), own.mean(0)
        held = torch.eye(self.z_size, dtype=torch.bool, device=mu.device)
        changes = [self.decode(torch.where(row, centre, own)) - whole for row in held]
        effects = torch.stack([change.square().sum(-1).mean() for change in changes])
        return effects / effects.sum().clamp(min=1e-12)

    @torch.no_grad()
    def rearrange(self, order: Tensor, signs: Tensor) -> None:
        """Rename and turn the latents: the new z'[k] is signs[k] times the old z'[order[k]].

        Only names change: posteriors are permuted, and everything decodes as before.

        Args:
            order: a permutation of D, int64 [D].
            signs: 1 or -1, [D].
        """
        for head, turn in ((self.mu, signs), (self.sigma, torch.ones_like(signs))):
            head.weight.copy_(head.weight[order] * turn[:, None])
            head.bias.copy_(head.bias[order] * turn)
        first = next(layer for layer in (*self.decoder, self.out) if isinstance(layer, nn.Linear))
        first.weight.copy_(first.weight[:, order] * signs)


def _relu_layers(sizes: Sequence[int]) -> nn.Sequential:
    return nn.Sequential(
        *(layer for n, m in pairwise(sizes) for layer in (_linear(n, m), nn.ReLU())),
    )


def _linear(input_size: int, output_size: int, std: float = 0.0) -> nn.Linear:
    """A layer as Keras starts it: weights uniform after Glorot, or normal of a given std; bias 0."""
    layer = nn.Linear(input_size, output_size)
    if std:
        nn.init.normal_(layer.weight, std=std)
    else:
        nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _check(config: ModelConfig) -> None:
    """Raise KikiboubaError for sizes that no network can have."""
    sizes = (config.z_size, config.latent_size, *config.encoder_layers, *config.decoder_layers)
    if min(sizes) < 1:
        raise KikiboubaError(f"layer sizes {list(sizes)} of a MidiMe bridge must all be 1 or more")


def build(config: ModelConfig, representation: object = None) -> MidiMe:
    """The untrained bridge of a configuration. A bridge has no representation: its base has."""
    return MidiMe(config)
