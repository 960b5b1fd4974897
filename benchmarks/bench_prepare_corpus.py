"""A corpus of the size of the Lakh MIDI dataset: prepared, killed half-way, resumed, memory watched.

    python benchmarks/bench_prepare_corpus.py FOLDER_OF_MIDI_FILES ... --work DIR [--files 178000] [--compare]

The corpus is made of hard links to the files in the folders, each link under a name of its own, in DIR (on
the same disk). When half of them are read, `kikibouba prepare melody` (and none of its readers) is killed
with SIGKILL; the same command then goes on. `--compare` runs it once more without interruption and compares
every byte. Linux only (/proc). Prints JSON lines: the memory in MB of the parent and of its largest reader
over time, seconds, CPU seconds, files a second, and the report.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path


def link_corpus(folders: list[Path], corpus: Path, count: int) -> None:
    """`count` files under `corpus`, in folders of 1000, linked to the MIDI files of the folders in turn."""
    files = sorted(file for folder in folders for file in folder.rglob("*.mid"))
    for i, file in enumerate(islice(cycle(files), count)):
        target = corpus / f"{i // 1000:03d}" / f"{hashlib.md5(str(i).encode()).hexdigest()}.mid"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            os.link(file, target)


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


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--files", type=int, default=178_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--compare", action="store_true")
    args = parser.parse_args()
    corpus, out, whole = args.work / "corpus", args.work / "killed", args.work / "whole"
    link_corpus(args.folders, corpus, args.files)
    shutil.rmtree(out, ignore_errors=True)
    first = run(corpus, out, args.workers, args.files // 2)
    read = 64 * len(list(out.glob("parts/*/*.part")))
    print(json.dumps({"killed": first, "files_read": read, "files_a_second": round(read / first["s"], 1)}))
    second = run(corpus, out, args.workers, None)
    rate = round((args.files - read) / second["s"], 1)
    print(json.dumps({"resumed": second, "files_read": args.files - read, "files_a_second": rate}))
    if args.compare:
        shutil.rmtree(whole, ignore_errors=True)
        print(json.dumps({"uninterrupted": run(corpus, whole, args.workers, None)}))
        print(json.dumps({"same_bytes": content(out) == content(whole)}))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(json.dumps({"dataset_MB": round(size / 1e6, 1)}))
    print((args.work / "killed.log").read_text())


if __name__ == "__main__":
    main()
