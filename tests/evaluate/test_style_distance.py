"""Style statistics and their distances, on examples where both are known by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.sketch import SketchRepresentation
from kikibouba.evaluate.style_distance import style_distance, style_of, wasserstein

MELODY = MelodyRepresentation(bars=2)


def melody(*notes):
    """(step, MIDI pitch) → labels [32]."""
    labels = np.zeros(32, np.uint8)
    for step, pitch in notes:
        labels[step] = pitch - 21 + 2
    return labels


SCALE = melody((0, 60), (4, 62), (8, 64), (12, 65))
OCTAVE_UP = melody((0, 72), (4, 74), (8, 76), (12, 77))
TWICE_AS_FAST = melody((0, 60), (2, 62), (4, 64), (6, 65))


def test_what_differs_and_what_does_not():
    up = style_distance(style_of(MELODY, [SCALE]), style_of(MELODY, [OCTAVE_UP]))
    assert up == {"pitch_classes": 0, "intervals": 0, "rhythm": 0, "register": 12, "density": 0}
    fast = style_distance(style_of(MELODY, [SCALE]), style_of(MELODY, [TWICE_AS_FAST]))
    assert fast == {"pitch_classes": 0, "intervals": 0, "rhythm": 1, "register": 0, "density": 0}


def test_shares_are_of_all_notes_of_a_set():
    """Two of four notes of the second set are D, of the first one in four."""
    second = melody((0, 62), (4, 62), (8, 64), (12, 65))
    apart = style_distance(style_of(MELODY, [SCALE]), style_of(MELODY, [second]))
    assert apart["pitch_classes"] == pytest.approx(0.25)
    assert apart["register"] == pytest.approx(0.5)  # 2 semitones for one note of four
    assert apart["intervals"] == pytest.approx(1 / 3)  # +2 +2 +1 against 0 +2 +1


def test_intervals_do_not_cross_examples():
    apart = style_distance(style_of(MELODY, [SCALE, OCTAVE_UP]), style_of(MELODY, [OCTAVE_UP, SCALE]))
    assert set(apart.values()) == {0.0}
    one = style_of(MELODY, [melody((0, 60)), melody((0, 84))])
    assert not one["intervals"].values.any()


def test_density_counts_notes_a_bar():
    apart = style_distance(style_of(MELODY, [SCALE]), style_of(MELODY, [melody((0, 60), (4, 62))]))
    assert apart["density"] == 1.0  # 2 a bar against 1


def test_silence_is_as_far_as_can_be():
    apart = style_distance(style_of(MELODY, [np.zeros(32, np.uint8)]), style_of(MELODY, [SCALE]))
    assert apart["pitch_classes"] == apart["intervals"] == apart["rhythm"] == 1.0
    assert apart["register"] > 60
    same = style_of(MELODY, [np.zeros(32, np.uint8)])
    assert set(style_distance(same, same).values()) == {0.0}


def test_drums():
    drums = DrumsRepresentation(bars=2)
    kick, snare = np.zeros(32, np.uint16), np.zeros(32, np.uint16)
    kick[::8], snare[2::8] = 1, 2
    apart = style_distance(style_of(drums, [kick]), style_of(drums, [snare]))
    assert apart["classes"] == apart["positions"] == 1.0
    assert apart["density"] == 0.0
    assert apart["syncopation"] > 0
    assert set(apart) == {"classes", "positions", *drums.attributes([kick])}


def test_drawings_are_compared_by_their_attributes():
    square = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [-10, 0, 0], [0, -10, 1]], np.float32)
    flat = square * [1, 0.25, 1]
    sketch = SketchRepresentation()
    apart = style_distance(style_of(sketch, [square]), style_of(sketch, [flat.astype(np.float32)]))
    assert set(apart) == set(sketch.attributes([square]))
    assert apart["aspect"] > 0
    assert apart["strokes"] == 0


values = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@given(a=values, b=values, shift=st.floats(-50, 50))
@settings(deadline=None, max_examples=60)
def test_wasserstein_is_a_distance(a, b, shift):
    a, b = np.array(a), np.array(b)
    assert wasserstein(a, a) == 0
    assert wasserstein(a, b) == pytest.approx(wasserstein(b, a))
    assert wasserstein(a, a + shift) == pytest.approx(abs(shift), abs=1e-6)
    assert wasserstein(a, b) >= abs(a.mean() - b.mean()) - 1e-9
    same = np.repeat(a, 3)
    assert wasserstein(same, a) == pytest.approx(0, abs=1e-9)


def test_wasserstein_of_equal_sizes_matches_sorted_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(50), rng.standard_normal(50) * 2
    assert wasserstein(a, b) == pytest.approx(np.abs(np.sort(a) - np.sort(b)).mean())
