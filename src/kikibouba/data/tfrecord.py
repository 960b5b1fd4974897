"""TFRecord files of Magenta's NoteSequence messages, as its `convert_dir_to_note_sequences` writes them.

A TFRecord file is a row of records: the length in eight bytes, a masked CRC-32C of these eight bytes, the
content, and a masked CRC-32C of the content. Each record holds one piece of music.
"""

import os
import struct
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import BinaryIO

from kikibouba.data.crc32c import masked_crc32c
from kikibouba.data.note_sequence_message import parse_note_sequence
from kikibouba.data.notes import NoteSequence
from kikibouba.errors import KikiboubaError

MAX_RECORD_BYTES = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b\x08"


def read_tfrecord(path: str | Path) -> Iterator[NoteSequence]:
    """The pieces of a file one after the other; `name` is the record's id, or its number in the file.

    Raises:
        KikiboubaError: the file cannot be read, a checksum is wrong, or a record is no NoteSequence; names
            file, record and remedy.
    """
    for number, record in enumerate(read_records(path)):
        try:
            yield parse_note_sequence(record, f"record {number}")
        except KikiboubaError as error:
            raise KikiboubaError(
                f"{path}: record {number} is no NoteSequence ({error}); "
                "only files written by Magenta's convert_dir_to_note_sequences can be read"
            ) from None


def read_records(path: str | Path) -> Iterator[bytes]:
    """The contents of the records of any TFRecord file, checked.

    Raises:
        KikiboubaError: the file cannot be read, or a record is damaged.
    """
    try:
        with open(path, "rb") as file:
            for number in count():
                if (record := _read_record(file, path, number)) is None:
                    return
                yield record
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror}") from None


def _read_record(file: BinaryIO, path: str | Path, number: int) -> bytes | None:
    """The next record's content; None at the end of the file."""
    start = file.tell()
    header = file.read(12)
    if not header and number:
        return None
    if not header:
        raise KikiboubaError(f"{path}: the file is empty")
    if header[:3] == _GZIP and number == 0:
        raise KikiboubaError(f"{path} is compressed; unpack it first: gunzip < IN > OUT.tfrecord")
    where = f"{path}: record {number} (at byte {start})"
    remedy = "the file is damaged or no TFRecord; copy or make it anew"
    if len(header) < 12:
        raise KikiboubaError(f"{where} ends inside its length: {remedy}")
    length, expected = struct.unpack("<QI", header)
    if masked_crc32c(header[:8]) != expected:
        raise KikiboubaError(f"{where} has a wrong checksum of its length: {remedy}")
    if length > MAX_RECORD_BYTES:
        raise KikiboubaError(f"{where} has {length} bytes; at most {MAX_RECORD_BYTES} are read")
    left = os.fstat(file.fileno()).st_size - start - 12
    if left < length + 4:
        raise KikiboubaError(f"{where} lacks {length + 4 - left} of its {length + 4} bytes: {remedy}")
    content = file.read(length)
    if masked_crc32c(content) != int.from_bytes(file.read(4), "little"):
        raise KikiboubaError(f"{where} has a wrong checksum of its content: {remedy}")
    return content
