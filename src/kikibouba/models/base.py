"""What every latent-variable model offers: `encode`, `decode`, `loss`. All else is built on these three."""

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

LossParts = dict[str, Tensor]
"""Named scalars of one step. `loss` is the one to minimise; the others are for the log."""


class Normal(NamedTuple):
    """A diagonal normal distribution over latent vectors: the posterior q(z|x)."""

    mu: Tensor
    """[B, Z]"""
    sigma: Tensor
    """[B, Z], standard deviation, > 0"""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """z = mu + sigma * eps with eps ~ N(0, 1). [B, Z]"""
        eps = torch.randn(self.mu.shape, generator=generator, device=self.mu.device, dtype=self.mu.dtype)
        return self.mu + self.sigma * eps


class Batch(NamedTuple):
    """What a model is trained on."""

    x: Tensor
    """Labels [B, T] or [B, T, K] int64 (melody, drums, trio), numbers [B, T, K] float32 (groove), or stroke-5
    rows [B, N, 5] float32 (sketch). Of pairs: sources and then targets [B, S + T] int64.
    """
    lengths: Tensor
    """[B] int64: how many rows of each example are real; of pairs [B, 2], of source and target."""


class ClipBatch(NamedTuple):
    """What a model of sound is trained on: clips of equal length."""

    x: Tensor
    """Codes [B, T] int64, 0..255."""
    heard: Tensor
    """What the encoder hears of them, codes [B, T] int64: the same, or varied."""
    domain: Tensor
    """[B] int64: which domain each belongs to."""


class Turn(NamedTuple):
    """One of the updates of a step, of a model that is trained in turns (`train.turns`)."""

    name: str
    parameters: list[nn.Parameter]
    """What it updates, and nothing else."""
    loss: Callable[..., LossParts]
    """(batch, step, generator) → terms, as `loss` of a model."""
    share: Callable[[int], float]
    """Of the recipe's learning rate, at a step."""


@runtime_checkable
class LatentModel(Protocol):
    """`x → z → x`. Implementations are `torch.nn.Module`s; batch first everywhere."""

    z_size: int

    def encode(self, x: Tensor, lengths: Tensor) -> Normal:
        """The posterior q(z|x) of a batch laid out as in `Batch`."""
        ...

    def decode(
        self, z: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """z [B, Z] → (x, lengths) laid out as in `Batch`. `temperature=0` takes the most likely symbol.

        A model whose representation's layout has controls takes one more argument, `controls` [B, T, C]:
        what it is told at each step. None: nothing.
        """
        ...

    def loss(self, batch: Batch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """Training (or, in `eval()` mode, evaluation) loss of a batch at a training step (for schedules)."""
        ...
