"""How long it takes to make a model one's own: a song, read, encoded and learnt, to a usable bridge.

    python benchmarks/bench_personalize.py [SONG] [repetitions]

Prints medians of wall clock and of CPU time, which other programs on the machine disturb less, for each form
of MidiMe; the base is loaded, and the first run, which loads libraries, is left out. Goal: 3 s.
`load` tells how busy the machine was otherwise.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from kikibouba.hub import load_model
from kikibouba.personalizing import make_personal

EXAMPLE = Path(__file__).parents[1] / "examples/morning_walk.mid"


def main() -> None:
    song = Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    base = load_model("mel_2bar")
    make_personal(base, song, steps=1)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {repetitions}")
    for preset in ("personal", "midime", "ae-cat-mel_2bar_big"):
        walls, cpus = [], []
        for _ in range(repetitions):
            with tempfile.TemporaryDirectory() as out:
                wall, cpu = time.perf_counter(), time.process_time()
                made = make_personal(base, song, preset=preset, out=out)
                walls.append(time.perf_counter() - wall)
                cpus.append(time.process_time() - cpu)
                size = sum(file.stat().st_size for file in Path(out).iterdir()) / 1e6
        what = f"{preset}, {len(made.songs.examples)} windows, {made.log[-1].step} steps, {size:.1f} MB"
        print(f"{what:<56} {statistics.median(walls):6.2f} s  {statistics.median(cpus):6.2f} s CPU")


if __name__ == "__main__":
    main()
