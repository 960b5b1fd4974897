"""Latent constraints (Engel, Hoffman & Roberts 2017, arXiv:1711.05772): an actor moves z where critics agree.

    D(z, y)     realism critic: 1 for posterior samples with their labels; 0 for what the actor or the prior
                offers, and for posterior samples with wrong labels
    D_attr(z)   attribute critic: the labels, read off z alone
    G(z, y)     actor: z* = (1 - g) ⊙ z + g ⊙ δ, so that D(z*, y) says 1

    critic      mean CE(D, r) + penalty_weight · mean (√(|∂D/∂ẑ|² + 1e-10) - 1)²,  ẑ = a + α ⊙ (b - a)
    actor       - mean ln max(σ(D(z*, y)), 1e-15) + mean w · ln(1 + (z* - z)²) / σ̄²
                + attribute_weight · CE(D_attr(z*), y)                                            (ours)
    attributes  CE(D_attr(z), y) on posterior samples, and on fakes with what they decode to      (ours)

a is real, b fake, α uniform for each number; σ̄ is the posteriors' mean sigma. The base is frozen and never
seen here: a model that was learnt once is asked for what nobody had in mind when it was trained.

All three networks learn from one loss in which whatever is another's is held constant. Adam keeps its
moments by parameter, so this is what an optimiser for each would do, and the training loop of everything else
runs it; where the actor has no turn it has no gradient, and Adam passes it by.

Departs from the original's notebook: its gradient penalty mixes real with real, ours real with fake, as it
was meant; a wrong label that happens to be right does not count; where the actor starts from posterior
samples, the critic sees the result too. What else is ours has a setting.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from kikibouba.bridges.latent_constraints.config import ModelConfig
from kikibouba.bridges.latent_constraints.networks import Actor, AttributeCritic, Critic
from kikibouba.models.base import LossParts, Normal
from kikibouba.nn.sliced_wasserstein import random_directions, sliced_wasserstein

DIRECTIONS = 256
"""On which held-out distances are measured."""


class ConstraintBatch(NamedTuple):
    """Examples of the base's training data, in a random order."""

    z: Tensor
    """[B, Z] float32: posterior samples, in the base's units."""
    labels: Tensor
    """[B, A] int64: the class of each attribute; -1 = unknown."""


class Draws(NamedTuple):
    """What is left to chance in one step."""

    told: Tensor
    """[B, A] int64: the labels with some left free, -1."""
    wrong: Tensor
    """[B, A] int64: another example's, with the same left free."""
    prior: Tensor
    """[B, Z]: from N(0, 1)"""
    bare: Tensor
    """[B] bool: the prior sample itself is the critic's fake, not what the actor makes of `start`."""
    start: Tensor
    """[B, Z]: prior samples and posterior samples of other examples"""
    close: Tensor
    """[B] bool: the actor is to stay close to its start."""
    alpha: Tensor
    """[B, Z]: uniform in 0 … 1"""


Judge = Callable[[Tensor], Tensor]
"""z [B, Z] → the labels [B, A] of what the base decodes it to, -1 where nobody can tell."""


class LatentConstraints(nn.Module):
    """The networks; a `bridges.over_base.OneBaseBridge` whose z' is the base's z."""

    sigma: Tensor
    adam_betas = (0.0, 0.9)
    """For the training loop's Adam: no momentum, since the players' aims change all the time."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config, self.z_size = config, config.z_size
        sizes = config.width, config.layers, config.leak
        self.critic = Critic(config.z_size, config.label_size, *sizes)
        self.attribute_critic = AttributeCritic(config.z_size, config.label_size, *sizes)
        self.actor = Actor(config.z_size, config.label_size + config.optional_closeness, *sizes)
        self.register_buffer("sigma", torch.ones(config.z_size))
        self.judge: Judge | None = None

    def encode(self, q: Normal) -> Normal:
        """The base's posterior, as it is."""
        return q

    def decode(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """z [B, Z] made realistic by the actor, all attributes left free; nothing is drawn."""
        return self.act(z, self.free(len(z)), close=True)

    def free(self, rows: int) -> Tensor:
        """Labels [rows, A] that ask for nothing."""
        return torch.full((rows, len(self.config.classes)), -1, device=self.sigma.device)

    def act(self, z: Tensor, labels: Tensor, close: bool) -> Tensor:
        """z [B, Z] moved to where it is real and has labels [B, A]; `close`: as near as that allows."""
        return self._act(z, self.one_hot(labels), torch.full((len(z),), close, device=z.device))

    def _act(self, z: Tensor, y: Tensor, close: Tensor) -> Tensor:
        told = torch.cat([y, close[:, None].float()], dim=1) if self.config.optional_closeness else y
        return self.actor(z, told)

    def realism(self, z: Tensor, labels: Tensor) -> Tensor:
        """σ(D(z, y)) [B]: the critic's belief that z [B, Z] is real and has labels [B, A], -1 = any."""
        return torch.sigmoid(self.critic(z, self.one_hot(labels)))

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Mean over dimensions of ln(1 + (a - b)²) / σ̄², [B]."""
        return ((a - b).square().log1p() / self.sigma.square()).mean(dim=1)

    def one_hot(self, labels: Tensor) -> Tensor:
        """Labels [B, A] → y [B, L] float32: a 1 for the class of every attribute that is not free."""
        columns = [labels[:, i, None] == numbers for i, numbers in enumerate(self._classes(labels.device))]
        return torch.cat(columns or [labels > 0], dim=1).float()

    def columns(self, labels: Tensor) -> Tensor:
        """Labels [B, A] → [B, L] float32: a 1 in all columns of every attribute that is not free."""
        columns = [labels[:, i, None] + 0 * n >= 0 for i, n in enumerate(self._classes(labels.device))]
        return torch.cat(columns or [labels > 0], dim=1).float()

    def _classes(self, device: torch.device) -> list[Tensor]:
        return [torch.arange(len(names), device=device) for names in self.config.classes]

    def loss(self, batch: ConstraintBatch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """The critics' losses and, at every `actor_every`-th step, the actor's; held out see `_held_out`."""
        draws = self.draw(batch, generator)
        if self.training:
            acts, judges = ((step + 1) % n == 0 for n in (self.config.actor_every, self.config.judge_every))
            return self.loss_from_draws(batch, draws, acts, judges and self.config.judged > 0)
        return self._held_out(batch, draws, generator)

    def draw(self, batch: ConstraintBatch, generator: torch.Generator | None = None) -> Draws:
        """Everything that is left to chance in one step."""
        c, (z, labels) = self.config, batch
        prior = torch.randn(z.shape, generator=generator, device=z.device)
        chance = torch.rand((4, len(z), 1), generator=generator, device=z.device)
        # Each row leaves its own share of attributes free: one alone is asked for as often as all together.
        free = torch.rand(labels.shape, generator=generator, device=z.device) < chance[0]
        kept = free.logical_not() | (not c.free_attributes)
        return Draws(
            told=labels.where(kept, -1),
            wrong=labels.roll(1, 0).where(kept, -1),
            prior=prior,
            bare=chance[1, :, 0] < c.prior_share,
            start=torch.where(chance[2] < c.real_starts, z.roll(1, 0), prior),
            close=(chance[3, :, 0] < 0.5) | (not c.optional_closeness),
            alpha=torch.rand(z.shape, generator=generator, device=z.device),
        )

    def loss_from_draws(
        self, batch: ConstraintBatch, draws: Draws, acts: bool, judges: bool = False
    ) -> LossParts:
        """`loss` with everything drawn.

        Args:
            acts: whether the actor learns too.
            judges: whether fakes are judged, if there is a `judge`.
        """
        z, y = batch.z, self.one_hot(draws.told)
        with torch.no_grad():
            acted = self._act(draws.start, y, draws.close)
        fake = torch.where(draws.bare[:, None], draws.prior, acted)
        parts = {
            "critic": self._critic_loss(z, fake, y, draws),
            "penalty": self._penalty(torch.lerp(z, fake, draws.alpha), y),
            "attributes": self._reading(z, batch.labels),
        }
        weights = {"critic": 1.0, "penalty": self.config.penalty_weight, "attributes": 1.0}
        if judges and self.judge is not None:
            shown = fake[: self.config.judged]
            parts["judged"] = self._reading(shown, self.judge(shown))
            weights["judged"] = 1.0
        if acts:
            parts |= self._actor_losses(draws, y)
            weights |= {"actor": 1.0, "distance": 1.0, "asked": self.config.attribute_weight}
        loss = torch.stack([weights[name] * value for name, value in parts.items()]).sum()
        return {"loss": loss, **{name: value.detach() for name, value in parts.items()}}

    def _critic_loss(self, z: Tensor, fake: Tensor, y: Tensor, draws: Draws) -> Tensor:
        """Mean cross-entropy of D over real z, fakes, and real z with wrong labels."""
        told, wrong = draws.told, draws.wrong
        is_wrong = ((told != wrong) & (told >= 0) & (wrong >= 0)).any(dim=1).float()
        logits = self.critic(torch.cat([z, fake, z]), torch.cat([y, y, self.one_hot(wrong)]))
        ones = torch.ones_like(is_wrong)
        real, counts = torch.cat([ones, 0 * ones, 0 * ones]), torch.cat([ones, ones, is_wrong])
        entropy = F.binary_cross_entropy_with_logits(logits, real, reduction="none")
        return (counts * entropy).sum() / counts.sum()

    def _penalty(self, mixed: Tensor, y: Tensor) -> Tensor:
        """Mean (|∂D/∂z| - 1)² at points [B, Z] between real and fake, so that D rises evenly between them."""
        mixed = mixed.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(mixed, y).sum(), mixed, create_graph=True)
        return ((slope.square().sum(dim=1) + 1e-10).sqrt() - 1).square().mean()

    def _reading(self, z: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of labels [B, A] that the attribute critic reads off z."""
        return cross_entropy(self.attribute_critic(z), self.one_hot(labels), self.columns(labels))

    def _actor_losses(self, draws: Draws, y: Tensor) -> LossParts:
        """What the actor's z* costs before critics that are held still."""
        moved = self._act(draws.start, y, draws.close)
        belief = torch.sigmoid(functional_call(self.critic, _held(self.critic), (moved, y)))
        read = functional_call(self.attribute_critic, _held(self.attribute_critic), (moved,))
        w = self.config.distance_weight * draws.close.float()
        return {
            "actor": -belief.clamp(min=1e-15).log().mean(),
            "distance": (w * self.distance(moved, draws.start)).mean(),
            "asked": cross_entropy(read, y, self.columns(draws.told)),
        }

    def _held_out(self, batch: ConstraintBatch, draws: Draws, generator: torch.Generator | None) -> LossParts:
        """How far the actor is from what it should do; unlike the players' losses this falls as they learn.

        The sliced Wasserstein distance between what it makes, with what it was asked for, and real z with
        their labels, which are scaled to have as much spread as z; and what the attribute critic misses.
        """
        y = self.one_hot(draws.told)
        moved = self._act(draws.start, y, torch.zeros_like(draws.close))
        asked = cross_entropy(self.attribute_critic(moved), y, self.columns(draws.told))
        labels = y * (batch.z.var(dim=0).sum() / max(1, len(self.config.classes))).sqrt()
        made, real = (torch.cat([z, labels], dim=1) for z in (moved, batch.z))
        directions = random_directions(real.shape[1], DIRECTIONS, generator, real.device)
        distance = sliced_wasserstein(made, real, directions)
        return {"loss": distance + asked, "distance_to_real": distance, "asked": asked}


def cross_entropy(logits: Tensor, y: Tensor, counts: Tensor) -> Tensor:
    """Mean sigmoid cross-entropy in nats over the columns [B, L] that count (1, not 0)."""
    entropy = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
    return (counts * entropy).sum() / counts.sum().clamp(min=1.0)


def _held(module: nn.Module) -> dict[str, Tensor]:
    """A module's weights as constants."""
    return {name: weight.detach() for name, weight in module.named_parameters()}


def build(config: ModelConfig, representation: object = None) -> LatentConstraints:
    """The untrained networks of a configuration. A bridge has no representation: its base has."""
    return LatentConstraints(config)
