"""One stream of a WaveNet, sample by sample, compiled for the CPU by numba (pip install 'kikibouba[fast]').

A sample is a chain of products of a matrix with a vector, so what counts is how fast the weights pass through
the core: they are float32, or int8 with a scale for each row, which are a quarter as many bytes. What int8
weights are multiplied with is rounded to 16 bits, so that a core takes 32 products at a time; sums are exact,
and activations and the state float32.
"""

from typing import Any

import numpy as np
from numba import njit

Array = np.ndarray
Dense = tuple[tuple[Array, Array], ...]
Stack = tuple[Any, ...]


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def gemv(weight: Array, scale: Array, x: Array, add: Array, out: Array) -> None:
    """out[r] = add[r] + scale[r] · Σ_k weight[r, k] x[k]."""
    for r in range(len(out)):
        row = weight[r]  # a view, so that the loop below has one index, and is vectorised
        total = np.float32(0.0)
        for k in range(len(x)):
            total += np.float32(row[k]) * x[k]
        out[r] = add[r] + scale[r] * total


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def gemv_int8(weight: Array, scale: Array, x: Array, whole: Array, add: Array, out: Array) -> None:
    """`gemv` with weights in -127 … 127 and x rounded to whole numbers, so large that sums just fit 32 bits;
    `whole` (int16) is room for them.
    """
    top = np.float32(min(32767, (2**31 - 1) // (127 * len(x))))
    peak = np.float32(1e-12)
    for k in range(len(x)):
        peak = max(peak, abs(x[k]))
    for k in range(len(x)):
        whole[k] = np.int16(np.rint(x[k] * (top / peak)))
    unit = peak / top
    for r in range(len(out)):
        row = weight[r]
        total = np.int32(0)
        for k in range(len(x)):
            total = np.int32(total + np.int32(row[k]) * np.int32(whole[k]))
        out[r] = add[r] + scale[r] * unit * np.float32(total)


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def gate(a: Array, u: Array) -> None:
    """u = σ(first half of a) · tanh(second half), σ(x) = (1 + tanh(x / 2)) / 2.

    tanh(2 y) = 2 n d / (n² + d²), n / d being Lambert's continued fraction of tanh y: exact to 2e-7.
    """
    half = len(u)
    for i in range(half):
        y = min(max(a[i] * np.float32(0.25), np.float32(-4.5)), np.float32(4.5))
        v = min(max(a[i + half] * np.float32(0.5), np.float32(-4.5)), np.float32(4.5))
        q, p = y * y, v * v
        n = y * (np.float32(135135.0) + q * (np.float32(17325.0) + q * (np.float32(378.0) + q)))
        d = np.float32(135135.0) + q * (np.float32(62370.0) + q * (np.float32(3150.0) + np.float32(28.0) * q))
        m = v * (np.float32(135135.0) + p * (np.float32(17325.0) + p * (np.float32(378.0) + p)))
        e = np.float32(135135.0) + p * (np.float32(62370.0) + p * (np.float32(3150.0) + np.float32(28.0) * p))
        s, t = n + d, m * e
        # (1 + 2nd / (n² + d²)) / 2 = (n + d)² / (2 (n² + d²)), times 2me / (m² + e²)
        u[i] = s * s * t / ((n * n + d * d) * (m * m + e * e))


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def pick(logits: Array, temperature: float, uniform: float) -> int:
    """The class at which the cumulated probabilities reach `uniform`; the likeliest at temperature 0."""
    best = 0
    for i in range(len(logits)):
        if logits[i] > logits[best]:
            best = i
    if temperature == 0.0:
        return best
    p = np.empty(len(logits), np.float64)
    total = 0.0
    for i in range(len(logits)):
        p[i] = np.exp((float(logits[i]) - float(logits[best])) / temperature)
        total += p[i]
    reached = 0.0
    for i in range(len(logits)):
        reached += p[i]
        if reached >= uniform * total:
            return i
    return best


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def layer(
    stack: Stack, number: int, told: Array, t: int, rings: Array,
    window: Array, whole: Array, a: Array, u: Array, both: Array, h: Array, s: Array,
) -> None:  # fmt: skip
    """One layer: h and s are changed, the ring gets h; window, whole, a, u and both are room to work in."""
    causal, causal_scale, out, out_scale, out_bias, dilations, first_row, is_int8 = stack
    residual, d = len(h), dilations[number]
    taps = len(window) // residual
    size = (taps - 1) * d
    for tap in range(taps - 1):
        slot = first_row[number] + (t - (taps - 1 - tap) * d) % size
        window[tap * residual : (tap + 1) * residual] = rings[slot]
    window[(taps - 1) * residual :] = h
    rings[first_row[number] + t % size] = h
    if is_int8:
        gemv_int8(causal[number], causal_scale[number], window, whole, told, a)
        gate(a, u)
        gemv_int8(out[number], out_scale[number], u, whole, out_bias[number], both)
    else:
        gemv(causal[number], causal_scale[number], window, told, a)
        gate(a, u)
        gemv(out[number], out_scale[number], u, out_bias[number], both)
    for k in range(residual):
        h[k] += both[k]
    for k in range(len(s)):
        s[k] += both[residual + k]


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def relu_sum(x: Array, y: Array, out: Array) -> None:
    """out = max(x + y, 0)."""
    for k in range(len(out)):
        out[k] = max(x[k] + y[k], np.float32(0.0))


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def say(
    dense: Dense, stack: Stack, told: Array, hop: int, table: Array, uniforms: Array, temperature: float,
    forced: Array, t: int, recent: Array, rings: Array, codes: Array, logits: Array,
) -> None:  # fmt: skip
    """All samples of some frames.

    Args:
        dense: (weight, bias) of first_conv, skip_conv, fc, logits.
        stack: causal weights [L, 2 R, K R] and scales, out weights [L, R + S, R], scales and biases,
            dilations [L], first row of each layer's ring [L], whether the weights are int8.
        told: [F, 2 R L + S].
        hop: samples a frame.
        table: [256], the input for each code.
        uniforms: [F hop], decide what is picked.
        temperature: of the choice.
        forced: [F hop] codes that are heard in place of the picked ones, or none [0].
        t: samples said before.
        recent: [K], inputs, the last of them the newest; is changed.
        rings: [rows, R]; is changed.
        codes: [F hop], is filled.
        logits: [F hop, 256], is filled, or [1, 256], is overwritten.
    """
    (w_first, b_first), (w_skip, b_skip), (w_fc, b_fc), (w_logits, b_logits) = dense
    layers, residual, skip = len(stack[0]), len(b_first), len(b_skip)
    ones, zeros = np.ones(256 + residual + skip, np.float32), np.zeros(skip, np.float32)
    window, a = np.empty(stack[0].shape[2], np.float32), np.empty(2 * residual, np.float32)
    u, both = np.empty(residual, np.float32), np.empty(residual + skip, np.float32)
    whole = np.empty(len(window), np.int16)
    h, s, s2 = np.empty(residual, np.float32), np.empty(skip, np.float32), np.empty(skip, np.float32)
    for i in range(len(codes)):
        frame = told[i // hop]
        row = logits[i if len(logits) > 1 else 0]
        gemv(w_first, ones, recent, b_first, h)
        gemv(w_skip, ones, h, b_skip, s)
        for number in range(layers):
            here = frame[2 * residual * number : 2 * residual * (number + 1)]
            layer(stack, number, here, t, rings, window, whole, a, u, both, h, s)
        relu_sum(s, zeros, s)
        gemv(w_fc, ones, s, b_fc, s2)
        relu_sum(s2, frame[2 * residual * layers :], s2)
        gemv(w_logits, ones, s2, b_logits, row)
        codes[i] = pick(row, temperature, uniforms[i])
        recent[:-1] = recent[1:].copy()
        recent[-1] = table[forced[i] if len(forced) else codes[i]]
        t += 1
