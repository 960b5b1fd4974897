"""A corpus of the size of the Lakh MIDI dataset: prepared, killed half-way, resumed, memory watched.

    python benchmarks/bench_prepare_corpus.py [FOLDER_OF_MIDI_FILES ...] [--files N] [--work DIR] [--compare]

The corpus is made of hard links to the files in the folders, each link under a name of its own, in DIR (on
the same disk): 178,000, or a small one of our examples where no folder is named. When half of them are read,
`kikibouba prepare melody` (and none of its readers) is killed with SIGKILL; the same command then goes on.
`--compare` runs it once more without interruption and compares every byte. Linux only (/proc). Prints JSON
lines: the memory in MB of the parent and of its largest reader over time, seconds, CPU seconds, files a
second, and the report.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from link_corpus import EXAMPLES, link_corpus


def memory(pid: int) -> float:
    """Resident MB of a process; 0 if it is gone."""
    try:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return 0.0
    return int(fields.get("VmRSS", "0 kB").split()[0]) / 1024


def children(pid: int) -> list[int]:
    """Processes started by a process."""
    found = [Path(f"/proc/{pid}/task").glob("*/children")]
    try:
        return [int(child) for paths in found for path in paths for child in path.read_text().split()]
    except OSError:
        return []


def run(corpus: Path, out: Path, workers: int, kill_at: int | None) -> dict:
    """One run of the command, killed once `kill_at` files are read; what it took."""
    command = [sys.executable, "-m", "kikibouba", "prepare", "melody", str(corpus), str(out)]
    command += ["--workers", str(workers)]
    began, cpu, samples, last = time.perf_counter(), sum(os.times()[2:4]), [], 0.0
    with (out.parent / f"{out.name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            time.sleep(1)
            readers = children(process.pid)
            sample = (memory(process.pid), max(map(memory, readers), default=0.0))
            samples.append(sample)
            elapsed = time.perf_counter() - began
            if elapsed > 1.3 * last:
                last = elapsed
                row = {
                    "s": round(elapsed),
                    "parent_MB": round(sample[0], 1),
                    "reader_MB": round(sample[1], 1),
                }
                print(json.dumps(row), flush=True)
            if kill_at and 64 * len(list(out.glob("parts/*/*.part"))) >= kill_at:
                process.send_signal(signal.SIGKILL)
                process.wait()
                deadline = time.perf_counter() + 60
                while any(map(memory, readers)) and time.perf_counter() < deadline:
                    time.sleep(0.1)
    seconds = time.perf_counter() - began
    parent, reader = (round(max(column), 1) for column in zip(*samples, strict=True))
    return {
        "status": process.returncode,
        "s": round(seconds, 1),
        "cpu_s": round(sum(os.times()[2:4]) - cpu, 1),  # of a killed run without its readers
        "parent_MB": parent,
        "reader_MB": reader,
    }


def content(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a dataset."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()}


def kill_and_resume(work: Path, count: int, workers: int) -> None:
    """The corpus in `work` becomes the dataset `killed` there."""
    corpus, out = work / "corpus", work / "killed"
    shutil.rmtree(out, ignore_errors=True)
    first = run(corpus, out, workers, count // 2)
    read = 64 * len(list(out.glob("parts/*/*.part")))
    print(json.dumps({"killed": first, "files_read": read, "files_a_second": round(read / first["s"], 1)}))
    second = run(corpus, out, workers, None)
    rate = round((count - read) / second["s"], 1)
    print(json.dumps({"resumed": second, "files_read": count - read, "files_a_second": rate}))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(json.dumps({"dataset_MB": round(size / 1e6, 1)}))
    print((work / "killed.log").read_text())


def compare(work: Path, workers: int) -> None:
    """The corpus becomes the dataset `whole` without interruption; is it the same as `killed`?"""
    shutil.rmtree(work / "whole", ignore_errors=True)
    print(json.dumps({"uninterrupted": run(work / "corpus", work / "whole", workers, None)}))
    print(json.dumps({"same_bytes": content(work / "killed") == content(work / "whole")}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--files", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--compare", action="store_true")
    args = parser.parse_args()
    folders, count = args.folders or [EXAMPLES], args.files or (178_000 if args.folders else 4000)
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        link_corpus(folders, work / "corpus", count)
        kill_and_resume(work, count, args.workers)
        if args.compare:
            compare(work, args.workers)


if __name__ == "__main__":
    main()
