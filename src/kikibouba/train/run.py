"""One training run: what happens in a step, when it is evaluated and saved, how it goes on after a crash."""

import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kikibouba.config import Preset
from kikibouba.data.files import write_text
from kikibouba.errors import KikiboubaError
from kikibouba.nn.schedules import learning_rate
from kikibouba.train.checkpoint import model_card, save_checkpoint
from kikibouba.train.data import TrainingData
from kikibouba.train.log import TrainLog, plot_loss
from kikibouba.train.optimizer import TensorFlowAdam, clip_global_norm, clip_value
from kikibouba.train.parallel import Processes
from kikibouba.train.state import (
    MovingAverage,
    check_identity,
    forget,
    load_state,
    restore,
    run_identity,
    save_state,
)

TRAIN, EVAL = 0, 1
"""Streams of noise."""

SCHEDULES_END = 10**9
"""Held-out losses are those of this step: with a weight on the KL term that still rises, the untrained
model would look best.
"""


class Run:
    """The state of one run, and what is done in each step."""

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
        self.config = config = preset.train
        self.model, self.data, self.preset, self.out, self.seed = model.to(device), data, preset, out, seed
        self.device, self.processes = device, processes
        self.params = [p for p in model.parameters() if p.requires_grad]
        betas = getattr(model, "adam_betas", (0.9, 0.999))
        self.optimizer: torch.optim.Adam = TensorFlowAdam(self.params, lr=config.learning_rate, betas=betas)
        self.generator = torch.Generator(device)
        self.average: MovingAverage | None = None
        self.step, self.saved_step, self.examples = 0, 0, 0
        self.best: dict[str, Any] = {}
        self.seconds_before, self.began = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall-clock time of the run, over all its sessions."""
        return self.seconds_before + time.monotonic() - self.began

    def begin(self, resume: bool) -> None:
        """Start from the saved state in the folder, or from the weights the model has."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KikiboubaError(f"cannot write to {self.out}: {error.strerror}") from None
        self.processes.share_weights(self.model.state_dict().values())
        if self.config.ema_decay:
            self.average = MovingAverage(self.model, self.config.ema_decay)
        self.identity = run_identity(self.preset, self.seed, self.data)
        state = load_state(self.out, str(self.device)) if resume else None
        if state is not None:
            check_identity(state.info["identity"], self.identity, self.out)
            restore(state, self.model, self.optimizer, self.average)
            self.step = self.saved_step = state.step
            self.best, self.seconds_before = state.info["best"], state.info["seconds"]
        elif resume and (self.out / "model.safetensors").exists():
            raise KikiboubaError(
                f"{self.out} holds a model but no state to go on from; choose another folder"
            )
        self.processes.wait()
        if state is None and self.processes.first:
            forget(self.out)
            self.save()

    def update(self, batch: Any, *, interrupted: bool, late: bool) -> dict[str, float]:
        """One step of gradient descent. Returns the loss, its parts, and who wants to stop."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(
                self.step, config.learning_rate, config.min_learning_rate, config.decay_rate
            )
        self.model.train()
        self.optimizer.zero_grad()
        parts = self._loss(batch, self.step, TRAIN, self.step, self.processes.rank)
        parts["loss"].backward()
        wishes = {"interrupted": float(interrupted), "late": float(late)}
        values = self.processes.average_gradients(self.params, len(batch[0]), floats(parts) | wishes)
        self._check(values["loss"], "loss")
        if config.clip_mode == "value":
            norm = clip_value(self.params, config.grad_clip)
        else:
            norm = clip_global_norm(self.params, config.grad_clip, config.grad_norm_clip_to_zero)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.step)
        self.step += 1
        self.examples += len(batch[0]) * self.processes.world
        return values | {"gradient_norm": norm, "learning_rate": self.optimizer.param_groups[0]["lr"]}

    def record(self, log: TrainLog, values: dict[str, float], *, last: bool, save: bool) -> None:
        """After a step: log, evaluate and save where that is due."""
        log.advance()
        if self.step % self.config.log_every == 0 or last:
            log.write(self.step, "train", values)
        if self.step % self.config.eval_every == 0 or last:
            self.evaluate(log)
        if self.step % self.config.save_every == 0 or last or save:
            self.save()

    def save(self) -> None:
        """All that is needed to go on from here."""
        info = {"identity": self.identity, "best": self.best, "seconds": self.seconds}
        save_state(self.out, self.step, self.model, self.optimizer, self.average, info)
        self.saved_step = self.step

    @torch.no_grad()
    def evaluate(self, log: TrainLog) -> None:
        """Mean loss over the held-out examples, of the averaged weights if there are any; keeps the best."""
        self.model.eval()
        with self.average.applied() if self.average else nullcontext():
            sums: dict[str, float] = {}
            count = 0
            for number, batch in enumerate(self.data.eval_batches()):
                count += len(batch[0])
                for name, value in floats(self._loss(batch, SCHEDULES_END, EVAL, number)).items():
                    sums[name] = sums.get(name, 0.0) + value * len(batch[0])
            valid = {name: value / count for name, value in sums.items()}
            if valid:
                log.write(self.step, "valid", valid)
                self._check(valid["loss"], "held-out loss")
            if not valid or not self.best or valid["loss"] < self.best["valid"]["loss"]:
                self.best = {"step": self.step, "valid": valid}
                save_checkpoint(self.out, self.model, self.preset, self._metrics(), self._card())

    def finish(self, log: TrainLog) -> None:
        """Final metrics and the picture of the loss."""
        if not self.best:
            self.evaluate(log)
        write_text(self.out / "metrics.json", json.dumps(self._metrics(), indent=2) + "\n")
        write_text(self.out / "README.md", self._card())
        plot_loss(self.out)
        log.say(f"kept the weights of step {self.best['step']} in {self.out}")

    def _loss(self, batch: Any, schedule_step: int, *stream: int) -> dict[str, Tensor]:
        """The model's loss; see `loss_of`."""
        return self.loss_of(self.model.loss, batch, schedule_step, *stream)

    def loss_of(
        self, loss: Callable[..., dict[str, Tensor]], batch: Any, schedule_step: int, *stream: int
    ) -> dict[str, Tensor]:
        """A loss with noise drawn from the seed and a stream, whatever was drawn before."""
        words = np.random.SeedSequence([self.seed, *stream]).generate_state(1, np.uint64)
        self.generator.manual_seed(int(words[0] >> np.uint64(1)))
        torch.manual_seed(int(words[0] >> np.uint64(1)))  # for layers that know the global generator only
        batch = type(batch)(*(t.to(self.device, non_blocking=True) for t in batch))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            return loss(batch, schedule_step, self.generator)

    def _check(self, loss: float, what: str) -> None:
        if math.isfinite(loss):
            return
        raise KikiboubaError(
            f"the {what} became {loss} at step {self.step}; "
            f"the last good state (step {self.saved_step}) is kept in {self.out}/state. "
            "Look for broken examples, or start again with a lower train.learning_rate or train.grad_clip"
        )

    def _metrics(self) -> dict[str, Any]:
        elapsed = time.monotonic() - self.began
        return self.best | {
            "steps_done": self.step,
            "seconds": round(self.seconds, 1),
            "examples_per_second": round(self.examples / elapsed, 1),
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "seed": self.seed,
        }

    def _card(self) -> str:
        return model_card(
            self.preset,
            data=getattr(self.data, "description", "see the command"),
            licence="that of the data",
            command=shlex.join(sys.argv),
            seed=self.seed,
            minutes=self.seconds / 60,
            figures={"step": self.best["step"], **self.best["valid"]},
            weaknesses=(),
        )


def floats(parts: Mapping[str, Tensor]) -> dict[str, float]:
    """Scalars off the device in one go."""
    values = torch.stack([part.detach().float().reshape(()) for part in parts.values()]).tolist()
    return dict(zip(parts, values, strict=True))
