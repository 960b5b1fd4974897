"""Grooves: the original's worked example, what inputs lack, and the way back with dynamics and timing."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music import STEP, tune

from kikibouba.config import representation_from_dict, representation_to_dict
from kikibouba.data.drum_kits import PITCH_CLASSES, ROLAND
from kikibouba.data.groove import GrooveRepresentation
from kikibouba.data.groove_inputs import thin_out
from kikibouba.data.midi import from_midi_bytes, write_midi
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.errors import KikiboubaError

TWO_BARS = GrooveRepresentation()
ONE_BAR = GrooveRepresentation(bars=1)
KICK, SNARE, HAT, OPEN = 0, 1, 2, 3


def performance(*hits: tuple[int, float, int], qpm: float = 120.0) -> NoteSequence:
    """Drums from (pitch, seconds, velocity)."""
    pitch, start, velocity = (np.array(column) for column in zip(*hits, strict=True))
    notes = make_notes(pitch, start, start + 0.05, velocity, is_drum=True)
    return NoteSequence(notes, np.array([[0.0, qpm]]), total_time=float(start.max() + 0.05))


EXAMPLE = performance((36, 0.01, 100), (38, 0.48, 127), (42, 2.03, 64))


def inputs(representation: GrooveRepresentation, *arrays: np.ndarray) -> np.ndarray:
    """What an encoder reads of examples."""
    x, _ = representation.collate(arrays)
    (part,) = representation.layout.inputs
    return x[..., part.start : part.stop]


def cells(x: np.ndarray) -> dict[tuple[int, int], tuple[float, float]]:
    """(step, class) → (velocity, offset) of the hits in rows [T, 27]."""
    hits, velocities, offsets = np.split(x.astype(float).round(4), 3, axis=-1)
    return {(int(t), int(c)): (velocities[t, c], offsets[t, c]) for t, c in np.argwhere(hits)}


def test_worked_example() -> None:
    (row,) = TWO_BARS.windows(EXAMPLE)
    assert (row.shape, row.dtype) == ((32, 27), np.float32)
    assert cells(row) == {
        (0, KICK): (0.7874, -0.16),
        (4, SNARE): (1.0, 0.32),
        (16, HAT): (0.5039, -0.48),
    }
    flat = inputs(GrooveRepresentation(humanize=True), row)[0]
    assert cells(flat) == dict.fromkeys(cells(row), (0, 0))
    assert flat.sum() == 3


def test_offsets_count_in_steps_of_the_tempo() -> None:
    slow = performance((36, 0.0, 100), (38, 1.02, 100), (42, 4.0, 100), qpm=60.0)
    assert cells(TWO_BARS.windows(slow)[0])[4, SNARE] == (0.7874, pytest.approx(-0.16))


def test_the_loudest_of_a_class_counts_and_the_first_of_equals() -> None:
    fast = performance((40, 0.01, 50), (38, 0.03, 90), (37, 0.05, 90), (38, 1.99, 1))
    assert cells(ONE_BAR.windows(fast)[0])[0, SNARE] == (pytest.approx(90 / 127, abs=1e-4), -0.48)


def test_windows_follow_each_other_from_the_start_and_a_rest_is_lost() -> None:
    hits = [(36, 2.0 * bar, 100) for bar in range(2, 7)]
    found = TWO_BARS.windows(performance(*hits))
    assert [list(cells(row)) for row in found] == [[], [(0, 0), (16, 0)], [(0, 0), (16, 0)]]
    overlapping = GrooveRepresentation(hop_bars=1).windows(performance(*hits))
    assert len(overlapping) == 6
    assert np.array_equal(overlapping[2], found[1])


def test_tables() -> None:
    roland = performance((58, 0.0, 100), (45, 0.5, 100), (48, 1.0, 100), (99, 1.5, 100), (36, 1.9, 9))
    assert [c for _, c in cells(ONE_BAR.windows(roland)[0])] == [4, 5, 6, 0]
    assert [c for _, c in cells(ONE_BAR.in_use().windows(roland)[0])] == [7, 4, 5, 0]
    full_house = np.zeros((16, 27), np.float32)
    full_house[0, :9] = 1
    for representation, table in ((ONE_BAR, "roland"), (ONE_BAR.in_use(), "reduced")):
        notes = representation.to_sequence(full_house).notes
        assert notes["pitch"].tolist() == [pitches[0] for pitches in PITCH_CLASSES[table]]


def test_taps_take_the_loudest_drum_of_each_step() -> None:
    (row,) = TWO_BARS.windows(performance((36, 0.01, 100), (42, 0.02, 110), (38, 0.48, 60), (49, 3.9, 80)))
    tapped = inputs(GrooveRepresentation(tapify=True), row)[0]
    assert cells(tapped) == {
        (0, OPEN): cells(row)[0, HAT],
        (4, OPEN): cells(row)[4, SNARE],
        (31, OPEN): cells(row)[31, 7],
    }
    fixed = inputs(GrooveRepresentation(tapify=True, fixed_velocities=True), row)[0]
    assert cells(fixed) == {cell: (0.0, offset) for cell, (_, offset) in cells(tapped).items()}


def test_drums_to_be_added_are_missing_in_inputs_only() -> None:
    (row,) = TWO_BARS.windows(performance((36, 0.01, 100), (42, 0.02, 110), (38, 2.48, 60)))
    representation = GrooveRepresentation(add_instruments=(2, 1))
    assert list(cells(inputs(representation, row)[0])) == [(0, KICK)]
    x, lengths = representation.collate([row])
    assert np.array_equal(representation.split_batch(x, lengths)[0], row)


def test_soft_notes_are_left_out_more_often_and_of_inputs_only() -> None:
    rows = np.zeros((400, 27), np.float32)
    rows[:, [0, 1, 2]], rows[:, [9, 10, 11]], rows[:, 18] = 1, (1.0, 0.6, 0.1), 0.5
    thin = np.mean([thin_out(rows, 0.8, np.random.default_rng(seed)) for seed in range(40)], axis=0)
    kept = thin[:, :3].mean(0)
    assert np.allclose(kept, 1 - 0.4 * np.array([0.2, 0.4, 0.9]), atol=0.05)
    assert thin[:, 3:9].sum() == 0

    representation = GrooveRepresentation(max_note_dropout_probability=0.8)
    array = representation.augment(rows[:32], np.random.default_rng(3))
    x, _ = representation.collate([array])
    assert np.array_equal(x[0, :, 27:], rows[:32])
    assert 0 < x[0, :, :9].sum() < 96
    left = x[0, :, :9].astype(bool)
    for part in range(0, 27, 9):
        assert np.array_equal(x[0, :, part : part + 9], np.where(left, rows[:32, part : part + 9], 0))


def test_taps_of_what_is_left_are_as_they_were_played() -> None:
    rows = np.zeros((32, 27), np.float32)
    rows[0, [1, 2, 10, 11, 19, 20]] = (1, 1, 0.3, 0.9, 0.25, -0.5)
    left = rows.copy()
    left[0, [2, 11, 20]] = 0
    tapped = inputs(GrooveRepresentation(tapify=True), np.concatenate([left, rows], axis=1))[0]
    assert cells(tapped) == {(0, OPEN): (0.3, 0.25)}


def test_hits_can_be_told() -> None:
    (row,) = TWO_BARS.windows(EXAMPLE)
    representation = GrooveRepresentation(hits_as_controls=True)
    (part,) = representation.layout.controls
    x, _ = representation.collate([row])
    assert np.array_equal(x[0, :, part.start : part.stop], row[:, :9])
    decoded = np.concatenate([row, row[:, :9]], axis=1)[None]
    assert np.array_equal(representation.split_batch(decoded, np.array([32]))[0], row)
    decoded[..., [SNARE, OPEN]] = (0.1, 0.9)  # said by mistake
    decoded[0, 0, 9 + OPEN] = 0.5
    assert np.array_equal(representation.split_batch(decoded, np.array([32]))[0], row)
    decoded[0, :, 27:] = 0  # nothing is told
    (said,) = representation.split_batch(decoded, np.array([32]))
    assert (said[:, OPEN] == 1).all()
    assert (said[:, SNARE] == 0).all()


@pytest.mark.parametrize("told", [False, True])
def test_drums_one_after_the_other(told: bool) -> None:
    (row,) = TWO_BARS.windows(EXAMPLE)
    representation = GrooveRepresentation(split_instruments=True, hits_as_controls=told)
    x, lengths = representation.collate([row])
    assert x.shape == (1, representation.steps, 15)
    assert np.allclose(x[0, 4 * 9 + SNARE, :6], [1, 1, 0.32] * 2)
    hits, drum = ([None] * (not told)) + list(representation.layout.controls)
    assert x[0, :, drum.start : drum.stop].argmax(1).tolist() == [*range(9)] * 32
    if told:
        assert np.array_equal(x[0, :, hits.start : hits.stop], x[0, :, 3:4])
    assert np.array_equal(representation.split_batch(x, lengths)[0], row)
    with pytest.warns(match="without any it may stay silent") if told else nullcontext():
        usual = representation.usual_controls()
    assert np.array_equal(usual[:, -9:], x[0, :, drum.start : drum.stop])
    assert usual.shape == (representation.steps, 9 + told)
    decoded = x[:, :, [3, 4, 5, *range(*(hits.start, hits.stop) if told else (0, 0)), *range(6, 15)]]
    assert np.array_equal(representation.split_batch(decoded, lengths)[0], row)


def test_what_is_not_hit_is_not_said() -> None:
    x = np.full((1, 32, 27), 0.3, np.float32)
    x[0, 5, [2, 11, 20]] = (0.9, 1.2, -1.5)
    (row,) = TWO_BARS.split_batch(x, np.array([32]))
    assert cells(row) == {(5, HAT): (1.0, -1.0)}
    assert np.count_nonzero(row) == 3


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 31), st.integers(0, 8)),
        st.tuples(st.integers(1, 127), st.floats(-0.875, 0.875, width=32)),
        min_size=1,
    ),
    st.sampled_from(["roland", "reduced"]),
)
@settings(deadline=None)
def test_the_way_back(hits: dict[tuple[int, int], tuple[int, float]], table: str) -> None:
    representation = GrooveRepresentation(pitch_classes=table)
    row = np.zeros((32, 27), np.float32)
    row[31, 0], row[31, 9] = 1, 1
    for (step, c), (velocity, offset) in hits.items():
        row[step, [c, c + 9, c + 18]] = (1, velocity / 127, offset)
    sequence = representation.to_sequence(row)
    (again,) = representation.windows(sequence)
    assert np.allclose(again, row, atol=1e-5)
    assert (sequence.notes["start"].min() < 0) == bool((row[0, 18:] > 0).any())


def test_a_file_keeps_dynamics_and_timing_but_for_what_comes_before_its_start(tmp_path: Path) -> None:
    row = np.zeros((32, 27), np.float32)
    row[[0, 4, 31], [0, 1, 2]] = 1
    row[[0, 4, 31], [9, 10, 11]] = (1.0, 0.25, 0.5)
    row[[0, 4, 31], [18, 19, 20]] = (0.5, 0.5, -0.3)
    path = TWO_BARS.to_artifact(row).save(tmp_path / "a.mid")
    (again,) = TWO_BARS.windows(TWO_BARS.read(path)[0])
    assert again[0, 18] == 0
    tick = 2 * 4 / 480
    assert np.allclose(again[1:, :9], row[1:, :9])
    assert np.allclose(again[1:, 9:18], row[1:, 9:18], atol=0.5 / 127)
    assert np.allclose(again[1:, 18:], row[1:, 18:], atol=tick)


@pytest.mark.parametrize(
    ("sequence", "rule"),
    [
        (NoteSequence(), "it has no notes"),
        (tune((60, 0, 64)), "none of its notes are drums"),
        (performance((99, 0.0, 80), (99, 2.0, 80)), "is in the table 'roland'"),
        (tune((36, 0, 1), (36, 40, 41), is_drum=True, meter=(3, 4)), "the meter is 3/4"),
        (performance((36, 0.0, 80), (36, 1.9, 80)), "it lasts 1 of the 2 bars needed"),
        (performance((36, 0.0, 80), (36, 3e6, 80)), "it claims to last"),
    ],
)
def test_the_rule_that_rejects_is_named(sequence: NoteSequence, rule: str) -> None:
    with pytest.raises(KikiboubaError, match=rule):
        TWO_BARS.windows(sequence)


def test_a_tempo_that_changes_is_refused() -> None:
    changing = NoteSequence(EXAMPLE.notes, np.array([[0.0, 120.0], [1.0, 90.0]]), total_time=2.1)
    with pytest.raises(KikiboubaError, match="the tempo changes"):
        TWO_BARS.windows(changing)


def test_melodic_notes_are_no_drums() -> None:
    mixed = NoteSequence(
        np.concatenate([EXAMPLE.notes, tune((36, 8, 9), (36, 60, 61)).notes]), EXAMPLE.tempos
    )
    assert [cells(row) for row in TWO_BARS.windows(mixed)] == [cells(TWO_BARS.windows(EXAMPLE)[0])]


@pytest.mark.parametrize(
    "fields",
    [
        {"bars": 0},
        {"hop_bars": 0},
        {"pitch_classes": "full"},
        {"pitch_classes_in_use": "gm"},
        {"add_instruments": (9,)},
        {"max_note_dropout_probability": 1.5},
    ],
)
def test_impossible_settings(fields: dict) -> None:
    with pytest.raises(KikiboubaError):
        GrooveRepresentation(**fields)


def test_it_is_written_down_and_rebuilt() -> None:
    representation = GrooveRepresentation(bars=4, add_instruments=(2,), hop_bars=1)
    assert representation_from_dict(representation_to_dict(representation)) == representation
    assert representation.classes == ROLAND


def test_attributes_of_known_performances() -> None:
    straight = np.zeros((32, 27), np.float32)
    straight[::2, HAT], straight[::2, 9 + HAT] = 1, 0.5
    swung = straight.copy()
    swung[1::2, HAT], swung[1::2, 9 + HAT], swung[1::2, 18 + HAT] = 1, 1.0, -0.4
    rushed = straight.copy()
    rushed[::2, 18 + HAT] = 0.2
    silent = np.zeros((32, 27), np.float32)
    measures = TWO_BARS.attributes([straight, swung, rushed, silent])
    assert np.allclose(measures["density"], [0.5, 1, 0.5, 0])
    assert np.allclose(measures["loudness"], [0.5, 0.75, 0.5, 0])
    assert np.allclose(measures["lateness"], [0, 0.1, -0.1, 0])
    assert np.allclose(measures["swing"], [0, 0.2, 0, 0])
    assert set(measures) >= {"syncopation", "brightness"}
    assert all(len(values) == 0 for values in TWO_BARS.attributes([]).values())


def test_midi_written_elsewhere_is_read_alike(tmp_path: Path) -> None:
    found = TWO_BARS.windows(from_midi_bytes(write_midi(EXAMPLE, tmp_path / "a.mid").read_bytes()))
    assert np.allclose(found, TWO_BARS.windows(EXAMPLE), atol=2 * (60 / 120 / 220) / STEP)
