"""Trios: a slow extraction to compare with, what is missing, and the way back."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music import STEP, tune, windows_or_none

from kikibouba.config import representation_from_dict, representation_to_dict
from kikibouba.data.chords import chord_class
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.midi import read_midi, write_midi
from kikibouba.data.notes import NoteSequence
from kikibouba.data.trio import TrioRepresentation
from kikibouba.errors import KikiboubaError

TWO_BARS = TrioRepresentation(bars=2)
PIANO, BASS, VIOLIN, KIT = 0, 33, 40, 128

Note = tuple[int, int, int, int, int]
"""pitch, start, end (steps), instrument, program (128: drums)"""


def band(*notes: Note) -> NoteSequence:
    sequence = tune(*((*note[:4], note[4] % 128) for note in notes))
    sequence.notes["is_drum"] = [note[4] == KIT for note in notes]
    return sequence


def bars(pitch: int, first: int, last: int, instrument: int, program: int) -> list[Note]:
    """A note a bar, three quarters long, in the bars first … last - 1."""
    return [(pitch, 16 * bar, 16 * bar + 12, instrument, program) for bar in range(first, last)]


def rows(representation: TrioRepresentation, sequence: NoteSequence) -> list[list[list[int]]]:
    return [row.tolist() for row in windows_or_none(representation, sequence)]


def slow_melody(notes: list[Note], num_steps: int) -> list[int]:
    """Labels of the highest notes of an instrument."""
    onsets = {start: (pitch, end) for pitch, start, end, *_ in sorted(notes)}
    line = [0] * num_steps
    for start, (pitch, end) in onsets.items():
        if start < num_steps:
            line[start] = pitch - 19
        if end < num_steps and not any(start < other <= end for other in onsets):
            line[end] = 1
    return line


def slow_windows(sequence: NoteSequence, num_bars: int, gap: int, most: int) -> list[list[list[int]]]:
    """Windows of trios, instrument by instrument and bar by bar."""
    notes: list[Note] = [
        (int(n["pitch"]), round(n["start"] / STEP), round(n["end"] / STEP), int(n["instrument"]),
         KIT if n["is_drum"] else int(n["program"]))
        for n in sequence.notes
    ]  # fmt: skip
    total = min(-(-round(sequence.total_time / STEP) // 16), most)
    parts: list[list[int]] = [[], [], []]
    for instrument in sorted({note[3] for note in notes}):
        kinds = {
            2 if p == KIT else 0 if p < 32 else 1 if p < 40 else 3 for *_, i, p in notes if i == instrument
        }
        if len(kinds) == 1 and kinds != {3}:
            parts[kinds.pop()].append(instrument)
    lines, plays = {}, {}
    bit_of = {pitch: 1 << c for c, pitches in enumerate(DrumsRepresentation().classes) for pitch in pitches}
    for part, instruments in enumerate(parts):
        for i in instruments:
            own = [note for note in notes if note[3] == i]
            plays[i] = {bar for _, start, end, *_ in own for bar in range(start // 16, -(-end // 16))}
            if part == 2:
                lines[i] = [sum({bit_of.get(n[0], 0) for n in own if n[1] == t}) for t in range(16 * total)]
                useful = any(n[0] in bit_of for n in own)
            else:
                own = [note for note in own if 21 <= note[0] <= 108]
                lines[i] = slow_melody(own, 16 * total)
                useful = bool(own)
            if not useful:
                plays[i] = set()
    found = []
    for group in product(*parts):
        if not all(plays[i] for i in group):
            continue
        near = {i: {b for b in range(total) if plays[i] & set(range(b - gap, b + gap + 1))
                    & set(range(total))} for i in group}  # fmt: skip
        covered = set.intersection(*near.values())
        for edge in (set(range(total)[:gap]), set(range(total)[-gap:])):
            covered = covered | edge if any(near[i] & edge for i in group) else covered - edge
        for bar in range(total - num_bars + 1):
            if set(range(bar, bar + num_bars)) <= covered:
                steps = range(16 * bar, 16 * (bar + num_bars))
                found.append([[lines[i][t] for i in group] for t in steps])
    return found


@st.composite
def bands(draw: st.DrawFn) -> NoteSequence:
    programs = draw(st.permutations([PIANO, PIANO, BASS, KIT, BASS, KIT, VIOLIN]))
    note = st.tuples(
        st.integers(34, 52) | st.integers(0, 127),
        st.integers(0, 120),
        st.sampled_from([1, 4, 16, 40]),
        st.integers(0, 3) | st.integers(0, 6),
    )
    notes = draw(st.lists(note, min_size=5, max_size=40, unique_by=lambda n: (n[0], n[1], n[3])))
    drawn = [(pitch, start, start + length, i, programs[i]) for pitch, start, length, i in notes]
    if draw(st.booleans()):
        drawn.append((60, 0, 16, drawn[0][3], PIANO))  # may make an instrument ambiguous
    return band(*drawn)


@given(bands(), st.sampled_from([1, 2, 3]), st.sampled_from([1, 2, 3]), st.sampled_from([4, 1024]))
@settings(max_examples=80, deadline=None)
def test_equals_the_slow_extraction(sequence: NoteSequence, num_bars: int, gap: int, most: int) -> None:
    representation = TrioRepresentation(bars=num_bars, gap_bars=gap, max_bars=most)
    assert rows(representation, sequence) == slow_windows(sequence, num_bars, gap, most)


def test_three_columns() -> None:
    sequence = band((60, 0, 16, 0, PIANO), (64, 16, 32, 0, PIANO), (40, 4, 32, 1, BASS), (36, 0, 1, 2, KIT),
                    (42, 0, 1, 2, KIT), (38, 31, 32, 2, KIT))  # fmt: skip
    (row,) = TWO_BARS.windows(sequence)
    assert (row.shape, row.dtype) == ((32, 3), np.uint16)
    expected = np.zeros((32, 3))
    expected[[0, 16], 0] = 41, 45
    expected[4, 1] = 21
    expected[[0, 31], 2] = 5, 2
    assert np.array_equal(row, expected)
    assert [part.width for part in TWO_BARS.layout.inputs] == [90, 90, 512]
    assert TWO_BARS.steps == 32


def test_a_note_off_stays_whose_note_began_before_the_window() -> None:
    sequence = band(
        (60, 0, 20, 0, PIANO), (62, 40, 48, 0, PIANO), *bars(40, 0, 3, 1, BASS), *bars(36, 0, 3, 2, KIT)
    )
    _, second = TWO_BARS.windows(sequence)
    assert second[4, 0] == 1


def test_every_melody_meets_every_bass() -> None:
    sequence = band(*bars(60, 0, 2, 0, PIANO), *bars(72, 0, 2, 1, 24), *bars(40, 0, 2, 2, BASS),
                    *bars(43, 0, 2, 3, 38), *bars(36, 0, 2, 4, KIT))  # fmt: skip
    assert [tuple(row[0]) for row in TWO_BARS.windows(sequence)] == [
        (41, 21, 1),
        (41, 24, 1),
        (53, 21, 1),
        (53, 24, 1),
    ]
    assert len(TrioRepresentation(bars=2, max_windows=3).windows(sequence)) == 3


def test_too_many_meetings_are_refused() -> None:
    crowd = [note for i in range(60) for note in bars(60, 0, 40, i, PIANO)]
    basses = [note for i in range(60, 120) for note in bars(40, 0, 40, i, BASS)]
    sequence = band(*crowd, *basses, *bars(36, 0, 40, 120, KIT))
    with pytest.raises(KikiboubaError, match="more than 65536 windows; set max_windows"):
        TWO_BARS.windows(sequence)
    assert len(TrioRepresentation(bars=2, max_windows=7).windows(sequence)) == 7


@pytest.mark.parametrize(
    ("notes", "rule"),
    [
        ([], "it has no notes"),
        (bars(60, 0, 4, 0, PIANO), "it has no bass and no drums: a trio needs a melody"),
        ([*bars(60, 0, 4, 0, PIANO), *bars(40, 0, 4, 1, BASS)], "it has no drums"),
        ([*bars(60, 0, 4, 0, PIANO), *bars(36, 0, 4, 2, KIT)], r"it has no bass: .* a bass \(32 to 39\)"),
        ([*bars(40, 0, 4, 1, BASS), *bars(36, 0, 4, 2, KIT)], r"it has no melody: .*\(programs 0 to 31\)"),
        (
            [*bars(60, 0, 4, 0, PIANO), *bars(40, 0, 4, 0, BASS), *bars(36, 0, 4, 2, KIT)],
            "it has no melody and no bass",  # one instrument that is both is neither
        ),
        (
            [*bars(60, 0, 9, 0, PIANO), *bars(40, 0, 4, 1, BASS), *bars(36, 7, 9, 2, KIT)],
            "play together for 1 of the 4 bars needed",
        ),
        (
            [*bars(60, 0, 4, 0, PIANO), *bars(40, 0, 4, 1, BASS), *bars(3, 0, 4, 2, KIT)],
            "none of its drums",
        ),
        (
            [*bars(60, 0, 4, 0, PIANO), *bars(3, 0, 4, 1, BASS), *bars(36, 0, 4, 2, KIT)],
            "play together for 0 of the 4 bars",
        ),
    ],
)
def test_the_rule_that_rejects_is_named(notes: list[Note], rule: str) -> None:
    with pytest.raises(KikiboubaError, match=rule) as error:
        TrioRepresentation(bars=4, gap_bars=1).windows(band(*notes))
    assert "\n" not in str(error.value)


def test_other_meters_are_refused() -> None:
    waltz = replace(band(*bars(60, 0, 4, 0, PIANO)), time_signatures=np.array([[0.0, 3, 4]]))
    with pytest.raises(KikiboubaError, match="the meter is 3/4"):
        TWO_BARS.windows(waltz)


@pytest.mark.parametrize(
    "fields",
    [
        {"bars": 0},
        {"gap_bars": -1},
        {"max_bars": 0},
        {"melody_programs": (33,)},
        {"bass_programs": (128,)},
        {"pitch_classes": "none"},
        {"min_pitch": 90, "max_pitch": 80},
    ],
)
def test_impossible_settings(fields: dict) -> None:
    with pytest.raises(KikiboubaError):
        TrioRepresentation(**fields)


def test_it_is_stored_and_read() -> None:
    trio = TrioRepresentation(bars=4, chords="triad")
    assert representation_from_dict(representation_to_dict(trio)) == trio


def random_trio(seed: int) -> np.ndarray:
    """Two bars in which all three play, without note offs where nothing sounds."""
    rng = np.random.default_rng(seed)
    row = np.zeros((32, 3), np.uint16)
    for column in (0, 1):
        steps = np.flatnonzero(rng.random(32) < rng.random())
        row[steps, column] = rng.integers(2, 90, len(steps))
        row[rng.integers(16), column] = rng.integers(2, 90)
        ends = [t for t in range(1, 32) if row[t, column] == 0 and row[:t, column].max() > 1]
        for t in (t for t in ends if rng.random() < 0.3):
            events = row[:t, column][row[:t, column] > 0]
            row[t, column] = events[-1] > 1
    row[:, 2] = rng.integers(0, 512, 32) * (rng.random(32) < 0.5)
    row[[0, 31], 2] = 1, 511
    return row


TRIOS = st.integers(0, 2**32 - 1).map(random_trio)


@given(TRIOS)
@settings(deadline=None)
def test_what_is_decoded_is_read_again(row: np.ndarray) -> None:
    (again,) = TWO_BARS.windows(TWO_BARS.to_sequence(row))
    assert np.array_equal(again, row)


@given(TRIOS, st.integers(-20, 20))
@settings(deadline=None)
def test_transposition_spares_the_drums(row: np.ndarray, semitones: int) -> None:
    moved = TWO_BARS.transpose(row, semitones)
    assert np.array_equal(moved[:, 2], row[:, 2])
    for column in (0, 1):
        assert np.array_equal(moved[:, column], TWO_BARS.melody.transpose(row[:, column], semitones))


def test_augmentation_is_off_unless_asked_for() -> None:
    row = np.column_stack([[41] * 32, [21] * 32, [1] * 32]).astype(np.uint16)
    rng = np.random.default_rng(0)
    assert np.array_equal(TWO_BARS.augment(row, rng), row)
    moving = TrioRepresentation(bars=2, transpose_range=(-1, 1))
    assert {tuple(moving.augment(row, rng)[0]) for _ in range(50)} == {(40, 20, 1), (41, 21, 1), (42, 22, 1)}


def test_a_file_has_three_instruments(tmp_path: Path) -> None:
    sequence = band(*bars(60, 0, 2, 0, PIANO), *bars(40, 0, 2, 1, BASS), *bars(36, 0, 2, 2, KIT))
    (row,) = TWO_BARS.windows(sequence)
    notes = read_midi(TWO_BARS.to_artifact(row).save(tmp_path / "a.mid")).notes
    parts = {(int(n["program"]), bool(n["is_drum"])) for n in notes}
    assert parts == {(0, False), (33, False), (0, True)}
    decoded = TWO_BARS.to_sequence(row).notes
    assert {tuple(n.tolist()[-3:]) for n in decoded} == {(0, 0, False), (1, 33, False), (9, 0, True)}
    (item,) = TWO_BARS.read(write_midi(sequence, tmp_path / "b.mid"))
    assert np.array_equal(TWO_BARS.windows(item)[0], row)


def test_chords_and_keys_are_told() -> None:
    told = TrioRepresentation(bars=2, chords="triad", condition_on_key=True, transpose_range=(2, 2))
    sequence = replace(
        band(*bars(60, 0, 2, 0, PIANO), *bars(40, 0, 2, 1, BASS), *bars(36, 0, 2, 2, KIT)),
        chords=((0.0, "C"), (2.0, "Am7")),
        key_signatures=np.array([[0.0, 7, 0]]),
    )
    (row,) = told.windows(sequence)
    assert row[[0, 16], 3].tolist() == [chord_class("C"), chord_class("Am")]
    assert set(row[:, 4]) == {7}
    assert [part.start for part in told.layout.controls] == [3, 4]
    assert told.to_sequence(row).chords == ((0.0, "C"), (2.0, "Am"))
    moved = told.augment(row, np.random.default_rng(0))
    assert moved[0].tolist() == [43, 23, 1, chord_class("D"), 9]
    (guessed,) = told.windows(replace(sequence, chords=()))
    assert guessed.shape == (32, 5)
    assert told.controls_from_text("C F", "C")[[0, 16]].tolist() == [
        [chord_class("C"), 0],
        [chord_class("F"), 0],
    ]
    with pytest.raises(KikiboubaError, match="'Gsus' is not among"):
        told.windows(replace(sequence, chords=((0.0, "Gsus"),)))


def test_fewer_bars_are_filled_up() -> None:
    row = np.column_stack([[41] + [0] * 15, [0] * 16, [1] * 16]).astype(np.uint16)
    filled = TWO_BARS.fill_up(row)
    assert filled.shape == (32, 3)
    assert filled[16].tolist() == [1, 0, 0]
    assert not filled[17:].any()


def test_batches_and_measures() -> None:
    windows = TWO_BARS.windows(
        band(*bars(60, 0, 4, 0, PIANO), *bars(40, 0, 4, 1, BASS), *bars(36, 0, 4, 2, KIT))
    )
    x, lengths = TWO_BARS.collate(windows)
    assert (x.shape, x.dtype, lengths.tolist()) == ((3, 32, 3), np.int64, [32] * 3)
    assert all(np.array_equal(a, b) for a, b in zip(TWO_BARS.split_batch(x, lengths), windows, strict=True))
    measured = TWO_BARS.attributes(windows)
    melody = MelodyRepresentation().attributes(row[:, 0] for row in windows)
    drums = DrumsRepresentation().attributes(row[:, 2] for row in windows)
    assert np.array_equal(measured["melody_density"], melody["density"])
    assert np.array_equal(measured["drums_density"], drums["density"])
    assert len(measured) == len(melody) + len(drums)
