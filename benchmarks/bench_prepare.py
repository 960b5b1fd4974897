"""How long `prepare` takes from MIDI files to 2-bar examples, against symusic merely parsing the same files.

    python benchmarks/bench_prepare.py FOLDER_OF_MIDI_FILES [repetitions] [kind, by default melody]

Prints a line per repetition, and the best: seconds of wall clock with everything (starting processes,
reading, extracting, writing the dataset), the CPU time of all processes in it, both again for the first file
alone (that is, for starting), seconds of a bare symusic loop in one process, and the quotient of the two wall
clocks. `load` tells how busy the machine was otherwise.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import symusic

from kikibouba.data.prepare import prepare


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
        dataset = prepare(kind, folder, out, limit=limit, progress=False)
        seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - sum(before[:4])
        return seconds, cpu, sum(dataset.meta["counts"].values())


def main() -> None:
    """Measure and print."""
    folder = Path(sys.argv[1])
    files = sorted(folder.rglob("*.mid"))
    kind = sys.argv[3] if len(sys.argv) > 3 else "melody"
    results = []
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
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


if __name__ == "__main__":
    main()
