"""MusicVAE's speed and memory on this machine: training steps beside one large matrix product, and sampling.

    python benchmarks/bench_music_vae.py [small] [big] [hierarchical] [full] [--threads 2] [--seconds 20]

Each group takes at most three minutes. A training step is loss, backward pass, clipping and Adam on a fixed
random batch, as the original's was measured; every line is measured in a process of its own, so that its peak
memory is its own. Products and steps alternate, so that whatever else the machine does hits both; both report
the best of their repeats.

The original's figures were measured on 2 cores of an AMD EPYC with AVX-512 and no GPU (TensorFlow 2.15,
float32). It runs `hierdec-mel_16bar` only with a patch (parallel_iterations=1).
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from useful_flop import useful_flop

from kikibouba.config import load_preset
from kikibouba.data.layout import Layout
from kikibouba.models.base import Batch
from kikibouba.models.music_vae.model import MusicVAE, build
from kikibouba.nn.lstm import halve_weights
from kikibouba.train.memory import keep_freed_memory
from kikibouba.train.optimizer import TensorFlowAdam, clip_global_norm

REDUCED = {"model.enc_rnn_size": "[512, 512]", "model.dec_rnn_size": "[256, 256]", "model.z_size": "256"}
"""The sizes at which the original's `hierdec-mel_16bar` fits in memory as it is."""

GROUPS: dict[str, list[tuple[str, int, dict[str, str]]]] = {
    "small": [
        ("cat-mel_2bar_small", 512, {}),
        ("cat-drums_2bar_small", 512, {}),
        ("groovae_2bar_humanize", 512, {}),
    ],
    "big": [("cat-mel_2bar_big", 32, {})],
    "hierarchical": [
        ("hier-drums_4bar_small", 512, {}),
        ("hierdec-mel_16bar", 32, REDUCED),
        ("hierdec-trio_16bar", 32, REDUCED),
    ],
    "full": [("hierdec-mel_16bar", 32, {})],
}
"""Group → (preset, batch size, what to change in the preset)."""

ORIGINAL_STEP_S = {
    ("cat-mel_2bar_small", False): 2.38,
    ("cat-drums_2bar_small", False): 2.55,
    ("groovae_2bar_humanize", False): 2.26,
    ("cat-mel_2bar_big", False): 11.6,
    ("hier-drums_4bar_small", False): 5.05,
    ("hierdec-mel_16bar", True): 7.79,
    ("hierdec-mel_16bar", False): 108.0,
}
"""(preset, whether reduced) → seconds, at the batch sizes above."""

SAMPLE_MS = {
    ("cat-mel_2bar_small", 1): 4.6,
    ("cat-mel_2bar_small", 64): 63.0,
    ("cat-mel_2bar_big", 1): 569.0,
    ("hier-drums_4bar_small", 1): 13.1,
}
"""What to sample: (preset, how many at once) → the original's milliseconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; default small")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20.0, help="at least so long, at least two steps")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(**json.loads(args.one))))
        return
    if unknown := set(args.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(unknown)}")
    print(
        "| preset | batch | products in | s/step | useful GFLOP/s | of a product's | original s | "
        "times as fast | peak GB |\n|---|---|---|---|---|---|---|---|---|"
    )
    notes = []
    for name, batch, changes in (line for group in args.groups or ["small"] for line in GROUPS[group]):
        for precision in ("fp32", "bf16"):
            job = {"name": name, "batch": batch, "changes": changes, "precision": precision}
            result = in_own_process({**job, "threads": args.threads, "seconds": args.seconds})
            print(row(name, bool(changes), batch, precision, result), flush=True)
            notes += result["samples"]
    print("\n" + "\n".join(notes))


def in_own_process(job: dict[str, Any]) -> dict[str, Any]:
    """What `measure` returns."""
    command = [sys.executable, __file__, "--one", json.dumps(job)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])


def row(name: str, reduced: bool, batch: int, precision: str, result: dict[str, Any]) -> str:
    """A line of the table."""
    original = ORIGINAL_STEP_S.get((name, reduced))
    cells = [
        name + " (reduced)" * reduced,
        batch,
        precision,
        f"{result['seconds']:.3f}",
        f"{result['rate'] / 1e9:.0f}",
        f"{result['rate'] / result['ceiling']:.0%}",
        original or "",
        f"{original / result['seconds']:.2f}" if original else "",
        f"{result['peak'] / 1e9:.1f}",
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def measure(
    name: str, batch: int, changes: dict[str, str], precision: str, threads: int, seconds: float
) -> dict[str, Any]:
    """Train a preset for so many seconds and, if it is fp32's turn, sample from it.

    Returns:
        seconds of a step; rate and ceiling, useful FLOP/s of the step and those of a large product; peak,
        bytes of memory while training; samples, lines to print.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    keep_freed_memory()  # as `train.loop.fit` does
    preset = load_preset(name, changes)
    model = build(preset.model, preset.representation)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    step = training_step(model, batch, dtype)
    end = time.perf_counter() + seconds
    times = [time_of(step), time_of(step)]  # the first two also fetch memory from the system
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    product = large_product(dtype)
    product_times = [time_of(product), time_of(product)]
    while time.perf_counter() < end:
        times.append(time_of(step))
        product_times += [time_of(product), time_of(product)]
    best = min(times)
    samples = report_sampling(name, model) if precision == "fp32" else []
    rate, ceiling = useful_flop(model, batch) / best, 2 * 4096**3 / min(product_times)
    return {"seconds": best, "rate": rate, "ceiling": ceiling, "peak": peak, "samples": samples}


def training_step(model: MusicVAE, batch_size: int, dtype: torch.dtype) -> Callable[[], object]:
    """One update on a random batch."""
    batch = Batch(
        random_examples(model.layout, batch_size, model.steps), torch.full((batch_size,), model.steps)
    )
    generator = torch.Generator().manual_seed(0)
    optimizer = TensorFlowAdam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            parts = model.loss(batch, 0, generator)
        parts["loss"].backward()
        clip_global_norm(model.parameters(), 1.0, 10_000.0)
        optimizer.step()

    return step


def random_examples(layout: Layout, batch: int, steps: int) -> torch.Tensor:
    """Examples [batch, steps, K] in which every label is as likely as the others, and numbers are 0 or 1."""
    parts = [*layout.inputs, *layout.outputs, *layout.controls]
    x = torch.zeros(batch, steps, max(part.stop for part in parts))
    for part in parts:
        values = 2 if part.table is None else len(part.table)
        x[..., part.start : part.stop] = torch.randint(values, (batch, steps, part.stop - part.start))
    return x if any(part.table is None for part in parts) else x.long()


def large_product(dtype: torch.dtype) -> Callable[[], object]:
    """What the machine can do: a 4096 x 4096 product."""
    a, b = (torch.randn(4096, 4096).to(dtype) for _ in range(2))
    out = torch.empty(4096, 4096, dtype=dtype)
    return lambda: torch.mm(a, b, out=out)


def report_sampling(name: str, model: MusicVAE) -> list[str]:
    """A line for each way of sampling for which there is a figure of the original."""
    model.eval()
    lines = []
    for precision in ("fp32", "fp16"):
        if precision == "fp16":
            halve_weights(model)
        for (sampled, n), original in SAMPLE_MS.items():
            if sampled == name:
                ms = 1000 * sampling_time(model, n)
                lines.append(f"{name}, {precision}: sampling {n} in {ms:.1f} ms; original {original} ms")
    return lines


def sampling_time(model: MusicVAE, n: int) -> float:
    """Seconds to decode n random z at temperature 0.5, the best of at most 30 times."""
    generator = torch.Generator().manual_seed(0)

    def sample() -> None:
        with torch.inference_mode():
            model.decode(torch.randn(n, model.z_size, generator=generator), 0.5, generator)

    warm = time_of(sample)
    return min(time_of(sample) for _ in range(max(3, min(30, int(2 / warm)))))


def time_of(action: Callable[[], object]) -> float:
    """Seconds it takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
