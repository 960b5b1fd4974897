"""Salience finds the pitches of tones, and says which frames are silent."""

import numpy as np
import pytest
import torch

from kikibouba.nn.pitch_salience import HIGHEST, LOWEST, PITCHES, PitchSalience

HOP = 400


def tone(pitch: float, seconds: float = 0.5, harmonics: int = 5) -> torch.Tensor:
    """[N], its harmonics ever fainter."""
    t = np.arange(int(16_000 * seconds)) / 16_000
    f = 440.0 * 2 ** ((pitch - 69) / 12)
    return torch.from_numpy(
        sum(0.6**k * np.sin(2 * np.pi * f * k * t) for k in range(1, harmonics + 1)) * 0.3
    )


def test_every_pitch_is_found():
    waves = torch.stack([tone(p) for p in range(48, HIGHEST - 3)])
    salience, heard = PitchSalience(HOP)(waves)
    assert salience.shape == (len(waves), PITCHES, 20)
    assert heard.all()
    torch.testing.assert_close(salience.sum(1), torch.ones(len(waves), 20))
    found = salience[:, :, 3:17].argmax(1) + LOWEST
    assert (found == torch.arange(48, HIGHEST - 3)[:, None]).float().mean() > 0.98


def test_a_pure_tone_and_two_notes():
    (pure,), _ = PitchSalience(HOP)(tone(72, harmonics=1)[None])
    assert int(pure[:, 10].argmax()) + LOWEST == 72
    (two,), _ = PitchSalience(HOP)((tone(60) + tone(67))[None])
    assert {int(p) + LOWEST for p in two[:, 10].topk(2).indices} <= {48, 60, 67}


@pytest.mark.parametrize("hop", [400, 800, 2048, 4000])
def test_time_runs_with_the_frames(hop):
    wave = torch.cat([tone(60, 1.0), tone(76, 1.0), torch.zeros(16_000).double()])[None]
    salience, heard = PitchSalience(hop)(wave)
    frames = 48_000 // hop
    assert salience.shape[2] == heard.shape[1] == frames
    at = lambda second: int(second * 16_000 / hop)  # noqa: E731
    assert int(salience[0, :, at(0.5)].argmax()) + LOWEST == 60
    assert int(salience[0, :, at(1.5)].argmax()) + LOWEST == 76
    assert heard[0, at(0.5)]
    assert not heard[0, at(2.6)]


def test_silence_is_not_heard():
    salience, heard = PitchSalience(HOP)(torch.zeros(2, 4000))
    assert not heard.any()
    assert torch.isfinite(salience).all()
