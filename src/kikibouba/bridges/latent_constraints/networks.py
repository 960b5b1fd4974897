"""The three networks of latent constraints, as the original has them: ReLU layers on [z, embedded labels]."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kikibouba.nn.gated_affine import linear


class Trunk(nn.Module):
    """h = ReLU layers of [z, E y + e]; without labels (label_size 0) of z alone.

    `leak`: the slope of each ReLU below 0.
    """

    def __init__(self, z_size: int, label_size: int, width: int, layers: int, leak: float) -> None:
        super().__init__()
        self.leak = leak
        self.embedding = linear(label_size, width) if label_size else None
        sizes = [z_size + width * bool(label_size), *[width] * layers]
        self.hidden = nn.ModuleList(linear(n, m) for n, m in pairwise(sizes))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """z [B, Z], y [B, L] → h [B, width]."""
        h = z if self.embedding is None or y is None else torch.cat([z, self.embedding(y)], dim=-1)
        for layer in self.hidden:
            h = F.leaky_relu(layer(h), self.leak)
        return h


class Actor(nn.Module):
    """G(z, y): z* = (1 - g) ⊙ z + g ⊙ δ, with δ and the gate's logits linear in h."""

    def __init__(self, z_size: int, label_size: int, width: int, layers: int, leak: float) -> None:
        super().__init__()
        self.trunk = Trunk(z_size, label_size, width, layers, leak)
        self.delta_and_gate = linear(width, 2 * z_size)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """z [B, Z], y [B, L] → z* [B, Z]."""
        delta, gate = self.delta_and_gate(self.trunk(z, y)).chunk(2, dim=-1)
        return torch.lerp(z, delta, torch.sigmoid(gate))


class Critic(nn.Module):
    """D(z, y): the logit of z being a posterior sample of an example with labels y."""

    def __init__(self, z_size: int, label_size: int, width: int, layers: int, leak: float) -> None:
        super().__init__()
        self.trunk = Trunk(z_size, label_size, width, layers, leak)
        self.logit = linear(width, 1)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """z [B, Z], y [B, L] → logits [B]."""
        return self.logit(self.trunk(z, y)).squeeze(-1)


class AttributeCritic(nn.Module):
    """D_attr(z): a logit for each class of each attribute."""

    def __init__(self, z_size: int, label_size: int, width: int, layers: int, leak: float) -> None:
        super().__init__()
        self.trunk = Trunk(z_size, 0, width, layers, leak)
        self.logits = linear(width, label_size)

    def forward(self, z: Tensor) -> Tensor:
        """z [B, Z] → logits [B, L]."""
        return self.logits(self.trunk(z))
