"""Drum patterns: the original's worked example, its tables, a slow extraction, and the way back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music import STEP, tune

from kikibouba.data.drum_kits import FULL, PITCH_CLASSES, REDUCED
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.midi import write_midi
from kikibouba.data.notes import NoteSequence
from kikibouba.errors import KikiboubaError

TWO_BARS = DrumsRepresentation()


def pattern(*hits: tuple[int, int], instrument: int = 0) -> NoteSequence:
    """Drums from (pitch, step)."""
    return tune(*((pitch, step, step + 1, instrument) for pitch, step in hits), is_drum=True)


def rows(representation: DrumsRepresentation, sequence: NoteSequence) -> list[list[int]]:
    """The examples of a pattern; none if it is rejected."""
    try:
        return [row.tolist() for row in representation.windows(sequence)]
    except KikiboubaError:
        return []


def test_worked_example() -> None:
    (row,) = TWO_BARS.windows(pattern((36, 0), (42, 0), (38, 4), (46, 16), (45, 31)))
    assert row.dtype == np.uint16
    assert {step: int(label) for step, label in enumerate(row) if label} == {0: 5, 4: 2, 16: 8, 31: 16}
    roll = TWO_BARS.roll()[row]
    assert roll.dtype == np.float32
    assert roll[0].tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert roll[1].tolist() == [0] * 9 + [1]


def test_tables() -> None:
    for name, classes in PITCH_CLASSES.items():
        pitches = [pitch for group in classes for pitch in group]
        assert len(classes) == (61 if name == "full" else 9)
        assert len(set(pitches)) == len(pitches), name
    assert len(FULL) == 61
    assert [group[0] for group in REDUCED] == [36, 38, 42, 46, 45, 48, 50, 49, 51]
    assert sum(map(len, REDUCED)) == 63
    assert sum(map(len, PITCH_CLASSES["roland"])) == 22


@pytest.mark.parametrize(
    ("pitch", "reduced", "reduced_2018", "roland"),
    [(43, 4, 6, 4), (52, 7, 8, 7), (22, 2, None, 2), (58, 7, 7, 4)],
)
def test_the_tables_differ(pitch: int, reduced: int, reduced_2018: int | None, roland: int) -> None:
    for name, expected in {"reduced": reduced, "reduced_2018": reduced_2018, "roland": roland}.items():
        found = rows(DrumsRepresentation(pitch_classes=name), pattern((pitch, 0), (36, 1), (36, 16)))
        assert found[0][0] == (0 if expected is None else 1 << expected)


def slow_windows(hits: list[tuple[int, int]], bars: int, gap: float, most: int | None) -> list[list[int]]:
    """The examples of a pattern, extracted stroke by stroke."""
    by_step: dict[int, int] = {}
    for pitch, step in hits:
        for c, pitches in enumerate(REDUCED):
            if pitch in pitches:
                by_step[step] = by_step.get(step, 0) | 1 << c
    windows, search = [], 0
    while ahead := sorted(step for step in by_step if step >= search):
        origin = ahead[0] - ahead[0] % 16
        events: list[int] = []
        for step in ahead:
            if events and step - origin - len(events) >= (16 * gap or float("inf")):
                break
            events += [0] * (step - origin - len(events)) + [by_step[step]]
        events += [0] * (-len(events) % 16)
        search = origin + len(events)
        events = events[: 16 * most] if most else events
        for end in range(16 * bars, len(events) + 1, 16):
            if (row := events[end - 16 * bars : end]) not in windows:
                windows.append(row)
    return windows


@given(
    st.lists(
        st.tuples(st.sampled_from([36, 38, 42, 43, 49, 60, 99]), st.integers(0, 120)), min_size=1, max_size=30
    ),
    st.sampled_from([1, 2]),
    st.sampled_from([0, 1, 1.5]),
    st.sampled_from([None, 2]),
)
@settings(max_examples=100, deadline=None)
def test_equals_the_slow_extraction(
    hits: list[tuple[int, int]], bars: int, gap: float, most: int | None
) -> None:
    representation = DrumsRepresentation(bars=bars, gap_bars=gap, max_bars=most)
    assert rows(representation, pattern(*hits)) == slow_windows(hits, bars, gap, most)


def test_all_drum_instruments_count_and_nothing_else_does() -> None:
    sequence = pattern((36, 0), (36, 16))
    snare = pattern((38, 8), instrument=1)
    melody = tune((60, 4, 5, 2))
    sequence.notes = np.concatenate([sequence.notes, snare.notes, melody.notes])
    assert {step: label for step, label in enumerate(rows(TWO_BARS, sequence)[0]) if label} == {
        0: 1,
        8: 2,
        16: 1,
    }


def test_an_end_token_has_its_own_label_and_column() -> None:
    representation = DrumsRepresentation(add_end_token=True)
    (row,) = representation.windows(pattern((36, 0), (36, 16)))
    assert (representation.depth, representation.steps) == (513, 33)
    assert row[-1] == 512
    table = representation.roll()
    assert table.shape == (513, 11)
    assert table[512].tolist() == [0] * 9 + [1, 0]
    assert table[0].tolist() == [0] * 10 + [1]
    assert len(representation.to_sequence(np.array([1, 512, 1])).notes) == 1


@pytest.mark.parametrize(
    ("sequence", "rule"),
    [
        (NoteSequence(), "it has no notes"),
        (tune((60, 0, 64)), "none of its notes are drums"),
        (pattern((99, 0), (99, 16)), r"none of its drums \(pitches 99\) is in the table 'reduced'"),
        (tune((36, 0, 1), (36, 12, 13), is_drum=True, meter=(6, 8)), "the meter is 6/8"),
        (pattern((36, 0), (36, 40)), "longest pattern has 1 of the 2 bars needed"),
    ],
)
def test_the_rule_that_rejects_is_named(sequence: NoteSequence, rule: str, tmp_path: Path) -> None:
    (item,) = TWO_BARS.read(write_midi(sequence, tmp_path / "a.mid"))
    with pytest.raises(KikiboubaError, match=rule):
        TWO_BARS.windows(item)


def test_a_decoder_may_say_the_bits_one_by_one() -> None:
    representation = DrumsRepresentation(roll_output=True)
    (said,) = representation.layout.outputs
    (read,) = representation.layout.inputs
    assert (said.table.shape, read.table.shape) == ((512, 9), (512, 10))
    assert said.table[5].tolist() == [1, 0, 1, 0, 0, 0, 0, 0, 0]
    assert np.array_equal(read.table[:, :9], said.table)
    assert (read.table[:, 9] == (said.table.sum(1) == 0)).all()
    assert DrumsRepresentation(roll_output=True, add_end_token=True).layout.outputs[0].width == 10


@pytest.mark.parametrize("end", [False, True])
def test_61_classes_are_columns_of_bits(end: bool) -> None:
    representation = DrumsRepresentation(pitch_classes="full", add_end_token=end)
    (row,) = representation.windows(pattern((36, 0), (35, 0), (82, 5), (22, 5), (38, 16)))
    assert row.dtype == np.uint8
    assert row.shape == (32 + end, 61 + end) == (representation.steps, representation.depth)
    assert [tuple(hit) for hit in np.argwhere(row[:32])] == [(0, 0), (0, 1), (5, 60), (16, 2)]
    assert row[32:].sum() == end
    (read,), (said,) = representation.layout.inputs, representation.layout.outputs
    assert (read.width, said.width) == (62 + end, 61 + end)
    x, lengths = representation.collate([row, row])
    assert (x.dtype, x.shape) == (np.float32, (2, 32 + end, 61 + end))
    assert np.array_equal(representation.split_batch(x, lengths)[1], row)
    notes = representation.to_sequence(row).notes
    assert sorted(zip(notes["pitch"].tolist(), (notes["start"] / STEP).tolist(), strict=True)) == [
        (35, 0),
        (36, 0),
        (38, 16),
        (82, 5),
    ]


def test_61_classes_are_varied_and_measured_like_nine() -> None:
    hits = ((36, 0), (42, 0), (46, 4), (38, 8), (49, 20), (38, 16))
    full = DrumsRepresentation(pitch_classes="full")
    (row,), (labels,) = full.windows(pattern(*hits)), TWO_BARS.windows(pattern(*hits))
    for name, values in TWO_BARS.attributes([labels]).items():
        assert full.attributes([row])[name] == values
    varied = DrumsRepresentation(pitch_classes="full", rotate=True).augment(row, np.random.default_rng(1))
    turned = DrumsRepresentation(rotate=True).augment(labels, np.random.default_rng(1))
    assert not np.array_equal(turned, labels)
    assert full.attributes([varied])["syncopation"] == TWO_BARS.attributes([turned])["syncopation"]
    thinned = DrumsRepresentation(pitch_classes="full", drop_hit_prob=1.0, add_end_token=True)
    ended = thinned.windows(pattern(*hits))[0]
    assert thinned.augment(ended, np.random.default_rng(3))[32, 61] == 1


def test_nothing_follows_an_end_in_a_roll() -> None:
    representation = DrumsRepresentation(pitch_classes="full", add_end_token=True)
    row = np.zeros((33, 62), np.uint8)
    row[[0, 3, 9], [0, 61, 2]] = 1
    assert len(representation.to_sequence(row).notes) == 1


def test_impossible_settings() -> None:
    for fields in (
        {"bars": 0},
        {"gap_bars": 0.5},
        {"pitch_classes": "all"},
        {"pitch_classes": "full", "swap_classes": True},
    ):
        with pytest.raises(KikiboubaError):
            DrumsRepresentation(**fields)


@given(
    st.lists(st.integers(0, 511), min_size=32, max_size=32).filter(
        lambda row: any(row[:16]) and any(row[16:])
    )
)
def test_the_way_back(labels: list[int]) -> None:
    row = np.array(labels, np.uint16)
    sequence = TWO_BARS.to_sequence(row)
    assert len(sequence.notes) == sum(label.bit_count() for label in labels)
    assert set(sequence.notes["instrument"]) == {9}
    assert sequence.notes["is_drum"].all()
    assert np.allclose(sequence.notes["end"] - sequence.notes["start"], STEP)
    for found in rows(TWO_BARS, sequence):
        assert found == labels


def test_artifact_is_the_same_pattern(tmp_path: Path) -> None:
    row = np.array([5, 0, 0, 2] * 8, np.uint16)
    path = TWO_BARS.to_artifact(row).save(tmp_path / "a.mid")
    assert rows(TWO_BARS, TWO_BARS.read(path)[0]) == [row.tolist()]


def test_batches() -> None:
    row = np.arange(32, dtype=np.uint16)
    x, lengths = TWO_BARS.collate([row, row])
    assert x.dtype == lengths.dtype == np.int64
    assert np.array_equal(TWO_BARS.split_batch(x, np.array([32, 4]))[1], row[:4])
    assert np.array_equal(TWO_BARS.augment(row, np.random.default_rng(0)), row)


def test_attributes_of_known_patterns() -> None:
    kick, snare, hat = 1, 2, 4
    straight = [kick, 0, 0, 0, snare, 0, 0, 0] * 4
    # an eighth before each half bar, which stays silent: weight -3 against -1 and 0
    pushed = [0, 0, 0, 0, 0, 0, kick, 0, 0, 0, 0, 0, 0, 0, kick, 0] * 2
    hats = [hat] * 32
    mixed = [kick | hat, hat] * 16
    measures = TWO_BARS.attributes(np.array(row) for row in (straight, pushed, hats, mixed, [0] * 32))
    assert set(measures) == {"density", "syncopation", "brightness"}
    assert np.allclose(measures["density"], [0.25, 0.125, 1, 1.5, 0])
    assert np.allclose(measures["syncopation"], [0, 2.5, 0, 0, 0])
    assert np.allclose(measures["brightness"], [0, 0, 1, 2 / 3, 0])
    assert all(len(values) == 0 for values in TWO_BARS.attributes([]).values())


@given(st.lists(st.lists(st.integers(0, 511), min_size=32, max_size=32), min_size=1, max_size=4))
def test_attributes_are_finite(group: list[list[int]]) -> None:
    for values in TWO_BARS.attributes(np.array(row, np.uint16) for row in group).values():
        assert np.isfinite(values).all()


def test_augmentation_keeps_the_rhythm_of_each_class_but_for_who_plays_it():
    representation = DrumsRepresentation(rotate=True, swap_classes=True)
    pattern = np.zeros(32, np.uint16)
    pattern[[0, 3, 10]], pattern[[4, 20]] = 1 << 2, 1 << 5
    seen = set()
    for seed in range(40):
        varied = representation.augment(pattern, np.random.default_rng(seed))
        by_class = [np.flatnonzero(varied >> c & 1) for c in range(9)]
        assert sorted(len(steps) for steps in by_class) == [0] * 7 + [2, 3]
        hats = next(c for c in (2, 3, 8) if len(by_class[c]) == 3)
        toms = next(c for c in (4, 5, 6) if len(by_class[c]) == 2)
        start = next(
            s for s in range(0, 32, 4) if set((np.array([0, 3, 10]) + s) % 32) == set(by_class[hats])
        )
        assert set((np.array([4, 20]) + start) % 32) == set(by_class[toms])
        seen.add((hats, toms, start))
    assert len(seen) > 20


def test_augmentation_silences_classes_and_is_off_by_default():
    pattern = np.full(32, 511, np.uint16)
    assert (DrumsRepresentation().augment(pattern, np.random.default_rng(0)) == pattern).all()
    thinned = DrumsRepresentation(drop_class_prob=0.5).augment(pattern, np.random.default_rng(0))
    assert len(set(thinned.tolist())) == 1
    assert 0 < thinned[0] < 511


def test_augmentation_leaves_out_hits_but_invents_none():
    pattern = np.random.default_rng(0).integers(0, 512, 32).astype(np.uint16)
    varied = DrumsRepresentation(drop_hit_prob=1.0).augment(pattern, np.random.default_rng(3))
    assert (varied & ~pattern == 0).all()
    assert 0 < np.bitwise_count(varied).sum() < np.bitwise_count(pattern).sum()
