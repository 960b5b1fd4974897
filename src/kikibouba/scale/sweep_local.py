"""The trials of a sweep on processes of this machine; nothing but Python is needed.

Each worker is a plain child process that is told its jobs line by line (`sweep_worker`), as in `prepare`. It
has a session of its own, so that Ctrl-C reaches it once, from here: it then saves the step it is in.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from kikibouba.errors import KikiboubaError
from kikibouba.scale.sweep_board import Board, Job
from kikibouba.scale.sweep_folder import saved_step

Report = Callable[[Job, str | None], None]
"""Told of every job that came to an end, and what the user should know of it."""


def run_locally(
    board: Board, out: Path, names: Sequence[str], workers: int, threads: int, device: str, report: Report
) -> None:
    """Work a board off. Ctrl-C ends it when all workers have saved; `board.interrupted` then says so.

    Args:
        board: what to run; it is told what came of it.
        out: folder of the sweep.
        names: of the trials.
        workers: how many processes.
        threads: CPU threads of each.
        device: what each computes on.
        report: called after every job, by one thread at a time.
    """
    turn = threading.Condition()
    crew = [_Worker(threads) for _ in range(min(workers, len(names)))]

    def work_off(worker: _Worker) -> None:
        while True:
            with turn:
                while (job := board.next_job()) is None:
                    if board.over:
                        return
                    turn.wait()
            task = {"out": str(out), "name": names[job.trial], "rung": job.rung}
            answer = worker.ask({**task, "threads": threads, "device": device})
            with turn:
                report(job, board.settle(job, answer))
                turn.notify_all()

    with ThreadPoolExecutor(len(crew)) as pool:
        jobs = [pool.submit(work_off, worker) for worker in crew]
        try:
            _wait(jobs)
        except BaseException as error:
            with turn:
                board.interrupted = True
                turn.notify_all()
            for worker in crew:
                worker.signal(signal.SIGINT)
            if not isinstance(error, KeyboardInterrupt):
                raise
            _wait(jobs)
        finally:
            for worker in crew:
                worker.stop()


def _wait(jobs: Sequence[Any]) -> None:
    for finished in wait(jobs, return_when=FIRST_EXCEPTION).done:
        finished.result()


class _Worker:
    """A `sweep_worker` process, started when first needed and again after a death."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.process: subprocess.Popen[str] | None = None
        self.stopped = False
        self.lock = threading.Lock()

    def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Have a job done. A process that dies of it answers {"died": how, "step": …}."""
        with self.lock:
            if self.stopped:
                return {"interrupted": True}
            if self.process is None or self.process.poll() is not None:
                self.process = self._start()
            process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if line.endswith("\n"):
            return json.loads(line)
        status = process.wait()
        if self.stopped:
            return {"interrupted": True}
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        step = saved_step(Path(job["out"]) / job["name"])
        return {"died": f"its process ended with {how}", "step": step}

    def _start(self) -> subprocess.Popen[str]:
        threads = str(self.threads)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        }
        command = [sys.executable, "-W", "ignore", "-m", "kikibouba.scale.sweep_worker"]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise KikiboubaError(f"no process can be started: {error.strerror}") from None

    def signal(self, number: int) -> None:
        """Send a signal, if the process runs."""
        with self.lock:
            self.stopped = True
            if self.process is not None and self.process.poll() is None:
                self.process.send_signal(number)

    def stop(self) -> None:
        """End the process at once: nothing is lost, for training goes on from what it saved."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
