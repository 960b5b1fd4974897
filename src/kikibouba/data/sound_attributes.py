"""What is heard in a sound, whatever made it: how loud, bright, noisy, sudden and high it is."""

from collections.abc import Iterable

import numpy as np

from kikibouba.data.audio_files import SAMPLE_RATE
from kikibouba.data.audio_picture import STEP, WINDOW, spectrogram

STRIKING = 0.9
"""A sound has begun when it reaches this share of its loudest."""
PITCHES = (24, 108)
"""Lowest and highest pitch that is looked for."""
PERIODIC = 0.8
"""Correlation of a wave with itself, a period later, from which on it has a pitch."""
HEARD = 4096
"""Samples around the loudest place that pitch is looked for in."""


def sound_attributes(waves: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Measures [n] by name of sounds, samples [N] each at 16 kHz.

    loudness: root mean square, dB of full scale. brightness: the middle of the spectrum, kHz. noisiness: how
    evenly the spectrum is filled, 0 a tone to 1 white noise (geometric over arithmetic mean of the power).
    attack: seconds until it is at its loudest, or nearly. pitch: MIDI number of the loudest place; NaN where
    there is none.
    """
    rows = [_measured(np.asarray(wave, np.float32)) for wave in waves]
    names = ("loudness", "brightness", "noisiness", "attack", "pitch")
    return dict(zip(names, np.array(rows, np.float64).reshape(-1, len(names)).T, strict=True))


def _measured(wave: np.ndarray) -> tuple[float, ...]:
    levels = spectrogram(wave, WINDOW, STEP)
    frequencies = np.linspace(0, SAMPLE_RATE / 2000, len(levels))
    power = np.square(levels, dtype=np.float64).mean(axis=1) + 1e-12
    course = np.square(levels).sum(axis=0)
    loudest = int(course.argmax())
    return (
        10 * np.log10(np.mean(np.square(wave)) + 1e-10),
        float(np.average(frequencies, weights=levels.sum(axis=1) + 1e-9)),
        float(np.exp(np.log(power).mean()) / power.mean()),
        int(np.argmax(course >= STRIKING**2 * course[loudest])) * STEP / SAMPLE_RATE,
        _pitch(wave[max(0, loudest * STEP - HEARD // 2) :][:HEARD]),
    )


def _pitch(wave: np.ndarray) -> float:
    """Of the first period after which a wave [N] is nearly the same; NaN if it never is.

    The correlation is normalised: the product of two stretches over the energy that both have.
    """
    shortest, longest = (int(SAMPLE_RATE / _hertz(pitch)) for pitch in reversed(PITCHES))
    longest = min(longest, len(wave) // 2)
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    if longest <= shortest or energy[-1] <= 1e-9:
        return np.nan
    spectrum = np.fft.rfft(wave, 2 * len(wave))
    lags = np.arange(longest + 2)
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: len(lags)]
    both = np.sqrt(energy[len(wave) - lags] * (energy[-1] - energy[lags])) + 1e-12
    likeness = products / both
    inner = np.arange(shortest, longest + 1)
    peaks = (likeness[inner] >= likeness[inner - 1]) & (likeness[inner] > likeness[inner + 1])
    enough = max(PERIODIC, 0.95 * likeness[inner].max())
    found = inner[peaks & (likeness[inner] >= enough)]
    if not len(found):
        return np.nan
    lag = int(found[0])
    left, middle, right = likeness[lag - 1 : lag + 2]
    period = lag + 0.5 * (left - right) / min(left - 2 * middle + right, -1e-12)
    return float(69 + 12 * np.log2(SAMPLE_RATE / period / 440))


def _hertz(pitch: float) -> float:
    return 440.0 * 2 ** ((pitch - 69) / 12)
