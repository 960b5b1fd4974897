"""Training in turns: a step makes several updates one after the other, each of its own parameters by its own
loss, as adversaries do. A model says which (`models.base.Turn`); all else is as in any run.

The optimiser is PyTorch's Adam, with a learning rate for each turn. A gradient that is not finite, or whose
norm reaches `grad_norm_clip_to_zero`, updates nothing, so that one bad batch cannot spoil a long run.
"""

import math
from pathlib import Path
from typing import Any

import torch

from kikibouba.config import Preset
from kikibouba.models.base import Turn
from kikibouba.nn.schedules import learning_rate
from kikibouba.train.data import TrainingData
from kikibouba.train.optimizer import clip_global_norm, clip_value
from kikibouba.train.parallel import Processes
from kikibouba.train.run import TRAIN, Run, floats


class RunInTurns(Run):
    """A run of a model that has `turns()`."""

    def __init__(
        self,
        model: Any,
        data: TrainingData,
        preset: Preset,
        out: Path,
        seed: int,
        device: torch.device,
        processes: Processes,
    ) -> None:
        super().__init__(model, data, preset, out, seed, device, processes)
        self.turns: list[Turn] = self.model.turns()
        groups = [{"params": turn.parameters} for turn in self.turns]
        self.optimizer = torch.optim.Adam(groups, lr=self.config.learning_rate, fused=True)

    def update(self, batch: Any, *, interrupted: bool, late: bool) -> dict[str, float]:
        """One step: every turn once.

        Returns:
            The terms of all losses, `loss` being the last one's, and who wants to stop.
        """
        self.model.train()
        wishes = {"interrupted": float(interrupted), "late": float(late)}
        values: dict[str, float] = {}
        for turn in self.turns:
            values |= self._take(turn, batch, wishes)
        if self.average is not None:
            self.average.update(self.step)
        self.step += 1
        self.examples += len(batch[0]) * self.processes.world
        return values

    def _take(self, turn: Turn, batch: Any, wishes: dict[str, float]) -> dict[str, float]:
        """One turn. Only its own parameters have gradients then, so Adam leaves all others alone."""
        config = self.config
        rate = learning_rate(self.step, config.learning_rate, config.min_learning_rate, config.decay_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * turn.share(self.step)
        self.optimizer.zero_grad()
        parts = self.loss_of(turn.loss, batch, self.step, TRAIN, self.step, self.processes.rank)
        gradients = torch.autograd.grad(parts["loss"], turn.parameters, allow_unused=True)
        for parameter, gradient in zip(turn.parameters, gradients, strict=True):
            parameter.grad = gradient
        values = self.processes.average_gradients(turn.parameters, len(batch[0]), floats(parts) | wishes)
        self._check(values["loss"], "loss")
        if config.clip_mode == "value":
            norm = clip_value(turn.parameters, config.grad_clip)
        else:
            norm = clip_global_norm(turn.parameters, config.grad_clip)
        left_out = not math.isfinite(norm) or norm >= config.grad_norm_clip_to_zero
        if not left_out:
            self.optimizer.step()
        own = {f"{turn.name}_gradient_norm": norm, f"{turn.name}_left_out": float(left_out)}
        return values | own | {"learning_rate": rate * turn.share(self.step)}
