"""Bars of several instruments: the original's arrays, its worked example, every rule, and the way back."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music import reference_files, tune

from kikibouba.data.chords import transpose_classes
from kikibouba.data.midi import from_midi_bytes
from kikibouba.data.multitrack import MultitrackRepresentation
from kikibouba.data.notes import NOTE_DTYPE, NoteSequence, make_notes, split_on_time_changes, transpose
from kikibouba.errors import KikiboubaError

PLAIN, CHORDS = MultitrackRepresentation(), MultitrackRepresentation(chords="triad")
END, PADDING, PIANO, DRUMS = 489, 490, 360, 488
NO_CHORD_PADDING = 49
STEP = 0.5 / 24
"""Seconds of a 24th of a quarter at 120 a minute"""


def band(*notes: tuple[float, ...], total: float | None = None) -> NoteSequence:
    """(pitch, start, end, instrument, program, is_drum[, velocity]) in seconds, at 120 quarters a minute."""
    rows = np.array([(*note, 80)[:7] for note in notes], np.float64)
    pitch, start, end, instrument, program, is_drum, velocity = rows.T
    columns = make_notes(pitch, start, end, velocity, instrument, program, is_drum > 0)
    return NoteSequence(columns, np.array([[0.0, 120.0]]), total_time=total or float(end.max()))


EXAMPLE = band(
    (60, 0.0, 0.5, 0, 0, 0),
    (64, 0.5, 1.0, 0, 0, 0),
    (36, 0.0, 0.25, 1, 0, 1, 100),
    (38, 0.5, 0.75, 1, 0, 1, 90),
    (40, 0.0, 1.0, 2, 33, 0, 70),
)
PIANO_TRACK = [360, 356, 60, 279, 188, 64, 279, 192, 303, 489]
BASS_TRACK = [393, 356, 40, 303, 168, 303, 489]
DRUM_TRACK = [488, 358, 36, 267, 164, 267, 357, 38, 267, 166, 315, 489]


def tracks_of(array: np.ndarray) -> list[list[int]]:
    """The labels of each track without padding."""
    columns = array.reshape(8, 64, -1)[:, :, 0]
    return [track[track != PADDING].tolist() for track in columns]


def test_a_bar_becomes_tracks_with_drums_last():
    (array,) = PLAIN.windows(EXAMPLE)
    assert array.shape == (PLAIN.steps,) == (512,)
    assert tracks_of(array) == [PIANO_TRACK, BASS_TRACK, DRUM_TRACK, *[[END]] * 5]


def test_chords_are_told_where_the_events_are():
    (array,) = CHORDS.windows(replace(EXAMPLE, chords=((0.0, "C"), (0.5, "Am7"))))
    assert tracks_of(array) == tracks_of(PLAIN.windows(EXAMPLE)[0])
    chords = array.reshape(8, 64, 2)[:, :, 1]
    c, a_minor = 1, 13 + 9
    # none at the program; a shift is told what holds when it begins; the end what came last
    assert chords[0, :11].tolist() == [0, c, c, c, *[a_minor] * 6, NO_CHORD_PADDING]
    assert chords[3, :2].tolist() == [0, NO_CHORD_PADDING]


def test_the_layout_sees_padding_as_zeros():
    layout = CHORDS.layout
    assert (layout.padding, layout.end) == (PADDING, END)
    for part, depth in zip((*layout.inputs, *layout.outputs, *layout.controls), (490, 490, 49), strict=True):
        assert part.table is not None
        assert np.array_equal(part.table, np.vstack([np.eye(depth), np.zeros(depth)]))
    assert PLAIN.layout.controls == ()
    assert MultitrackRepresentation(velocity_bins=0).layout.end == 481


def test_every_bar_of_the_song_is_an_example():
    song = band(
        *[(60 + i, i * 0.5, i * 0.5 + 0.5, 0, 0, 0) for i in range(12)],
        *[(40, i * 1.0, i * 1.0 + 2.5, 1, 33, 0) for i in range(6)],
    )
    bars = PLAIN.windows(song)
    assert len(bars) == 3
    # the bass's second note of each bar is cut off at the bar's end
    assert tracks_of(bars[0])[1] == [393, 356, 40, 303, 40, 303, 168, 168, 489]


def test_a_note_that_rounds_to_the_bar_line_vanishes_with_its_bar():
    late = 2.0 - STEP / 4
    array, _ = PLAIN.windows(
        band(*[(60 + i, i * 0.25, i * 0.25 + 0.2, 0, 0, 0) for i in range(16)],
             *[(40, i * 0.5, i * 0.5 + 0.2, 1, 33, 0) for i in range(8)],
             (70, late, late + 1, 2, 40, 0))
    )  # fmt: skip
    assert tracks_of(array)[2] == [DRUMS, 351, END]  # as the original: an empty track counts as drums


def bar(*programs: int, notes: int = 4) -> NoteSequence:
    """A bar of an instrument for each program, with so many short notes each."""
    return band(*[
        (60, i * 2 / notes, (i + 0.5) * 2 / notes, k, program, 0)
        for k, program in enumerate(programs)
        for i in range(notes)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("song", "reason"),
    [
        (bar(0), "none of its 1 bars can be used: 1 x fewer than 2 instruments"),
        (bar(*range(9)), "1 x more than 8 instruments"),
        (bar(0, 1, notes=30), "1 x more than 62 events of an instrument"),
        (band((60, 0, 2, 0, 0, 0), (40, 0, 2, 1, 33, 0), total=2.0), None),
        (replace(bar(0, 1), time_signatures=np.array([[0.0, 3, 4]])), "the meter is 3/4; only bars of 96"),
        (NoteSequence(), "it has no notes"),
        (replace(bar(0, 1), tempos=np.array([[0.0, 1e8]])), "claims to last .* bars"),
    ],
)
def test_the_rule_that_rejects_is_named(song, reason):
    if reason is None:
        assert len(PLAIN.windows(song)) == 1  # two tracks of four events are just enough
        return
    with pytest.raises(KikiboubaError, match=reason):
        PLAIN.windows(song)


def test_too_few_events_are_named():
    few = MultitrackRepresentation(min_events=9)
    with pytest.raises(KikiboubaError, match="1 x fewer than 9 events"):
        few.windows(band((60, 0, 2, 0, 0, 0), (40, 0, 2, 1, 33, 0)))


@pytest.mark.parametrize(
    ("chords", "reason"),
    [
        (((0.0, "C"), (0.005, "G")), "the chords C and G fall on the same step"),
        (((0.0, "Csus4"),), "the chord 'Csus4' is not among"),
        (((0.0, "hello"),), "cannot read the chord symbol 'hello'"),
    ],
)
def test_bars_with_untellable_chords_are_left_out(chords, reason):
    with pytest.raises(KikiboubaError, match=f"none of its 1 bars can be used: 1 x {reason}"):
        CHORDS.windows(replace(EXAMPLE, chords=chords))


def test_a_chord_that_no_event_meets_does_no_harm():
    assert len(CHORDS.windows(replace(EXAMPLE, chords=((0.0, "C"), (1.5, "Csus4"))))) == 1


def test_at_most_so_many_windows():
    song = band(*[(60, i * 0.25, i * 0.25 + 0.2, k, k, 0) for i in range(40) for k in range(2)])
    assert len(PLAIN.windows(song)) == 5
    assert len(MultitrackRepresentation(max_windows=2).windows(song)) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"velocity_bins": 128},
        {"min_instruments": 0},
        {"min_instruments": 9},
        {"events_per_instrument": 2},
        {"transpose_range": (3, -3)},
    ],
)
def test_impossible_rules_are_refused(fields):
    with pytest.raises(KikiboubaError):
        MultitrackRepresentation(**fields)


# ------------------------------------------------------------------------------------------ the original's


def as_reference(content: bytes) -> NoteSequence:
    return replace(from_midi_bytes(content), time_signatures=np.array([[0.0, 4.0, 4.0]]))


@pytest.mark.parametrize(("key", "files"), [("multiperf", 5), ("multiperf_chords", 2)])
def test_bars_equal_the_original(shared: Path, key: str, files: int):
    representation = CHORDS if "chords" in key else PLAIN
    seen = 0
    for facts, content, arrays in reference_files(shared, "pop909_as44"):
        if (count := facts["conv"].get(key)) is None:
            continue
        bars = representation.windows(as_reference(content)) if count["default"] else []
        assert len(bars) == count["default"], facts["file"]
        if bars:
            columns = np.stack(bars[: count["kept"]]).reshape(count["kept"], 512, -1).astype(int)
            labels, chords = columns[:, :, 0], columns[:, :, -1]
            expected = arrays[f"{key}/default/labels"]
            assert np.array_equal(labels, np.where(expected < 0, PADDING, expected)), facts["file"]
            lengths = (labels.reshape(-1, 8, 64) != PADDING).sum(-1)
            assert np.array_equal(lengths, arrays[f"{key}/default/lengths"])
            if "chords" in key:
                told = arrays[f"{key}/default/chords"]
                assert np.array_equal(chords, np.where(told < 0, NO_CHORD_PADDING, told)), facts["file"]
            seen += 1
    assert seen >= files


@pytest.mark.parametrize(("key", "bars"), [("multiperf", 10), ("multiperf_chords", 4)])
def test_decoded_notes_equal_the_original(shared: Path, key: str, bars: int):
    representation = CHORDS if "chords" in key else PLAIN
    seen = 0
    for facts, content, _ in reference_files(shared, "pop909_as44"):
        decoded = facts.get("from_tensors", {}).get(key, [])
        arrays = representation.windows(as_reference(content)) if decoded else []
        for theirs, array in zip(decoded, arrays, strict=False):
            sequence = representation.to_sequence(array)
            assert rounded(sequence) == sorted(theirs["notes"])
            assert sequence.total_time == pytest.approx(theirs["total_time"], abs=1e-6)
            seen += 1
    assert seen >= bars


def rounded(sequence: NoteSequence) -> list[list[float]]:
    names = NOTE_DTYPE.names or ()
    return sorted([round(float(note[name]), 6) for name in names] for note in sequence.notes)


# --------------------------------------------------------------------------- against the slow way, anything


@st.composite
def songs(draw: st.DrawFn) -> NoteSequence:
    """Notes of few pitches that overlap, repeat, touch bar lines and lie between the grid's steps."""
    time = st.one_of(
        st.integers(0, 200),
        st.floats(0, 200),
        st.sampled_from([95.4, 95.6, 96.0, 191.5]),
    )
    note = st.tuples(
        st.sampled_from([60, 61, 64]),
        time,
        st.sampled_from([0.1, 0.6, 1, 12, 120]),
        st.sampled_from([(0, 0, 0), (1, 33, 0), (2, 0, 1), (3, 33, 0)]),
        st.sampled_from([1, 16, 17, 127]),
    )
    rows = draw(st.lists(note, min_size=4, max_size=40))
    song = band(*[(p, s * STEP, (s + d) * STEP, *part, v) for p, s, d, part, v in rows])
    change = st.tuples(time.map(lambda at: at * STEP), st.integers(0, 3), st.sampled_from([0, 63, 64, 127]))
    pedals = sorted(draw(st.lists(change, max_size=6)), key=lambda pedal: pedal[0])
    return replace(song, pedals=np.array(pedals, np.float64).reshape(-1, 3))


def slowly(song: NoteSequence) -> list[list[list[int]]]:
    """Tracks of each bar, event by event as the original makes them."""
    found = []
    for piece in split_on_time_changes(song):
        notes, total = slow_sustain(piece)
        times = [0.0, *np.arange(2.0, total, 2.0).tolist()]
        times += [total] if total > times[-1] else []
        for start, end in pairwise(times):
            inside = sorted((n for n in notes if start <= n["start"] < end), key=lambda n: n["start"])
            parts = sorted({(n["drum"], 0 if n["drum"] else n["program"], n["part"]) for n in inside})
            tracks = [
                slow_track([n for n in inside if n["part"] == part[2]], start, end, part) for part in parts
            ]
            if (
                2 <= len(tracks) <= 8
                and max(map(len, tracks)) <= 64
                and sum(map(len, tracks)) - 2 * len(tracks) >= 8
            ):
                found.append(tracks)
    return found


def slow_sustain(piece: NoteSequence) -> tuple[list[dict], float]:
    notes = [
        {"pitch": p, "velocity": v, "start": s, "end": e, "part": i, "program": q, "drum": d}
        for p, v, s, e, i, q, d in piece.notes.tolist()
    ]
    events = [(n["start"], 2, n) for n in notes if not n["drum"]]
    events += [(n["end"], 3, n) for n in notes if not n["drum"]]
    events += [(time, int(value < 64), int(part)) for time, part, value in piece.pedals.tolist()]
    events.sort(key=lambda event: event[:2])
    sounding, down, total, now = [], set(), piece.total_time, 0.0
    for now, kind, what in events:
        if kind == 0:
            down.add(what)
        elif kind == 1:
            down.discard(what)
            for n in [n for n in sounding if n["part"] == what and n["end"] < now]:
                n["end"], total = now, max(total, now)
                sounding = [m for m in sounding if m is not n]
        elif kind == 2:
            if what["part"] in down:
                for n in [n for n in sounding if (n["part"], n["pitch"]) == (what["part"], what["pitch"])]:
                    n["end"] = now
                    sounding = [m for m in sounding if m is not n]
                    if n["start"] == now:
                        notes = [m for m in notes if m is not n]
            sounding.append(what)
        elif what["part"] not in down:
            sounding = [m for m in sounding if m is not what]
    for n in sounding:
        n["end"], total = now, now
    return notes, total


def slow_track(notes: list[dict], start: float, end: float, part: tuple[int, int, int]) -> list[int]:
    grid: Callable[[float], int] = lambda seconds: int(seconds * 48.0 + 0.5)  # noqa: E731
    rows = []
    for n in notes:
        first, last = grid(n["start"] - start), grid(min(n["end"], end) - start)
        rows.append(
            [n["start"] - start, n["pitch"], first, last + (last == first), (n["velocity"] - 1) // 16 + 1]
        )
    written = slow_events(sorted(rows, key=lambda row: row[:2]))
    again = slow_events(sorted(slow_notes(written), key=lambda row: row[:2]))
    drum = part[0] or not slow_notes(written)
    step = sum(label - 255 for label in again if 255 < label < 352)
    again += [255 + 96 - step] if step < 96 else []
    return [488 if drum else 360 + part[1], *again, 489]


def slow_events(rows: list[list]) -> list[int]:
    """Labels up to step 96 of (start, pitch, first, last, loudness), the last events cut as the original."""
    events = sorted(
        [(row[2], i, 0) for i, row in enumerate(rows)] + [(row[3], i, 1) for i, row in enumerate(rows)]
    )
    labels, now, loudness = [], 0, 0
    for step, i, is_end in events:
        if step > 96 or (step == 96 and not is_end):
            break
        if step > now:
            labels.append(255 + step - now)
            now = step
        if not is_end and rows[i][4] != loudness:
            loudness = rows[i][4]
            labels.append(351 + loudness)
        labels.append(rows[i][1] + 128 * is_end)
    return labels


def slow_notes(labels: list[int]) -> list[list]:
    rows, sounding, now, loudness = [], {}, 0, 0
    for label in labels:
        if label < 128:
            sounding.setdefault(label, []).append((now, loudness))
        elif label < 256:
            first, loud = sounding[label - 128].pop(0)
            rows.append([first, label - 128, first, now, loud])
        elif label < 352:
            now += label - 255
        else:
            loudness = label - 351
    rows += [[first, p, first, 96, loud] for p, notes in sounding.items() for first, loud in notes]
    return [row for row in rows if row[2] < row[3]]


@given(songs())
@settings(max_examples=100, deadline=None)
def test_bars_equal_those_made_event_by_event(song: NoteSequence):
    expected = slowly(song)
    if not expected:
        with pytest.raises(KikiboubaError):
            PLAIN.windows(song)
        return
    bars = [[track for track in tracks_of(array) if track != [END]] for array in PLAIN.windows(song)]
    assert bars == expected


@given(songs())
@settings(max_examples=50, deadline=None)
def test_what_is_decoded_is_encoded_again(song: NoteSequence):
    try:
        bars = PLAIN.windows(song)
    except KikiboubaError:
        return
    for array in bars:
        sequence = PLAIN.to_sequence(array)
        if any(track[:2] == [DRUMS, 351] for track in tracks_of(array)):
            continue  # a track without notes
        from_file = from_midi_bytes(PLAIN.to_artifact(array).to_midi())
        for again in (sequence, from_file):
            if not overlapping(sequence) or again is sequence:
                padded = replace(again, total_time=2.0)
                assert sorted(tracks_of(PLAIN.windows(padded)[0])) == sorted(tracks_of(array))


def overlapping(sequence: NoteSequence) -> bool:
    """Whether notes of one pitch and instrument sound at once, which MIDI cannot hold."""
    notes = np.sort(sequence.notes, order=["instrument", "pitch", "start"])
    same = (notes["instrument"][1:] == notes["instrument"][:-1]) & (notes["pitch"][1:] == notes["pitch"][:-1])
    return bool((same & (notes["start"][1:] < notes["end"][:-1])).any())


@pytest.mark.parametrize("seed", range(20))
def test_any_labels_can_be_decoded(seed: int):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, rng.choice([300, 360, 491]), 512).astype(np.uint16)
    for representation, array in (
        (PLAIN, labels),
        (CHORDS, np.column_stack([labels, labels % 50])),
    ):
        sequence = representation.to_sequence(array)
        assert (sequence.notes["start"] < sequence.notes["end"]).all()
        assert sequence.notes["end"].max(initial=0) <= 2.0
        values = representation.attributes([array])
        assert all(np.isfinite(value).all() for value in values.values())


# -------------------------------------------------------------------------------------------------- the rest


def test_transposing_leaves_drums_and_programs():
    (array,) = CHORDS.windows(replace(EXAMPLE, chords=((0.0, "C"), (0.5, "Am"))))
    up = CHORDS.transpose(array, 3)
    song = replace(transpose(EXAMPLE, 3), chords=((0.0, "Eb"), (0.5, "Cm")))
    assert np.array_equal(up, CHORDS.windows(song)[0])
    assert up.dtype == array.dtype
    assert np.array_equal(CHORDS.transpose(up, -3), array)
    told = array[:, 1] < NO_CHORD_PADDING
    assert np.array_equal(up[told, 1], transpose_classes(array[told, 1], 3))


def test_augmenting_keeps_notes_in_range():
    song = band(
        *[(pitch, i * 0.5, i * 0.5 + 0.4, k, k, 0) for i in range(4) for k, pitch in ((0, 126), (1, 60))]
    )
    (array,) = PLAIN.windows(song)
    rng = np.random.default_rng(0)
    highest = {int(PLAIN.to_sequence(PLAIN.augment(array, rng)).notes["pitch"].max()) for _ in range(60)}
    assert highest == {123, 124, 125, 126, 127}
    with pytest.raises(KikiboubaError, match="transposed by 2, a note leaves"):
        PLAIN.transpose(array, 2)


def test_batches_and_back():
    (array,) = CHORDS.windows(replace(EXAMPLE, chords=((0.0, "C"),)))
    x, lengths = CHORDS.collate([array, array])
    assert (x.shape, x.dtype, lengths.tolist()) == ((2, 512, 2), np.int64, [512, 512])
    assert all(np.array_equal(one, array) for one in CHORDS.split_batch(x, lengths))


def test_decoding_gives_programs_loudness_timing_and_chords():
    (array,) = CHORDS.windows(replace(EXAMPLE, chords=((0.0, "C"), (0.5, "Am"))))
    sequence = CHORDS.to_sequence(array)
    assert sequence.chords == ((0.0, "C"), (0.5, "Am"))
    rows = [tuple(note)[:1] + tuple(note)[4:] for note in sequence.notes.tolist()]
    assert rows == [
        (60, 0, 0, False),
        (64, 0, 0, False),
        (40, 1, 33, False),
        (36, 2, 0, True),
        (38, 2, 0, True),
    ]
    assert sequence.notes["velocity"].tolist() == [65, 65, 65, 97, 81]


def test_a_chord_from_text_holds_over_the_bar():
    column = CHORDS.controls_from_text("Am").reshape(8, 64)
    assert (column[:, 0] == 0).all()
    assert (column[:, 1:] == 13 + 9).all()
    with pytest.raises(KikiboubaError, match="2 chords"):
        CHORDS.controls_from_text("Am F")
    with pytest.raises(KikiboubaError, match="not told chords"):
        PLAIN.controls_from_text("Am")


def test_attributes_say_what_they_should():
    (array,) = PLAIN.windows(EXAMPLE)
    values = {name: float(value[0]) for name, value in PLAIN.attributes([array]).items()}
    assert values == pytest.approx({
        "density": 5 / 16,
        "instruments": 3,
        "drums": 2 / 5,
        "loudness": (3 * 65 + 97 + 81) / 5,
        "register": (60 + 64 + 40) / 3,
        "syncopation": 0,
    })  # fmt: skip


def test_warnings_are_those_of_the_grid():
    assert PLAIN.warnings(tune((60, 0, 4), (62, 4, 8), meter=(3, 4)))
    assert not PLAIN.warnings(EXAMPLE)
