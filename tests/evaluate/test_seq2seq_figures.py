"""Figures of agreement by hand, baselines on music whose answer is known, and a judge of styles."""

import numpy as np
import pytest

from kikibouba.data.event_tokens import Steps
from kikibouba.evaluate.seq2seq_baselines import nearest, nearest_velocities, transposed
from kikibouba.evaluate.seq2seq_music import (
    chroma,
    chroma_similarity,
    copied,
    n_grams,
    note_f1,
    onset_f1,
    style_profile,
)
from kikibouba.evaluate.seq2seq_style import StyleJudge, profile_cosine


def steps(rows):
    return Steps(*np.array([[*row, 80] for row in rows], np.int64).reshape(-1, 4).T)


C_E = steps([(0, 60, 4), (4, 64, 4)])
NOTHING = steps([])


def test_f1_by_hand():
    other = steps([(0, 60, 1), (0, 67, 1), (8, 64, 1)])
    assert onset_f1(C_E, other) == pytest.approx(0.5)  # steps {0, 4} and {0, 8}
    assert note_f1(C_E, other) == pytest.approx(2 * 1 / 5)
    assert onset_f1(C_E, C_E) == note_f1(C_E, C_E) == onset_f1(NOTHING, NOTHING) == 1
    assert onset_f1(C_E, NOTHING) == 0


def test_chroma_by_hand():
    notes = steps([(12, 60, 8), (16, 76, 4)])
    expected = np.zeros((2, 12))
    expected[0, 0], expected[1, 0], expected[1, 4] = 4, 4, 4
    np.testing.assert_array_equal(chroma(notes, 2, 16), expected)
    assert chroma_similarity(notes, notes, 2, 16) == pytest.approx(1)
    only_c = steps([(0, 48, 32)])
    assert chroma_similarity(only_c, notes, 2, 16) == pytest.approx((1 + np.sqrt(0.5)) / 2)
    assert chroma_similarity(NOTHING, notes, 2, 16) == 0
    assert np.isnan(chroma_similarity(notes, NOTHING, 2, 16))


def test_copying_is_found_in_any_key_and_place():
    tune = steps([(4 * i, 60 + (i * i) % 7, 2 + i % 3) for i in range(12)])
    known = np.unique(n_grams(tune, 5))
    moved = transposed(tune._replace(start=tune.start + 3), 5)
    assert len(n_grams(tune, 5)) == 8
    assert copied([moved], known, 5) == 1
    others = [steps([(3 * i, 60 - i, 1) for i in range(12)])]
    assert copied(others, known, 5) == 0
    assert copied([moved, *others], known, 5) == 0.5
    assert copied([NOTHING], known, 5) == 0


def test_the_nearest_source_is_found_in_another_key():
    known = [steps([(i, 60 + (k * i) % 12, 1) for i in range(16)]) for k in (1, 5, 7)]
    asked = [transposed(known[1], 3), transposed(known[2], -4)]
    found = nearest(asked, known, 16)
    assert [number for number, _ in found] == [1, 2]
    for source, (number, semitones) in zip(asked, found, strict=True):
        assert ((transposed(known[number], semitones).pitch - source.pitch) % 12 == 0).all()


def test_the_nearest_note_lends_its_velocity():
    known = np.array([[0.0, 60.0], [8.0, 60.0], [0.0, 72.0]])
    found = nearest_velocities(known, np.array([100, 50, 80]), np.array([[7.0, 61.0], [1.0, 71.0]]), block=1)
    assert found.tolist() == [50, 80]


def test_profiles_and_a_judge_of_styles():
    rng = np.random.default_rng(0)

    def tune(style):
        """Style 0 steps along on eighths, style 1 leaps on quarters."""
        leap, gap = ((2, 2), (9, 4))[style]
        n = 32 // gap
        moves = rng.integers(-leap, leap + 1, n)
        return steps([(gap * i, 60 + int(m), gap) for i, m in enumerate(moves)])

    styles = rng.integers(0, 2, 80)
    profiles = np.stack([style_profile(tune(k), 16) for k in styles])
    assert profiles.shape == (80, 25 + 16 + 7)
    np.testing.assert_allclose(profiles.sum(axis=1), 3)
    judge = StyleJudge.fit(profiles[:40], styles[:40])
    assert (judge.judge(profiles[40:]) == styles[40:]).mean() > 0.95
    same = profile_cosine(profiles[styles == 0][:20], profiles[styles == 0][20:])
    assert same > profile_cosine(profiles[styles == 0], profiles[styles == 1])
    assert not style_profile(NOTHING, 16).any()
