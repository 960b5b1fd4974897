"""Worker processes: answers, errors, reports, crashes, time limits, queues."""

import asyncio
import os
import threading
import time

import pytest
from own_loop import run

from kikibouba.errors import KikiboubaError
from kikibouba.web.workers import Busy, Crashed, Pool, Stopped, TooSlow, Worker


class Service:
    """What the worker does in these tests; made in its process."""

    def __init__(self):
        self.calls = 0

    def count(self):
        self.calls += 1
        return self.calls

    def refuse(self):
        raise KikiboubaError("no")

    def fail(self):
        raise ZeroDivisionError("oh")

    def die(self):
        os._exit(3)

    def sleep(self, seconds):
        time.sleep(seconds)
        return "awake"

    def report(self, n, tell):
        for k in range(n):
            tell(k)
            time.sleep(0.02)
        return "done"


@pytest.fixture(scope="module")
def worker():
    worker = Worker(Service)
    yield worker
    worker.close()


def test_answers_and_remembers(worker):
    first = worker.call("count", (), 10)
    assert worker.call("count", (), 10) == first + 1


def test_errors_of_the_user_pass_and_others_are_named(worker):
    with pytest.raises(KikiboubaError, match=r"^no$"):
        worker.call("refuse", (), 10)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: oh"):
        worker.call("fail", (), 10)


def test_reports_on_the_way(worker):
    told = []
    assert worker.call("report", (4,), 10, tell=told.append) == "done"
    assert told == [0, 1, 2, 3]


def test_stops_when_asked(worker):
    told, stop = [], threading.Event()

    def tell(value):
        told.append(value)
        if value == 2:
            stop.set()

    with pytest.raises(Stopped):
        worker.call("report", (500,), 30, tell=tell, stop=stop)
    assert 3 <= len(told) < 400
    assert worker.call("sleep", (0,), 10) == "awake"  # and goes on


def test_a_crash_costs_one_call(worker):
    worker.call("count", (), 10)
    with pytest.raises(Crashed):
        worker.call("die", (), 10)
    assert worker.call("count", (), 30) == 1  # a new process


def test_a_call_that_takes_too_long_is_ended(worker):
    worker.call("count", (), 10)
    began = time.monotonic()
    with pytest.raises(TooSlow):
        worker.call("sleep", (60,), 0.3)
    assert time.monotonic() - began < 10
    assert worker.call("sleep", (0,), 30) == "awake"


def no_service():
    raise KikiboubaError("no weights here")


def test_a_service_that_cannot_be_made_is_no_fault_of_the_caller(capfd):
    worker = Worker(no_service)
    try:
        with pytest.raises(RuntimeError, match="did not start"):
            worker.call("count", (), 10)
    finally:
        worker.close()
    assert "no weights here" in capfd.readouterr().err


def test_a_full_queue_is_said():
    async def crowd():
        pool = Pool(Service, 1, most_waiting=2)
        await pool.run("count", limit=30)
        try:
            results = await asyncio.gather(
                *(pool.run("sleep", 0.2, limit=10) for _ in range(5)), return_exceptions=True
            )
        finally:
            pool.close()
        return results

    results = run(crowd())
    assert results.count("awake") == 3  # one at work, two in the queue
    assert sum(isinstance(result, Busy) for result in results) == 2
