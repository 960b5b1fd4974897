"""Constraints without an actor: walk z downhill on what the critics say, each one until it is good enough.

    r_w · CE(D(z', y), 1) + a_w · CE(D_attr(z'), y) + p_w · mean ln(1 + (z' - z)²) / σ̄²

Slower than the actor, and free of its habits: every z goes its own, shortest way. After the original's
gradient-based alternative, which stops when |y - σ(D_attr)| is small on average over its yes-or-no
attributes; here each class that is asked for, or against, must be read.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from kikibouba.bridges.latent_constraints.model import LatentConstraints


@dataclass(frozen=True)
class Search:
    """How to walk; defaults lie within the ranges of the original."""

    steps: int = 300
    """At most."""
    learning_rate: float = 0.01
    """Of Adam."""
    realism_weight: float = 0.05
    attribute_weight: float = 1.0
    distance_weight: float = 0.0
    realism_threshold: float = 0.3
    """σ(D) above which z is real enough; so is one that is as real as its start."""
    attribute_threshold: float = 0.9
    """1 - max |y - σ(D_attr)|, over what was asked, above which an example has it."""


FREE = Search()
CLOSE = Search(distance_weight=0.01)


def search(bridge: LatentConstraints, z: Tensor, labels: Tensor, how: Search) -> Tensor:
    """z [B, Z] moved until the critics find labels [B, A] in it, -1 = free. No row depends on another."""
    y, told = bridge.one_hot(labels), bridge.columns(labels)
    with torch.no_grad():
        begun = torch.sigmoid(bridge.critic(z, 0 * y)).clamp(max=how.realism_threshold)
    count = told.sum(dim=1).clamp(min=1.0)
    moved = z.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([moved], lr=how.learning_rate)
    done = torch.zeros(len(z), dtype=torch.bool, device=z.device)
    for _ in range(how.steps):
        logit, read = bridge.critic(moved, y), bridge.attribute_critic(moved)
        missing = (told * (y - torch.sigmoid(read)).abs()).amax(dim=1)
        done |= (torch.sigmoid(logit) >= begun) & (1 - missing > how.attribute_threshold)
        if done.all():
            break
        entropy = F.binary_cross_entropy_with_logits(read, y, reduction="none")
        cost = (
            how.realism_weight * F.softplus(-logit)
            + how.attribute_weight * (told * entropy).sum(dim=1) / count
            + how.distance_weight * bridge.distance(moved, z)
        )
        before = moved.detach().clone()
        (moved.grad,) = torch.autograd.grad(cost.sum(), moved)
        optimiser.step()
        with torch.no_grad():
            moved[done] = before[done]
    return moved.detach()
