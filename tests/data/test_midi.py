"""MIDI files in and out: pretty_midi's notes to the last bit, one clear line for every damaged file."""

import contextlib
import io
import json
import warnings
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np
import pretty_midi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music import midi_file, tune

from kikibouba.data.midi import from_midi_bytes, midi_bytes, read_midi, write_midi
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.errors import KikiboubaError

END = b"\x00\xff\x2f\x00"
NOTE = b"\x00\x90\x3c\x50\x60\x80\x3c\x00"
"""Middle C for 96 ticks"""
DAMAGED = {
    "empty": (b"", "the file is empty"),
    "no midi": (b"RIFF\x00\x00", "not a MIDI file: it starts with b'RIFF'"),
    "cut in the header": (midi_file(NOTE)[:9], "ends inside its header"),
    "header length": (b"MThd\xff\xff\xff\xff" + midi_file(NOTE)[8:], "header claims to be 4294967295 bytes"),
    "no tracks": (midi_file(), "announces 0 tracks"),
    "division 0": (midi_file(NOTE, division=0), "0 ticks per quarter"),
    "film frames": (midi_file(NOTE, division=0xF328), "40 ticks in each of 13 frames"),
    "too few tracks": (midi_file(NOTE + END, count=3), "announces 3 tracks, the file has 1"),
    "cut in a track": (midi_file(NOTE + END)[:-3], "lacks 3 of its 12 bytes"),
    "empty track": (midi_file(b""), "the track at byte 14 is empty"),
    "cut in an event": (midi_file(NOTE[:-1]), "ends inside an event"),
    "cut in a delta time": (midi_file(NOTE + b"\x81"), "ends inside an event|four bytes"),
    "long delta time": (midi_file(b"\x81\x81\x81\x81\x01" + NOTE[1:] + END), "damaged"),
    "long meta length": (midi_file(b"\x00\xff\x01\x81\x81\x81\x81\x01" + END), "at most four bytes"),
    "undefined status": (midi_file(b"\x00\xf4" + NOTE + END), "byte 23 is the undefined status 0xf4"),
    "data before status": (midi_file(b"\x00\x3c\x50" + END), "belong to no event"),
    "large data byte": (midi_file(b"\x00\xc0\xc8" + NOTE + END), "data byte over 127"),
    "tempo 0": (midi_file(b"\x00\xff\x51\x03\x00\x00\x00" + NOTE + END), "tempo of 0 microseconds"),
    "meter": (midi_file(b"\x00\xff\x58\x04\x04\xff\x18\x08" + NOTE + END), r"a meter of 4/2\^255"),
    "endless note": (midi_file(b"\x00\x90\x3c\x50\xff\xff\xff\x7f\x80\x3c\x00" + END), "78 hours"),
}
LEGAL = {
    "reference": midi_file(NOTE + END),
    "long header": midi_file(NOTE + END, extra=b"more"),
    "other chunk": midi_file(NOTE + END)[:14] + b"XFIH\x00\x00\x00\x02ab" + midi_file(NOTE + END)[14:],
    "garbage at the end": midi_file(NOTE + END) + b"garbage",
    "no end of track": midi_file(NOTE),
    "events after the end": midi_file(END + NOTE),
    "running status": midi_file(b"\x00\x90\x3c\x50\x60\x3c\x00" + END),
    "running program": midi_file(b"\x00\xc0\x05\x00\x00" + NOTE + END),
    "system exclusive": midi_file(b"\x00\xf0\x03\x01\x02\xf7" + NOTE + END),
    "channel pressure": midi_file(b"\x00\xd0\x01\x00\x02\x00\x03" + NOTE + END),
}  # fmt: skip


def by_pretty_midi(content: bytes) -> pretty_midi.PrettyMIDI:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pretty_midi.PrettyMIDI(io.BytesIO(content))


def assert_equal_to_pretty_midi(content: bytes) -> None:
    expected, sequence = by_pretty_midi(content), from_midi_bytes(content)
    notes = [
        (n.pitch, n.velocity, float(n.start), float(n.end), i, int(instrument.program), instrument.is_drum)
        for i, instrument in enumerate(expected.instruments)
        for n in instrument.notes
    ]
    assert sequence.notes.tolist() == notes
    assert list(sequence.instrument_names) == [instrument.name for instrument in expected.instruments]
    assert sequence.tempos.tolist() == np.column_stack(expected.get_tempo_changes()).tolist()
    meters = [[m.time, m.numerator, m.denominator] for m in expected.time_signature_changes]
    assert sequence.time_signatures.tolist() == meters
    keys = [[k.time, k.key_number % 12, k.key_number // 12] for k in expected.key_signature_changes]
    assert sequence.key_signatures.tolist() == keys
    pedals = [
        [float(change.time), i, change.value]
        for i, instrument in enumerate(expected.instruments)
        for change in instrument.control_changes
        if change.number == 64
    ]
    assert sequence.pedals.tolist() == sorted(pedals, key=lambda pedal: pedal[0])


def messages() -> st.SearchStrategy[mido.Message | mido.MetaMessage]:
    """Events of few channels, pitches and times, so that notes overlap, repeat and collapse often."""
    channel, time = st.sampled_from([0, 1, 9]), st.sampled_from([0, 0, 1, 50, 200])
    fields = {
        "note_on": {
            "channel": channel,
            "note": st.integers(60, 61),
            "velocity": st.sampled_from([0, 1, 100]),
        },
        "note_off": {"channel": channel, "note": st.integers(60, 61)},
        "program_change": {"channel": channel, "program": st.integers(0, 2)},
        "control_change": {
            "channel": channel,
            "control": st.sampled_from([7, 64]),
            "value": st.sampled_from([0, 63, 64, 127]),
        },
        "pitchwheel": {"channel": channel, "pitch": st.integers(0, 9)},
        "aftertouch": {"channel": channel, "value": st.integers(0, 9)},
    }
    meta_fields = {
        "set_tempo": {"tempo": st.sampled_from([300_000, 510_638])},
        "time_signature": {"numerator": st.integers(1, 4)},
        "key_signature": {"key": st.sampled_from(["C", "F#m", "Bb", "Cb"])},
        "track_name": {"name": st.sampled_from(["a", "ü"])},
    }
    channel_events = [st.builds(mido.Message, st.just(n), time=time, **f) for n, f in fields.items()]
    meta_events = [st.builds(mido.MetaMessage, st.just(n), time=time, **f) for n, f in meta_fields.items()]
    return st.one_of(*channel_events[:2], *channel_events[:2], *channel_events, *meta_events)


@given(
    st.lists(st.lists(messages(), min_size=1, max_size=30), min_size=1, max_size=3),
    st.sampled_from([1, 96, 480]),
)
@settings(max_examples=120, deadline=None)
def test_reads_what_pretty_midi_reads(tracks: list[list[mido.Message]], division: int) -> None:
    file = mido.MidiFile(ticks_per_beat=division)
    file.tracks = [mido.MidiTrack(track) for track in tracks]
    content = io.BytesIO()
    file.save(file=content)
    assert_equal_to_pretty_midi(content.getvalue())


@pytest.mark.parametrize("name", LEGAL)
def test_reads_every_legal_form(name: str) -> None:
    notes = from_midi_bytes(LEGAL[name]).notes
    assert notes[["pitch", "velocity", "start", "end"]].tolist() == [(60, 80, 0.0, 0.1)]


def test_film_frames_count_in_seconds() -> None:
    sequence = from_midi_bytes(midi_file(NOTE + END, division=0xE728))  # 25 frames of 40 ticks: 1 ms each
    assert sequence.notes["end"].tolist() == [0.096]
    assert sequence.ticks_per_quarter == 500
    assert sequence.tempos.tolist() == [[0.0, 120.0]]


def test_time_before_unknown_meta_events_counts() -> None:
    content = midi_file(b"\x00\x90\x3c\x50\x60\xff\x60\x00\x60\x80\x3c\x00" + END)
    assert from_midi_bytes(content).notes["end"].tolist() == [0.2]


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_give_one_clear_line(name: str, tmp_path: Path) -> None:
    content, message = DAMAGED[name]
    path = tmp_path / "damaged.mid"
    path.write_bytes(content)
    with pytest.raises(KikiboubaError, match=message) as error:
        read_midi(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(KikiboubaError, match="No such file"):
        read_midi(tmp_path / "none.mid")
    with pytest.raises(KikiboubaError, match="directory"):
        read_midi(tmp_path)


def read_count(path: Path) -> tuple[int | None, str]:
    """(number of notes, "") or (None, error)."""
    try:
        return len(read_midi(path).notes), ""
    except KikiboubaError as error:
        return None, str(error)


def test_broken_files_of_the_wild(shared: Path) -> None:
    folder = shared / "data" / "malformed"
    refused_by_pretty_midi = {
        "jazzsoft_test-non-midi-track": 8,
        "own_unknown_chunk": 32,
        "own_keysig_invalid": 32,
        "own_division_smpte_25_40": 32,
        "own_division_smpte_29_80": 32,
    }
    for facts in json.loads((folder / "midi_observed.json").read_text()):
        count, message = read_count(folder / facts["file"])
        assert "\n" not in message
        name = Path(facts["file"]).stem
        expected = facts["pretty_midi"] if isinstance(facts["pretty_midi"], int) else None
        if name == "own_timesig_denominator_2pow255":  # Magenta refuses what pretty_midi lets pass
            expected = None
        assert count == refused_by_pretty_midi.get(name, expected), name


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_no_bytes_crash_the_reader(golden_dir: Path, data: st.DataObject) -> None:
    content = bytearray((golden_dir / "converters" / "groove_c.mid").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(8, len(content) - 1))
        content[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    content[18:22] = (len(content) - 22).to_bytes(4, "big")
    with contextlib.suppress(KikiboubaError):
        notes = from_midi_bytes(bytes(content)).notes
        assert (notes["end"] > notes["start"]).all()


@st.composite
def written_sequences(draw: st.DrawFn) -> NoteSequence:
    """Sequences that MIDI can hold: at ticks, no two notes of a pitch and instrument at once."""
    division, microseconds = draw(st.sampled_from([(220, 500_000), (480, 666_665), (96, 300_003)]))
    rows = []
    for instrument in range(draw(st.integers(0, 3))):
        program, is_drum = draw(st.integers(0, 127)), draw(st.booleans())
        for pitch in draw(st.sets(st.integers(0, 127), min_size=1, max_size=4)):
            cuts = sorted(draw(st.sets(st.integers(0, 5000), min_size=2, max_size=8)))
            for start, end in list(pairwise(cuts))[:: draw(st.sampled_from([1, 2]))]:
                velocity = draw(st.integers(1, 127))
                rows.append((instrument, end, start, pitch, velocity, program, is_drum))
    rows.sort()
    instrument, end, start, pitch, velocity, program, is_drum = np.array(rows).reshape(-1, 7).T
    scale = 60.0 / (6e7 / microseconds * division)
    notes = make_notes(pitch, start * scale, end * scale, velocity, instrument, program, is_drum)
    return NoteSequence(
        notes,
        tempos=np.array([[0.0, 6e7 / microseconds]]),
        time_signatures=np.array([[0.0, draw(st.integers(1, 12)), draw(st.sampled_from([2, 4, 8]))]]),
        key_signatures=np.array([[0.0, draw(st.integers(0, 11)), draw(st.integers(0, 1))]]),
        total_time=float(notes["end"].max(initial=0.0)),
        ticks_per_quarter=division,
        pedals=_pedals(draw, scale, np.unique(instrument).tolist()),
    )


def _pedals(draw: st.DrawFn, scale: float, instruments: list[int]) -> np.ndarray:
    if not instruments:
        return np.zeros((0, 3))
    change = st.tuples(st.integers(0, 6000), st.sampled_from(instruments), st.integers(0, 127))
    rows = sorted(draw(st.lists(change, max_size=5)), key=lambda row: row[:2])
    return np.array(rows, np.float64).reshape(-1, 3) * [scale, 1, 1]


@given(written_sequences())
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_read_back(sequence: NoteSequence) -> None:
    back = from_midi_bytes(midi_bytes(sequence))
    order = ["instrument", "end", "start", "pitch"]
    assert np.array_equal(np.sort(back.notes, order=order), np.sort(sequence.notes, order=order))
    assert np.allclose(back.tempos, sequence.tempos, rtol=1e-12)
    assert np.array_equal(back.time_signatures, sequence.time_signatures)
    assert np.array_equal(back.key_signatures, sequence.key_signatures)
    assert np.array_equal(back.pedals, sequence.pedals)
    assert back.ticks_per_quarter == sequence.ticks_per_quarter
    assert_equal_to_pretty_midi(midi_bytes(sequence))


def test_tempo_changes_and_names_survive(tmp_path: Path) -> None:
    sequence = tune((60, 0, 4), (62, 20, 30), (36, 3, 5, 1))
    sequence.tempos = np.array([[0.0, 120.0], [1.0, 90.0], [2.5, 200.0]])
    sequence.instrument_names = ("Flöte", "bass")
    back = read_midi(write_midi(sequence, tmp_path / "a.mid"))
    assert np.allclose(back.notes["start"], [0.0, 2.5, 0.375], atol=0.002)
    assert np.allclose(back.tempos, sequence.tempos, atol=0.002)
    assert back.instrument_names == ("Flöte", "bass")


def test_overlapping_notes_of_a_pitch_are_cut() -> None:
    back = from_midi_bytes(midi_bytes(tune((60, 0, 8), (60, 4, 6), (62, 0, 1), (62, 0, 2))))
    assert back.notes[["pitch", "start", "end"]].tolist() == [
        (62, 0.0, 0.25),
        (60, 0.0, 0.5),
        (60, 0.5, 0.75),
    ]


def test_a_repeated_note_is_ended_before_it_starts_again() -> None:
    file = mido.MidiFile(file=io.BytesIO(midi_bytes(tune((60, 0, 4), (60, 4, 8)))))
    kinds = [message.type for message in file.tracks[1] if message.type.startswith("note")]
    assert kinds == ["note_on", "note_off", "note_on", "note_off"]


def test_more_instruments_than_numbers_are_refused() -> None:
    with pytest.raises(KikiboubaError, match="40000 instruments; at most 32767"):
        from_midi_bytes(midi_file(*[NOTE] * 40_000))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pitch", 128, "pitch is not within 0 to 127"),
        ("start", -1.0, "time is negative"),
        ("end", np.nan, "not a number"),
    ],
)
def test_what_midi_cannot_hold(field: str, value: float, message: str, tmp_path: Path) -> None:
    sequence = tune((60, 0, 4))
    sequence.notes[field] = value
    with pytest.raises(KikiboubaError, match=message):
        write_midi(sequence, tmp_path / "a.mid")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tempos": np.array([[0.0, 1.0]])}, "tempo is not within"),
        ({"time_signatures": np.array([[0.0, 4.0, 5.0]])}, "meter 4/5"),
        ({"ticks_per_quarter": 0}, "0 ticks a quarter"),
    ],
)
def test_headers_midi_cannot_hold(change: dict, message: str) -> None:
    sequence = tune((60, 0, 4))
    for name, value in change.items():
        setattr(sequence, name, value)
    with pytest.raises(KikiboubaError, match=message):
        midi_bytes(sequence)
