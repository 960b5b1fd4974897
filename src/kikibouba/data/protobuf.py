"""The wire format of protocol buffers: enough to read messages of known shape, and never past their end.

A message is a row of fields, each a tag (field number and wire type) and a value: a number of variable
length, eight bytes, four bytes, or a length and that many bytes. Unknown fields are passed over.

A song is one message with thousands of small ones in it, all alike. `read_columns` reads those in step, the
first field of all of them, then the second, …, so that numpy does the work.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from kikibouba.errors import KikiboubaError

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
"""Wire types"""

MAX_FIELDS = 256
"""In each of the small messages; more is no record but an attack."""
_IN_USE = np.isin(np.arange(8), (VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES))
_PAST_END = "a field runs past the end of its message"


def each_field(message: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, start, end) of each field's value in message[start:end], lengths left out.

    Raises:
        KikiboubaError: the bytes are no such message.
    """
    end = len(message) if end is None else end
    while start < end:
        tag, start = varint(message, start, end)
        wire = tag & 7
        if wire == BYTES:
            size, start = varint(message, start, end)
            stop = start + size
        elif wire == VARINT:
            _, stop = varint(message, start, end)
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            stop = start + (8 if wire == EIGHT_BYTES else 4)
        else:
            raise KikiboubaError(f"a field has the wire type {wire}, which is not in use")
        if stop > end:
            raise KikiboubaError(_PAST_END)
        yield tag >> 3, wire, start, stop
        start = stop


def varint(message: bytes, start: int, end: int) -> tuple[int, int]:
    """(value, position after it) of a number of at most ten bytes with seven bits each, the lowest first."""
    if start < end and message[start] < 0x80:  # nearly always
        return message[start], start + 1
    value = 0
    for shift, octet in enumerate(message[start : min(start + 10, end)]):
        value |= (octet & 0x7F) << 7 * shift
        if octet < 0x80:
            return value & (1 << 64) - 1, start + shift + 1
    raise KikiboubaError(_PAST_END)


def read_columns(
    message: bytes, spans: list[tuple[int, int]], wanted: Mapping[int, int]
) -> dict[int, np.ndarray]:
    """Fields of N messages of one kind, as columns.

    Args:
        message: the bytes in which they all lie.
        spans: (start, end) of each of them.
        wanted: field number → wire type, VARINT or EIGHT_BYTES.

    Returns:
        Field number → [N], int64 for VARINT, float64 for EIGHT_BYTES; 0 where a message lacks the field, the
        last value where it has several.

    Raises:
        KikiboubaError: one of them is no such message.
    """
    octets = np.frombuffer(message + bytes(16), np.uint8)  # so that looking ahead stays inside
    at, end = np.array(spans, np.int64).reshape(-1, 2).T
    at = at.copy()
    columns = {
        number: np.zeros(len(at), np.float64 if wire == EIGHT_BYTES else np.int64)
        for number, wire in wanted.items()
    }
    for _ in range(MAX_FIELDS):
        rows = np.flatnonzero(at < end)
        if not len(rows):
            return columns
        at[rows] = _read_one_field(octets, rows, at[rows], end[rows], wanted, columns)
    raise KikiboubaError(f"a message has more than {MAX_FIELDS} fields")


def _read_one_field(
    octets: np.ndarray,
    rows: np.ndarray,
    at: np.ndarray,
    end: np.ndarray,
    wanted: Mapping[int, int],
    columns: dict[int, np.ndarray],
) -> np.ndarray:
    """Read the field at `at` of the messages `rows` into the columns; returns where the next ones start."""
    tag, at = _varints(octets, at, end)
    number, wire = tag >> 3, tag & 7
    if not _IN_USE[wire].all():
        raise KikiboubaError("a field has a wire type that is not in use")
    following = at + np.where(wire == EIGHT_BYTES, 8, 4)
    counted = np.flatnonzero((wire == VARINT) | (wire == BYTES))
    value = np.zeros(len(at), np.int64)
    value[counted], following[counted] = _varints(octets, at[counted], end[counted])
    skipped = wire == BYTES
    if ((value[skipped] < 0) | (value[skipped] > len(octets))).any():
        raise KikiboubaError(_PAST_END)
    following[skipped] += value[skipped]
    if (following > end).any():
        raise KikiboubaError(_PAST_END)
    for name, kind in wanted.items():
        found = np.flatnonzero((number == name) & (wire == kind))
        if kind == EIGHT_BYTES:
            content = octets[at[found, None] + np.arange(8)]
            columns[name][rows[found]] = content.view("<f8")[:, 0]
        else:
            columns[name][rows[found]] = value[found]
    return following


def _varints(octets: np.ndarray, at: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(values int64, positions after them) of the numbers at `at` [N]."""
    value = np.zeros(len(at), np.uint64)
    at, going = at.copy(), np.arange(len(at))
    for shift in range(0, 70, 7):
        octet = octets[at[going]]
        value[going] |= (octet & 0x7F).astype(np.uint64) << np.uint64(shift)
        at[going] += 1
        if (at[going] > end[going]).any():
            raise KikiboubaError(_PAST_END)
        going = going[octet >= 0x80]
        if not len(going):
            return value.view(np.int64), at
    raise KikiboubaError("a number has more than ten bytes")
