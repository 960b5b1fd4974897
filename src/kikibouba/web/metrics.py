"""Counters in Prometheus' text form."""

from collections import Counter, defaultdict
from collections.abc import Callable

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper edges in seconds."""


class Metrics:
    """How many requests, how they ended, how long they took."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.buckets: Counter[tuple[str, float]] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.gauges: dict[str, Callable[[], float]] = {}

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """A number that is read when it is asked for."""
        self.gauges[name] = read

    def count(self, route: str, status: int, seconds: float) -> None:
        """One request has ended. `route` is a template such as /api/jobs/{job}, never what a client wrote."""
        self.requests[route, status] += 1
        self.seconds[route] += seconds
        for edge in BUCKETS:
            self.buckets[route, edge] += seconds <= edge

    def text(self) -> str:
        """All of it, for /metrics."""
        lines = ["# TYPE kikibouba_requests_total counter"]
        lines += [
            f'kikibouba_requests_total{{route="{route}",status="{status}"}} {n}'
            for (route, status), n in sorted(self.requests.items())
        ]
        lines += ["# TYPE kikibouba_request_seconds histogram"]
        for route in sorted(self.seconds):
            total = sum(n for (one, _), n in self.requests.items() if one == route)
            name = f'kikibouba_request_seconds_bucket{{route="{route}",le='
            lines += [f'{name}"{edge}"}} {self.buckets[route, edge]}' for edge in BUCKETS]
            lines += [f'{name}"+Inf"}} {total}']
            lines += [f'kikibouba_request_seconds_sum{{route="{route}"}} {self.seconds[route]:.6f}']
            lines += [f'kikibouba_request_seconds_count{{route="{route}"}} {total}']
        for gauge, read in self.gauges.items():
            lines += [f"# TYPE kikibouba_{gauge} gauge", f"kikibouba_{gauge} {read():g}"]
        return "\n".join(lines) + "\n"
