"""One stream of a WaveNet, sample by sample, compiled for the CPU by numba (pip install 'kikibouba[fast]').

A sample is a chain of products of a matrix with a vector, so what counts is how fast the weights pass through
the core: they are float32, or int8 with a scale for each row, which are a quarter as many bytes. What int8
weights are multiplied with is rounded to 16 bits; sums are exact, and activations and the state float32.
The form of the weights decides, when this is compiled, which product multiplies them: one of
`wavenet_products`, or `wavenet_vnni` where the CPU has that.
"""

import numpy as np
from numba import njit
from numba.extending import overload

from kikibouba.nn.wavenet_products import gemv, gemv_int8
from kikibouba.nn.wavenet_vnni import gemv_vnni

Array = np.ndarray
Dense = tuple[tuple[Array, Array], ...]
Weights = tuple[Array, ...]
"""Of all layers: (weight,) float32; (weight, scale); or (weight, start, scale), see `wavenet_vnni.tiles`."""


def product(weights: Weights, number: int, x: Array, room: Weights, add: Array, out: Array) -> None:
    """out = add + layer `number`'s matrix times x."""


@overload(product, jit_options={"fastmath": True, "error_model": "numpy"})
def _product(weights, number, x, room, add, out):
    def fp32(weights, number, x, room, add, out):
        gemv(weights[0][number], x, add, out)

    def int8(weights, number, x, room, add, out):
        gemv_int8(weights[0][number], weights[1][number], x, room[0], add, out)

    def vnni(weights, number, x, room, add, out):
        gemv_vnni(weights[0][number], weights[1][number], weights[2][number], x, room[0], room[1], add, out)

    return (fp32, int8, vnni)[len(weights) - 1]


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
def recall(dilations: Array, first_row: Array, t: int, rings: Array, heard: Array) -> None:
    """heard[l, :-1] = what layer l needs of the past: of all layers at once, as most of it is in no cache."""
    for number in range(len(heard)):
        past = heard.shape[1] - 1
        for tap in range(past):
            d = dilations[number]
            heard[number, tap] = rings[first_row[number] + (t - (past - tap) * d) % (past * d)]


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def layer(
    causal: Weights, out: Weights, out_bias: Array, number: int, told: Array, heard: Array, room: Weights,
    a: Array, u: Array, both: Array, h: Array, s: Array,
) -> None:  # fmt: skip
    """One layer: h and s are changed; room, a, u and both are room to work in."""
    heard[number, -1] = h
    product(causal, number, heard[number].reshape(-1), room, told, a)
    gate(a, u)
    product(out, number, u, room, out_bias[number], both)
    for k in range(len(h)):
        h[k] += both[k]
    rest = both[len(h) :]
    for k in range(len(s)):
        s[k] += rest[k]


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def relu_sum(x: Array, y: Array, out: Array) -> None:
    """out = max(x + y, 0)."""
    for k in range(len(out)):
        out[k] = max(x[k] + y[k], np.float32(0.0))


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def say(
    dense: Dense, causal: Weights, out: Weights, out_bias: Array, dilations: Array, first_row: Array,
    told: Array, hop: int, table: Array, uniforms: Array, temperature: float,
    forced: Array, t: int, recent: Array, rings: Array, codes: Array, logits: Array,
) -> None:  # fmt: skip
    """All samples of some frames.

    Args:
        dense: (weight, bias) of first_conv, skip_conv, fc, logits.
        causal, out: weights [L, 2 R, K R] and [L, R + S, R] in some form.
        out_bias: [L, R + S].
        dilations, first_row: [L], and where each layer's ring begins.
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
    layers, residual, skip, past = len(dilations), len(b_first), len(b_skip), len(recent) - 1
    zeros = np.zeros(skip, np.float32)
    heard = np.empty((layers, len(recent), residual), np.float32)
    a, u = np.empty(2 * residual, np.float32), np.empty(residual, np.float32)
    both = np.empty(residual + skip, np.float32)
    room = np.empty(heard[0].size + 3, np.int16), np.empty(2 * residual + skip + 63, np.float32)
    h, s, s2 = np.empty(residual, np.float32), np.empty(skip, np.float32), np.empty(skip, np.float32)
    for i in range(len(codes)):
        frame = told[i // hop]
        row = logits[i if len(logits) > 1 else 0]
        gemv(w_first, recent, b_first, h)
        gemv(w_skip, h, b_skip, s)
        recall(dilations, first_row, t, rings, heard)
        for number in range(layers):
            here = frame[2 * residual * number : 2 * residual * (number + 1)]
            layer(causal, out, out_bias, number, here, heard, room, a, u, both, h, s)
            rings[first_row[number] + t % (past * dilations[number])] = heard[number, -1]
        relu_sum(s, zeros, s)
        gemv(w_fc, s, b_fc, s2)
        relu_sum(s2, frame[2 * residual * layers :], s2)
        gemv(w_logits, s2, b_logits, row)
        codes[i] = pick(row, temperature, uniforms[i])
        recent[:-1] = recent[1:].copy()
        recent[-1] = table[forced[i] if len(forced) else codes[i]]
        t += 1
