"""What two sounds have in common, and which of several sounds like what: pitches, onsets, spectra, timbre."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from kikibouba.data.audio_files import SAMPLE_RATE
from kikibouba.data.audio_picture import spectrogram

LOWEST, HIGHEST = 55.0, 4000.0
"""Hertz of what counts for chroma."""
WINDOWS = (512, 1024, 2048)
"""Of the spectra that are compared, in samples; steps of a quarter."""
BANDS, LOWEST_BAND = 35, 110.0
"""Of timbre features, equally wide in octaves, from so many hertz on: the rumble below its notes may tell a
recording, but is no timbre."""
STEPS, HIDDEN, LEARNING_RATE, DECAY = 300, 64, 1e-2, 1e-3
"""Of the probe."""


def chroma(wave: np.ndarray, window: int = 4096, step: int = 1024) -> np.ndarray:
    """How strong each of the twelve pitch classes is, by frame, float [12, frames]; C first."""
    power = np.square(spectrogram(wave, window, step))
    hertz = np.arange(len(power)) * SAMPLE_RATE / window
    inside = (hertz >= LOWEST) & (hertz <= HIGHEST)
    classes = np.rint(69 + 12 * np.log2(hertz[inside] / 440.0)).astype(int) % 12
    return np.stack([power[inside][classes == number].sum(0) for number in range(12)])


def chroma_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Mean cosine of the chroma of two sounds [N], over the frames in which neither is silent.

    1 for the same pitches at the same times. Of songs rendered on one instrument, unrelated ones have 0.1 to
    0.3, white noise and a song 0.4 to 0.5; noise and an orchestra, which plays all pitches at once, 0.8.
    """
    one, two = chroma(a), chroma(b)
    frames = min(one.shape[1], two.shape[1])
    one, two = one[:, :frames], two[:, :frames]
    lengths = np.linalg.norm(one, axis=0), np.linalg.norm(two, axis=0)
    heard = (lengths[0] > 1e-4 * lengths[0].max()) & (lengths[1] > 1e-4 * lengths[1].max())
    if not heard.any():
        return 0.0
    return float(np.mean((one * two).sum(0)[heard] / (lengths[0] * lengths[1])[heard]))


def onset_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of how loudness rises in two sounds [N], in any band: 1 if their notes begin together."""
    rises = [_rises(wave) for wave in (a, b)]
    frames = min(map(len, rises))
    one, two = (rise[:frames] - rise[:frames].mean() for rise in rises)
    scale = np.linalg.norm(one) * np.linalg.norm(two)
    return float(one @ two / scale) if scale > 0 else 0.0


def _rises(wave: np.ndarray) -> np.ndarray:
    levels = np.log1p(100.0 * spectrogram(wave, 1024, 256))
    flux = np.maximum(np.diff(levels, axis=1), 0).sum(0)
    return np.convolve(flux, np.ones(3) / 3, "same")


def spectral_distance(a: np.ndarray, b: np.ndarray) -> float:
    """How far two sounds [N], cut to one length, are apart at several resolutions: mean over windows of the
    magnitudes' relative error and of their logarithms' mean difference. 0 for the same sound.
    """
    length = min(len(a), len(b))
    found = []
    for window in WINDOWS:
        one, two = (spectrogram(wave[:length], window, window // 4) for wave in (a, b))
        relative = np.linalg.norm(one - two) / max(float(np.linalg.norm(two)), 1e-6)
        found.append(relative + np.abs(np.log(one + 1e-3) - np.log(two + 1e-3)).mean())
    return float(np.mean(found))


def timbre(wave: np.ndarray) -> np.ndarray:
    """What a sound is like, whatever is played and however loud: of the log level in `BANDS` bands the mean,
    less that of all bands, and the spread over time, float32 [2 · BANDS].
    """
    magnitudes = spectrogram(wave, 1024, 256)
    hertz = np.arange(len(magnitudes)) * SAMPLE_RATE / 1024
    centres = np.geomspace(LOWEST_BAND, SAMPLE_RATE / 2, BANDS)
    width = np.log2(centres[1] / centres[0])
    octaves = np.abs(np.log2(np.maximum(hertz, 1.0)[None] / centres[:, None]))
    weights = np.maximum(
        1.0 - octaves / max(width, 0.3), 1e-6
    )  # triangles, at least 0.3 octaves to each side
    levels = np.log(weights / weights.sum(1, keepdims=True) @ magnitudes + 1e-3)
    return np.concatenate([levels.mean(1) - levels.mean(), levels.std(1)]).astype(np.float32)


class Probe:
    """A small classifier of feature vectors, learnt afresh: a hidden layer, 300 steps of Adam on all of them.

    Args:
        features: [n, F] float32.
        labels: [n] int, 0 … classes - 1.
        classes: how many.
        seed: of its first weights.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int, seed: int = 0) -> None:
        self.mean, self.std = features.mean(0), features.std(0) + 1e-6
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = nn.Sequential(
                nn.Linear(features.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes)
            )
        x, y = self._standard(features), torch.from_numpy(labels.astype(np.int64))
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=LEARNING_RATE, weight_decay=DECAY)
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(self.net(x), y).backward()
            optimizer.step()

    def _standard(self, features: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(((features - self.mean) / self.std).astype(np.float32))

    @torch.no_grad()
    def classify(self, features: np.ndarray) -> np.ndarray:
        """The likeliest class of each, [n] int64."""
        return self.net(self._standard(features)).argmax(1).numpy()


def mean_of(values: Sequence[float]) -> float:
    """NaN if there are none."""
    return float(np.mean(values)) if len(values) else float("nan")
