"""The toy model."""

from typing import Any

import torch
from torch import nn

from kikibouba.models.base import Batch
from toy_family.config import ModelConfig

Z = 3


class ToyModel(nn.Module):
    """Predicts an example's sum from its length and first value through a noisy bottleneck."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.into = nn.Linear(2, Z)
        self.out = nn.Linear(Z, 1)

    def loss(
        self, batch: Batch, step: int, generator: torch.Generator | None = None
    ) -> dict[str, torch.Tensor]:
        x, lengths = batch.x.float(), batch.lengths.float()
        z = torch.tanh(self.into(torch.stack([lengths, x[:, 0]], 1) / 8))
        if self.training:
            z = z + self.config.noise * torch.randn(z.shape, generator=generator)
        error = (self.out(z).squeeze(1) - x.sum(1) / 8).square().mean()
        return {"loss": error, "error": error.detach()}


def build(config: ModelConfig, representation: Any) -> ToyModel:
    """The model of a config."""
    return ToyModel(config)
