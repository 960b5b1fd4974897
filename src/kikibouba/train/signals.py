"""Ctrl-C as a request: the step in progress is finished and saved before the run ends."""

import signal
import threading
from types import FrameType, TracebackType


class StopSignals:
    """Within this context SIGINT and SIGTERM set `received`; a second one ends the program at once."""

    def __init__(self) -> None:
        self.received = False
        self._before: dict[int, signal.Handlers | None] = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = True

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # Python allows handlers there only
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._receive)  # type: ignore[assignment]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
