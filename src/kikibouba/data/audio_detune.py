"""UMTN's augmentation: a part of a clip is played out of tune, so that the encoder keeps less of the timbre.

Of a clip of n samples a part of n/4 to n/2 samples, which begins in the first half, is raised or lowered by a
uniformly drawn share of a semitone and put back in its place, with hard cuts.

original  the part keeps its tempo: a phase vocoder (windows of 2048, steps of 512) stretches it by 2^(δ/12),
          and another sample rate brings it back to its length
fast      the part is played faster or slower about its middle, as a tape would be: at half a semitone and
          0.375 s its ends come 5 ms early or late. Ten times quicker.
"""

from typing import Literal

import numpy as np

WINDOW, STEP = 2048, 512


def detune(
    wave: np.ndarray, rng: np.random.Generator, semitones: float, method: Literal["original", "fast"]
) -> np.ndarray:
    """A copy of the samples [n] with a part out of tune by at most so many semitones, float32 [n]."""
    n = len(wave)
    length = int(rng.integers(n // 4, n // 2, endpoint=True))
    start = int(rng.integers(0, n // 2, endpoint=True))
    delta = float(rng.uniform(-semitones, semitones))
    out = np.array(wave, np.float32)
    if length < 2:
        return out
    if method == "original":
        out[start : start + length] = shift_pitch(wave[start : start + length], delta)
    else:
        middle = start + (length - 1) / 2
        at = middle + (np.arange(length) - (length - 1) / 2) * 2 ** (delta / 12)
        out[start : start + length] = interpolate(wave, at)
    return out


def shift_pitch(wave: np.ndarray, semitones: float) -> np.ndarray:
    """Samples [n] higher by so many semitones, at the same tempo, float32 [n]."""
    stretched = stretch(np.asarray(wave, np.float64), 2 ** (-semitones / 12))
    return interpolate(stretched, np.arange(len(wave)) * 2 ** (semitones / 12)).astype(np.float32)


def stretch(wave: np.ndarray, rate: float) -> np.ndarray:
    """Samples [n] `rate` times as fast at the same pitch, float64 [round(n / rate)]: a phase vocoder.

    Magnitudes are interpolated between frames; phases advance by what they advanced between the same frames.
    """
    frames = _transform(wave)
    bins = np.arange(frames.shape[1])
    expected = 2 * np.pi * bins * STEP / WINDOW
    frames = np.concatenate([frames, np.zeros((2, frames.shape[1]), complex)])
    at = np.arange(0, len(frames) - 2, rate)
    first, share = at.astype(int), (at % 1.0)[:, None]
    left, right = frames[first], frames[first + 1]
    magnitude = (1 - share) * np.abs(left) + share * np.abs(right)
    advance = np.angle(right) - np.angle(left) - expected
    advance -= 2 * np.pi * np.round(advance / (2 * np.pi))
    phase = np.angle(frames[0]) + np.concatenate(
        [np.zeros((1, len(bins))), np.cumsum(advance + expected, 0)[:-1]]
    )
    return _invert(magnitude * np.exp(1j * phase), round(len(wave) / rate))


def _hann() -> np.ndarray:
    return np.hanning(WINDOW + 1)[:-1]


def _transform(wave: np.ndarray) -> np.ndarray:
    """Short-time spectra, complex [frames, bins], centred on samples 0, STEP, …"""
    padded = np.pad(wave, WINDOW // 2)
    return np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP] * _hann(), axis=1)


def _invert(frames: np.ndarray, length: int) -> np.ndarray:
    """The inverse of `_transform`, by least squares, cut or filled up to a length."""
    window = _hann()
    total = WINDOW + STEP * (len(frames) - 1)
    out, weight = np.zeros(total), np.zeros(total)
    for number, frame in enumerate(np.fft.irfft(frames, WINDOW, axis=1)):
        place = slice(number * STEP, number * STEP + WINDOW)
        out[place] += frame * window
        weight[place] += window**2
    out = (out / np.maximum(weight, 1e-8))[WINDOW // 2 :][:length]
    return np.pad(out, (0, length - len(out)))


def interpolate(wave: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The samples [n] between samples, at positions [m]: Catmull-Rom splines; silence beyond the ends."""
    padded = np.pad(wave, 2)
    at = np.clip(np.asarray(at, np.float64) + 2.0, 1.0, len(wave) + 2.0 - 1e-9)
    first = at.astype(int)
    t = at - first
    a, b, c, d = (padded[first + i] for i in (-1, 0, 1, 2))
    cubic = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return cubic
