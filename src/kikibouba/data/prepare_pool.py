"""Reading files in worker processes: progress is kept in part files, and a crash costs one file.

Python's own process pools would import the caller's main script again in every worker, which breaks scripts
without a main guard, and cannot say which file it was that crashed. So a worker here is a plain child
process (`prepare_worker`) that is told its files line by line.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kikibouba.data.prepare_parts import Parts, Readings, write_part
from kikibouba.data.prepare_worker import blank_record
from kikibouba.data.sources import Source
from kikibouba.errors import Interrupted, KikiboubaError

MAX_CHUNK = 64
"""Files read between two saves of progress."""


def read_all(
    sources: Sequence[Source],
    wanted: Sequence[bool],
    job: dict[str, Any],
    parts: Parts,
    progress: bool,
    *,
    workers: int,
) -> Readings:
    """Have every wanted source read into some part; one that kills its reader gets a record saying so."""
    done = parts.readings(sources)
    todo = [source for i, source in enumerate(sources) if wanted[i] and not done.has(i)]
    if not todo:
        return done
    size = max(1, min(MAX_CHUNK, len(todo) // (8 * workers)))
    queue = deque(todo[i : i + size] for i in range(0, len(todo), size))
    crew = [Worker(job) for _ in range(min(workers, len(queue)))]
    bar = tqdm(
        total=len(sources), initial=len(sources) - len(todo), unit="file", disable=not progress, leave=False
    )
    with bar, ThreadPoolExecutor(len(crew)) as threads:
        try:
            jobs = [threads.submit(work_off, worker, queue, parts, bar.update) for worker in crew]
            for finished in wait(jobs, return_when=FIRST_EXCEPTION).done:
                finished.result()
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted after {bar.n} files; the same command goes on from there"
            ) from None
        finally:
            queue.clear()
            for worker in crew:
                worker.stop()
    return parts.readings(sources)


def work_off(
    worker: "Worker", queue: deque[list[Source]], parts: Parts, advance: Callable[[int], Any]
) -> None:
    """Feed one worker from the queue. A chunk that kills it is read again, file by file."""
    while True:
        try:
            chunk = queue.popleft()
        except IndexError:
            return
        name = parts.name_for(chunk)
        status = worker.read(chunk, parts.folder / name)
        if worker.stopped:  # it did not die of a file
            return
        if status is None:
            advance(len(chunk))
        elif len(chunk) > 1:
            queue.extend([source] for source in chunk)
        else:
            reason = f"the reader crashed on it (exit status {status})"
            record = blank_record(chunk[0].name, Path(chunk[0].path), reason)
            write_part(parts.folder / f"{name}-0.part", [record], [])
            advance(1)


class Worker:
    """A `prepare_worker` process, started when first needed and again after a crash."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.process: subprocess.Popen[str] | None = None
        self.stopped = False
        self.lock = threading.Lock()

    def read(self, chunk: Sequence[Source], parts: Path) -> int | None:
        """Read a chunk into part files whose names begin with `parts`.

        Returns:
            None, or the exit status of a process that died of it.
        """
        if self.process is None or self.process.poll() is not None:
            self._start()
        files = [{"name": source.name, "path": source.path, "drawn": source.drawn} for source in chunk]
        answer = self._ask({"parts": str(parts.absolute()), "files": files})
        if answer is None:
            assert self.process is not None
            return self.process.wait()
        if "error" in answer:
            raise OSError(answer["error"])
        return None

    def _start(self) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-W", "ignore", "-m", "kikibouba.data.prepare_worker"]
        with self.lock:
            if self.stopped:
                raise KikiboubaError("stopped")
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env=environment,
            )
        if self._ask(self.job) is None:
            raise KikiboubaError(
                f"the reading process did not start: {' '.join(command)} failed (its message is above)"
            )

    def _ask(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """One line there, one line back; None when the process died."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line.endswith("\n") else None

    def stop(self) -> None:
        """End the process; called from another thread when the run ends or is interrupted."""
        with self.lock:
            self.stopped = True
            if self.process is not None:
                self.process.kill()
                self.process.wait()
