"""The sustain pedal as lengths of notes, and pedals through cutting and joining. Random pieces: see
`test_multitrack`, whose slow converter plays the pedal event by event.
"""

from dataclasses import replace

import numpy as np
import pytest
from music import tune

from kikibouba.data.notes import NoteSequence, concatenate, split_on_time_changes
from kikibouba.data.sustain import apply_sustain

UP, DOWN = 63, 64


def with_pedal(sequence: NoteSequence, *changes: tuple[float, int, int]) -> NoteSequence:
    """Changes are (seconds, instrument, value)."""
    return replace(sequence, pedals=np.array(changes, np.float64).reshape(-1, 3))


def ends(sequence: NoteSequence) -> list[float]:
    return apply_sustain(sequence).notes["end"].tolist()


def test_a_note_sounds_until_the_pedal_is_released():
    piece = with_pedal(tune((60, 0, 4), (62, 4, 6)), (0.25, 0, DOWN), (2.0, 0, UP))
    assert ends(piece) == [2.0, 2.0]
    held = apply_sustain(piece)
    assert held.total_time == 2.0
    assert len(held.pedals) == 0
    assert piece.notes["end"].tolist() == [0.5, 0.75]  # the piece itself is as it was


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([(0.0, 0, UP), (2.0, 0, UP)], 0.5),  # never down
        ([(0.75, 0, DOWN), (2.0, 0, UP)], 0.5),  # down too late
        ([(0.0, 0, DOWN), (0.5, 0, UP)], 0.5),  # released as the note ends
        ([(0.0, 0, DOWN), (0.25, 0, UP), (0.4, 0, 127), (0.75, 0, 0)], 0.75),
        ([(0.25, 0, UP), (0.25, 0, DOWN), (0.75, 0, UP)], 0.5),  # at one time the release comes last
        ([(0.25, 1, DOWN), (0.75, 1, UP)], 0.5),  # another instrument's
        ([(0.25, 0, DOWN)], 0.5),  # never released: to the last event, which is the end of this note
        ([(0.25, 0, DOWN), (1.5, 3, UP)], 1.5),
    ],
)
def test_when_a_note_ends(changes, expected):
    assert ends(with_pedal(tune((60, 0, 4)), *changes)) == [expected]


def test_the_same_pitch_struck_again_ends_a_note():
    assert ends(with_pedal(tune((60, 0, 2), (60, 4, 6)), (0.1, 0, DOWN), (3.0, 0, UP))) == [0.5, 3.0]
    assert ends(with_pedal(tune((60, 0, 8), (60, 4, 6)), (0.1, 0, DOWN), (3.0, 0, UP))) == [0.5, 3.0]
    assert ends(with_pedal(tune((60, 0, 8), (60, 4, 6)), (0.8, 0, DOWN), (3.0, 0, UP))) == [3.0, 0.75]


def test_of_two_notes_struck_together_the_later_in_the_list_remains():
    piece = with_pedal(tune((60, 0, 4), (60, 0, 2), (64, 0, 2)), (0.0, 0, DOWN), (1.0, 0, UP))
    assert apply_sustain(piece).notes[["pitch", "end"]].tolist() == [(60, 1.0), (64, 1.0)]


def test_drums_know_no_pedal():
    piece = with_pedal(tune((36, 0, 1), is_drum=True), (0.0, 0, DOWN), (1.0, 0, UP))
    assert ends(piece) == [0.125]


def test_pedals_go_with_the_pieces_they_hold_in():
    piece = with_pedal(
        tune((60, 0, 64), (60, 8, 12, 1)),
        (0.5, 0, DOWN), (1.0, 1, DOWN), (2.0, 0, UP), (2.0, 1, 90), (5.0, 0, DOWN), (7.0, 1, UP),
    )  # fmt: skip
    piece = replace(piece, tempos=np.array([[0.0, 120.0], [2.0, 90.0], [6.0, 120.0]]))
    first, second, third = (part.pedals.tolist() for part in split_on_time_changes(piece))
    assert first == [[0.5, 0, DOWN], [1.0, 1, DOWN]]
    assert sorted(second) == [[0.0, 0, UP], [0.0, 1, 90], [3.0, 0, DOWN]]
    assert sorted(third) == [[0.0, 0, DOWN], [0.0, 1, 90], [1.0, 1, UP]]


def test_pedals_move_when_pieces_are_joined():
    piece = with_pedal(tune((60, 0, 16)), (0.5, 0, DOWN))
    assert concatenate([piece, piece]).pedals.tolist() == [[0.5, 0, DOWN], [2.5, 0, DOWN]]
