"""Which trial trains next, and what came of the others: all that executors share. No files, no processes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import Any

from kikibouba.scale.halving import Standing, standings

DEATHS = 3
"""Times that a process may die while it trains a trial from one saved step, before that counts as failed."""


@dataclass(frozen=True)
class Job:
    """Training of one trial from one rung to the next."""

    trial: int
    rung: int


class Board:
    """The state of a sweep.

    Args:
        rungs: for each trial the steps at which it is judged, all of one length.
        values: for each trial what is known already of its rungs.
        goal: "min" or "max".
        factor: see `halving`.
    """

    def __init__(
        self, rungs: Sequence[Sequence[int]], values: Sequence[Sequence[float]], goal: str, factor: int
    ) -> None:
        self.rungs, self.factor = rungs, factor
        self._sign = -1.0 if goal == "max" else 1.0
        self._results = [[self._sign * value for value in known] for known in values]
        self._deaths: Counter[tuple[Job, int]] = Counter()
        self.running: set[Job] = set()
        self.errors: dict[int, str] = {}
        """Trial → why it failed."""
        self.halted: str | None = None
        """Why no more trials are begun."""
        self.interrupted = False

    def standings(self) -> list[Standing]:
        """Where every trial stands."""
        return standings(self._results, len(self.rungs[0]), self.factor)

    def next_job(self) -> Job | None:
        """The job to begin now, which then counts as running: that of the first trial which can go on."""
        if self.halted or self.interrupted:
            return None
        for trial, standing in enumerate(self.standings()):
            job = Job(trial, standing.rung)
            if standing.kind == "ready" and job not in self.running:
                self.running.add(job)
                return job
        return None

    @property
    def over(self) -> bool:
        """After `next_job` was None: whether that stays so."""
        return bool(not self.running or self.halted or self.interrupted)

    def settle(self, job: Job, answer: Mapping[str, Any]) -> str | None:
        """Note what came of a running job.

        Args:
            job: what `next_job` gave.
            answer: {"value": …} or {"error": …} of `sweep_trial.train_job`, perhaps with "halt"; or {"died":
                how, "step": that is saved} of a process that gave no answer.

        Returns:
            What the user should know; None if nothing.
        """
        self.running.discard(job)
        if answer.get("interrupted"):
            self.interrupted = True
            return None
        if "died" in answer:
            where = (job, answer["step"])
            self._deaths[where] += 1
            if self._deaths[where] < DEATHS:
                return f"lost ({answer['died']}); it goes on from step {answer['step']}"
            return self._fail(job, f"lost {DEATHS} times after step {answer['step']} ({answer['died']})")
        if "halt" in answer:
            self.halted = str(answer["halt"])
            return None
        if "error" in answer:
            return self._fail(job, str(answer["error"]))
        if isnan(value := float(answer["value"])):
            return self._fail(job, "what it is judged by is not a number")
        self._results[job.trial].append(self._sign * value)
        return None

    def reached(self, job: Job) -> float:
        """What a trial was judged by at the end of a job that was settled without a note."""
        return self._sign * self._results[job.trial][job.rung]

    def _fail(self, job: Job, reason: str) -> str:
        self.errors[job.trial] = reason
        self._results[job.trial].append(inf)
        return f"failed: {reason}"

    def outcomes(self) -> list[tuple[Standing, int, float | None]]:
        """Where every trial stands, at how many steps it was judged last, and what it was judged by then; 0
        and None of one that never was.
        """
        found: list[tuple[Standing, int, float | None]] = []
        for standing, rungs, results in zip(self.standings(), self.rungs, self._results, strict=True):
            last = standing.rung - (standing.kind in ("ready", "failed"))
            if last < 0:
                found.append((standing, 0, None))
            else:
                found.append((standing, rungs[last], self._sign * results[last]))
        return found
