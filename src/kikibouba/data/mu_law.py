"""Sound as one of 256 classes a sample, finer near silence: mu-law, in the conventions of the two originals.

    compressed  m = sign(x) ln(1 + 255 |x|) / ln 256,   x in [-1, 1]
    umtn        code = trunc((m + 1) / 2 · 255)         0 is 127; 255 is x = 1 alone
    nsynth      code = floor(128 m) + 128               0 is 128

UMTN's own decoder assumes other bins than its encoder: sign(y) (256^|y| - 1) / 255 with y = (code - 128) /
128 is half a bin too low, so that silence becomes -0.00017 and a loud sine loses 12 dB. Decoding to the
middle of the encoder's bins is what happens by default; `centred=False` is the original.
"""

from functools import cache
from typing import Literal

import numpy as np

Coding = Literal["umtn", "nsynth"]

CLASSES = 256


def encode(wave: np.ndarray, coding: Coding = "umtn") -> np.ndarray:
    """Samples in [-1, 1] (others are clipped) → codes, uint8 of the same shape.

    NSynth's original gives x = 1 the class 256, of which its network has none; here it is 255.
    """
    x = np.clip(np.asarray(wave, np.float64), -1.0, 1.0)
    m = np.sign(x) * np.log1p(255.0 * np.abs(x)) / np.log(256.0)
    if coding == "umtn":
        return ((m + 1.0) / 2.0 * 255.0).astype(np.uint8)
    return np.clip(np.floor(128.0 * m) + 128.0, 0, 255).astype(np.uint8)


def encode_int16(samples: np.ndarray, coding: Coding = "umtn") -> np.ndarray:
    """16-bit samples (int16) → codes, as `encode(samples / 32768)`, by looking them up."""
    return _codes_of_int16(coding)[np.asarray(samples, np.int16).view(np.uint16)]


def decode(codes: np.ndarray, coding: Coding = "umtn", centred: bool = True) -> np.ndarray:
    """Codes 0..255 → samples in [-1, 1], float32 of the same shape.

    Args:
        codes: whole numbers.
        coding: how they were made.
        centred: False decodes UMTN's codes as the original does; nothing changes for NSynth's.
    """
    return _samples_of_codes(coding, centred)[np.asarray(codes)]


@cache
def _codes_of_int16(coding: Coding) -> np.ndarray:
    """uint8 [65536], by the bits of the sample."""
    return encode(np.arange(65536, dtype=np.uint16).view(np.int16) / 32768.0, coding)


@cache
def _samples_of_codes(coding: Coding, centred: bool) -> np.ndarray:
    """float32 [256]."""
    code = np.arange(CLASSES, dtype=np.float64)
    if coding == "nsynth":
        m = (code - 128.0 + 0.5) / 128.0
    else:
        m = (2.0 * code + 1.0) / 255.0 - 1.0 if centred else (code - 128.0) / 128.0
    x = np.sign(m) * (256.0 ** np.abs(m) - 1.0) / 255.0
    if coding == "nsynth":
        x[128] = 0.0
    return np.clip(x, -1.0, 1.0).astype(np.float32)
