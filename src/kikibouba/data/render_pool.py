"""Rendering in several processes: the renderer holds Python's lock, so threads would wait for each other."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from tqdm import tqdm

from kikibouba.data.render_worker import TASKS
from kikibouba.errors import Interrupted, KikiboubaError

T = TypeVar("T")
Made = TypeVar("Made")


class Crashed(KikiboubaError):
    """A question killed the process that worked on it."""


class Renderers:
    """Processes of `render_worker`, started when they are first needed. Use in a `with` block, at whose end
    they finish what they are at, so that nothing half-written is left.
    """

    def __init__(self, count: int) -> None:
        """`count`: 1 = no process but this one."""
        self.idle = SimpleQueue[_Renderer]()
        self.crew = [_Renderer() for _ in range(count)] if count > 1 else []
        for renderer in self.crew:
            self.idle.put(renderer)

    def ask(self, task: str, arguments: dict[str, Any]) -> Any:
        """The result of one of `TASKS`, by whichever process is idle; called from as many threads as there
        are processes.

        Raises:
            KikiboubaError: as the task raised it. Crashed: see there.
        """
        if not self.crew:
            return TASKS[task](**arguments)
        renderer = self.idle.get()
        try:
            return renderer.ask({"task": task, "arguments": arguments})
        finally:
            self.idle.put(renderer)

    def __enter__(self) -> "Renderers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for renderer in self.crew:
            renderer.close()


def in_threads(
    make: Callable[[T], Made | None], plan: Sequence[T], workers: int, progress: bool, unit: str
) -> list[Made]:
    """What `make` made of a plan, in its order, without None. Raises Interrupted after Ctrl-C."""
    with ThreadPoolExecutor(workers) as threads:
        try:
            bar = tqdm(threads.map(make, plan), total=len(plan), unit=unit, disable=not progress, leave=False)
            return [one for one in bar if one is not None]
        except KeyboardInterrupt:
            threads.shutdown(cancel_futures=True)
            raise Interrupted("interrupted; the same command goes on with what is missing") from None


class _Renderer:
    """One process, started when first needed and again after a crash."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, question: dict[str, Any]) -> Any:
        if self.process is None or self.process.poll() is not None:
            self.process = _start()
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        if not line.endswith("\n"):
            raise Crashed(f"the renderer crashed on it (exit status {process.wait()})")
        answer = json.loads(line)
        if "error" in answer:
            raise KikiboubaError(answer["error"])
        return answer["result"]

    def close(self) -> None:
        if self.process is not None:
            self.process.communicate()  # closes what it is asked through, and waits


def _start() -> "subprocess.Popen[str]":
    known = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "kikibouba.data.render_worker"]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | known,
    )
