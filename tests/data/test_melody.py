"""Melodies: the original's worked examples, a slow extraction to compare with, and the way back."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from music import STEP, tune, windows_or_none

from kikibouba.data.melody import NOTE_OFF, MelodyRepresentation
from kikibouba.data.midi import write_midi
from kikibouba.data.notes import NoteSequence
from kikibouba.errors import KikiboubaError

TWO_BARS = MelodyRepresentation()
REST = -2
OFF = -1


def labels(*events: int) -> list[int]:
    """Labels padded with silence to two bars."""
    return [*events, *[0] * (32 - len(events))]


def rows(representation: MelodyRepresentation, sequence: NoteSequence) -> list[list[int]]:
    return [row.tolist() for row in windows_or_none(representation, sequence)]


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        (
            [(60, 0, 4), (62, 4, 8), (64, 16, 32)],
            [labels(41, 0, 0, 0, 43, 0, 0, 0, 1, *[0] * 7, 45)],
        ),
        (
            [(60, 0, 8), (64, 4, 6), (65, 16, 20)],
            [labels(41, 0, 0, 0, 45, 0, 1, *[0] * 9, 46, 0, 0, 0, 1)],
        ),
        ([(60, 0, 8), (67, 0, 4), (65, 16, 32)], [labels(48, 0, 0, 0, 1, *[0] * 11, 46)]),
        ([(51, 16, 32)], []),
        ([(51, 24, 40)], [labels(*[0] * 8, 32, *[0] * 15, 1)]),
        ([(60, 0, 40), (62, 40, 48)], [labels(41), labels(*[0] * 24, 43)]),
        ([(60, 0, 16), (62, 32, 48)], []),
        (
            [(60, 0, 17), (62, 32, 48)],
            [labels(41, *[0] * 16, 1), labels(*[0] * 16, 43)],
        ),
    ],
)
def test_worked_examples(notes: list[tuple[int, int, int]], expected: list[list[int]]) -> None:
    assert rows(TWO_BARS, tune(*notes)) == expected


def test_a_chord_ends_a_monophonic_melody() -> None:
    strict = MelodyRepresentation(skip_polyphony=True)
    assert rows(strict, tune((60, 0, 8), (67, 0, 4), (65, 16, 32))) == []
    kept = tune((60, 0, 32), (62, 64, 96), (64, 64, 96))
    assert rows(strict, kept) == [labels(41)]


def slow_melodies(
    notes: list[tuple[int, int, int]], gap: float, max_steps: int, strict: bool
) -> list[tuple[int, list[int]]]:
    """The melodies of one instrument as (first step, events), extracted event by event."""
    found = []
    search = 0
    while ahead := sorted((n for n in notes if n[1] >= search), key=lambda n: (n[1], -n[0])):
        origin = ahead[0][1] - (ahead[0][1] - search) % 16
        events: list[int] = []
        for pitch, start, end in ahead:
            start, end = start - origin, end - origin
            if events:
                last_on = max(i for i, e in enumerate(events) if e >= 0)
                last_off = events.index(OFF, last_on)
                if start == last_on and strict:
                    return found
                if start == last_on:
                    continue
                if start - last_off >= gap:
                    break
            events = [
                *events[:start],
                *[REST] * (start - len(events)),
                pitch,
                *[REST] * (end - start - 1),
                OFF,
            ]
        events.pop()
        if len(events) % 16:
            events += [OFF, *[REST] * (-len(events) % 16 - 1)]
        search = origin + len(events)
        found.append((origin, events[:max_steps]))
    return found


def slow_windows(representation: MelodyRepresentation, sequence: NoteSequence) -> list[list[int]]:
    parts = defaultdict(list)
    total = round(sequence.total_time / STEP)
    for note in sequence.notes:
        if 21 <= note["pitch"] <= 108 and note["program"] < 32:
            span = round(note["start"] / STEP), round(note["end"] / STEP)
            parts[int(note["instrument"])].append((int(note["pitch"]), *span))
    gap = 16 * representation.gap_bars if representation.gap_bars else float("inf")
    max_steps = 16 * (representation.max_bars or 10_000)
    windows = []
    for instrument in sorted(parts):
        for origin, events in slow_melodies(parts[instrument], gap, max_steps, representation.skip_polyphony):
            if representation.pad_to_total_time:
                events = [REST] * origin + events
                if len(events) < total and [e for e in events if e != REST][-1] != OFF:
                    events = [*events, OFF]
                events = [*events, *[REST] * (total - len(events))][:total]
            size = 16 * representation.bars
            for end in range(size, len(events) + 1, 16):
                window = events[end - size : end]
                first = next((i for i, e in enumerate(window) if e >= 0), size)
                window = [REST] * first + window[first:]
                row = [{REST: 0, OFF: 1}.get(e, e - 19) for e in window]
                if row not in windows:
                    windows.append(row)
    return windows


@st.composite
def polyphonic(draw: st.DrawFn) -> NoteSequence:
    note = st.tuples(
        st.integers(58, 64) | st.integers(0, 127),
        st.integers(0, 150),
        st.integers(1, 20) | st.integers(1, 60),
        st.integers(0, 2),
    )
    notes = draw(st.lists(note, min_size=1, max_size=25, unique_by=lambda n: (n[0], n[1], n[3])))
    return tune(*((pitch, start, start + length, part, 30 + part) for pitch, start, length, part in notes))


@given(
    polyphonic(),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([0, 1, 1.5, 2]),
    st.sampled_from([None, 2, 4]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_equals_the_slow_extraction(
    sequence: NoteSequence, bars: int, gap: float, most: int | None, strict: bool, pad: bool
) -> None:
    representation = MelodyRepresentation(
        bars=bars, gap_bars=gap, max_bars=most, skip_polyphony=strict, pad_to_total_time=pad
    )
    assert rows(representation, sequence) == slow_windows(representation, sequence)


def test_windows_come_once_in_the_order_of_the_music() -> None:
    sequence = tune(*((60 + bar % 2, 16 * bar, 16 * bar + 16) for bar in range(6)))
    assert [row[0] for row in rows(TWO_BARS, sequence)] == [41, 42]
    assert len(MelodyRepresentation(max_windows=1).windows(sequence)) == 1


def test_repetitions_are_dropped_only_within_a_tempo() -> None:
    sequence = replace(tune((60, 0, 32), (60, 32, 64)), tempos=np.array([[0.0, 120.0], [4.0, 60.0]]))
    sequence.notes["end"][1] = sequence.total_time = 12.0
    assert rows(TWO_BARS, sequence) == [labels(41), labels(41)]


def test_an_end_token_closes_every_example() -> None:
    representation = MelodyRepresentation(add_end_token=True)
    (row,) = representation.windows(tune((60, 0, 32)))
    assert row.tolist() == [*labels(41), 90]
    assert (representation.depth, representation.steps) == (91, 33)
    assert representation.to_sequence(np.array([41, 0, 90, 45])).notes["end"].tolist() == [2 * STEP]


def test_shapes_and_table() -> None:
    assert (TWO_BARS.steps, TWO_BARS.depth) == (32, 90)
    assert np.array_equal(TWO_BARS.layout.inputs[0].table, np.eye(90))
    (row,) = TWO_BARS.windows(tune((60, 0, 32)))
    assert row.dtype == np.uint8
    x, lengths = TWO_BARS.collate([row, row])
    assert x.shape == (2, 32)
    assert x.dtype == lengths.dtype == np.int64
    assert np.array_equal(TWO_BARS.split_batch(x, np.array([32, 5]))[1], row[:5])


@pytest.mark.parametrize(
    ("sequence", "rule"),
    [
        (NoteSequence(), "it has no notes"),
        (tune((36, 0, 64), is_drum=True), "all its notes are drums"),
        (tune((60, 0, 64, 0, 40), (60, 0, 64, 1, 33)), r"its programs \(33, 40\) are not among"),
        (tune((20, 0, 64), (109, 0, 64)), "no note lies within the pitches 21 to 108"),
        (tune((60, 0, 64), meter=(3, 4)), "the meter is 3/4; only bars of 16 steps"),
        (tune((60, 0, 16), (62, 32, 48)), "longest phrase has 1 of the 2 bars needed"),
    ],
)
def test_the_rule_that_rejects_is_named(sequence: NoteSequence, rule: str, tmp_path: Path) -> None:
    (item,) = TWO_BARS.read(write_midi(sequence, tmp_path / "a.mid"))
    with pytest.raises(KikiboubaError, match=rule) as error:
        TWO_BARS.windows(item)
    assert "\n" not in str(error.value)


def test_of_several_pieces_the_largest_says_why() -> None:
    meters = np.array([[0.0, 3, 4], [4.0, 6, 8]])
    few_then_many = replace(tune((60, 0, 8), (60, 32, 40), (62, 40, 48)), time_signatures=meters)
    with pytest.raises(KikiboubaError, match="the meter is 6/8"):
        TWO_BARS.windows(few_then_many)


def test_a_piece_that_claims_to_fill_the_memory_is_rejected() -> None:
    endless = replace(tune((60, 0, 800)), tempos=np.array([[0.0, 3e5]]))
    with pytest.raises(KikiboubaError, match="it claims to last 125000 bars; at most 65536 are read"):
        TWO_BARS.windows(endless)


def test_reading_gives_the_piece(tmp_path: Path) -> None:
    (sequence,) = TWO_BARS.read(write_midi(tune((60, 0, 20), (62, 20, 32)), tmp_path / "a.mid"))
    assert rows(TWO_BARS, sequence) == [labels(41, *[0] * 19, 43)]


@pytest.mark.parametrize(
    "fields",
    [
        {"bars": 0},
        {"gap_bars": 0.5},
        {"gap_bars": -1.0},
        {"min_pitch": 60, "max_pitch": 50},
        {"valid_programs": (1, 128)},
        {"transpose_range": (1,)},
        {"transpose_range": (2, 1)},
    ],
)
def test_impossible_settings(fields: dict) -> None:
    with pytest.raises(KikiboubaError):
        MelodyRepresentation(**fields)


def random_melody(seed: int) -> np.ndarray:
    """Labels as extraction makes them: no note off without a note before it."""
    rng = np.random.default_rng(seed)
    events = rng.integers(2, 90, 32) * (rng.random(32) < rng.random())
    return sound(np.where((events == 0) & (rng.random(32) < 0.2), NOTE_OFF, events).tolist())


def melodies() -> st.SearchStrategy[np.ndarray]:
    """Random melodies of two bars."""
    return st.integers(0, 2**32 - 1).map(random_melody)


def sound(events: list[int]) -> np.ndarray:
    sounding = False
    row = []
    for event in events:
        row.append(0 if event == NOTE_OFF and not sounding else event)
        sounding = event >= 2 or (sounding and event == 0)
    return np.array(row, np.uint8)


@given(melodies(), st.integers(-5, 5))
def test_transposition_shifts_labels_as_it_shifts_notes(row: np.ndarray, semitones: int) -> None:
    pitches = row[row >= 2].astype(int) + semitones
    assume(((pitches >= 2) & (pitches <= 89)).all())
    moved = TWO_BARS.transpose(row, semitones)
    assert np.array_equal(moved, np.where(row >= 2, row.astype(int) + semitones, row))
    assert np.array_equal(TWO_BARS.transpose(moved, -semitones), row)


@given(melodies(), st.integers(-90, 90))
def test_notes_that_leave_the_range_vanish(row: np.ndarray, semitones: int) -> None:
    before = TWO_BARS.to_sequence(row).notes
    after = TWO_BARS.to_sequence(TWO_BARS.transpose(row, semitones)).notes
    stays = (before["pitch"] + semitones >= 21) & (before["pitch"] + semitones <= 108)
    assert after["pitch"].tolist() == (before["pitch"][stays] + semitones).tolist()
    assert after["start"].tolist() == before["start"][stays].tolist()
    assert after["end"].tolist() == before["end"][stays].tolist()
    assert np.array_equal(
        sound(TWO_BARS.transpose(row, semitones).tolist()), TWO_BARS.transpose(row, semitones)
    )


def test_augmentation_draws_every_interval_of_the_range() -> None:
    row = np.array(labels(41), np.uint8)
    rng = np.random.default_rng(0)
    drawn = {int(TWO_BARS.augment(row, rng)[0]) - 41 for _ in range(300)}
    assert drawn == set(range(-5, 6))
    assert np.array_equal(MelodyRepresentation(transpose_range=(0, 0)).augment(row, rng), row)
    assert row[0] == 41


@given(melodies())
def test_what_is_decoded_is_extracted_again(row: np.ndarray) -> None:
    # a note must start in the first bar and the melody must reach into the second without a bar of silence
    sequence = TWO_BARS.to_sequence(row)
    assume(len(sequence.notes) and sequence.notes["start"][0] < 16 * STEP)
    found = rows(TWO_BARS, sequence)
    assume(len(found) == 1)
    assert found[0] == row.tolist()


def test_decoding() -> None:
    sequence = TWO_BARS.to_sequence(np.array([1, 41, 0, 43, 1, 1, 0, 2, 0]))
    assert sequence.notes["pitch"].tolist() == [60, 62, 21]
    assert (sequence.notes["start"] / STEP).tolist() == [1, 3, 7]
    assert (sequence.notes["end"] / STEP).tolist() == [3, 4, 9]
    assert set(sequence.notes["velocity"]) == {80}
    assert sequence.total_time == 9 * STEP
    assert sequence.ticks_per_quarter == 220
    assert len(TWO_BARS.to_sequence(np.zeros(32)).notes) == 0


def test_artifact_is_the_same_melody(tmp_path: Path) -> None:
    row = np.array(labels(41, 0, 43, 0, 1, *[0] * 12, 60), np.uint8)
    path = TWO_BARS.to_artifact(row).save(tmp_path / "a.mid")
    assert rows(TWO_BARS, TWO_BARS.read(path)[0]) == [row.tolist()]


def test_attributes_of_known_melodies() -> None:
    scale = labels(*[41, 0, 42, 0] * 8)
    thirds = labels(*[41, 0, 45, 0] * 8)
    jumps = labels(*[41, 0, 53, 0] * 8)
    plucked = labels(*[41, 1, 42, 1] * 8)
    rising = labels(*[label for step in range(16) for label in (41 + step, 0)])
    empty = labels()
    single = labels(0, 0, 41)
    measures = TWO_BARS.attributes(np.array(row) for row in (scale, jumps, plucked, rising, empty, single))
    names = ["jaggedness", "density", "register", "contour", "range", "repetition", "syncopation"]
    assert list(measures) == names
    assert np.allclose(measures["jaggedness"], np.array([1 / 12, 2, 1 / 12 + 0.25, 1 / 12, 0, 0]) / 2.25)
    assert TWO_BARS.attributes([np.array(thirds)])["jaggedness"][0] == pytest.approx(
        4 / 12 / 2.25
    )  # no leaps
    assert np.allclose(measures["density"], [0.5, 0.5, 0.5, 0.5, 0, 1 / 32])
    assert np.allclose(measures["register"], [60.5, 66, 60.5, 67.5, 64.5, 60])
    assert measures["contour"][3] == pytest.approx(np.arange(16).std())  # rises evenly: the correlation is 1
    assert measures["contour"][4:].tolist() == [0, 0]
    assert measures["range"].tolist() == [1, 12, 1, 15, 0, 0]
    assert np.allclose(measures["repetition"], [14 / 16, 14 / 16, 14 / 16, 0, 0, 0])
    assert measures["syncopation"][:5].tolist() == [0] * 5
    falling = labels(*[label for step in range(16) for label in (60 - step, 0)])
    assert TWO_BARS.attributes([np.array(falling)])["contour"][0] == pytest.approx(-np.arange(16).std())
    assert all(len(values) == 0 for values in TWO_BARS.attributes([]).values())


def test_repetition_counts_pitches_heard_before_and_syncopation_the_off_beat() -> None:
    phrase = [41, 0, 45, 48, 0, 43, 0, 0, 41, 0, 0, 0]
    twice, off_beat = labels(*phrase, 0, 0, 0, 0, *phrase), labels(*[0, 41] * 8)
    measures = TWO_BARS.attributes(np.array(row) for row in (labels(*phrase), twice, off_beat))
    assert np.allclose(measures["repetition"], [1 / 5, 6 / 10, 7 / 8])
    assert measures["syncopation"][2] > 1 > measures["syncopation"][0]


@pytest.mark.parametrize("tonic", range(12))
def test_the_key_of_a_scale_moves_with_it_and_minor_counts_as_its_relative(tonic: int) -> None:
    major, minor = (0, 4, 7, 12, 11, 9, 7, 5, 4, 2, 0), (9, 12, 16, 9, 11, 12, 14, 12, 11, 9, 9)
    rows = [np.array(labels(*(39 + tonic + step + 2 for step in steps))) for steps in (major, minor)]
    key = (21 + 39 + tonic) % 12
    assert TWO_BARS.labels([*rows, np.array(labels(41, 43))])["key"].tolist() == [key, key, -1]
    assert len(TWO_BARS.LABELS["key"]) == 12


@given(st.lists(melodies(), min_size=1, max_size=5), st.integers(1, 32))
def test_attributes_are_finite_and_do_not_depend_on_the_others(group: list[np.ndarray], length: int) -> None:
    together = TWO_BARS.attributes(group)
    for i, row in enumerate(group):
        for name, values in TWO_BARS.attributes([row]).items():
            assert np.isfinite(values[0])
            assert values[0] == together[name][i]
    assert all(np.isfinite(values).all() for values in TWO_BARS.attributes([group[0][:length]]).values())
    assert ((together["jaggedness"] >= 0) & (together["jaggedness"] <= 1)).all()


def test_fill_up_ends_what_still_sounds():
    rows = np.array([41, 0, 0, 0] * 4, np.uint8)
    filled = MelodyRepresentation().fill_up(rows)
    assert filled.tolist() == [*rows.tolist(), 1, *[0] * 15]
    rows[-1] = 1
    assert not MelodyRepresentation().fill_up(rows)[16:].any()
    token = MelodyRepresentation(add_end_token=True).fill_up(np.append(rows, 90).astype(np.uint8))
    assert (len(token), token[-1], token[-2]) == (33, 90, 0)
    columns = MelodyRepresentation().fill_up(np.stack([rows, rows + 1], axis=1))
    assert columns.shape == (32, 2)
    assert columns.dtype == np.uint8
