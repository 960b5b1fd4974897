"""Mu-law in both conventions: the originals' values, and what decoding gives back."""

import numpy as np
import pytest

from kikibouba.data import mu_law


def test_values_of_umtn():
    assert mu_law.encode(np.array([0.0, 1.0, -1.0, 0.999, 5.0, -5.0])).tolist() == [127, 255, 0, 254, 255, 0]
    original = mu_law.decode(np.array([127, 255, 0]), centred=False)
    np.testing.assert_allclose(original, [-0.0001736, 0.957437, -1.0], atol=1e-6)
    assert mu_law.decode(np.array([127]))[0] == pytest.approx(0.0, abs=1e-9)


def test_values_of_nsynth():
    assert mu_law.encode(np.array([0.0, 0.5, 1.0, -1.0]), "nsynth").tolist() == [128, 240, 255, 0]
    values = mu_law.decode(np.array([127, 128, 255]), "nsynth")
    np.testing.assert_allclose(values, [-8.587e-5, 0.0, 0.978488], atol=1e-6)


@pytest.mark.parametrize("coding", ["umtn", "nsynth"])
def test_decoding_inverts_encoding(coding):
    codes = np.arange(256)
    again = mu_law.encode(mu_law.decode(codes, coding).astype(np.float64), coding)
    assert again.tolist() == codes.tolist()


def test_original_decoding_loses_a_code():
    again = mu_law.encode(mu_law.decode(np.arange(256), centred=False).astype(np.float64))
    assert (again == np.maximum(np.arange(256) - 1, 0)).sum() == 256


def test_centred_decoding_gains_twelve_decibels():
    sine = 0.8 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    noise = [mu_law.decode(mu_law.encode(sine), centred=centred) - sine for centred in (True, False)]
    centred, original = (10 * np.log10(np.mean(sine**2) / np.mean(n**2)) for n in noise)
    assert centred == pytest.approx(38.0, abs=0.3)
    assert original == pytest.approx(26.2, abs=0.3)


@pytest.mark.parametrize("coding", ["umtn", "nsynth"])
def test_looking_up_is_encoding(coding):
    samples = np.array([-32768, -5000, -1, 0, 1, 77, 32767], np.int16)
    codes = mu_law.encode(samples / 32768, coding)
    assert mu_law.encode_int16(samples, coding).tolist() == codes.tolist()
