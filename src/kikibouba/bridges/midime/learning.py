"""How a MidiMe bridge learns: from the posteriors of a few songs, in seconds, or as batches for the training
loop.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kikibouba.bridges.midime.model import MidiMe
from kikibouba.config import TrainConfig
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Normal
from kikibouba.nn.schedules import learning_rate
from kikibouba.train.optimizer import TensorFlowAdam, clip_global_norm

Progress = Callable[[int, int, float], None]
"""Called after a step with how many are done, how many there will be, and the loss."""

LOG_EVERY = 10
"""Steps between two lines of the log."""


class LatentBatches:
    """Posteriors of a base as training data (`train.data.TrainingData`); a batch is a `Normal`."""

    def __init__(
        self, train: Normal, valid: Normal | None = None, batch_size: int = 2, seed: int = 0, source: str = ""
    ) -> None:
        """Args:
        train, valid: posteriors [n, Z] float32.
        batch_size: as many different examples a step; of fewer, all.
        seed: of their order.
        source: what they are of, for the card and to know a run again.
        """
        self.train, self.valid, self.seed, self.description = train, valid, seed, source
        self.batch_size = min(batch_size, len(train.mu))

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what `batch` returns."""
        return {
            "examples": self.description,
            "count": len(self.train.mu),
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Normal:
        """This process's share of the batch of a step; a pure function of (seed, step)."""
        if world > self.batch_size:
            raise KikiboubaError(f"{self.batch_size} examples cannot be shared by {world} processes")
        if self.batch_size == len(self.train.mu):
            return Normal(*(column[rank::world] for column in self.train))
        rng = np.random.default_rng([self.seed, step])
        rows = rng.choice(len(self.train.mu), self.batch_size, replace=False)[rank::world]
        return Normal(*(column[torch.from_numpy(rows)] for column in self.train))

    def eval_batches(self) -> Iterator[Normal]:
        """The held-out posteriors, if there are any, at once: they are small."""
        if self.valid is not None:
            yield self.valid


class Logged(NamedTuple):
    """The loss and its parts after so many steps."""

    step: int
    values: dict[str, float]


def learn(
    bridge: MidiMe,
    data: LatentBatches,
    config: TrainConfig,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Logged]:
    """Train a bridge in place, all steps at a stretch; nothing is saved on the way.

    Args:
        bridge: on the device of the data.
        config: steps, learning rate and clipping; the batch size is the data's.
        seed: of the noise.
        progress: told of every step.

    Returns:
        The losses of every tenth step, and of the last.

    Raises:
        KikiboubaError: the loss became NaN.
    """
    optimizer = TensorFlowAdam(bridge.parameters(), lr=config.learning_rate)
    generator = torch.Generator(data.train.mu.device).manual_seed(seed)
    log = []
    bridge.train()
    with _one_thread():
        for step in range(config.num_steps):
            parts = bridge.loss(data.batch(step), step, generator)
            _update(optimizer, parts["loss"], step, config)
            loss = parts["loss"].item()
            if not np.isfinite(loss):
                raise KikiboubaError(f"the loss became {loss} at step {step}; give a lower learning_rate")
            if (step + 1) % LOG_EVERY == 0 or step + 1 == config.num_steps:
                log.append(Logged(step + 1, {name: value.item() for name, value in parts.items()}))
            if progress is not None:
                progress(step + 1, config.num_steps, loss)
    bridge.eval()
    return log


def _update(optimizer: TensorFlowAdam, loss: Tensor, step: int, config: TrainConfig) -> None:
    (group,) = optimizer.param_groups
    group["lr"] = learning_rate(step, config.learning_rate, config.min_learning_rate, config.decay_rate)
    optimizer.zero_grad()
    loss.backward()
    clip_global_norm(group["params"], config.grad_clip, config.grad_norm_clip_to_zero)
    optimizer.step()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run on one core: layers this small gain nothing from more, and lose time waiting where others work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
