"""The training loop: anything with `loss(batch, step, generator)`, on one process or on many.

Step t depends on the weights, the optimiser's moments, the seed and t alone: batches, augmentation and
noise are drawn from generators seeded with (seed, t). So no random state is saved, and a run that was
killed goes on bit by bit as if nothing had happened.
"""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from kikibouba.config import Preset, TrainConfig, read_json
from kikibouba.errors import Interrupted
from kikibouba.train.data import Prefetch, TrainingData
from kikibouba.train.log import TrainLog
from kikibouba.train.memory import keep_freed_memory
from kikibouba.train.parallel import join_processes, usable_device
from kikibouba.train.run import Run
from kikibouba.train.signals import StopSignals
from kikibouba.train.turns import RunInTurns


def fit(
    model: Any,
    data: TrainingData,
    config: TrainConfig,
    out_dir: str | Path,
    *,
    preset: Preset,
    seed: int = 0,
    device: str = "cpu",
    max_minutes: float | None = None,
    num_steps: int | None = None,
    resume: bool = True,
    tensorboard: bool = False,
) -> dict[str, Any]:
    """Train a model, in place, and keep the weights that do best on held-out data.

    Args:
        model: an `nn.Module` with `loss(batch, step, generator) -> LossParts`; one with `turns` is trained in
            turns, see `turns`.
        data: batches, see `TrainingData`.
        config: the recipe.
        out_dir: gets the checkpoint (see `checkpoint`), `log.jsonl`, `times.jsonl`, `loss.png` and `state/`.
        preset: written to the checkpoint's `config.json`, with `config` as its recipe.
        seed: of the model's noise; initial weights and batches have their own.
        device: "cpu", "cuda", "cuda:1", "mps"; under torchrun "cuda" is one GPU per process.
        max_minutes: after this time save, evaluate and return, as if all steps were done.
        num_steps: overrides `config.num_steps`.
        resume: go on with the run in `out_dir`, if there is one; False starts it over.
        tensorboard: also write TensorBoard files.

    Returns:
        What `metrics.json` holds: the kept weights' `step` and held-out figures (`valid`), `steps_done`,
        `seconds`, `examples_per_second`, `parameters`.

    Raises:
        KikiboubaError: the loss became NaN; interrupted (says how to go on); `out_dir` holds another run or
            cannot be
            written to; no such device.
    """
    keep_freed_memory()
    preset = replace(preset, train=replace(config, num_steps=num_steps or config.num_steps))
    deadline = math.inf if max_minutes is None else time.monotonic() + 60 * max_minutes
    with join_processes(device) as processes:
        kind = RunInTurns if hasattr(model, "turns") else Run
        run = kind(model, data, preset, Path(out_dir), seed, usable_device(device, processes), processes)
        run.begin(resume)
        if run.step < preset.train.num_steps or not (run.out / "metrics.json").is_file():
            with TrainLog(run.out, run.step, preset.train.num_steps, processes.first, tensorboard) as log:
                _train(run, log, deadline)
        return read_json(run.out / "metrics.json")


def _train(run: Run, log: TrainLog, deadline: float) -> None:
    """Steps until the last one, the deadline or Ctrl-C."""
    goal = run.config.num_steps
    late = False
    with Prefetch(run.data, run.processes.rank, run.processes.world) as batches, StopSignals() as signals:
        while run.step < goal and not late:
            batch = batches.batch(run.step)
            values = run.update(batch, interrupted=signals.received, late=time.monotonic() >= deadline)
            interrupted, late = values.pop("interrupted") > 0, values.pop("late") > 0
            if run.processes.first:
                run.record(log, values, last=late or run.step == goal, save=interrupted)
            if interrupted and run.step < goal:
                again = "repeat the command (same output folder) to go on"
                raise Interrupted(f"interrupted after step {run.step}, saved in {run.out}/state; {again}")
    if run.processes.first:
        run.finish(log)
    run.processes.wait()
