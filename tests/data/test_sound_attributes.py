"""What is measured of sounds."""

import numpy as np
import pytest

from kikibouba.data.sound_attributes import sound_attributes

TIMES = np.arange(16_000) / 16_000


def tone(pitch, partials=1):
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    return sum(0.3 * np.sin(2 * np.pi * k * hertz * TIMES) / k for k in range(1, partials + 1))


@pytest.mark.parametrize("pitch", [30, 48, 69, 81.5, 100])
@pytest.mark.parametrize("partials", [1, 3])
def test_pitch(pitch, partials):
    assert sound_attributes([tone(pitch, partials)])["pitch"][0] == pytest.approx(pitch, abs=0.15)


def test_what_has_no_pitch():
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    assert np.isnan(sound_attributes([noise, np.zeros(16_000), np.zeros(10)])["pitch"]).all()


def test_brightness_noisiness_and_loudness():
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    found = sound_attributes([tone(60), tone(60, 12), noise, 0.5 * noise])
    assert (np.diff(found["brightness"][:3]) > 0.1).all()
    assert found["brightness"][2] == pytest.approx(4.0, abs=0.2)
    assert found["noisiness"][0] < 0.01 < 0.5 < found["noisiness"][2]
    assert found["loudness"][2] == pytest.approx(-20, abs=0.3)
    assert found["loudness"][2] - found["loudness"][3] == pytest.approx(6.02, abs=0.01)


def test_attack():
    plucked = tone(60) * np.exp(-5 * TIMES)
    swelling = tone(60) * np.minimum(TIMES / 0.5, 1)
    found = sound_attributes([plucked, swelling])["attack"]
    assert found[0] < 0.05
    assert found[1] == pytest.approx(0.46, abs=0.06)


def test_nothing_is_nothing():
    assert {name: len(values) for name, values in sound_attributes([]).items()} == dict.fromkeys(
        ("loudness", "brightness", "noisiness", "attack", "pitch"), 0
    )
