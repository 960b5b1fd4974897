"""A process that trains trials: one job a line of JSON comes in, one answer a line goes out.

When the process that feeds it is gone, it saves the step it is in, and ends too.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from typing import Any

from kikibouba.scale.sweep_trial import train_job


def main() -> None:
    """Work until there is no more input."""
    # What anything prints by mistake must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
    busy = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            jobs.put(json.loads(line))
        jobs.put(None)
        if busy.is_set():
            os.kill(os.getpid(), signal.SIGTERM)  # training takes it as a wish to save and stop

    threading.Thread(target=listen, daemon=True).start()
    while (job := jobs.get()) is not None:
        busy.set()
        answer = train_job(**job)
        busy.clear()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main()
