"""`prepare` on Ray against `prepare` on processes of this machine: seconds, CPU seconds, and bytes compared.

    python benchmarks/bench_ray.py [FOLDER_OF_MIDI_FILES] [--files N] [--cores 2] [--rounds 1] [--kind melody]

Without a folder a thousand links to our examples are read; with --files so many links to what is in the
folder (each under a name of its own). Prints a JSON line for each step, with its seconds, the CPU seconds of
all processes in it and of the calling one alone, files a second of those CPU seconds, and the load of the
machine: starting Ray; preparing locally; preparing on Ray for the first time, which starts and loads its
workers; and again, which does not. Then the cost of tasks that do nothing, on Ray Data, that of encoding
batches of melodies, and the bytes that a file's examples take. Linux (/proc).
"""

import argparse
import filecmp
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from link_corpus import EXAMPLES, link_corpus

from kikibouba.data.prepare import prepare
from kikibouba.encoding import Encoder, tasks_of
from kikibouba.hub import load_model
from kikibouba.scale.prepare import read_all
from kikibouba.scale.ray_start import connected
from kikibouba.scale.rows import items_of, rows_of

if TYPE_CHECKING:
    import pyarrow as pa

TICKS = os.sysconf("SC_CLK_TCK")


class CPUTime:
    """CPU seconds of this process and all below it; those that have ended count as far as they were seen."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}

    def seconds(self) -> float:
        """Seconds until now, of which a step is the difference of two."""
        for pid in _family(os.getpid()):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            self.seen[pid] = sum(map(int, fields[11:13])) / TICKS
        ended = os.times()
        return sum(self.seen.values()) + ended.children_user + ended.children_system


def _family(pid: int) -> Iterator[int]:
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


@contextmanager
def step(name: str, cpu: CPUTime, files: int) -> Iterator[None]:
    """Print what a step took."""
    load, began, before, own = os.getloadavg()[0], time.perf_counter(), cpu.seconds(), time.process_time()
    yield
    seconds, used, own = time.perf_counter() - began, cpu.seconds() - before, time.process_time() - own
    row: dict[str, Any] = {"step": name, "s": round(seconds, 2), "cpu_s": round(used, 2)}
    row["own_cpu_s"] = round(own, 2)  # of this process alone, which cannot be shared out
    row |= {"files_per_cpu_s": round(files / max(used, 0.01))} if files else {}
    print(json.dumps(row | {"load": round(load, 1)}), flush=True)


def nothing(batch: "pa.Table") -> "pa.Table":
    """A task that does nothing."""
    return batch.append_column("error", [[""] * len(batch)])


def measure(folder: Path, kind: str, cores: int, rounds: int, work: Path) -> None:
    """Print all steps."""
    cpu, files = CPUTime(), len(list(folder.rglob("*.mid")))
    print(json.dumps({"files": files, "cores": cores}), flush=True)
    with ExitStack() as stack:
        with step("start Ray", cpu, 0):
            stack.enter_context(connected(num_cpus=cores))
        for number in range(rounds):
            with step("local", cpu, files):
                here = prepare(kind, folder, work / f"local-{number}", workers=cores, progress=False).path
            for warmth in ("first", "again") if number == 0 else ("again",):
                with step(f"on Ray, {warmth}", cpu, files):
                    out = work / f"ray-{number}-{warmth}"
                    there = prepare(kind, folder, out, progress=False, read_all=read_all).path
                names = sorted(path.name for path in here.iterdir())
                same = filecmp.cmpfiles(here, there, names, shallow=False)[0]
                assert sorted(same) == names == sorted(path.name for path in there.iterdir())
        for tasks in (50, 450):
            with step(f"{tasks} empty tasks", cpu, 0):
                empty = items_of(["x" * 10_000] * tasks)
                assert len(list(rows_of(empty.map_batches(nothing, batch_format="pyarrow")))) == tasks
    if kind == "melody":
        tasks, encoder = tasks_of([here])[:8], Encoder(load_model("mel_2bar"))
        with step(f"encode {sum(len(task.rows) for task in tasks)} melodies here", cpu, 0):
            list(map(encoder, tasks))
    examples = sum(path.stat().st_size for path in here.glob("*.npy"))
    print(json.dumps({"bytes_of_examples_per_file": round(examples / files)}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=EXAMPLES)
    parser.add_argument("--files", type=int)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--kind", default="melody")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        corpus = args.folder
        if args.files or corpus == EXAMPLES:
            corpus = Path(temporary) / "corpus"
            link_corpus([args.folder], corpus, args.files or 1000)
        measure(corpus, args.kind, args.cores, args.rounds, Path(temporary))


if __name__ == "__main__":
    main()
