"""A WaveNet that speaks in one kernel for GPUs, written in Triton, which comes with PyTorch for CUDA.

A program of the kernel says all samples of some frames of one stream: what a sample costs is the weights'
passage through one multiprocessor, from the cache that all of them share, and no launch of a kernel for each
of hundreds of small operations. Streams run side by side, one on each multiprocessor.

Vectors that all threads of a program need go through memory: each layer's h into its ring, which is one slot
longer here so that t - (K - 1) d and t have one each, u and the sums into `room`. A barrier stands between
writing and reading. Channels are filled up to a power of two, which Triton wants, and stay silent: their
weights are zero.
"""

from typing import Any

import numpy as np
import torch
import triton  # pyrefly: ignore
import triton.language as tl  # pyrefly: ignore
from torch import Tensor

from kikibouba.nn.wavenet import CLASSES
from kikibouba.nn.wavenet_cache import CachedWaveNet

BLOCK, WARPS = 32, 8
"""Rows of a weight that a program multiplies at a time, and how many times 32 threads it has."""


@triton.jit
def _product(weight, x, inputs: tl.constexpr, outputs: tl.constexpr, block: tl.constexpr):
    """Σ_k weight[k] x[k] of a weight [inputs, outputs], summed as `block` sums side by side."""
    columns = tl.arange(0, outputs)
    sums = tl.zeros([block, outputs], tl.float32)
    for first in tl.range(0, inputs, block, loop_unroll_factor=4):
        k = first + tl.arange(0, block)
        w = tl.load(weight + k[:, None] * outputs + columns[None, :]).to(tl.float32)
        sums += w * tl.load(x + k)[:, None]
    return tl.sum(sums, 0)


@triton.jit
def _taps(weight, ring, t, d, taps: tl.constexpr, channels: tl.constexpr, block: tl.constexpr):
    """One half of a causal convolution, weight [K, R, R]: of x[t - (K - 1) d], …, x[t]."""
    size = (taps - 1) * d + 1
    total = tl.zeros([channels], tl.float32)
    for tap in tl.static_range(taps):
        slot = (t + size - (taps - 1 - tap) * d) % size  # of a negative number Triton's % would be negative
        x = ring + slot * channels
        total += _product(weight + tap * channels * channels, x, channels, channels, block)
    return total


@triton.jit
def _layer(
    h, s, t, number, ring, frame, room, causal, residual, residual_bias, skip, skip_bias, dilations,
    taps: tl.constexpr, R: tl.constexpr, S: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """The next h, and s."""
    channels, skips = tl.arange(0, R), tl.arange(0, S)
    d = tl.load(dilations + number)
    tl.store(ring + (t % ((taps - 1) * d + 1)) * R + channels, h)
    tl.debug_barrier()
    half = taps * R * R
    told = frame + number * 2 * R + channels
    g = tl.load(told) + _taps(causal + 2 * number * half, ring, t, d, taps, R, block)
    v = tl.load(told + R) + _taps(causal + (2 * number + 1) * half, ring, t, d, taps, R, block)
    tl.store(room + channels, tl.sigmoid(g) * (2 * tl.sigmoid(2 * v) - 1))
    tl.debug_barrier()
    h += tl.load(residual_bias + number * R + channels)
    h += _product(residual + number * R * R, room, R, R, block)
    s += tl.load(skip_bias + number * S + skips)
    s += _product(skip + number * R * S, room, R, S, block)
    return h, s


@triton.jit
def _pick(logits, temperature, uniform, classes: tl.constexpr):
    """As `wavenet_voice.pick`."""
    if temperature == 0.0:
        code = tl.argmax(logits, 0)
    else:
        p = tl.exp((logits - tl.max(logits, 0)).to(tl.float64) / temperature)
        short = tl.cumsum(p, 0) < uniform.to(tl.float64) * tl.sum(p, 0)
        code = tl.minimum(tl.sum(short.to(tl.int32), 0), classes - 1)
    return code


@triton.jit(do_not_specialize=["t", "count", "hop"])
def _say(
    w_first, b_first, w_skip, b_skip, w_fc, b_fc, w_logits, b_logits,
    causal, residual, residual_bias, skip, skip_bias, dilations, first_row,
    frames, last_frames, table, uniforms, temperature, forced, t, count, hop,
    recent, rings, rows, room, codes, logits,
    layers, batch, taps: tl.constexpr, R: tl.constexpr, S: tl.constexpr, classes: tl.constexpr,
    block: tl.constexpr, hears_forced: tl.constexpr, keeps_logits: tl.constexpr,
):  # fmt: skip
    """All samples of one stream; see `TritonWaveNet.say` for the shapes."""
    stream = tl.program_id(0)
    channels, skips, all_classes = tl.arange(0, R), tl.arange(0, S), tl.arange(0, classes)
    recent += stream * (count + taps)
    rings += stream.to(tl.int64) * rows * R
    room += stream * (R + 2 * S)
    for i in range(count):
        row = (i // hop) * batch + stream
        frame = frames + row.to(tl.int64) * layers * 2 * R
        h = tl.load(b_first + channels)
        for tap in tl.static_range(taps):
            h += tl.load(w_first + tap * R + channels) * tl.load(recent + i + tap)
        tl.store(room + channels, h)
        tl.debug_barrier()
        s = tl.load(b_skip + skips) + _product(w_skip, room, R, S, block)
        for number in range(layers):
            ring = rings + tl.load(first_row + number) * R
            h, s = _layer(
                h, s, t + i, number, ring, frame, room, causal, residual, residual_bias, skip, skip_bias,
                dilations, taps, R, S, block,
            )  # fmt: skip
        tl.store(room + R + skips, tl.maximum(s, 0.0))
        tl.debug_barrier()
        s = tl.load(b_fc + skips) + tl.load(last_frames + row * S + skips)
        s += _product(w_fc, room + R, S, S, block)
        tl.store(room + R + S + skips, tl.maximum(s, 0.0))
        tl.debug_barrier()
        said = tl.load(b_logits + all_classes) + _product(w_logits, room + R + S, S, classes, block)
        code = _pick(said, temperature, tl.load(uniforms + i * batch + stream), classes)
        at = stream.to(tl.int64) * count + i
        tl.store(codes + at, code)
        if keeps_logits:
            tl.store(logits + at * classes + all_classes, said)
        if hears_forced:
            code = tl.load(forced + at)
        tl.store(recent + i + taps, tl.load(table + code))
        tl.debug_barrier()


class TritonWaveNet:
    """B streams.

    Args:
        net: on a GPU; or, to test without one, on the CPU with TRITON_INTERPRET=1 in the environment.
        table: [256], the input for each code.
        batch: B.
        dtype: of the matrices: float32, or bfloat16, which is half as many bytes.
    """

    def __init__(self, net: CachedWaveNet, table: Tensor, batch: int, dtype: torch.dtype) -> None:
        self.net, self.table, self.batch = net, table, batch
        self.R, self.S = (triton.next_power_of_2(len(bias)) for bias in (net.first[1], net.skip_first[1]))
        rows = torch.tensor([(net.kernel - 1) * d + 1 for d in net.dilations])
        integers = torch.stack([torch.tensor(net.dilations), rows.cumsum(0) - rows]).int().to(table.device)
        self.weights = (*self._dense(dtype), *self._layers(dtype), *integers)
        self.t, self.rows = 0, int(rows.sum())
        self.recent = table.new_zeros(batch, net.kernel)
        self.rings = table.new_zeros(batch, self.rows, self.R)
        self.room = table.new_zeros(batch, self.R + 2 * self.S)

    def _dense(self, dtype: torch.dtype) -> list[Tensor]:
        """Weight [in, out] and bias [out] of first_conv, skip_conv, fc and logits."""
        net, R, S = self.net, self.R, self.S
        layers = (net.first, net.kernel, R), (net.skip_first, R, S), (net.fc, S, S), (net.logits, S, CLASSES)
        both = [(_filled(w.T, ins, outs).to(dtype), _filled(b, outs)) for (w, b), ins, outs in layers]
        return [tensor for pair in both for tensor in pair]

    def _layers(self, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """causal [L, 2, K, R, R], residual [L, R, R] and [L, R], skip [L, R, S] and [L, S]; [in, out]."""
        net, R, S = self.net, self.R, self.S
        count, wide = len(net.dilations), net.residual
        causal = torch.stack(net.causal).view(count, 2, wide, net.kernel, wide).permute(0, 1, 3, 4, 2)
        weight, bias = (torch.stack(parts) for parts in zip(*net.out, strict=True))
        weight = weight.transpose(1, 2)
        return (
            _filled(causal, count, 2, net.kernel, R, R).to(dtype),
            _filled(weight[..., :wide], count, R, R).to(dtype),
            _filled(bias[:, :wide], count, R),
            _filled(weight[..., wide:], count, R, S).to(dtype),
            _filled(bias[:, wide:], count, S),
        )

    def say(
        self,
        z: Tensor,
        hop: int,
        temperature: float,
        uniforms: np.ndarray,
        forced: Tensor | None,
        keep: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """As `wavenet_voice.Voice.say`; uniforms [F hop, B]."""
        told, batch, taps = self.net.told(z), self.batch, self.net.kernel
        layers, (count, frames) = len(self.net.dilations), (len(uniforms), len(told))
        wide = 2 * self.net.residual * layers
        halves = told[..., :wide].view(frames, batch, layers, 2, -1)
        recent = _filled(self.recent, batch, count + taps)
        codes = torch.empty(batch, count, dtype=torch.int64, device=z.device)
        logits = z.new_empty(batch, count if keep else 1, CLASSES)
        launch: Any = _say[(batch,)]
        launch(
            *self.weights, _filled(halves, frames, batch, layers, 2, self.R),
            _filled(told[..., wide:], frames, batch, self.S), self.table,
            torch.from_numpy(uniforms).to(z.device), float(temperature),
            codes if forced is None else forced.contiguous(), self.t, count, hop,
            recent, self.rings, self.rows, self.room, codes, logits, layers, batch, taps, self.R, self.S,
            CLASSES, min(BLOCK, self.R, self.S), forced is not None, keep, num_warps=WARPS,
        )  # fmt: skip
        self.recent, self.t = recent[:, -taps:], self.t + count
        return codes, logits.transpose(1, 2) if keep else None


def _filled(x: Tensor, *shape: int) -> Tensor:
    """x in the corner of zeros."""
    larger = x.new_zeros(shape)
    larger[tuple(slice(size) for size in x.shape)] = x
    return larger
