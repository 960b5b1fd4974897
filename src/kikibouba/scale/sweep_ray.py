"""The trials of a sweep on a Ray cluster, through Ray Tune.

What Tune calls a trial is here one job: one of ours, trained up to its next rung. Tune asks `Jobs` for one
when there is room, finds a machine, starts a process there or uses one again, and says what came of it.
Which job is next, and which trial is stopped early, is decided by the same board as on local processes, so
the table is the same. Tune's own schedulers decide by order of arrival, and its own checkpoints would be
copies of those that training writes; neither is used.

When a machine is lost, its jobs fail, and the board gives them out again: training goes on from what it
saved in the trial's folder, as soon as the lost process has let go of the folder's lock.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

from kikibouba.errors import KikiboubaError
from kikibouba.scale.ray_start import connected
from kikibouba.scale.sweep_board import Board, Job
from kikibouba.scale.sweep_folder import saved_step
from kikibouba.scale.sweep_local import Report
from kikibouba.scale.sweep_trial import train_job

SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # whose banner "verbose=0" does not silence
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our folders hold all there is to log
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",  # after Ctrl-C do not wait for the end of a job
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Variables that Tune reads."""

LOGGERS = ("ray.tune.execution.tune_controller", "ray.tune.tune")
"""Tune's loggers of failures."""

ENDLESS = -1
"""Tune's number of samples: until the search says that there are no more."""


def run_on_ray(
    board: Board,
    out: Path,
    names: Sequence[str],
    address: str,
    workers: int | None,
    threads: int,
    device: str,
    report: Report,
) -> None:
    """Work a board off on a cluster. Ctrl-C ends it; `board.interrupted` then says so.

    Args:
        board: what to run; it is told what came of it.
        out: folder of the sweep, absolute, which all machines see under this path.
        names: of the trials.
        address: see `ray_start.connected`.
        workers: how many trials train at a time; None: as many as there is room for.
        threads: CPU threads of each, and CPUs that Ray sets aside for it.
        device: "cpu"; or "cuda", for which each trial has a GPU.
        report: called after every job.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    gpus = int(device.startswith("cuda"))
    scratch = out / ".tune"
    shutil.rmtree(scratch, ignore_errors=True)
    with connected(address):
        failures = Failures()
        jobs = Jobs(board, out, names, {"threads": threads, "device": device}, report, failures)
        tuner = tune.Tuner(
            tune.with_resources(Training, {"cpu": threads, "gpu": gpus}),
            tune_config=tune.TuneConfig(
                search_alg=jobs,
                num_samples=ENDLESS,
                max_concurrent_trials=workers or _room(threads, gpus),
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=str(scratch),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=0,
            ),
        )
        try:
            with failures.heard():
                tuner.fit()
        except Exception as error:
            if board.halted is None:
                reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
                raise KikiboubaError(f"Ray gave up ({reason}); repeat the command to go on") from error
    shutil.rmtree(scratch, ignore_errors=True)
    if not board.halted and any(standing.kind in ("ready", "waiting") for standing in board.standings()):
        board.interrupted = True


def _room(threads: int, gpus: int) -> int:
    """How many trials fit on the machines of the cluster."""
    room = 0
    for node in ray.nodes():
        if node["Alive"]:
            fit = int(node["Resources"].get("CPU", 0)) // threads
            room += min(fit, int(node["Resources"].get("GPU", 0))) if gpus else fit
    if not room:
        raise KikiboubaError(
            f"no machine of the cluster has {threads} CPUs{' and a GPU' if gpus else ''} for a trial; "
            "lower --threads, or say with --workers how many to begin once there are more machines"
        )
    return room


class Jobs(Searcher):
    """Gives Tune the jobs of a board, and the board what came of them."""

    def __init__(
        self,
        board: Board,
        out: Path,
        names: Sequence[str],
        how: dict[str, Any],
        report: Report,
        failures: "Failures",
    ) -> None:
        super().__init__()
        self.board, self.out, self.names, self.how = board, out, names, how
        self.report, self.failures = report, failures
        self.running: dict[str, Job] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next job; None while there is none, FINISHED when there will be none."""
        if (job := self.board.next_job()) is None:
            return Searcher.FINISHED if self.board.over else None
        self.running[trial_id] = job
        return {"out": str(self.out), "name": self.names[job.trial], "rung": job.rung, **self.how}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Settle a job. One without an answer was lost with its process or its machine."""
        job = self.running.pop(trial_id)
        if error or not result or "answer" not in result:
            step = saved_step(self.out / self.names[job.trial])
            answer = {"died": self.failures.last, "step": step}
        else:
            answer = json.loads(result["answer"])
        self.report(job, self.board.settle(job, answer))

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing: a sweep that is called again knows from its folders what is done."""


class Failures(logging.Filter):
    """What Tune logs of a failure, many lines with a traceback, in one: the last."""

    def __init__(self) -> None:
        super().__init__()
        self.last = "its process or its machine was lost"

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep failures from the console; `Jobs` reports them."""
        if record.exc_info and record.exc_info[1] is not None:
            lines = str(record.exc_info[1]).strip().splitlines()
            self.last = lines[-1].strip() if lines else self.last
        return record.levelno < logging.ERROR

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Within this context Tune's loggers ask this filter."""
        loggers = [logging.getLogger(name) for name in LOGGERS]
        for logger in loggers:
            logger.addFilter(self)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(self)


class Training(tune.Trainable):
    """A process that trains one job after the other."""

    def setup(self, config: dict[str, Any]) -> None:
        """A first job."""
        self.job = config

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Another job."""
        self.job = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Do it."""
        return {"answer": json.dumps(train_job(**self.job)), "done": True}
