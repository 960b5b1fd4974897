"""Log-mel frames and back."""

import numpy as np
import pytest

from kikibouba.data.spectral import RANGE, filters, griffin_lim, inverse_stft, log_mel, stft, wave_of

HOP = 128


def note(pitch: float = 440.0, seconds: float = 0.5) -> np.ndarray:
    time = np.arange(int(16_000 * seconds)) / 16_000
    partials = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in (1, 2, 3))
    return (0.3 * partials * np.exp(-4 * time)).astype(np.float32)


def test_the_transform_is_undone_exactly() -> None:
    wave = np.random.default_rng(0).standard_normal(40 * HOP)
    assert stft(wave, HOP).shape == (40, 2 * HOP + 1)
    np.testing.assert_allclose(inverse_stft(stft(wave, HOP), HOP), wave, atol=1e-12)


def test_a_frame_is_centred_on_its_own_samples() -> None:
    wave = np.zeros(9 * HOP)
    wave[4 * HOP + HOP // 2] = 1
    levels = np.abs(stft(wave, HOP)).sum(1)
    assert levels.argmax() == 4
    assert levels[3] == pytest.approx(levels[5], rel=0.02)


def test_a_sine_at_full_scale_has_level_1_in_its_band() -> None:
    bins = 40
    band = 20
    hertz = np.linspace(0, 8000, 2 * HOP + 1)[filters(bins, HOP)[band].argmax()]
    wave = np.sin(2 * np.pi * hertz * np.arange(60 * HOP) / 16_000)
    levels = log_mel(wave, bins, HOP)
    assert levels.shape == (60, bins)
    assert levels.dtype == np.float32
    assert levels[30].argmax() == band
    assert levels[30, band] == pytest.approx(1.0, abs=6 / RANGE)
    quieter = log_mel(wave / 10, bins, HOP)
    assert levels[30, band] - quieter[30, band] == pytest.approx(20 / RANGE, abs=1e-5)


@pytest.mark.parametrize(("bins", "hop"), [(16, 64), (64, 256), (128, 512)])
def test_no_band_is_empty_and_none_is_beyond_1(bins: int, hop: int) -> None:
    weights = filters(bins, hop)
    assert weights.shape == (bins, 2 * hop + 1)
    assert (weights.max(axis=1) > 0.3).all()
    assert 0 <= weights.min() <= weights.max() <= 1


def test_a_sound_comes_back_with_nearly_its_levels() -> None:
    levels = log_mel(note(), 64, HOP)
    again = wave_of(levels, HOP)
    assert again.shape == (len(levels) * HOP,)
    assert again.dtype == np.float32
    assert np.abs(again).max() <= 1
    loud = levels > 0.4
    assert np.abs(log_mel(again, 64, HOP) - levels)[loud].mean() < 0.03
    assert np.array_equal(again, wave_of(levels, HOP))
    assert not np.array_equal(again, wave_of(levels, HOP, seed=1))


def test_more_iterations_come_nearer_to_the_magnitudes() -> None:
    magnitudes = np.abs(stft(note(), HOP))

    def distance(iterations: int) -> float:
        found = np.abs(stft(griffin_lim(magnitudes, HOP, iterations=iterations), HOP))
        return float(np.linalg.norm(found - magnitudes) / np.linalg.norm(magnitudes))

    assert distance(40) < 0.5 * distance(1)
    assert distance(40) < 0.12


def test_silence_stays_silent() -> None:
    assert not log_mel(np.zeros(10 * HOP), 32, HOP).any()
    assert np.abs(wave_of(np.zeros((10, 32)), HOP)).max() < 1e-6
