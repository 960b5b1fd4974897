"""Figures of sound on sounds whose figures are known."""

import numpy as np
import pytest

from kikibouba.evaluate.sound import (
    Probe,
    chroma,
    chroma_cosine,
    onset_correlation,
    spectral_distance,
    timbre,
)

TIME = np.arange(16_000) / 16_000


def note(hertz, harmonics=(1.0,), start=0.0):
    wave = sum(level * np.sin(2 * np.pi * hertz * (n + 1) * TIME) for n, level in enumerate(harmonics))
    return (0.2 * wave * (start <= TIME) * np.exp(-3 * np.maximum(TIME - start, 0))).astype(np.float32)


def test_chroma_is_the_pitch_class():
    for hertz, expected in ((261.63, 0), (440.0, 9), (880.0, 9), (739.99, 6)):
        assert chroma(note(hertz)).sum(1).argmax() == expected


def test_chroma_knows_pitches_and_not_timbre():
    bright = (1.0, 0.9, 0.0, 0.7)
    assert chroma_cosine(note(440), note(440)) == pytest.approx(1.0, abs=1e-6)
    assert chroma_cosine(note(440), note(440, bright)) > 0.95
    assert chroma_cosine(note(440), note(466.16)) < 0.4
    assert chroma_cosine(note(440), np.zeros(16_000, np.float32)) == 0.0


def test_onsets_come_together():
    one, two = (note(440, start=t) + note(550, start=t + 0.3) for t in (0.2, 0.2))
    other = note(440, start=0.35) + note(550, start=0.72)
    assert onset_correlation(one, two * 0.5) > 0.99
    assert onset_correlation(one, note(700, (1, 1, 1), 0.2) + note(300, (1, 1), 0.5)) > 0.5
    assert onset_correlation(one, other) < 0.3


def test_distance_grows():
    wave, rng = note(440, (1.0, 0.5)), np.random.default_rng(0)
    noise = rng.standard_normal(16_000).astype(np.float32)
    found = [spectral_distance(wave + level * noise, wave) for level in (0.0, 0.001, 0.01, 0.1)]
    assert found[0] == 0.0
    assert found == sorted(found)
    assert spectral_distance(wave[:9000], wave) < 1e-6


def test_a_probe_tells_timbres_whatever_is_played():
    rng = np.random.default_rng(0)
    kinds = ((1.0, 0.1, 0.05), (1.0, 0.8, 0.7, 0.6, 0.5))
    labels = np.arange(60) % 2
    features = np.array([timbre(rng.uniform(0.1, 1) * note(rng.uniform(200, 600), kinds[k])) for k in labels])
    probe = Probe(features[:40], labels[:40], 2)
    assert (probe.classify(features[40:]) == labels[40:]).mean() > 0.9


def test_a_probe_finds_nothing_where_nothing_is():
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((600, 4)).astype(np.float32), rng.integers(2, size=600)
    found = Probe(features[:300], labels[:300], 2).classify(features[300:]) == labels[300:]
    assert 0.4 < found.mean() < 0.6
