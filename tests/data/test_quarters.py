"""Seconds ↔ quarters under changing tempos, and the stretches of a piece with bars of four quarters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.quarters import sections, steps_in, to_quarters, to_seconds
from kikibouba.errors import KikiboubaError


def piece(start, end, **tables):
    notes = make_notes(np.arange(60, 60 + len(start)), np.array(start), np.array(end))
    return NoteSequence(notes, total_time=max(end), **{k: np.array(v, float) for k, v in tables.items()})


def test_a_tempo_change_moves_seconds_not_quarters():
    tempos = np.array([[0.0, 120.0], [2.0, 60.0]])
    np.testing.assert_allclose(to_quarters(np.array([0, 1, 2, 3, 4.5]), tempos), [0, 2, 4, 5, 6.5])
    song = piece([0.0, 2.0, 3.0], [2.0, 3.0, 3.5], tempos=tempos)
    notes, index = steps_in(song, sections(song)[0], 4)
    assert notes.start.tolist() == [0, 16, 20]
    assert notes.duration.tolist() == [16, 4, 2]
    assert index.tolist() == [0, 1, 2]


@given(
    st.lists(st.tuples(st.floats(0.1, 5), st.floats(20, 300)), max_size=5),
    st.lists(st.floats(0, 60), max_size=10),
)
@settings(max_examples=100, deadline=None)
def test_there_and_back(changes, times):
    begin = np.cumsum([0.0, *(gap for gap, _ in changes)])[:-1] if changes else np.zeros(0)
    tempos = np.column_stack([begin, [qpm for _, qpm in changes]]) if changes else np.zeros((0, 2))
    seconds = np.array(times)
    np.testing.assert_allclose(to_seconds(to_quarters(seconds, tempos), tempos), seconds, atol=1e-9)


def test_sections_keep_to_bars_of_four_quarters():
    # 120 quarters a minute: 4/4 for 8 quarters, 3/4 for 6, 2/4 for 8
    song = piece([0.0, 4.0, 7.0], [1.0, 5.0, 11.0], time_signatures=[[0, 4, 4], [4, 3, 4], [7, 2, 4]])
    assert sections(song) == [(0, 8), (14, 22)]
    assert steps_in(song, sections(song)[1], 4)[1].tolist() == [2]


def test_the_same_meter_again_on_a_bar_line_goes_on():
    song = piece([0.0], [9.0], time_signatures=[[0, 4, 4], [4, 2, 2]])
    assert sections(song) == [(0, 18)]
    song = piece([0.0], [9.0], time_signatures=[[0, 4, 4], [3, 4, 4]])  # after an upbeat of six quarters
    assert sections(song) == [(0, 6), (6, 18)]


def test_another_meter_is_named():
    with pytest.raises(KikiboubaError, match="the meter is 3/4; only bars of four"):
        sections(piece([0.0], [1.0], time_signatures=[[0, 3, 4]]))
    with pytest.raises(KikiboubaError, match="no notes"):
        sections(NoteSequence())


def test_drums_are_left_out_and_halves_round_up():
    song = piece([0.0, 0.0625, 0.3], [0.01, 0.5, 0.4])
    song.notes["is_drum"][2] = True
    notes, _ = steps_in(song, sections(song)[0], 4)
    assert notes.start.tolist() == [0, 1]
    assert notes.duration.tolist() == [1, 3]
