"""NSynth's notes in its TFRecords: each record a `tf.train.Example` with the samples and a name.

NSynth's other form, `examples.json` beside a folder of WAV files, needs nothing of its own: the files' names
say instrument, pitch and velocity.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kikibouba.data.protobuf import BYTES, FOUR_BYTES, each_field
from kikibouba.data.tfrecord import read_records
from kikibouba.errors import KikiboubaError


class Note(NamedTuple):
    """One note."""

    name: str
    """As NSynth writes it: instrument, pitch and velocity, e.g. guitar_acoustic_001-082-050."""
    wave: np.ndarray
    """float32 [N] in [-1, 1], at 16 kHz; of NSynth's 64 000"""


def read_notes(path: Path, problems: list[str]) -> Iterator[Note]:
    """The notes of a file, one by one; for each record that is none, `problems` gets a line "where: why".

    Raises:
        KikiboubaError: no TFRecord, or a damaged one.
    """
    for number, record in enumerate(read_records(path)):
        where = f"record {number}"
        try:
            yield _note(record, where)
        except KikiboubaError as error:
            problems.append(f"{where}: {error}")


def _note(record: bytes, where: str) -> Note:
    features = dict(_features(record))
    name, audio = features.get("note_str", b""), features.get("audio")
    if not isinstance(audio, np.ndarray) or not len(audio):
        raise KikiboubaError("it has no 'audio': is it one of NSynth's?")
    if not np.isfinite(audio).all():
        raise KikiboubaError("its samples are NaN or infinite")
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else ""
    return Note(text or where, np.clip(audio, -1.0, 1.0))


def _features(record: bytes) -> Iterator[tuple[str, bytes | np.ndarray]]:
    """Name and value of each feature that holds text or floats: Example.features.feature is a map."""
    for _, _, start, end in _messages(record, 1, 0, len(record)):
        for _, _, begin, stop in _messages(record, 1, start, end):
            name, value = "", None
            for number, _, a, b in each_field(record, begin, stop):
                if number == 1:
                    name = record[a:b].decode("utf-8", "replace")
                elif number == 2:
                    value = _value(record, a, b)
            if value is not None:
                yield name, value


def _messages(record: bytes, number: int, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    return (f for f in each_field(record, start, end) if f[0] == number and f[1] == BYTES)


def _value(record: bytes, start: int, end: int) -> bytes | np.ndarray | None:
    """A Feature: the first of a bytes_list (1), or all of a float_list (2), packed or not."""
    for number, _, a, b in each_field(record, start, end):
        values = list(each_field(record, a, b))
        if number == 1 and values:
            return record[values[0][2] : values[0][3]]
        if number == 2:
            parts = [record[x:y] for _, wire, x, y in values if wire in (BYTES, FOUR_BYTES)]
            joined = b"".join(parts)
            return np.frombuffer(joined[: len(joined) // 4 * 4], "<f4")
    return None
