"""TFRecord files and NoteSequence messages from a few numbers."""

import struct
from pathlib import Path

from kikibouba.data.crc32c import masked_crc32c


def frame(content: bytes) -> bytes:
    """A record as it stands in a file."""
    length = struct.pack("<Q", len(content))
    crcs = [struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
    return length + crcs[0] + content + crcs[1]


def field(number: int, value: int | float | str | bytes) -> bytes:
    """A field of a protocol buffer: whole numbers, doubles, text or messages."""
    if isinstance(value, float):
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def note(pitch: int, start: float, end: float, velocity: int = 80, program: int = 0) -> bytes:
    """A note as a field of a NoteSequence."""
    return field(
        8, field(1, pitch) + field(2, velocity) + field(3, start) + field(4, end) + field(8, program)
    )


def melody_message(name: str, transposed: int = 0) -> bytes:
    """Two bars of quarter notes in 4/4 as a NoteSequence."""
    notes = [note(60 + transposed + 2 * (i % 5), i / 2, i / 2 + 0.5) for i in range(8)]
    tempo = field(7, field(1, 0.0) + field(2, 120.0))
    return field(1, name) + b"".join(notes) + tempo + field(9, 4.0)


def write_records(path: Path, *contents: bytes) -> Path:
    """A TFRecord file."""
    path.write_bytes(b"".join(map(frame, contents)))
    return path


def _varint(number: int) -> bytes:
    octets = []
    number %= 1 << 64
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])
