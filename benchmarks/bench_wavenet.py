"""How fast a WaveNet says sound: samples a second of CPU time, and as a share of real time, on one thread.

    python benchmarks/bench_wavenet.py [seconds for each line]

`queue` is the plain way: a queue of past inputs for each convolution, one PyTorch operation after the other,
as the original's generator in Python. The roofline is the rate at which the weights could be read in the same
run: the compiled product of a matrix as large as all of them with a vector, once a sample. CPU time is what
other programs on the machine disturb least; `load` tells how busy it was.
"""

import os
import sys
import time
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kikibouba.config import find_preset
from kikibouba.nn.wavenet import WaveNet, dilations
from kikibouba.nn.wavenet_products import gemv
from kikibouba.nn.wavenet_voice import Voice

INPUTS = torch.arange(256) / 255 - 0.5
HOP = 800


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


def rate(say: Any, count: int, seconds: float) -> float:
    """Samples a second of CPU time; `say` says `count` of them."""
    say()
    began, said = time.process_time(), 0
    while (spent := time.process_time() - began) < seconds or not said:
        say()
        said += count
    return said / spent


def roofline(numbers: int, dtype: type, seconds: float) -> float:
    """Products a second with a matrix of so many numbers."""
    weight = np.ones((numbers // 256, 256), dtype)
    x, out = np.ones(256, np.float32), np.zeros(len(weight), np.float32)
    ones = np.ones_like(out)
    return rate(lambda: gemv(weight, x, ones, out), 1, seconds)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    torch.set_num_threads(1)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; samples a second of CPU time, x real time")
    for name in ("umtn", "umtn_4x10", "umtn_small"):
        config = find_preset(name).model
        torch.manual_seed(0)
        net = WaveNet(
            dilations(config.blocks, config.layers), config.channels, config.channels, config.latent
        )
        z = torch.randn(1, config.latent, 1)
        numbers = sum(p.numel() for n, p in net.named_parameters() if p.dim() > 1 and "condition" not in n)
        queues = Queues(net.eval())
        found = {"queue": rate(lambda q=queues, z=z: q.say(z, 20), 20, seconds)}
        for engine in ("torch", "fp32", "int8"):
            voice = Voice(net, INPUTS, HOP if engine != "torch" else 100, engine=engine)
            found[engine] = rate(lambda v=voice, z=z: v.say(z), voice.hop, seconds)
        roofs = {"fp32": roofline(numbers, np.float32, seconds), "int8": roofline(numbers, np.int8, seconds)}
        for engine, value in found.items():
            of = f", {100 * value / roofs[engine]:3.0f} % of the roofline" if engine in roofs else ""
            times = value / found["queue"]
            print(f"{name:<11} {engine:<6} {value:9.0f} /s {value / 16_000:6.3f} x  {times:6.1f} x queue{of}")


if __name__ == "__main__":
    main()
