"""Gated mixing: a deep path and a linear shortcut, blended per output unit by a learnt gate."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GatedAffine(nn.Module):
    """(1 - g) * skip(u) + g * value(h), with the gate g = sigmoid(gate(h)).

    h is what an MLP made of u. Where the gate is shut the layer is affine in u, so a network built on it can
    start as a linear map and bend only where that pays.
    """

    def __init__(self, hidden_size: int, skip_size: int, output_size: int) -> None:
        super().__init__()
        self.value_and_gate = linear(hidden_size, 2 * output_size)
        self.skip = linear(skip_size, output_size)

    def forward(self, h: Tensor, u: Tensor) -> Tensor:
        """h [B, hidden_size], u [B, skip_size] → [B, output_size]."""
        value, gate = self.value_and_gate(h).chunk(2, dim=-1)
        return torch.lerp(self.skip(u), value, torch.sigmoid(gate))


class GatedMLP(nn.Module):
    """A ReLU network with one or more outputs, each a gated mixture of its last layer and its input."""

    def __init__(
        self, input_size: int, output_sizes: Sequence[int], width: int, layers: int, gated: bool = True
    ) -> None:
        """`gated=False` leaves the mixing out: outputs are affine in the last hidden layer alone.

        With `layers=0` the last hidden layer is the input itself; `width` then must be `input_size`.
        """
        super().__init__()
        self.gated = gated
        self.hidden = nn.ModuleList(linear(n, m) for n, m in pairwise([input_size, *[width] * layers]))
        self.heads = nn.ModuleList(
            GatedAffine(width, input_size, size) if gated else linear(width, size) for size in output_sizes
        )

    def forward(self, u: Tensor) -> list[Tensor]:
        """u [B, input_size] → one [B, size] per output."""
        h = u
        for layer in self.hidden:
            h = F.relu(layer(h))
        return [head(h, u) if self.gated else head(h) for head in self.heads]


def linear(input_size: int, output_size: int) -> nn.Linear:
    """A linear layer as Sonnet starts it: weights truncated normal of std 1/sqrt(input_size), bias 0."""
    layer = nn.Linear(input_size, output_size)
    std = input_size**-0.5
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    nn.init.zeros_(layer.bias)
    return layer
