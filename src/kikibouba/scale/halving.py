"""Asynchronous successive halving (ASHA, Li et al. 2020) that gives the same result wherever it runs.

Trials are compared after `first_steps`, `factor` times that, and so on; of `factor` trials about one goes on.
ASHA decides on whatever has arrived, so that its result depends on who was faster. Here trials count as
arriving in the order of their numbers: trial i goes on from a rung if it is among the best n / factor
(rounded down, one at least) of the n trials up to and including i that have reached it, and it waits for
those before it, which were begun before it, never for those after it. So the decisions follow from the
results alone, whatever the number of workers and however often the sweep was interrupted; no rung waits for
all trials; and trials that are added later change nothing for the earlier ones.
"""

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Literal

Kind = Literal["ready", "waiting", "stopped", "finished", "failed"]


@dataclass(frozen=True)
class Standing:
    """Where a trial stands."""

    kind: Kind
    """"ready" to train up to `rung`; "waiting" at `rung` for earlier trials; "stopped" early at `rung`;
    "finished" at the last one, or "failed" on the way to `rung`.
    """
    rung: int


def standings(results: Sequence[Sequence[float]], rungs: int, factor: int) -> list[Standing]:
    """Where every trial stands.

    Args:
        results: for each trial the values at the rungs it has reached, in order: lower is better. A value of
            infinity means that it failed on the way there.
        rungs: how many there are.
        factor: of so many trials one goes on.
    """
    boards: list[list[float]] = [[] for _ in range(rungs)]  # values at each rung so far, sorted
    settled = [True] * rungs  # whether it is known of all earlier trials what they do at a rung
    found = []
    for values in results:
        standing = _walk(values, boards, settled, factor)
        found.append(standing)
        if standing.kind in ("ready", "waiting"):
            first = standing.rung + (standing.kind == "waiting")
            settled[first:] = [False] * (rungs - first)
    return found


def _walk(values: Sequence[float], boards: list[list[float]], settled: list[bool], factor: int) -> Standing:
    """One trial's way from rung to rung, noted on the boards."""
    last = len(boards) - 1
    for rung, board in enumerate(boards):
        if rung == len(values):
            return Standing("ready", rung)
        value = values[rung]
        insort(board, value)
        if value == inf:
            return Standing("failed", rung)
        if rung == last:
            return Standing("finished", rung)
        if not settled[rung]:
            return Standing("waiting", rung)
        if bisect_right(board, value) > max(1, len(board) // factor):  # of equals the earlier ones are better
            return Standing("stopped", rung)
    raise AssertionError("there is no rung")
