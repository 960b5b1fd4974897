"""One base's doorway into the shared network: its units, which of its dimensions matter, and its width."""

import numpy as np
import torch
from torch import Tensor, nn

from kikibouba.nn.gated_affine import linear

QUANTILES = 129
"""Levels that tell how an attribute is spread."""


class Domain(nn.Module):
    """Standardises a base's latents and adapts them linearly to the width that all domains share.

    Neither is in the paper, whose two bases had latents of one size and scale. Without the first, the base
    with the larger variance would own the squared error; without the second, latent sizes could not differ.
    """

    mean: Tensor
    std: Tensor
    informativeness: Tensor
    quantiles: Tensor

    def __init__(self, z_size: int, common_size: int, adapt: bool, num_attributes: int = 0) -> None:
        """`adapt=False` needs z_size == common_size."""
        super().__init__()
        self.register_buffer("quantiles", torch.zeros(num_attributes, QUANTILES))
        self.register_buffer("mean", torch.zeros(z_size))
        self.register_buffer("std", torch.ones(z_size))
        self.register_buffer("informativeness", torch.ones(z_size))
        self.adapt_in = linear(z_size, common_size) if adapt else nn.Identity()
        self.adapt_out = linear(common_size, z_size) if adapt else nn.Identity()

    def set_units(self, mean: Tensor, std: Tensor) -> None:
        """How to standardise: moments [z_size] of the base's aggregate posterior (`Posteriors`)."""
        self.mean.copy_(mean)
        self.std.copy_(std)

    def set_quantiles(self, attribute: int, values: np.ndarray) -> None:
        """Learn from the training items' values [n] of an attribute (NaN is ignored) how they are spread."""
        levels = np.quantile(values[np.isfinite(values)], np.linspace(0.0, 1.0, QUANTILES))
        self.quantiles[attribute] = torch.from_numpy(levels)

    def rank(self, values: np.ndarray) -> np.ndarray:
        """Attribute values [n, attributes] → where they stand among the training items', 0 to 1."""
        found = np.empty(values.shape)
        for column, levels in enumerate(self.quantiles.cpu().numpy()):
            sides = [np.searchsorted(levels, values[:, column], side) for side in ("left", "right")]
            found[:, column] = (sides[0] + sides[1]) / 2 / QUANTILES
        return found

    def standardise(self, z: Tensor) -> Tensor:
        """Latents [B, z_size] in the base's units → x: mean 0, variance 1 over its aggregate posterior."""
        return (z - self.mean) / self.std

    def restore(self, x: Tensor) -> Tensor:
        """The inverse of `standardise`."""
        return x * self.std + self.mean

    def weigh(self, x: Tensor) -> Tensor:
        """x with every dimension scaled by the root of its informativeness.

        Squared lengths then count a dimension by the share of its variance that the base's encoder
        determines: a collapsed dimension, pure noise that the base's decoder ignores, counts nothing.
        """
        return x * self.informativeness.sqrt()

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """Mean over batch and weighed dimensions of (a - b)², for standardised a, b [B, z_size]."""
        return self.weigh(a - b).square().sum(dim=-1).mean() / self.informativeness.sum()
