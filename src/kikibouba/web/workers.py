"""Worker processes that answer calls: models run in them beside the event loop, and parsers where a crash
costs one file.

A worker holds one *service*, an object made by a factory in the new process, and answers calls of its
methods one at a time. A worker that dies or takes too long is replaced; only the call that did it fails.
"""

import asyncio
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from kikibouba.errors import KikiboubaError

Tell = Callable[[Any], None]
"""Called with something to report on the way to a result."""

START_SECONDS = 120.0
"""A worker that is not ready by then will never be."""
POLL_SECONDS = 0.2


class Busy(Exception):
    """Too many calls wait already."""


class TooSlow(Exception):
    """A call took longer than it may; its worker was replaced."""


class Crashed(Exception):
    """A call killed its worker, which was replaced."""


class Stopped(Exception):
    """The caller lost interest."""


class Worker:
    """One process with one service. Its methods block; `Pool` calls them from threads."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        """`factory`: importable, makes the service; runs in the new process."""
        self.factory, self.closed = factory, False
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.factory, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.ready = False

    def call(
        self,
        method: str,
        arguments: tuple[Any, ...],
        limit: float,
        tell: Tell | None = None,
        stop: threading.Event | None = None,
    ) -> Any:
        """The result of `service.method(*arguments)`; with `tell`, the method gets it as a last argument.

        Raises:
            KikiboubaError: as the method raised it.
            TooSlow, Crashed: see there. Stopped: `stop` was set, and the method noticed.
            RuntimeError: the method raised another error, or the service could not be made.
        """
        self._get_ready()
        try:
            self.pipe.send((method, arguments, tell is not None))
            return self._wait(time.monotonic() + limit, tell, stop)
        except (EOFError, OSError):
            self._restart()
            raise Crashed(method) from None
        except TooSlow:
            self._restart()
            raise

    def _get_ready(self) -> None:
        """Wait until the service is made."""
        if self.ready:
            return
        try:
            self._wait(time.monotonic() + START_SECONDS)
        except (EOFError, OSError, TooSlow):
            self._restart()
            raise RuntimeError("a worker process did not start; it has said why") from None
        self.ready = True

    def _wait(self, deadline: float, tell: Tell | None = None, stop: threading.Event | None = None) -> Any:
        """What the process answers; reports on the way go to `tell`."""
        asked = False
        while True:
            if stop is not None and stop.is_set() and not asked:
                asked = True
                self.pipe.send(None)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TooSlow
            if not self.pipe.poll(min(left, POLL_SECONDS) if stop else left):
                continue
            what, value = self.pipe.recv()
            if what == "told" and tell is not None:
                tell(value)
            elif what == "result":
                return value
            elif what == "error":
                raise value

    def _restart(self) -> None:
        if not self.closed:
            self._end()
            self._start()

    def close(self) -> None:
        """End the process for good."""
        self.closed = True
        self._end()

    def _end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(factory: Callable[[], Any], pipe: Connection) -> None:
    """The life of a worker process. Ctrl-C is for the server, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        service = factory()
        pipe.send(("result", None))
        while True:
            if (message := pipe.recv()) is not None:  # None: a stop that came too late
                pipe.send(_answer(service, pipe, *message))
    except (EOFError, OSError):
        pass  # the server has gone, or goes


def _answer(
    service: Any, pipe: Connection, method: str, arguments: tuple[Any, ...], tells: bool
) -> tuple[str, Any]:
    def tell(value: Any) -> None:
        pipe.send(("told", value))
        if pipe.poll() and pipe.recv() is None:
            raise Stopped

    try:
        return "result", getattr(service, method)(*arguments, *([tell] if tells else []))
    except (KikiboubaError, Stopped) as error:
        return "error", type(error)(*error.args)  # without what it may hold on to
    except Exception as error:
        return "error", RuntimeError(f"{method}: {type(error).__name__}: {error}")


class Pool:
    """Workers with the same service, and a queue of bounded length before them."""

    def __init__(self, factory: Callable[[], Any], size: int, most_waiting: int) -> None:
        """`size` processes start at once, and get ready while the server does."""
        self.workers = [Worker(factory) for _ in range(size)]
        self.idle = asyncio.Queue[Worker]()
        for worker in self.workers:
            self.idle.put_nowait(worker)
        self.threads = ThreadPoolExecutor(size)
        self.waiting, self.most_waiting = 0, most_waiting

    async def run(
        self,
        method: str,
        *arguments: Any,
        limit: float,
        tell: Tell | None = None,
        stop: threading.Event | None = None,
    ) -> Any:
        """`Worker.call` by whichever worker is free first. `tell` is called in another thread.

        Raises:
            Busy: `most_waiting` calls wait already.
        """
        if self.waiting >= self.most_waiting:
            raise Busy
        self.waiting += 1
        try:
            worker = await self.idle.get()
        finally:
            self.waiting -= 1
        work = asyncio.get_running_loop().run_in_executor(
            self.threads, worker.call, method, arguments, limit, tell, stop
        )
        work.add_done_callback(lambda _: self.idle.put_nowait(worker))
        return await asyncio.shield(work)

    def close(self) -> None:
        """End all processes; calls under way fail."""
        for worker in self.workers:
            worker.close()
        self.threads.shutdown(wait=False, cancel_futures=True)
