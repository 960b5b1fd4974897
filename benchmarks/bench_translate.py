"""How long one translation takes: warm in Python, cold as a command, and the program's help.

    python benchmarks/bench_translate.py [repetitions]

Prints medians of wall clock and of CPU time, which other programs on the machine disturb less. Goals: a warm
translation of a drawing at most 100 ms, a cold command at most 5 s, `--help` under 0.5 s. `load` tells how
busy the machine was otherwise.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kikibouba import hub
from kikibouba.inputs import kind_of

EXAMPLES = Path(__file__).parents[1] / "examples"
PAIRS = (("sheep.svg", "melody"), ("sheep.svg", "drums"), ("river.mid", "sketch"), ("river.mid", "drums"))


def measure(name: str, work: Callable[[], object], repetitions: int) -> None:
    """Run `work` and print medians of its wall clock and CPU time, its child processes' included."""
    walls, cpus = [], []
    for _ in range(repetitions):
        began, before = time.perf_counter(), os.times()
        work()
        walls.append(time.perf_counter() - began)
        cpus.append(sum(os.times()[:4]) - sum(before[:4]))
    print(f"{name:<44} {statistics.median(walls):8.3f} s  {statistics.median(cpus):8.3f} s CPU")


def command(*words: str) -> Callable[[], object]:
    """A call of the program in a process of its own."""
    return lambda: subprocess.run(
        [sys.executable, "-m", "kikibouba", *words], check=True, capture_output=True
    )


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {repetitions}")
    for name, to in PAIRS:
        source = EXAMPLES / name
        translator = hub.load_translator(hub.find_translator(kind_of(source), to))
        translator.translate(source, to)
        measure(f"warm: {name} to {to}", lambda t=translator, s=source, k=to: t.translate(s, k), repetitions)
    with tempfile.TemporaryDirectory() as out:
        words = ("translate", str(EXAMPLES / "sheep.svg"), "--to", "melody", "-o", f"{out}/sheep.mid")
        measure("cold: kikibouba translate", command(*words), repetitions)
        measure("cold: kikibouba translate --also wav,png", command(*words, "--also", "wav,png"), repetitions)
    measure("cold: kikibouba --help", command("--help"), repetitions)


if __name__ == "__main__":
    main()
