"""MusicVAE's speed on this machine: training steps against one large matrix product, and sampling.

    python benchmarks/bench_music_vae.py [--preset cat-mel_2bar_small] [--batch 512] [--steps 5] [--threads 2]

A training step is loss, backward pass, clipping and Adam, on a fixed random batch. "Useful" operations are
those of the matrix products a step cannot do without: recurrences (none for a zero state), the inputs of the
upper decoder layers, z, mu, sigma, initial states and logits, each once forward and twice backward. Looking
up symbols, gate functions and everything else count as nothing. Products and steps alternate, so that
whatever else the machine does hits both; both report the best of their repeats.

The original's figures were measured on 2 cores of an AMD EPYC with AVX-512 and no GPU (TensorFlow 2.15,
float32).
"""

import argparse
import time
from collections.abc import Callable

import torch

from kikibouba.config import Preset, find_preset
from kikibouba.models.base import Batch
from kikibouba.models.music_vae.model import MusicVAE, build
from kikibouba.train.memory import keep_freed_memory
from kikibouba.train.optimizer import TensorFlowAdam, clip_global_norm

ORIGINAL_STEP_S = {("cat-mel_2bar_small", 512): 2.38, ("cat-drums_2bar_small", 512): 2.55}
ORIGINAL_SAMPLE_MS = {("cat-mel_2bar_small", 1): 4.6, ("cat-mel_2bar_small", 64): 63.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="cat-mel_2bar_small")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()  # as `train.loop.fit` does
    preset = find_preset(args.preset)
    model = build(preset.model, preset.representation)
    print(f"{args.preset}, batch {args.batch}, {args.threads} threads, torch {torch.__version__}")
    for dtype in (torch.float32, torch.bfloat16):
        report_training(preset, model, args.batch, args.steps, dtype)
    drawing = best_time(training_step(model, args.batch, torch.float32, sampling_probability=0.5), args.steps)
    print(f"{torch.float32}, half of the decoder's inputs its own draws: {drawing:.3f} s/step")
    for n in (1, 64):
        report_sampling(preset, model, n)


def report_training(preset: Preset, model: MusicVAE, batch_size: int, steps: int, dtype: torch.dtype) -> None:
    step, product = training_step(model, batch_size, dtype), large_product(dtype)
    step()
    times = [(best_time(product, 3), best_time(step, 1)) for _ in range(steps)]
    ceiling = 2 * 4096**3 / min(t for t, _ in times)
    seconds = min(t for _, t in times)
    useful = useful_flop(model, batch_size) / seconds
    line = f"{dtype}: {seconds:.3f} s/step, {useful / 1e9:.0f} useful GFLOP/s, product {ceiling / 1e9:.0f}: "
    line += f"{useful / ceiling:.0%}"
    if original := ORIGINAL_STEP_S.get((preset.name, batch_size)):
        line += f"; original {original} s/step: {original / seconds:.2f} times as fast"
    print(line)


def training_step(
    model: MusicVAE, batch_size: int, dtype: torch.dtype, sampling_probability: float = 0.0
) -> Callable[[], object]:
    """One update on random labels."""
    batch = Batch(
        torch.randint(model.decoder.depth, (batch_size, model.steps)),
        torch.full((batch_size,), model.steps),
    )
    generator = torch.Generator().manual_seed(0)
    optimizer = TensorFlowAdam(model.parameters())

    def step() -> None:
        optimizer.zero_grad()
        eps = torch.randn(batch_size, model.z_size, generator=generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            parts = model.loss_from_noise(batch, 0, eps, sampling_probability, generator)
        parts["loss"].backward()
        clip_global_norm(model.parameters(), 1.0, 10_000.0)
        optimizer.step()

    return step


def large_product(dtype: torch.dtype) -> Callable[[], object]:
    """What the machine can do: a 4096 x 4096 product."""
    a, b = (torch.randn(4096, 4096).to(dtype) for _ in range(2))
    out = torch.empty(4096, 4096, dtype=dtype)
    return lambda: torch.mm(a, b, out=out)


def useful_flop(model: MusicVAE, batch_size: int) -> int:
    """Floating-point operations (a multiply-add is two) of a training step's necessary products."""
    steps, encoder, decoder = model.steps, model.encoder, model.decoder
    products = (steps - 1) * sum(
        layer.w_h.numel() for layers in (encoder.forward_layers, encoder.backward_layers) for layer in layers
    )
    products += steps * sum(layer.w_h.numel() for layer in decoder.layers)
    products += steps * sum(layer.w_x.numel() for layer in decoder.layers[1:])
    products += steps * decoder.output.weight.numel() + decoder.initial_state.weight.numel()
    products += decoder.layers[0].w_x[decoder.depth :].numel()
    products += encoder.mu.weight.numel() + encoder.sigma.weight.numel()
    return 3 * 2 * batch_size * products


def report_sampling(preset: Preset, model: MusicVAE, n: int) -> None:
    generator = torch.Generator().manual_seed(0)

    def sample() -> None:
        with torch.inference_mode():
            model.decode(torch.randn(n, model.z_size, generator=generator), 0.5, generator)

    best_time(sample, 5)
    line = f"sampling {n}: {1e3 * best_time(sample, 30):.1f} ms"
    if original := ORIGINAL_SAMPLE_MS.get((preset.name, n)):
        line += f"; original {original} ms"
    print(line)


def best_time(action: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
