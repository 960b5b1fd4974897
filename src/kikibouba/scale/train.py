"""`train` on a Ray cluster: the functions of `kikibouba.training`, in many processes that Ray Train starts.

Every process does what it would do under `torchrun`: it takes its share of each batch, and the first one
writes the folder of the run, which all nodes must share. That folder holds all there is to go on from, so a
run whose processes died (a node was lost) is started again and goes on from its last saved state.
"""

import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from shutil import rmtree
from types import ModuleType
from typing import Any

from kikibouba.config import read_json
from kikibouba.errors import Interrupted, KikiboubaError
from kikibouba.scale.ray_start import LOCAL, connected
from kikibouba.scale.rows import DIED, count, explain, here
from kikibouba.train.log import as_text, read_log
from kikibouba.train.state import forget

RESTARTS = 3
"""How often a run is started again whose processes died."""

PATIENCE = 600
"""Seconds in which all processes of a run must have started."""

SETTLE = 10.0
"""Seconds that a cluster gets to notice which of its nodes are gone."""


def train_on_ray(
    train: Callable[..., Any],
    out: str | Path,
    workers: int,
    *,
    resume: bool = True,
    cuda: bool = False,
    address: str = LOCAL,
    cores: int | None = None,
    say: Callable[[str], Any] = print,
) -> dict[str, Any]:
    """Run a training in several processes of a cluster.

    Args:
        train: a function of `kikibouba.training` with all its arguments but `resume`, such as
            `partial(train_model, preset, data, out, seed=1)`. Every node must see the files that it names,
            and this process's working folder, under the same paths.
        out: the folder of the run, as in `train`; all nodes share it.
        workers: processes, 1 or more; each takes a CPU, and a GPU if `cuda`.
        resume: go on with the run in `out`, if there is one; False starts it over.
        address: of the cluster, see `ray_start.connected`.
        cores: how many to use of a local cluster; by default all.
        say: told the lines of the log, and when the run is started again.

    Returns:
        The run's metrics, see `train.loop.fit`.

    Raises:
        KikiboubaError: no Ray, no cluster, fewer CPUs or GPUs than workers; a node does not see `out`; what
            `train` raises; processes died again and again. What was saved is kept.
    """
    out = Path(out).absolute()
    if workers < 1:
        raise KikiboubaError(f"--ray-workers {workers} must be at least 1")
    with connected(address, num_cpus=cores) as ray, _own_folder(out) as own:
        _check_size(ray, workers, cuda)
        if not resume:
            forget(out)
        for attempt in range(RESTARTS + 1):
            again = partial(train, resume=resume or attempt > 0)
            run = partial(_in_worker, again, own / "driver", Path.cwd(), sys.argv)
            with _spoken(out, say), _own_interrupts():
                reason = _fit(run, own, workers, cuda)
            if not reason:
                return read_json(out / "metrics.json")
            say(f"a process of the run died ({reason})")
            time.sleep(SETTLE)
            _check_size(ray, workers, cuda)
    raise KikiboubaError(
        f"processes of the run died {RESTARTS + 1} times, the last time of: {reason}; "
        "what was saved is kept, and the same command goes on from it"
    )


def _check_size(ray: ModuleType, workers: int, cuda: bool) -> None:
    """Ray Train would wait, in silence, until the cluster has grown."""
    for resource in ("CPU", "GPU") if cuda else ("CPU",):
        if count(ray, resource) < workers:
            raise KikiboubaError(
                f"the Ray cluster has {count(ray, resource)} {resource}s for --ray-workers {workers}: name "
                "fewer, or let more nodes join; what was saved of a run is kept"
            )


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Ctrl-C means afterwards what it meant before: Ray Train leaves a handler, which starts Ray anew."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _own_folder(out: Path) -> Iterator[Path]:
    """A folder for Ray's own notes, inside that of the run; by a file in it nodes know that they share it."""
    for left_over in out.glob(".ray-*"):
        rmtree(left_over, ignore_errors=True)
    own = out / f".ray-{secrets.token_hex(4)}"
    try:
        own.mkdir(parents=True)
        (own / "driver").touch()
    except OSError as error:
        raise KikiboubaError(f"cannot write to {out}: {error.strerror}") from None
    try:
        yield own
    finally:
        rmtree(own, ignore_errors=True)
        with suppress(OSError):  # unless there is something in it
            out.rmdir()


def _fit(run: Callable[[], None], own: Path, workers: int, cuda: bool) -> str:
    """One attempt. Returns "", or why its processes died.

    Raises:
        KikiboubaError: the training itself says that it cannot go on.
    """
    # Ray Train hands this on to its own process; its minute is short for a busy machine or an image to pull.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(PATIENCE))
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.train.v2.api.config import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

    trainer = TorchTrainer(
        run,
        torch_config=TorchConfig(backend="nccl" if cuda else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=cuda),
        run_config=RunConfig(
            name="run",
            storage_path=str(own),
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
        ),
    )
    try:
        trainer.fit()
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; what was saved is kept in {own.parent}/state; repeat the command to go on"
        ) from None
    except TrainingFailedError as error:
        failures = list(error.worker_failures.values()) if isinstance(error, WorkerGroupError) else [error]
        causes = [getattr(failure, "_base_exc", failure) for failure in failures]
        for cause in causes:
            if isinstance(cause, KikiboubaError):
                raise cause from None
        cause = getattr(causes[0], "health_check_failure", causes[0])
        return DIED if explain(cause) == DIED else " ".join(f"{type(cause).__name__}: {cause}".split())[:200]
    return ""


def _in_worker(train: Callable[[], Any], marker: Path, folder: Path, command: list[str]) -> None:
    """What each process does: in the folder, and as if under the command, of the one that started it."""
    for path in (marker, folder):
        if not path.exists():
            seen = folder if path == folder else marker.parent.parent
            raise KikiboubaError(
                f"{here()} does not see {seen}: all nodes must share it, and the folder of the run"
            )
    os.chdir(folder)
    sys.argv[:] = command
    train()


@contextmanager
def _spoken(out: Path, say: Callable[[str], Any]) -> Iterator[None]:
    """Lines that come to the log of a run are said as they come."""
    done, told = threading.Event(), len(read_log(out))

    def follow() -> None:
        nonlocal told
        last = False
        while not last:
            last = done.wait(5.0)
            lines = read_log(out)
            told = min(told, len(lines))  # a run that goes on, or starts over, cuts its log
            for line in lines[told:]:
                values = {name: value for name, value in line.items() if name not in ("step", "split")}
                say(as_text(line["step"], line["split"], values))
            told = len(lines)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
