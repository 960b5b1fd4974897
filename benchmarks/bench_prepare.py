"""How long `prepare` takes from MIDI files to 2-bar examples, against symusic merely parsing the same files.

    python benchmarks/bench_prepare.py [FOLDER_OF_MIDI_FILES [repetitions [kind]]]

Without a folder a thousand links to our examples are read. The kind is melody by default. Prints a line per
repetition, and the best: seconds of wall clock with everything (starting processes, reading, extracting,
writing the dataset), the CPU time of all processes in it, both again for the first file alone (that is, for
starting), seconds of a bare symusic loop in one process, and the quotient of the two wall clocks. `load`
tells how busy the machine was otherwise.
"""

import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import symusic
from link_corpus import EXAMPLES, link_corpus

from kikibouba.data.prepare import prepare
from kikibouba.errors import KikiboubaError


def parse_only(files: list[Path]) -> float:
    """Seconds in which symusic parses all files, one after the other."""
    began = time.perf_counter()
    for file in files:
        symusic.Score(file)
    return time.perf_counter() - began


def prepare_all(kind: str, folder: Path, limit: int | None = None) -> tuple[float, float, int]:
    """Seconds that `prepare` takes, CPU seconds that it uses, and how many examples it makes."""
    with tempfile.TemporaryDirectory() as out:
        began, before = time.perf_counter(), os.times()
        examples = 0
        with suppress(KikiboubaError):  # one file alone may have no example
            dataset = prepare(kind, folder, out, limit=limit, progress=False)
            examples = sum(dataset.meta["counts"].values())
        seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - sum(before[:4])
        return seconds, cpu, examples


def measure(folder: Path, repetitions: int, kind: str) -> None:
    """Print a line per repetition, and the best."""
    files = sorted(folder.rglob("*.mid"))
    results = []
    for _ in range(repetitions):
        parsing = parse_only(files)
        seconds, cpu, examples = prepare_all(kind, folder)
        start, start_cpu, _ = prepare_all(kind, folder, limit=1)
        results.append(
            {
                "files": len(files),
                "examples": examples,
                "prepare_s": round(seconds, 2),
                "prepare_cpu_s": round(cpu, 2),
                "first_file_s": round(start, 2),
                "first_file_cpu_s": round(start_cpu, 2),
                "symusic_parse_s": round(parsing, 3),
                "quotient": round(seconds / parsing, 1),
                "load": round(os.getloadavg()[0], 1),
            }
        )
        print(json.dumps(results[-1]))
    print("best:", json.dumps(min(results, key=lambda result: result["prepare_s"])))


def main() -> None:
    """Measure and print."""
    folder, repetitions, kind = (*sys.argv[1:], *("", "3", "melody")[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory() as temporary:
        if not folder:
            link_corpus([EXAMPLES], Path(temporary), 1000)
        measure(Path(folder or temporary), int(repetitions), kind)


if __name__ == "__main__":
    main()
