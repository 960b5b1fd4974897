"""Sound as log-mel frames and back: what takes the place of a WaveNet's codes where none has been trained.

    level = 1 + dB / 80, at least 0         of each mel band: 1 is a sine at full scale, 0 is 80 dB below it
    sound = Griffin-Lim(magnitudes that have these mel bands)

A frame is centred on its own `hop` samples, and its window is four times as long, so that N samples make
N // hop frames, one for each latent frame of a WaveNet autoencoder of the same hop.
"""

from functools import lru_cache

import numpy as np

from kikibouba.data.audio_files import SAMPLE_RATE

RANGE = 80.0
"""Decibels from level 0 to level 1."""
OVERLAP = 4
"""Windows over each sample."""
LOWEST = 30.0
"""Hz, where the lowest band begins."""
ITERATIONS = 60
"""Of Griffin-Lim."""
MOMENTUM = 0.99
"""Of Griffin-Lim's fast variant (Perraudin et al. 2013)."""
FITTING = 40
"""Updates by which magnitudes are fitted to mel bands."""


def log_mel(wave: np.ndarray, bins: int, hop: int) -> np.ndarray:
    """Levels of `bins` mel bands of samples [N] at 16 kHz: float32 [N // hop, bins], at least 0."""
    magnitudes = np.abs(stft(wave, hop)) @ filters(bins, hop).T
    decibels = 20.0 * np.log10(np.maximum(magnitudes, 1e-10))
    return np.maximum(1.0 + decibels / RANGE, 0.0).astype(np.float32)


def wave_of(levels: np.ndarray, hop: int, seed: int = 0, iterations: int = ITERATIONS) -> np.ndarray:
    """A sound with such levels [T, bins] of mel bands, float32 [T * hop] within [-1, 1].

    Args:
        seed: of the phases that Griffin-Lim starts from.
        iterations: of Griffin-Lim.
    """
    levels = np.clip(np.asarray(levels, np.float64), 0.0, 1.2)
    bands = np.where(levels > 0, 10.0 ** ((levels - 1.0) * RANGE / 20.0), 0.0)
    return griffin_lim(_magnitudes(bands, hop), hop, seed, iterations)


def stft(wave: np.ndarray, hop: int) -> np.ndarray:
    """Short-time Fourier transform of samples [N], complex [N // hop, 2 * hop + 1]; a sine of amplitude 1
    has magnitude 1.
    """
    window, before = _window(hop), (OVERLAP - 1) * hop // 2
    padded = np.pad(np.asarray(wave, np.float64), (before, OVERLAP * hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, OVERLAP * hop)[: len(wave) // hop * hop : hop]
    return np.fft.rfft(frames * window, axis=1) * (2.0 / window.sum())


def inverse_stft(spectra: np.ndarray, hop: int) -> np.ndarray:
    """The samples [T * hop] whose `stft` is nearest to spectra [T, 2 * hop + 1]."""
    window, count, before = _window(hop), len(spectra), (OVERLAP - 1) * hop // 2
    frames = np.fft.irfft(spectra, OVERLAP * hop, axis=1) * window * (window.sum() / 2.0)
    total, weight = (np.zeros((count + OVERLAP - 1, hop)) for _ in range(2))
    for k in range(OVERLAP):
        part = slice(k * hop, (k + 1) * hop)
        total[k : k + count] += frames[:, part]
        weight[k : k + count] += window[part] ** 2
    return (total / np.maximum(weight, 1e-8)).ravel()[before : before + count * hop]


def griffin_lim(magnitudes: np.ndarray, hop: int, seed: int = 0, iterations: int = ITERATIONS) -> np.ndarray:
    """A sound whose `stft` has such magnitudes [T, 2 * hop + 1], as nearly as phases can be found for them.

    Returns:
        float32 [T * hop], clipped to [-1, 1].
    """
    phases = np.exp(2j * np.pi * np.random.default_rng(seed).random(magnitudes.shape))
    previous = np.zeros_like(phases)
    for _ in range(iterations):
        rebuilt = stft(inverse_stft(magnitudes * phases, hop), hop)
        phases = rebuilt - MOMENTUM / (1.0 + MOMENTUM) * previous
        phases /= np.maximum(np.abs(phases), 1e-12)
        previous = rebuilt
    return np.clip(inverse_stft(magnitudes * phases, hop), -1.0, 1.0).astype(np.float32)


@lru_cache(maxsize=4)
def filters(bins: int, hop: int) -> np.ndarray:
    """Triangles, evenly spaced in mel up to 8 kHz, peak 1: float64 [bins, 2 * hop + 1].

    Low triangles are as wide as the distance of two frequencies at least, so that none is empty.
    """
    frequencies = np.linspace(0.0, SAMPLE_RATE / 2, OVERLAP // 2 * hop + 1)
    mels = np.linspace(_mel(LOWEST), _mel(SAMPLE_RATE / 2), bins + 2)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    centres, least = edges[1:-1, None], frequencies[1]
    rising = (frequencies - centres) / np.maximum(centres - edges[:-2, None], least)
    falling = (centres - frequencies) / np.maximum(edges[2:, None] - centres, least)
    return np.maximum(0.0, 1.0 + np.minimum(rising, falling))


def _mel(hertz: float) -> float:
    return 2595.0 * float(np.log10(1.0 + hertz / 700.0))


def _magnitudes(bands: np.ndarray, hop: int) -> np.ndarray:
    """Magnitudes [T, 2 * hop + 1], none negative, whose mel bands are nearly these [T, bins].

    Multiplicative updates (Lee & Seung 2001) of the least squares, from the bands spread over their widths.
    """
    weights = filters(bands.shape[1], hop)
    wanted, gram = bands @ weights, weights.T
    found = wanted / np.maximum((weights.sum(axis=0) ** 2), 1e-8)
    for _ in range(FITTING):
        found *= wanted / np.maximum((found @ gram) @ weights, 1e-12)
    return found


@lru_cache(maxsize=4)
def _window(hop: int) -> np.ndarray:
    """A Hann window of four hops."""
    return np.hanning(OVERLAP * hop + 1)[:-1]
