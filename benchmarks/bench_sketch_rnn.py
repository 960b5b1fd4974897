"""Sketch-RNN's speed on this machine: training steps against one matrix product, and drawing.

    python benchmarks/bench_sketch_rnn.py [--cells lstm layer_norm hyper] [--mean-length 45] [--threads 2]

A training step is loss, backward pass, clipping and Adam at the original's sizes, in batches of 100 drawings
of similar lengths, as the training loop makes them. What counts is points (rows of drawings) a second.
"Useful" operations are those of the products with recurrent weights and of the output layer, each once
forward and twice backward, for the rows there are. Products of such a step's shape (100 x 512 x 2048) and
steps alternate, so that whatever else the machine does hits both; both report the best of their repeats.
Points a CPU second are given too: they suffer less from a busy machine.

The original pads every drawing to the longest of its data set (aaron_sheep: 250 rows, of which 125 are real
on average). Its figures were measured on 2 cores of an AMD EPYC with AVX-512 and no GPU (TensorFlow 2.15,
float32).
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from kikibouba.models.base import Batch
from kikibouba.models.sketch_rnn.config import Cell, ModelConfig
from kikibouba.models.sketch_rnn.model import SketchRNN
from kikibouba.train.memory import keep_freed_memory
from kikibouba.train.optimizer import TensorFlowAdam, clip_value

BATCH = 100
ORIGINAL_STEP_S = {"lstm": 3.52, "layer_norm": 3.85, "hyper": 9.47}
ORIGINAL_STEP_CPU_S = {"lstm": 6.1, "layer_norm": 6.7, "hyper": 17.1}
ORIGINAL_POINTS = BATCH * 125.35
ORIGINAL_SAMPLE_MS = {"lstm": 294, "layer_norm": 295, "hyper": 464}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="+", default=list(ORIGINAL_STEP_S), choices=list(ORIGINAL_STEP_S))
    parser.add_argument("--mean-length", type=int, default=45, help="QuickDraw 45, aaron_sheep 125")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as `train.loop.fit` does
    print(
        f"{args.threads} threads, torch {torch.__version__}, drawings of {args.mean_length} points on average"
    )
    for cell in args.cells:
        torch.manual_seed(0)
        model = SketchRNN(ModelConfig(enc_model=cell, dec_model=cell))
        for dtype in (torch.float32, torch.bfloat16):
            report_training(cell, model, args.mean_length, args.steps, dtype)
        report_drawing(cell, model)


def report_training(cell: Cell, model: SketchRNN, mean_length: int, steps: int, dtype: torch.dtype) -> None:
    batches, product = bucketed_batches(mean_length, steps), small_product(dtype)
    step = training_step(model, dtype)
    step(batches[0])
    products, rates, cpu_rates = [], [], []
    for batch in batches:
        products.append(best_time(product, 10))
        start, cpu_start = time.perf_counter(), time.process_time()
        step(batch)
        points = int(batch.lengths.sum())
        rates.append(points / (time.perf_counter() - start))
        cpu_rates.append(points / (time.process_time() - cpu_start))
    points, useful = max(rates), useful_flop_per_point(model) * max(rates)
    ceiling = 2 * BATCH * 512 * 2048 / min(products)
    original, original_cpu = (
        ORIGINAL_POINTS / ORIGINAL_STEP_S[cell],
        ORIGINAL_POINTS / ORIGINAL_STEP_CPU_S[cell],
    )
    print(
        f"{cell}, {dtype}: {points:.0f} points/s (median {np.median(rates):.0f}), {useful / 1e9:.0f} useful"
        f" GFLOP/s, product {ceiling / 1e9:.0f}: {useful / ceiling:.0%}; original {original:.0f} points/s:"
        f" {points / original:.2f} times as many, {max(cpu_rates) / original_cpu:.2f} times per CPU second"
    )


def bucketed_batches(mean_length: int, count: int) -> list[Batch]:
    """Batches of similar lengths out of a pool of 20, taken evenly from the pool."""
    rng = np.random.default_rng(0)
    lengths = np.sort(rng.gamma(4.0, mean_length / 4.0, 20 * BATCH).astype(int).clip(4, 250)).reshape(
        20, BATCH
    )
    chosen = lengths[np.linspace(2, 17, count).round().astype(int)]
    return [Batch(random_rows(row), torch.from_numpy(row)) for row in chosen]


def random_rows(lengths: np.ndarray) -> torch.Tensor:
    x = torch.zeros(len(lengths), int(lengths.max()), 5)
    x[..., :2], x[..., 2] = torch.randn(*x.shape[:2], 2), 1
    return x


def training_step(model: SketchRNN, dtype: torch.dtype) -> Callable[[Batch], None]:
    optimiser = TensorFlowAdam(model.parameters())
    generator = torch.Generator().manual_seed(0)
    model.train()

    def step(batch: Batch) -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = model.loss(batch, 0, generator)["loss"]
        optimiser.zero_grad()
        loss.backward()
        clip_value(model.parameters(), 1.0)
        optimiser.step()

    return step


def useful_flop_per_point(model: SketchRNN) -> int:
    """Multiplications and additions of the recurrent products and the output layer, forward and backward."""
    recurrent = ("weight_h", "small_weight_main", "small_weight_h", "embed_weight", "modulate_weight")
    used = [p.numel() for name, p in model.named_parameters() if name.endswith((*recurrent, "output.weight"))]
    return 3 * 2 * sum(used)


def small_product(dtype: torch.dtype) -> Callable[[], object]:
    a, b = torch.randn(BATCH, 512, dtype=dtype), torch.randn(2048, 512, dtype=dtype).t()
    return lambda: a @ b


def report_drawing(cell: Cell, model: SketchRNN) -> None:
    model.eval()
    with torch.no_grad():
        model.output.bias[2] = -50  # never ends
    for n in (1, 16):
        z = torch.randn(n, model.z_size)
        milliseconds = 1000 * best_time(lambda z=z: model.decode(z, 0.5, torch.Generator().manual_seed(0)), 7)
        line = f"{cell}: {n} sketch{'es' * (n > 1)} of 250 rows in {milliseconds:.0f} ms"
        if n == 1:
            original = ORIGINAL_SAMPLE_MS[cell]
            line += f"; original {original} ms: {original / milliseconds:.1f} times as fast"
        print(line)


def best_time(run: Callable[[], object], repeats: int) -> float:
    run_times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        run_times.append(time.perf_counter() - start)
    return min(run_times)


if __name__ == "__main__":
    main()
