"""Artifacts from JSON: the way back of `to_json`, and what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kikibouba.data.artifact_json import artifact_from_json
from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.strokes import from_lines
from kikibouba.errors import KikiboubaError

TIMES = st.integers(0, 400).map(lambda ticks: ticks / 8)


@given(st.lists(st.tuples(st.integers(0, 127), TIMES, TIMES, st.integers(1, 127), st.booleans()), max_size=8))
def test_tunes_come_back(rows):
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.zeros(0)] * 5
    pitch, start, length, velocity, drum = columns
    notes = make_notes(pitch, start, start + length, velocity, is_drum=drum.astype(bool))
    tune = Tune(NoteSequence(notes, total_time=60.0))
    back = artifact_from_json(json.loads(tune.to_json()))
    assert isinstance(back, Tune)
    np.testing.assert_array_equal(back.notes.notes, notes)
    assert back.notes.total_time >= 60.0


def test_drawings_come_back():
    lines = [np.array([[0, 0], [10, 20.5]]), np.array([[3, 4], [5, 6], [7, 8]])]
    back = artifact_from_json(json.loads(Drawing(from_lines(lines)).to_json()))
    assert isinstance(back, Drawing)
    for line, expected in zip(back.lines, lines, strict=True):
        np.testing.assert_allclose(line, expected, atol=1e-5)


def test_what_may_be_left_out():
    tune = artifact_from_json({"notes": [{"pitch": 60, "start": 1, "end": 2}]})
    assert isinstance(tune, Tune)
    assert tune.notes.notes[0].tolist() == (60, 80, 1.0, 2.0, 0, 0, False)
    assert tune.notes.total_time == 2.0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "neither"),
        ({"notes": 3}, "list of notes"),
        ({"notes": ["C4"]}, "list of notes"),
        ({"notes": [{"start": 0, "end": 1}]}, "pitch"),
        ({"notes": [{"pitch": 128, "start": 0, "end": 1}]}, "0 to 127"),
        ({"notes": [{"pitch": "C", "start": 0, "end": 1}]}, "numbers"),
        ({"notes": [{"pitch": 60, "start": 2, "end": 1}]}, "before it starts"),
        ({"notes": [{"pitch": 60, "start": float("nan"), "end": 1}]}, "start"),
        ({"notes": [], "total_time": float("inf")}, "total_time"),
        ({"drawing": [[[0, 1], [0]]]}, "equally many"),
    ],
)
def test_what_is_refused(content, words):
    with pytest.raises(KikiboubaError, match=words):
        artifact_from_json(content)
