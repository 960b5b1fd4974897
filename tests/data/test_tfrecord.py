"""TFRecords of NoteSequences: the same notes as in the MIDI files they came from; one line for damage."""

import contextlib
import hashlib
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from records import field, frame, melody_message, note, write_records

from kikibouba.data.crc32c import BLOCK, POLYNOMIAL, crc32c, masked_crc32c
from kikibouba.data.midi import from_midi_bytes
from kikibouba.data.note_sequence_message import parse_note_sequence
from kikibouba.data.tfrecord import read_records, read_tfrecord
from kikibouba.errors import KikiboubaError

FULL = b"".join(
    [
        field(1, "/id/midi/x/1"),
        field(2, "x/1.mid"),
        field(4, 480),
        field(5, field(2, 3) + field(3, 4)),  # time 0 is left out, as in all real files
        field(5, field(1, 6.0) + field(2, 4) + field(3, 4)),
        field(6, field(1, 1.0) + field(2, 9) + field(3, 1)),
        field(7, field(2, 90.0)),
        note(60, 0.5, 1.0),
        field(8, field(1, 36) + field(2, 100) + field(4, 2.5) + field(7, 3) + field(9, 1)),
        field(9, 3.0),
        field(10, field(1, 0.25) + field(2, 99)),  # a pitch bend
        field(11, field(1, 2.0) + field(2, 64) + field(3, 127) + field(4, 3)),
        field(11, field(1, 1.0) + field(2, 64) + field(4, 3)),
        field(11, field(1, 1.5) + field(2, 7) + field(3, 90)),
        field(14, field(1, 2.0) + field(2, "Am7") + field(3, 1)),
        field(14, field(2, "N.C.") + field(3, 1)),
        field(14, field(1, 1.0) + field(3, 2)),  # a beat
        field(23, field(1, 3) + field(2, "Batterie à main")),
        b"\xf5\x07abcd",  # an unknown field of four bytes
    ]
)


def slow_crc(data: bytes) -> int:
    register = 0xFFFFFFFF
    for octet in data:
        register ^= octet
        for _ in range(8):
            register = register >> 1 ^ (POLYNOMIAL if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def test_crc_has_its_known_value():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@given(st.binary(max_size=12) | st.integers(BLOCK - 4, 2 * BLOCK + 4).map(lambda n: b"\x5a\x00\xc3" * n))
@settings(max_examples=30, deadline=None)
def test_crc_equals_bit_by_bit(data):
    assert crc32c(data) == slow_crc(data)


def test_everything_we_use_is_read():
    sequence = parse_note_sequence(FULL)
    assert sequence.notes.tolist() == [(60, 80, 0.5, 1.0, 0, 0, False), (36, 100, 0.0, 2.5, 3, 0, True)]
    assert sequence.time_signatures.tolist() == [[0, 3, 4], [6, 4, 4]]
    assert sequence.key_signatures.tolist() == [[1, 9, 1]]
    assert sequence.tempos.tolist() == [[0, 90]]
    assert sequence.pedals.tolist() == [[1, 3, 0], [2, 3, 127]]
    assert sequence.chords == ((0.0, "N.C."), (2.0, "Am7"))
    assert sequence.instrument_names == ("", "", "", "Batterie à main")
    assert (sequence.name, sequence.total_time, sequence.ticks_per_quarter) == ("/id/midi/x/1", 3.0, 480)


def test_an_empty_message_is_silence_and_nameless_ones_are_numbered(tmp_path):
    path = write_records(tmp_path / "a.tfrecord", b"", melody_message("b"))
    assert [(s.name, len(s.notes)) for s in read_tfrecord(path)] == [("record 0", 0), ("b", 8)]


def test_same_notes_as_the_midi_files(shared: Path):
    path = shared / "golden" / "converters" / "pop909_12.tfrecord"
    with tarfile.open(shared / "data" / "music" / "pop909" / "pop909_mid.tar.xz") as tar:
        wanted = {_id(member.name): member for member in tar if member.name.endswith(".mid")}
        pairs = [(s, wanted[s.name]) for s in read_tfrecord(path) if s.name in wanted]
        files = [file.read() for _, member in pairs if (file := tar.extractfile(member))]
    assert len(files) >= 4
    for (sequence, _), content in zip(pairs, files, strict=True):
        expected = from_midi_bytes(content)
        assert np.array_equal(sequence.notes, expected.notes)
        assert sequence.tempos.tolist() == expected.tempos.tolist()
        assert sequence.time_signatures.tolist() == expected.time_signatures.tolist()
        assert sequence.key_signatures.tolist() == expected.key_signatures.tolist()
        assert sequence.pedals.tolist() == expected.pedals.tolist()
        assert sequence.instrument_names == expected.instrument_names
        assert sequence.total_time == expected.total_time
        assert sequence.ticks_per_quarter == expected.ticks_per_quarter


def _id(name: str) -> str:
    stem = Path(name).stem
    return "/id/midi/POP909/" + hashlib.sha1(f"{stem}/{stem}.mid".encode()).hexdigest()


GOOD = frame(melody_message("good"))
DAMAGED = {
    "empty": (b"", "the file is empty"),
    "cut in a length": (GOOD + GOOD[:7], r"record 1 \(at byte \d+\) ends inside its length"),
    "cut in the content": (GOOD[:-9], r"record 0 \(at byte 0\) lacks 9 of its \d+ bytes"),
    "no TFRecord": (b"MThd" + bytes(40), "wrong checksum of its length: the file is damaged or no TFRecord"),
    "compressed": (b"\x1f\x8b\x08" + bytes(40), "is compressed; unpack it first: gunzip"),
    "wrong length": (b"\x00" + GOOD[1:], "record 0 .* wrong checksum of its length"),
    "wrong content": (GOOD + GOOD[:20] + b"\x00" + GOOD[21:], "record 1 .* wrong checksum of its content"),
    "huge": (
        struct.pack("<QI", 2**62, masked_crc32c(struct.pack("<Q", 2**62))),
        "has 4611686018427387904 bytes; at most",
    ),
    "no message": (frame(b"\x0b" * 9), r"record 0 is no NoteSequence \(a field has the wire type 3"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_told_in_one_line(tmp_path, name):
    content, reason = DAMAGED[name]
    path = tmp_path / "a.tfrecord"
    path.write_bytes(content)
    with pytest.raises(KikiboubaError, match=reason) as error:
        list(read_tfrecord(path))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (note(200, 0.0, 1.0), "pitch of a note is not within"),
        (note(60, 0.0, 1.0, velocity=-1), "velocity of a note is not within"),
        (note(60, 0.0, 1.0, program=300), "program of a note is not within"),
        (field(8, field(7, 2**40)), "instrument of a note"),
        (note(60, 2.0, 1.0), "ends before it starts"),
        (note(60, float("nan"), 1.0), "ends before it starts"),
        (note(60, 0.0, 1e9), "it lasts 1e\\+09 seconds"),
        (field(9, float("inf")), "it lasts inf seconds"),
        (field(7, field(1, 0.0)), "a tempo of 0"),
        (field(5, field(1, -1.0)), "impossible time"),
        (field(14, field(1, float("nan")) + field(3, 1)), "a chord at nan seconds"),
        (field(8, b"\x08" + b"\xff" * 11), "more than ten bytes|past the end"),
        (field(8, b"\x08\x01" * 300), "more than 256 fields"),
        (field(8, b"\x19abc"), "past the end"),
        (field(8, b"\x12\x7fabc"), "past the end"),
        (field(8, b"\x0b\x00"), "wire type"),
        (b"\x42\x7f", "past the end"),
        (b"\x42", "past the end"),
    ],
)
def test_impossible_messages_are_refused(message, reason):
    with pytest.raises(KikiboubaError, match=reason):
        parse_note_sequence(message)


@given(cut=st.integers(0, len(FULL) + 15))
@settings(max_examples=60, deadline=None)
def test_a_cut_file_gives_an_error(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "a.tfrecord"
    path.write_bytes(frame(FULL)[:cut])
    with pytest.raises(KikiboubaError):
        list(read_tfrecord(path))


@given(bit=st.integers(0, 8 * (len(FULL) + 16) - 1))
@settings(max_examples=100, deadline=None)
def test_a_flipped_bit_gives_an_error(tmp_path_factory, bit):
    content = bytearray(frame(FULL))
    content[bit // 8] ^= 1 << bit % 8
    path = tmp_path_factory.mktemp("flip") / "a.tfrecord"
    path.write_bytes(content)
    with pytest.raises(KikiboubaError):
        list(read_tfrecord(path))


@given(
    edits=st.lists(st.tuples(st.integers(0, len(FULL) - 1), st.integers(0, 255)), min_size=1, max_size=8),
    end=st.integers(0, len(FULL)),
)
@example(edits=[(0, 0x0A)], end=len(FULL))
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_sequence_or_our_error(edits, end):
    """With right checksums: a program may have written nonsense."""
    content = bytearray(FULL)
    for place, octet in edits:
        content[place] = octet
    try:
        sequence = parse_note_sequence(bytes(content[:end]))
    except KikiboubaError:
        return
    assert np.isfinite(sequence.notes["end"]).all()
    assert sequence.total_time >= sequence.notes["end"].max(initial=0.0)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_noise_gives_a_sequence_or_our_error(content):
    with contextlib.suppress(KikiboubaError):
        assert parse_note_sequence(content).total_time >= 0


def test_records_of_anything_are_read_in_order(tmp_path):
    contents = [bytes([i]) * i for i in range(40)]
    assert list(read_records(write_records(tmp_path / "a", *contents))) == contents


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(KikiboubaError, match=r"cannot read .*none\.tfrecord: No such file"):
        list(read_tfrecord(tmp_path / "none.tfrecord"))
