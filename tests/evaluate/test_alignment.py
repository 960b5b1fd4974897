"""What a decoder looks at, beside what it says."""

import numpy as np
import pytest

from kikibouba.data.event_tokens import BAR, EventVocabulary, Steps
from kikibouba.evaluate.alignment import diagonality, steps_of

VOCABULARY = EventVocabulary(velocity_bins=0)
SYMBOLS = VOCABULARY.encode(Steps(*np.array([[0, 20, 40], [60, 61, 62], [4, 4, 4], [80, 80, 80]])), 4)


def test_each_symbol_is_about_a_step():
    steps = steps_of(VOCABULARY, SYMBOLS)
    assert steps[SYMBOLS == BAR].tolist() == [0, 16, 32, 48]
    assert sorted(set(steps.tolist())) == [0, 16, 20, 32, 40, 48]


def test_reading_along_backwards_and_nowhere():
    along = np.eye(len(SYMBOLS))
    assert diagonality(VOCABULARY, SYMBOLS, SYMBOLS, along) == pytest.approx(1)
    assert diagonality(VOCABULARY, SYMBOLS, SYMBOLS, along[::-1]) < -0.9
    assert np.isnan(diagonality(VOCABULARY, SYMBOLS, SYMBOLS, along[:1].repeat(len(SYMBOLS), 0)))
    assert np.isnan(diagonality(VOCABULARY, SYMBOLS, SYMBOLS[:0], along[:0]))
