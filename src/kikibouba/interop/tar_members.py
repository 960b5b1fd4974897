"""The plain files in a tar archive: their names, and where they lie.

Headers of 512 bytes, each followed by its file's content, padded to 512. Where 100 characters or 12 digits do
not do, a header of type L (GNU) or x (POSIX) says the name, and x also the size, of the next file.

Python's own module recurses from header to header, and takes quadratic time over some, so it is no reader for
files that are not trusted.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from kikibouba.errors import KikiboubaError

_BLOCK = 512
_MOST_HEADERS = 10_000
_LONGEST_EXTENSION = 1 << 16
_PLAIN = (b"0", b"\0", b"7")
_LONG_NAME, _POSIX, _POSIX_FOR_ALL = b"L", b"x", b"g"
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", b"5", b"6")
"""Links, devices, folders, pipes."""
_OTHERS = (b"K", b"D", b"V", b"M", b"N", b"X")
"""GNU's and others' remarks, which are passed over."""


class Member(NamedTuple):
    """A plain file in an archive."""

    name: str
    start: int
    size: int


def tar_members(file: BinaryIO) -> Iterator[Member]:
    """The plain files in an archive, in order. Reads nothing but headers.

    Raises:
        KikiboubaError: the headers are damaged or run past the end; says how, not in which file.
    """
    end, at = file.seek(0, 2), 0
    name, size = "", -1  # of the next file, where a header of its own says so
    for _ in range(_MOST_HEADERS):
        header = _read(file, at, _BLOCK)
        if len(header) < _BLOCK or not any(header):
            return
        _check(header)
        kind, content = header[156:157], at + _BLOCK
        length = 0 if kind in _WITHOUT_CONTENT else _number(header[124:136])
        if kind in _PLAIN and size >= 0:
            length = size
        at = content + -(-length // _BLOCK) * _BLOCK
        if content + length > end:
            raise KikiboubaError("it is truncated")
        if kind in (_LONG_NAME, _POSIX):
            if length > _LONGEST_EXTENSION:
                raise KikiboubaError("a header is longer than any name")
            said = _read(file, content, length)
            name, size = (_text(said), size) if kind == _LONG_NAME else _extension(said, name, size)
        elif kind in _PLAIN or kind in _WITHOUT_CONTENT:
            if kind in _PLAIN:
                yield Member(name or _own_name(header), content, length)
            name, size = "", -1
        elif kind != _POSIX_FOR_ALL and kind not in _OTHERS:
            raise KikiboubaError(f"it has a member of a type {kind!r} that is not known here")
    raise KikiboubaError(f"it holds more than {_MOST_HEADERS} files; a checkpoint has a few")


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)


def _check(header: bytes) -> None:
    """Raise unless the checksum is right: the sum of all bytes, with spaces in its own place."""
    if _number(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise KikiboubaError("the checksum of a header is wrong")


def _number(digits: bytes) -> int:
    """Octal digits, or, after a first bit of 1, a number of 11 bytes."""
    if digits[0] == 0x80:
        return int.from_bytes(digits[1:], "big")
    text = digits.strip(b" \0")
    if not all(digit in b"01234567" for digit in text):
        raise KikiboubaError("a number in a header is none")
    return int(text or b"0", 8)


def _own_name(header: bytes) -> str:
    """The name in a header itself, in POSIX's archives after a prefix."""
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _text(octets: bytes) -> str:
    return octets.partition(b"\0")[0].decode("utf-8", "replace")


def _extension(records: bytes, name: str, size: int) -> tuple[str, int]:
    """(name, size) as records "LENGTH key=value" and a line break say them, where they do."""
    while records:
        digits, space, _ = records[:20].partition(b" ")
        if not space or not digits.isdigit() or not len(digits) + 2 < int(digits) <= len(records):
            raise KikiboubaError("a header has a record that runs past its end")
        key, _, value = records[len(digits) + 1 : int(digits) - 1].partition(b"=")
        if key == b"path":
            name = _text(value)
        elif key == b"size":
            if not value.isdigit() or len(value) > 20:
                raise KikiboubaError("a number in a header is none")
            size = int(value)
        elif key.startswith(b"GNU.sparse"):
            raise KikiboubaError("it has a file with holes, which weights never have")
        records = records[int(digits) :]
    return name, size
