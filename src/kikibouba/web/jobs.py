"""Personal models under way and in use: one job each, whose secret name is all that leads to it."""

import asyncio
import contextlib
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kikibouba.errors import KikiboubaError
from kikibouba.web import limits
from kikibouba.web.services import workshop
from kikibouba.web.workers import Busy, Crashed, Pool, Stopped, TooSlow

KEEP_ALIVE_SECONDS = 10.0
"""A comment goes to the browser so often, so that nobody between gives up the connection."""
MOST_TRAINING, MOST_OF_ONE = 8, 2
"""Jobs that train or wait to, of all visitors and of one; they go one after the other."""
EXPIRE_SECONDS = 60.0
"""How often what is not used any more is looked for."""


@dataclass(eq=False)
class Job:
    """One personal model: being made, made, or failed."""

    name: str
    owner: str
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """("progress" | "done" | "failed", what the browser is told)"""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    used: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Whether nothing more will be told."""
        return bool(self.events) and self.events[-1][0] in ("done", "failed")

    def tell(self, kind: str, value: dict[str, Any]) -> None:
        """Add an event; only the last progress is kept."""
        if kind == "progress":
            self.events = [event for event in self.events if event[0] != "progress"]
        self.events.append((kind, value))
        self.changed.set()
        self.changed = asyncio.Event()


class Greedy(Exception):
    """One visitor has enough jobs already."""


class Jobs:
    """All jobs of all browsers. The process they run in starts with the first one."""

    def __init__(self, reader: Pool) -> None:
        self.reader = reader
        self.jobs: dict[str, Job] = {}
        self.pool: Pool | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    def begin(self, owner: str, files: Sequence[tuple[str, bytes]], base: str | None, seed: int) -> Job:
        """Start a job for a visitor. Raises Busy if too many train, Greedy if too many are this visitor's."""
        self.expire()
        waiting = [job for job in self.jobs.values() if not job.over]
        if sum(job.owner == owner for job in waiting) >= MOST_OF_ONE:
            raise Greedy
        if len(waiting) >= MOST_TRAINING:
            raise Busy
        if self.pool is None:
            self.pool = Pool(workshop, 1, limits.MAX_WAITING)
        job = Job(secrets.token_urlsafe(16), owner)
        self.jobs[job.name] = job
        task = asyncio.create_task(self._make(job, self.pool, files, base, seed))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return job

    async def _make(
        self, job: Job, pool: Pool, files: Sequence[tuple[str, bytes]], base: str | None, seed: int
    ) -> None:
        loop = asyncio.get_running_loop()

        def tell(value: dict[str, Any]) -> None:
            loop.call_soon_threadsafe(job.tell, "progress", value)

        try:
            songs = await self.reader.run("songs", files, limit=limits.READ_SECONDS)
            made = await pool.run(
                "personalize", job.name, base, songs, seed,
                limit=limits.TRAIN_SECONDS, tell=tell, stop=job.stop,
            )  # fmt: skip
            job.tell("done", made)
        except KikiboubaError as error:
            job.tell("failed", {"error": " ".join(str(error).split())})
        except Stopped:
            job.tell("failed", {"error": "stopped"})
        except (TooSlow, Crashed, Busy):
            job.tell("failed", {"error": "that took too much time or memory; try fewer or shorter songs"})
        except Exception:
            job.tell("failed", {"error": "something went wrong on our side; the server's log says what"})
            raise

    def find(self, name: str) -> Job:
        """A job by its name. Raises KikiboubaError if there is none any more."""
        self.expire()
        if name not in self.jobs:
            raise KikiboubaError("this personal model is no longer kept; make it again")
        self.jobs[name].used = time.monotonic()
        return self.jobs[name]

    async def run(self, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of the workshop with a job's model."""
        job = self.find(name)
        if not job.over or self.pool is None:
            raise KikiboubaError("this personal model is still being made; wait for it")
        return await self.pool.run(method, name, *arguments, limit=limits.WORK_SECONDS)

    async def follow(self, job: Job) -> AsyncIterator[str]:
        """The events of a job as they come, in the form of server-sent events; from its latest on."""
        sent: tuple[str, dict[str, Any]] | None = None
        while True:
            changed = job.changed
            if job.events and job.events[-1] is not sent:
                sent = job.events[-1]
                yield f"event: {sent[0]}\ndata: {json.dumps(sent[1])}\n\n"
            if job.over:
                return
            try:
                await asyncio.wait_for(changed.wait(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"

    def forget(self, name: str) -> None:
        """Stop a job, or give up its model."""
        job = self.jobs.pop(name, None)
        if job is None or self.pool is None:
            return
        job.stop.set()
        task = asyncio.create_task(self._forget(name, self.pool))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _forget(self, name: str, pool: Pool) -> None:
        with contextlib.suppress(Busy, Crashed, TooSlow):
            await pool.run("forget", name, limit=limits.WORK_SECONDS)

    def expire(self) -> None:
        """Forget models that were not used for long, and the oldest where there are too many."""
        now = time.monotonic()
        ready = sorted((job for job in self.jobs.values() if job.over), key=lambda job: job.used)
        spare = max(0, len(ready) - limits.MAX_PERSONAL)
        for number, job in enumerate(ready):
            if number < spare or now - job.used > limits.PERSONAL_SECONDS:
                self.forget(job.name)

    async def keep_expiring(self) -> None:
        """`expire` for ever."""
        while True:
            await asyncio.sleep(EXPIRE_SECONDS)
            self.expire()

    def close(self) -> None:
        """End everything."""
        for job in self.jobs.values():
            job.stop.set()
        for task in self.tasks:
            task.cancel()
        if self.pool is not None:
            self.pool.close()
