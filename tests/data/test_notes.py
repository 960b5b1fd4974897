"""Quantising, splitting, transposing and joining follow the original's rules."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from music import STEP, tune

from kikibouba.data.notes import (
    NoteSequence,
    concatenate,
    make_notes,
    quantize,
    split_on_time_changes,
    transpose,
)
from kikibouba.errors import KikiboubaError


def at_seconds(*spans: tuple[float, float]) -> NoteSequence:
    start, end = np.array(spans).reshape(-1, 2).T
    notes = make_notes(np.full(len(start), 60), start, end)
    return NoteSequence(notes, total_time=float(end.max(initial=0.0)))


def test_halves_round_up_and_no_note_is_empty() -> None:
    quantized = quantize(at_seconds((0.0624, 0.0626), (0.0625, 0.1875), (1.0, 1.05)))
    assert quantized.q_start.tolist() == [0, 1, 8]
    assert quantized.q_end.tolist() == [1, 2, 9]
    assert quantized.total_steps == 9


def test_total_steps_cover_the_silence_at_the_end() -> None:
    assert quantize(replace(at_seconds((0.0, 1.0)), total_time=3.0)).total_steps == 24


@given(st.floats(20, 300), st.integers(1, 24), st.lists(st.floats(0, 1000), min_size=1, max_size=5))
def test_steps_are_the_nearest_ones(qpm: float, steps_per_quarter: int, times: list[float]) -> None:
    sequence = replace(at_seconds(*((t, t + 1) for t in times)), tempos=np.array([[0.0, qpm]]))
    exact = np.array(times) * steps_per_quarter * qpm / 60
    assert (np.abs(quantize(sequence, steps_per_quarter).q_start - exact) <= 0.5 + 1e-6).all()


@pytest.mark.parametrize(
    ("meter", "steps"), [((4, 4), 16), ((2, 2), 16), ((8, 8), 16), ((3, 4), 12), ((6, 8), 12), ((7, 32), 3.5)]
)
def test_steps_per_bar(meter: tuple[int, int], steps: float) -> None:
    quantized = quantize(tune((60, 0, 4), meter=meter))
    assert quantized.steps_per_bar == steps
    assert quantized.meter == f"{meter[0]}/{meter[1]}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_signatures": [[0, 4, 3]]}, "4/3 has a denominator that is no power of two"),
        ({"time_signatures": [[0, 0, 4]]}, "0/4 has no beats"),
        ({"time_signatures": [[0, 4, 4], [1, 3, 4]]}, r"meter changes \(4/4, 3/4\)"),
        ({"time_signatures": [[1, 3, 4]]}, r"meter changes \(4/4, 3/4\)"),
        ({"tempos": [[0, 100], [1, 101]]}, "tempo changes"),
        ({"tempos": [[1, 100]]}, "tempo changes"),
        ({"notes": make_notes(np.array([60]), np.array([-1.0]), np.array([1.0]))}, "negative time"),
    ],
)
def test_what_cannot_be_quantised(changes: dict, message: str) -> None:
    changes = {name: np.array(value) for name, value in changes.items()}
    with pytest.raises(KikiboubaError, match=message):
        quantize(replace(tune((60, 0, 4)), **changes))


def test_repeated_tempos_and_meters_are_no_change() -> None:
    sequence = replace(tune((60, 0, 99)), tempos=np.array([[0.0, 120.0], [1.0, 120.0]]))
    sequence.time_signatures = np.array([[0.0, 4, 4], [2.0, 4, 4]])
    assert len(split_on_time_changes(sequence)) == 1
    assert quantize(sequence).q_end.tolist() == [99]


def test_split_cuts_notes_and_moves_pieces_to_zero() -> None:
    sequence = tune((60, 0, 8), (62, 6, 20), (64, 16, 20))
    sequence.tempos = np.array([[0.0, 120.0], [1.0, 60.0]])
    sequence.time_signatures = np.array([[0.0, 3, 4], [2.0, 4, 4], [9.0, 5, 4]])
    sequence.key_signatures = np.array([[0.0, 2, 0], [1.5, 3, 1]])
    pieces = split_on_time_changes(sequence)
    assert [piece.notes["pitch"].tolist() for piece in pieces] == [[60, 62], [], [64]]
    assert pieces[0].notes["end"].tolist() == [1.0, 1.0]
    assert pieces[2].notes["start"].tolist() == [0.0]
    assert pieces[2].notes["end"].tolist() == [0.5]
    assert [piece.tempos.tolist() for piece in pieces] == [[[0, 120]], [[0, 60]], [[0, 60]]]
    assert [piece.time_signatures.tolist() for piece in pieces] == [[[0, 3, 4]], [[0, 3, 4]], [[0, 4, 4]]]
    assert [piece.key_signatures.tolist() for piece in pieces] == [
        [[0, 2, 0]],
        [[0, 2, 0], [0.5, 3, 1]],
        [[0, 3, 1]],
    ]
    assert [piece.total_time for piece in pieces] == [1.0, 0.0, 0.5]


def test_split_leaves_the_original_alone_and_drops_nothing_but_empty_pieces() -> None:
    sequence = tune((60, 0, 8), (62, 10, 20))
    sequence.tempos = np.array([[0.0, 120.0], [1.0, 60.0]])
    before = sequence.notes.copy()
    split_on_time_changes(sequence)
    assert np.array_equal(sequence.notes, before)
    assert split_on_time_changes(NoteSequence()) == []


def test_many_tempo_changes_take_no_time() -> None:
    count = 20_000
    sequence = tune(*((60, 2 * i, 2 * i + 1) for i in range(count)))
    sequence.tempos = np.column_stack([np.arange(count) * 2 * STEP, 100.0 + np.arange(count) % 7])
    pieces = split_on_time_changes(sequence)
    assert len(pieces) == count
    assert all(len(piece.notes) == 1 for piece in pieces)


def test_transpose_spares_drums_and_drops_what_leaves_the_range() -> None:
    sequence = tune((0, 0, 4), (60, 0, 8), (125, 0, 9))
    sequence.key_signatures = np.array([[0.0, 11.0, 0.0]])
    up = transpose(sequence, 3)
    assert up.notes["pitch"].tolist() == [3, 63]
    assert up.total_time == 1.0
    assert up.key_signatures.tolist() == [[0.0, 2.0, 0.0]]
    assert transpose(tune((36, 0, 1), is_drum=True), 3).notes["pitch"].tolist() == [36]
    assert sequence.notes["pitch"].tolist() == [0, 60, 125]


def test_concatenate_joins_times_tempos_and_meters() -> None:
    first, second = tune((60, 0, 4)), tune((62, 2, 6))
    second.tempos = np.array([[0.0, 90.0]])
    joined = concatenate([first, second, second], seconds=[2.0, 1.0, 1.0])
    assert joined.notes["start"].tolist() == [0.0, 2.25, 3.25]
    assert joined.tempos.tolist() == [[0.0, 120.0], [2.0, 90.0]]
    assert joined.time_signatures.tolist() == [[0.0, 4.0, 4.0]]
    assert joined.total_time == 4.0
    assert concatenate([first, second]).notes["start"].tolist() == [0.0, 0.75]
    with pytest.raises(KikiboubaError, match="nothing to concatenate"):
        concatenate([])
