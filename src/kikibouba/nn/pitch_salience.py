"""Which pitches are heard in each frame of a sound, without learning: the salience of a pitch is the sum over
its first harmonics of the square root of their magnitudes, those further up counting less (harmonic
summation, Hermes 1988).

    S[p, frame] = Σ_k 0.8^(k-1) √|X(k f_p)|,   p = LOWEST … HIGHEST, k = 1 … 6
    salience = S^SHARP / Σ_p S^SHARP
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.data.audio_files import SAMPLE_RATE

LOWEST, HIGHEST = 40, 96
"""MIDI pitches, both included."""
PITCHES = HIGHEST - LOWEST + 1
WINDOW = 2048
"""Samples of a spectrum, 128 ms: a third of a semitone at middle C."""
HARMONICS, DECAY = 6, 0.8
SHARP = 12.0
"""Makes the distribution of one note narrow; of a chord it has a peak for each."""
SILENT = 1e-3
"""A frame is silent if its magnitudes sum to less than this share of the clip's loudest, or of what a tone of
full scale has."""


class PitchSalience(nn.Module):
    """Wave [B, T] in [-1, 1] → salience [B, PITCHES, T // hop], which sums to 1 over the pitches, and whether
    a frame is heard [B, T // hop]. The spectrum of a frame is centred on it, and reaches beyond it.
    """

    weights: Tensor
    window: Tensor

    def __init__(self, hop: int) -> None:
        super().__init__()
        self.hop = hop
        self.register_buffer("weights", _harmonic_weights(), persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    @torch.no_grad()
    def forward(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        frames = wave.shape[1] // self.hop
        before = (WINDOW - self.hop) // 2
        padded = F.pad(wave.float(), (max(before, 0), WINDOW))[:, max(-before, 0) :]
        pieces = padded.unfold(1, WINDOW, self.hop)[:, :frames] * self.window
        magnitudes = torch.fft.rfft(pieces).abs()
        s = (magnitudes.sqrt() @ self.weights).clamp(min=1e-6)
        s = (s / s.amax(2, keepdim=True)) ** SHARP
        loudness = magnitudes.sum(2)
        heard = loudness > SILENT * loudness.amax(1, keepdim=True).clamp(min=WINDOW / 4)
        return (s / s.sum(2, keepdim=True)).transpose(1, 2), heard


def _harmonic_weights() -> Tensor:
    """[WINDOW // 2 + 1, PITCHES]: what a bin adds to a pitch; a harmonic takes the two bins beside it."""
    weights = torch.zeros(WINDOW // 2 + 1, PITCHES)
    for p in range(PITCHES):
        f = 440.0 * 2 ** ((LOWEST + p - 69) / 12)
        for k in range(1, HARMONICS + 1):
            place = k * f * WINDOW / SAMPLE_RATE
            low = math.floor(place)
            if low + 1 <= WINDOW // 2:
                share = DECAY ** (k - 1)
                weights[low, p] += share * (low + 1 - place)
                weights[low + 1, p] += share * (place - low)
    return weights
