"""The index of a TensorFlow checkpoint: sorted names and a few bytes for each, in LevelDB's table format.

    blocks of entries · (metaindex) · index block: a name → where a block lies · footer of 48 bytes

Entries leave out what their name shares with the one before. Each block carries a checksum, which is
verified.
"""

from collections.abc import Iterator
from itertools import pairwise

from kikibouba.data.crc32c import masked_crc32c
from kikibouba.data.protobuf import varint
from kikibouba.errors import KikiboubaError

_FOOTER_SIZE = 48
_MAGIC = 0xDB4775248B80FB57
_LONGEST_NAME = 4096
_MOST_ENTRIES = 100_000
_MOST_NAMES = 1 << 24
"""Bytes of all names; a short table can spell long names, which mostly repeat the one before."""

Block = tuple[int, int]
"""offset, size; five bytes follow: how it is compressed, and the checksum"""


def read_string_table(table: bytes) -> dict[bytes, bytes]:
    """Name → value, in order.

    Raises:
        KikiboubaError: damaged; says how, not which file.
    """
    entries: list[tuple[bytes, bytes]] = []
    end = spelt = 0
    for offset, size in blocks_of(table):
        if offset < end:
            raise KikiboubaError("its blocks overlap")
        end = offset + size
        for name, value in block_entries(table, (offset, size)):
            spelt += len(name)
            if len(entries) == _MOST_ENTRIES or spelt > _MOST_NAMES:
                raise KikiboubaError("it has more names than any checkpoint")
            entries.append((name, value))
    if any(a >= b for (a, _), (b, _) in pairwise(entries)):
        raise KikiboubaError("its names are not in order")
    return dict(entries)


def index_block(table: bytes) -> Block:
    """Where the index block lies, as the footer says."""
    footer = table[-_FOOTER_SIZE:]
    if len(footer) < _FOOTER_SIZE or int.from_bytes(footer[-8:], "little") != _MAGIC:
        raise KikiboubaError("it does not end like a TensorFlow checkpoint's index; is it complete?")
    _, after = _block_handle(footer, 0)  # the metaindex, unused
    return _block_handle(footer, after)[0]


def blocks_of(table: bytes) -> Iterator[Block]:
    """The blocks of entries."""
    for _, handle in block_entries(table, index_block(table)):
        yield _block_handle(handle, 0)[0]


def _block_handle(data: bytes, start: int) -> tuple[Block, int]:
    """(a block, position after its two numbers)."""
    offset, start = varint(data, start, len(data))
    size, start = varint(data, start, len(data))
    return (offset, size), start


def block_entries(table: bytes, block: Block) -> Iterator[tuple[bytes, bytes]]:
    """(name, value) of the entries in a block."""
    offset, size = block
    end = offset + size
    if size < 4 or end + 5 > len(table):
        raise KikiboubaError("a block lies outside it")
    if masked_crc32c(table[offset : end + 1]) != int.from_bytes(table[end + 1 : end + 5], "little"):
        raise KikiboubaError("the checksum of a block is wrong")
    if table[end] != 0:
        raise KikiboubaError("a block is compressed, which TensorFlow's Saver never does")
    restarts = int.from_bytes(table[end - 4 : end], "little")
    stop, at, name = end - 4 * (restarts + 1), offset, b""
    if stop < offset:
        raise KikiboubaError("a block has more restarts than bytes")
    while at < stop:
        shared, at = varint(table, at, stop)
        unshared, at = varint(table, at, stop)
        value_size, at = varint(table, at, stop)
        if shared > len(name) or shared + unshared > _LONGEST_NAME or at + unshared + value_size > stop:
            raise KikiboubaError("an entry runs out of its block")
        name = name[:shared] + table[at : at + unshared]
        at += unshared
        yield name, table[at : at + value_size]
        at += value_size
