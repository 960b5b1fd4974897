"""Jobs of personal models: how many, what is told, what is forgotten."""

import asyncio
import time

import pytest
from own_loop import run

from kikibouba.errors import KikiboubaError
from kikibouba.web import limits
from kikibouba.web.jobs import MOST_OF_ONE, MOST_TRAINING, Greedy, Job, Jobs
from kikibouba.web.workers import Busy


class Pool:
    """A pool that never answers, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    async def run(self, method, *arguments, **options):
        self.asked.append((method, *arguments))
        if method != "forget":
            await asyncio.sleep(60)


def jobs_of(pool):
    jobs = Jobs(pool)
    jobs.pool = pool
    return jobs


def test_so_many_of_one_and_so_many_of_all():
    async def go():
        jobs = jobs_of(Pool())
        for _ in range(MOST_OF_ONE):
            jobs.begin("a", [], None, 0)
        with pytest.raises(Greedy):
            jobs.begin("a", [], None, 0)
        for k in range(MOST_TRAINING - MOST_OF_ONE):
            jobs.begin(f"b{k}", [], None, 0)
        with pytest.raises(Busy):
            jobs.begin("c", [], None, 0)
        assert len({job.name for job in jobs.jobs.values()}) == MOST_TRAINING
        for task in jobs.tasks:
            task.cancel()

    run(go())


def test_events_are_told_once_and_the_last_one_to_those_who_come_late():
    async def go():
        jobs, job = jobs_of(Pool()), Job("x", "a")

        async def follow():
            return [text async for text in jobs.follow(job)]

        early = asyncio.create_task(follow())
        await asyncio.sleep(0)
        for done in (1, 2):
            job.tell("progress", {"done": done})
            await asyncio.sleep(0.01)
        job.tell("done", {"z_size": 4})
        late = await follow()
        return await early, late

    early, late = run(go())
    assert [text.split("\n")[0] for text in early] == ["event: progress", "event: progress", "event: done"]
    assert late == [early[-1]]
    assert early[0] == 'event: progress\ndata: {"done": 1}\n\n'


def test_what_is_not_used_is_forgotten(monkeypatch):
    async def go():
        pool = Pool()
        jobs = jobs_of(pool)
        for number in range(limits.MAX_PERSONAL + 2):
            job = jobs.jobs[f"job{number}"] = Job(f"job{number}", "a")
            job.used = time.monotonic() - 100 + number
            job.tell("done", {})
        jobs.jobs["job5"].used -= limits.PERSONAL_SECONDS
        jobs.expire()
        await asyncio.sleep(0.01)
        assert set(pool.asked) == {("forget", "job0"), ("forget", "job5")}
        with pytest.raises(KikiboubaError, match="no longer kept"):
            jobs.find("job5")
        assert jobs.find("job7").name == "job7"

    run(go())


def test_a_model_in_the_making_cannot_be_used():
    async def go():
        jobs = jobs_of(Pool())
        job = jobs.begin("a", [], None, 0)
        with pytest.raises(KikiboubaError, match="still being made"):
            await jobs.run(job.name, "sample")
        jobs.forget(job.name)
        assert job.stop.is_set()
        for task in jobs.tasks:
            task.cancel()

    run(go())
