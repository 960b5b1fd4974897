"""Reading files in worker processes: progress is kept in part files, and a crash costs one file.

Python's own process pools would import the caller's main script again in every worker, which breaks scripts
without a main guard, and cannot say which file it was that crashed. So a worker here is a plain child
process (`prepare_worker`) that is told its files line by line.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kikibouba.data.sources import Source
from kikibouba.errors import Interrupted, KikiboubaError

MAX_CHUNK = 64
"""Files read between two saves of progress."""


@dataclass(frozen=True)
class Reading:
    """What reading one file gave: its record (see `prepare_worker`), and where its examples are."""

    record: dict[str, Any]
    part: Path
    first: int
    """Number of its first example in the part."""


class Parts:
    """The part files of an unfinished run, in a folder named after the job: parts of another job are
    discarded.
    """

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        key = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]
        self.root, self.folder = folder, folder / key
        if folder.is_dir() and not self.folder.is_dir():
            shutil.rmtree(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def path_for(self, files: Sequence[Source]) -> Path:
        """Where a chunk's part goes."""
        names = "\n".join(file.name for file in files)
        return self.folder / f"{hashlib.sha256(names.encode()).hexdigest()[:24]}.npz"

    def load(self, sources: Sequence[Source]) -> dict[str, Reading]:
        """Name → reading of every source read before and unchanged since."""
        stats = {source.name: source.path.stat() for source in sources}
        found = {}
        for path in sorted(self.folder.glob("*.npz")):
            first = 0
            for record in json.loads(np.load(path)["records"].tobytes()):
                stat = stats.get(record["name"])
                if stat and (stat.st_size, stat.st_mtime_ns) == (record["bytes"], record["mtime"]):
                    found[record["name"]] = Reading(record, path, first)
                first += record["count"]
        return found

    def remove(self) -> None:
        """The run is finished."""
        shutil.rmtree(self.root, ignore_errors=True)


def read_all(
    sources: Sequence[Source], job: dict[str, Any], parts: Parts, workers: int, progress: bool
) -> dict[str, Reading]:
    """Have every source read into some part; one whose reading killed its process gets a record saying so."""
    done = parts.load(sources)
    todo = [source for source in sources if source.name not in done]
    size = max(1, min(MAX_CHUNK, len(todo) // (8 * workers)))
    queue = deque(todo[i : i + size] for i in range(0, len(todo), size))
    crew = [_Worker(job) for _ in range(min(workers, len(queue)))]
    crashed: dict[str, str] = {}
    bar = tqdm(
        total=len(sources), initial=len(sources) - len(todo), unit="file", disable=not progress, leave=False
    )
    with bar, ThreadPoolExecutor(max(1, len(crew))) as threads:
        try:
            jobs = [threads.submit(_work_off, worker, queue, parts, crashed, bar.update) for worker in crew]
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
    return parts.load(sources) | {
        name: Reading({"skipped": reason, "splitless": False}, parts.folder, 0)
        for name, reason in crashed.items()
    }


def _work_off(
    worker: "_Worker",
    queue: deque[list[Source]],
    parts: Parts,
    crashed: dict[str, str],
    advance: Callable[[int], Any],
) -> None:
    """Feed one worker from the queue. A chunk that kills it is read again, file by file."""
    while True:
        try:
            chunk = queue.popleft()
        except IndexError:
            return
        status = worker.read(chunk, parts.path_for(chunk))
        if status is None:
            advance(len(chunk))
        elif len(chunk) > 1:
            queue.extend([source] for source in chunk)
        else:
            crashed[chunk[0].name] = f"the reader crashed on it (exit status {status})"
            advance(1)


class _Worker:
    """A `prepare_worker` process, started when first needed and again after a crash."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.process: subprocess.Popen[str] | None = None
        self.stopped = False
        self.lock = threading.Lock()

    def read(self, chunk: Sequence[Source], part: Path) -> int | None:
        """Read a chunk into a part file. Returns None, or the exit status of a process that died of it."""
        if self.process is None or self.process.poll() is not None:
            self._start()
        files = [{"name": source.name, "path": str(source.path.absolute())} for source in chunk]
        answer = self._ask({"part": str(part.absolute()), "files": files})
        if answer is None:
            assert self.process is not None
            return self.process.wait()
        if "error" in answer:
            raise KikiboubaError(f"cannot go on preparing: {answer['error']}")
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
