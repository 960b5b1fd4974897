"""Short tunes just as they stand."""

import numpy as np
import pytest

from kikibouba import hub
from kikibouba.data.artifacts import Tune
from kikibouba.data.melody import NOTE_OFF
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.errors import KikiboubaError
from kikibouba.inputs import read_examples
from kikibouba.loops import is_loop, loop_example

MELODY = hub.read_preset("mel_2bar").representation
DRUMS = hub.read_preset("drums_2bar").representation
STEP = 0.125


def tune(*notes, drums=False):
    """Notes as (pitch, first step, step after the last)."""
    pitch, start, end = (np.array(column) for column in zip(*notes, strict=True))
    rows = make_notes(pitch, start * STEP, end * STEP, is_drum=drums)
    return Tune(NoteSequence(rows, total_time=4.0))


def as_notes(labels):
    """The notes that labels say, by way of the representation."""
    rows = MELODY.to_artifact(labels).notes.notes
    return [(p, round(s / STEP), round(e / STEP)) for p, s, e in rows[["pitch", "start", "end"]].tolist()]


@pytest.mark.parametrize(
    "notes",
    [
        [(60, 0, 4)],
        [(60, 20, 24)],
        [(60, 0, 1), (62, 1, 2)],
        [(60, 8, 31)],
        [(60, 8, 32)],
        [(60, 0, 4), (72, 31, 32)],
        [(60, 15, 17), (64, 17, 30)],
    ],
)
def test_a_melody_comes_back_where_it_was(notes):
    assert is_loop(tune(*notes), MELODY)
    assert as_notes(loop_example(tune(*notes), MELODY)) == notes


def test_where_a_phrase_fills_the_bars_it_is_read_as_always():
    full = tune((60, 0, 4), (62, 4, 8), (64, 16, 24), (65, 28, 32))
    np.testing.assert_array_equal(loop_example(full, MELODY), read_examples(full, MELODY)[0])


def test_silence_before_the_first_note_is_silence():
    labels = loop_example(tune((60, 20, 24)), MELODY)
    assert not labels[:20].any()
    assert labels[24] == NOTE_OFF


def test_drums():
    labels = loop_example(tune((38, 8, 9), (42, 8, 9), (36, 24, 25), drums=True), DRUMS)
    assert np.flatnonzero(labels).tolist() == [8, 24]
    assert labels[24] == 1  # the kick


def test_what_is_no_loop():
    assert not is_loop(tune((60, 0, 33)), MELODY)
    assert not is_loop(Tune(NoteSequence()), MELODY)
    assert not is_loop(tune((60, 0, 4)), hub.read_preset("sketch").representation)


def test_a_melody_has_no_drums_in_it():
    with pytest.raises(KikiboubaError, match="no drums"):
        loop_example(tune((60, 0, 4)), DRUMS)
