"""How fast a WaveNet says sound and learns, on this machine; on its GPU, if it has one.

    python benchmarks/bench_wavenet.py [one] [streams] [training] [--seconds 1]

one: a single stream on a CPU, on one thread. Samples a second of CPU time, which other programs disturb least
(`load` tells how busy the machine was), as a share of real time, beside `queue`, the plain way: a queue of
past inputs for each convolution, one PyTorch operation after the other. Two floors are measured in the same
run: how often the weights could be read from where they lie, and how often the engine's own product could
multiply a matrix as large as all of them.

streams: 1, 8 and 32 streams at once on a CPU, 1 and 64 on a GPU, samples a second of all.

training: a step of UMTN on clips of 0.75 s in bfloat16, beside a large matrix product; `timbre_small` with
few clips on a CPU, `umtn` with 32 on a GPU. Counted are the multiply-adds of convolutions and products.
"""

import argparse
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from kikibouba.config import load_preset
from kikibouba.models.base import ClipBatch
from kikibouba.models.music_translation.config import ModelConfig
from kikibouba.models.music_translation.model import build
from kikibouba.nn.wavenet import WaveNet, dilations
from kikibouba.nn.wavenet_kernel import product
from kikibouba.nn.wavenet_voice import Engine, Voice, _weights

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
INPUTS = torch.arange(256) / 255 - 0.5
REAL_TIME = 16_000


class Queues:
    """Said with one queue for each convolution, and nothing laid out in advance."""

    def __init__(self, net: WaveNet) -> None:
        self.net, self.first = net, torch.zeros(1, 1, 1)
        width = net.skip_conv.in_channels
        self.queues = [deque(torch.zeros(d, 1, width, 1)) for d in net.dilations]

    @torch.inference_mode()
    def say(self, z: Tensor, count: int) -> None:
        """So many samples under the first frame."""
        net: Any = self.net
        x = torch.zeros(1, 1, 1)
        for _ in range(count):
            h = torch.conv1d(torch.cat([self.first, x], 2), net.first_conv.weight, net.first_conv.bias)
            self.first, s = x, net.skip_conv(h)
            for layer, queue in zip(net.layers, self.queues, strict=True):
                taps = torch.cat([queue.popleft(), h], 2)
                queue.append(h)
                a = torch.conv1d(taps, layer.causal.weight, layer.causal.bias) + layer.condition(z[:, :, :1])
                gate, value = a.chunk(2, 1)
                u = torch.sigmoid(gate) * torch.tanh(value)
                h, s = h + layer.residual(u), s + layer.skip(u)
            logits = net.logits(torch.relu(net.fc(torch.relu(s)) + net.condition(z[:, :, :1])))
            x = INPUTS[torch.multinomial(torch.softmax(logits[0, :, 0], 0), 1)].view(1, 1, 1)


def seconds_spent(device: torch.device) -> float:
    """A clock: of the CPU's time, or of the wall once the GPU is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def rate(work: Callable[[], object], count: int, seconds: float, device: torch.device) -> float:
    """How much is done a second, in so many seconds at least; `work` does `count`."""
    work()
    began, done = seconds_spent(device), 0
    while (spent := seconds_spent(device) - began) < seconds or not done:
        work()
        done += count
    return done / spent


def network(name: str, device: torch.device) -> tuple[WaveNet, int]:
    """An untrained decoder of a preset, and how many numbers it multiplies for each sample."""
    config = cast(ModelConfig, load_preset(name).model)
    torch.manual_seed(0)
    net = WaveNet(dilations(config.blocks, config.layers), config.channels, config.channels, config.latent)
    numbers = sum(p.numel() for n, p in net.named_parameters() if p.dim() > 1 and "condition" not in n)
    return net.eval().to(device), numbers


def says(net: WaveNet, engine: Engine, streams: int, seconds: float, device: torch.device) -> float:
    """Samples a second of all streams."""
    quick = 800 if streams == 1 else 100
    hop = 20 if engine == "torch" else quick
    z = torch.randn(streams, net.condition.in_channels, 1, device=device)
    voice = Voice(net, INPUTS.to(device), hop, streams, engine=engine)
    return rate(lambda: voice.say(z), hop * streams, seconds, device)


@njit(fastmath=True)
def read(numbers: np.ndarray) -> int:
    """Their sum."""
    total = np.int64(0)
    for k in range(len(numbers)):
        total += numbers[k]
    return int(total)


@njit(fastmath=True, error_model="numpy")
def multiply(weights: Any, x: np.ndarray, room: Any, add: np.ndarray, out: np.ndarray) -> None:
    """The engine's product, once."""
    product(weights, 0, x, room, add, out)


def floors(numbers: int, engine: Engine, seconds: float) -> tuple[float, float]:
    """How often a second so many weights in this engine's form can be read, and multiplied."""
    rows = numbers // 256
    weights = _weights(torch.ones(1, rows, 256), engine)
    x, add, out = np.ones(256, np.float32), np.zeros(rows, np.float32), np.zeros(rows, np.float32)
    room = np.zeros(259, np.int16), np.zeros(rows + 63, np.float32)
    words = weights[0].reshape(-1).view(np.int64)
    cpu = torch.device("cpu")
    reading = rate(lambda: read(words), 1, seconds, cpu)
    return reading, rate(lambda: multiply(weights, x, room, add, out), 1, seconds, cpu)


def one(seconds: float) -> None:
    """A single stream."""
    cpu = torch.device("cpu")
    for name in ("umtn", "umtn_4x10", "timbre_small"):
        net, numbers = network(name, cpu)
        queues, z = Queues(net), torch.randn(1, net.condition.in_channels, 1)
        queue = rate(lambda q=queues, z=z: q.say(z, 20), 20, seconds, cpu)
        print(f"{name:<11} queue  {queue:9.0f} /s {queue / REAL_TIME:6.3f} x")
        for engine in ("torch", "fp32", "int8"):
            found = says(net, engine, 1, seconds, cpu)
            line = f"{name:<11} {engine:<6} {found:9.0f} /s {found / REAL_TIME:6.3f} x"
            line += f"  {found / queue:6.1f} x queue"
            if engine != "torch":
                reading, multiplying = (found / floor for floor in floors(numbers, engine, seconds))
                line += f", {reading:4.0%} of reading, {multiplying:4.0%} of multiplying the weights"
            print(line, flush=True)


def streams(seconds: float) -> None:
    """Several at once."""
    gpu = DEVICE.type == "cuda"
    for name in ("umtn", "umtn_4x10", "timbre_small"):
        net, _ = network(name, DEVICE)
        for count in (1, 64) if gpu else (1, 8, 32):
            for engine in ("torch", "triton", "triton_bf16") if gpu else ("torch", "fp32", "int8"):
                found = says(net, engine, count, seconds, DEVICE)
                print(
                    f"{name:<11} {count:2} streams {engine:<11} {found:9.0f} /s {found / REAL_TIME:7.3f} x",
                    flush=True,
                )


def training(seconds: float) -> None:
    """A step: both turns, with their backward passes and Adam."""
    name, clips = ("umtn", 32) if DEVICE.type == "cuda" else ("timbre_small", 4)
    preset: Any = load_preset(name)
    model = build(replace(preset.model, domains=("a", "b")), preset.representation).to(DEVICE)
    codes = torch.randint(256, (clips, 12_000), device=DEVICE)
    batch = ClipBatch(codes, codes, torch.arange(clips, device=DEVICE) % 2)
    turns = [(turn, torch.optim.Adam(turn.parameters)) for turn in model.turns()]

    def step() -> None:
        for turn, adam in turns:
            adam.zero_grad()
            with torch.autocast(DEVICE.type, torch.bfloat16):
                loss = turn.loss(batch, 0)["loss"]
            loss.backward()
            adam.step()

    with FlopCounterMode(display=False) as counter:
        step()
    side = 8192 if DEVICE.type == "cuda" else 1024
    square = torch.randn(side, side, device=DEVICE, dtype=torch.bfloat16)
    peak = 2 * side**3 * rate(lambda: square @ square, 1, seconds, DEVICE)
    found = rate(step, 1, seconds, DEVICE)
    flop = counter.get_total_flops()
    print(
        f"{name}, {clips} clips: {1 / found:.3f} s a step, {flop * found / 1e9:.0f} GFLOP/s, "
        f"{flop * found / peak:.0%} of a product's {peak / 1e9:.0f}"
    )


GROUPS = {"one": one, "streams": streams, "training": training}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; default one")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each line at least (default 1)")
    args = parser.parse_args()
    if unknown := set(args.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(unknown)}")
    torch.set_num_threads(1)
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"{os.cpu_count()} cores"
    print(f"{device}, load {os.getloadavg()[0]:.1f}; samples a second and x real time")
    for group in args.groups or ["one"]:
        GROUPS[group](args.seconds)


if __name__ == "__main__":
    main()
