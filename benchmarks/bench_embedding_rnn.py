"""Embedding RNN's speed on this machine: training steps against a loop in Python, and one matrix product.

    python benchmarks/bench_embedding_rnn.py [--preset NAME] [--size 128] [--frames 12] [--threads 1]

A training step is loss, backward pass, clipping and Adam at the preset's size, in batches of 128. The cost is
the same for each frame, so that a few frames say what 125 take. The loop computes the same loss from the same
weights, a step after the other in plain PyTorch with autograd, as the original's graph is written: z and the
pitch are joined to every input, and normalisation is a mean, a variance, a division. "Useful" operations are
the matrix products, each once forwards and twice backwards; they are set beside the faster of two products of
the recurrence's shape (128 x 1024 x 4096). Products and steps alternate, so that whatever else the machine
does hits both. All times are of the CPU, the best of the repeats.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kikibouba.config import find_preset
from kikibouba.models.base import Batch
from kikibouba.models.embedding_rnn.model import EmbeddingRNN, build
from kikibouba.nn.factor import Factor
from kikibouba.nn.layer_norm_lstm import EPSILON, LayerNormLSTM
from kikibouba.nn.univariate_mixture import log_density, split_output
from kikibouba.train.memory import keep_freed_memory
from kikibouba.train.optimizer import TensorFlowAdam, clip_value

BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="blog_13_unc0_nosam1_d1_pca1")
    parser.add_argument("--size", type=int, help="units of each layer, if not the preset's")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as `train.loop.fit` does
    preset = find_preset(args.preset)
    if args.size:
        smaller = replace(preset.model, rnn_size=args.size, enc_rnn_size=args.size)
        preset = replace(preset, model=smaller)
    torch.manual_seed(0)
    model = build(preset.model, preset.representation)
    batch = random_batch(model.width, args.frames)
    ours, loop = model.loss(batch, 0)["loss"].item(), loss_of_a_loop(model, batch).item()
    assert abs(ours - loop) < 1e-3, f"the loop computes another loss: {loop}, not {ours}"
    steps = {
        "ours, float32": training_step(model, lambda: model.loss(batch, 0)["loss"], torch.float32),
        "ours, bf16": training_step(model, lambda: model.loss(batch, 0)["loss"], torch.bfloat16),
        "loop, float32": training_step(model, lambda: loss_of_a_loop(model, batch), torch.float32),
    }
    report(steps, products(model.config.rnn_size), useful_flop(model, args.frames), args)


def report(
    steps: dict[str, Callable[[], None]],
    products: dict[str, Callable[[], object]],
    useful: int,
    args: argparse.Namespace,
) -> None:
    times: dict[str, list[float]] = {name: [] for name in (*steps, *products)}
    for name, step in steps.items():
        step()
        for _ in range(args.repeats):
            for kind, product in products.items():
                times[kind] += [cpu_seconds(product) for _ in range(5)]
            times[name].append(cpu_seconds(step))
    best = {name: min(found) for name, found in times.items()}
    size = args.size or find_preset(args.preset).model.rnn_size
    what = f"{args.preset} of {size} units, {BATCH} x {args.frames} frames, {args.threads} threads"
    print(f"{what}, torch {torch.__version__}")
    for name in steps:
        kinds = [kind for kind in products if kind.startswith("bf16" if "bf16" in name else "float32")]
        rate, ceiling = useful / best[name], 2 * BATCH * size * 4 * size / min(best[kind] for kind in kinds)
        print(
            f"{name}: {best[name]:.2f} s, {rate / 1e9:.0f} useful GFLOP/s of {ceiling / 1e9:.0f}: "
            f"{rate / ceiling:.0%}; {best['loop, float32'] / best[name]:.2f} times as fast as the loop"
        )


def cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def random_batch(width: int, frames: int) -> Batch:
    x = torch.randn(BATCH, frames, width + 3)
    x[..., width:] = torch.randint(128, (BATCH, 1, 3)).float()
    return Batch(x, torch.full((BATCH,), frames))


def training_step(model: EmbeddingRNN, loss: Callable[[], Tensor], dtype: torch.dtype) -> Callable[[], None]:
    optimiser = TensorFlowAdam(model.parameters())
    model.train()

    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            value = loss()
        optimiser.zero_grad()
        value.backward()
        clip_value(model.parameters(), 1.0)
        optimiser.step()

    return step


def products(size: int) -> dict[str, Callable[[], object]]:
    """One step's product with the recurrent weights, plain and by weights that are packed (`nn.factor`)."""
    found: dict[str, Callable[[], object]] = {}
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = torch.randn(BATCH, size, dtype=dtype), torch.randn(4 * size, size, dtype=dtype).t()
        factor = Factor(b, BATCH)
        found[f"{name}, plain"] = lambda a=a, b=b: a @ b
        found[f"{name}, packed"] = lambda a=a, factor=factor: factor.product(a)
    return found


def useful_flop(model: EmbeddingRNN, frames: int) -> int:
    """Floating-point operations (a multiply-add is two) of the products of a training step."""
    encoder: list[Any] = list(model.encoder)
    cells = [*encoder, *model.layers]
    each_frame = sum(cell.weight_h.numel() for cell in cells) + model.output.weight.numel()
    each_frame += sum(cell.weight_x[:, : model.channels].numel() for cell in (*encoder, model.layers[0]))
    each_frame += sum(layer.weight_x.numel() for layer in model.layers[1:])
    return 3 * 2 * BATCH * frames * each_frame


# ------------------------------------------------------------------------------------- the loop in Python


def loss_of_a_loop(model: EmbeddingRNN, batch: Batch) -> Tensor:
    """The same loss, a step after the other, of a model whose z has no noise."""
    sequence = model.sequence_of(batch.x[..., : model.width])
    forwards = last_state(model.encoder[0], sequence)
    summary = torch.cat([forwards, last_state(model.encoder[1], sequence.flip(1))], 1)
    mu, s = model.mu(summary), model.log_variance(summary)
    kl = -0.5 * (1 + s - mu.square() - s.exp()).mean()
    beside = model._beside(model.deterministic(summary), batch.x[:, 0, model.width :])
    states = [torch.tanh(linear(beside)).chunk(2, 1) for linear in model.initial_states]
    frame, losses = torch.zeros_like(sequence[:, 0]), []
    for t in range(sequence.shape[1]):
        hidden = torch.cat([frame, beside], 1)
        for k, layer in enumerate(model.layers):
            states[k] = cell_step(layer, hidden, *states[k])
            hidden = states[k][0]
        config, frame = model.config, sequence[:, t]
        y = split_output(
            model.output(hidden), config.mixture, model.channels, config.num_mixture, config.least_log_sigma
        )
        losses.append(-log_density(y, frame) / model.channels)
    return torch.stack(losses).mean() + model._kl_weight(0) * kl.clamp(min=model.config.kl_tolerance)


def last_state(cell: Any, sequence: Tensor) -> Tensor:
    h = c = sequence.new_zeros(len(sequence), cell.hidden_size)
    for t in range(sequence.shape[1]):
        h, c = cell_step(cell, sequence[:, t], h, c)
    return h


def cell_step(cell: Any, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    a = F.linear(x, cell.weight_x) + F.linear(h, cell.weight_h)
    if isinstance(cell, LayerNormLSTM):
        blocks = normalised(a.unflatten(1, (4, -1))).flatten(1)
        a = blocks * cell.norm.gamma + cell.norm.beta
    else:
        a = a + cell.bias
    i, f, o, g = a.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    heard = normalised(c) * cell.norm.gamma_c + cell.norm.beta_c if isinstance(cell, LayerNormLSTM) else c
    return torch.sigmoid(o) * torch.tanh(heard), c


def normalised(x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + EPSILON)


if __name__ == "__main__":
    main()
