"""Another sample rate by band-limited interpolation: no package decides what a dataset's bytes are."""

from functools import lru_cache
from math import gcd

import numpy as np

ZERO_CROSSINGS = 32
"""Of the sinc, on each side."""
ROLLOFF = 0.945
"""Where the filter begins to fall, as a share of the lower Nyquist frequency."""
BETA = 12.0
"""Of the Kaiser window: what is suppressed is suppressed by about 115 dB."""
BLOCK = 1 << 22
"""Numbers gathered at a time."""


def resample(wave: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Samples [N] at `rate` a second → float32 [ceil(N · to / rate)] at `to` a second.

    out(t) = Σ_k wave(k) h(t - k) with h a sinc under a Kaiser window, cut off below the lower of the two
    Nyquist frequencies. The rates' ratio is L / M in lowest terms, so only L different rows of weights occur;
    all outputs that share a row are one matrix product.
    """
    wave = np.asarray(wave, np.float32)
    if rate == to:
        return wave
    divisor = gcd(rate, to)
    up, down = to // divisor, rate // divisor
    half = _half_width(up, down)
    taps = 2 * half + 1
    count = -(-len(wave) * up // down)
    out = np.empty(count, np.float32)
    padded = np.pad(wave, (half, half + down + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)
    for phase in range(min(up, count)):
        start, weights = _weights(up, down, phase)
        places = len(range(phase, count, up))
        for first in range(0, places, rows := max(1, BLOCK // taps)):
            last = min(first + rows, places)
            block = windows[start + first * down : start + (last - 1) * down + 1 : down]
            out[phase + first * up : phase + (last - 1) * up + 1 : up] = block @ weights
    return out


def _half_width(up: int, down: int) -> int:
    return int(np.ceil(ZERO_CROSSINGS * max(1.0, down / up) / ROLLOFF))


@lru_cache(maxsize=4096)
def _weights(up: int, down: int, phase: int) -> tuple[int, np.ndarray]:
    """For outputs number phase, phase + up, …: the input sample nearest to the first of them, and the weights
    [2 · half + 1] float32 of the samples around it.
    """
    half = _half_width(up, down)
    cutoff = ROLLOFF * min(1.0, up / down)
    centre, rest = divmod(phase * down, up)
    t = rest / up - np.arange(-half, half + 1)
    window = np.i0(BETA * np.sqrt(np.clip(1.0 - (t / (half + 1)) ** 2, 0.0, None))) / np.i0(BETA)
    return centre, (cutoff * np.sinc(cutoff * t) * window).astype(np.float32)
