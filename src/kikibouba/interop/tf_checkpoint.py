"""Read TensorFlow 1 checkpoints without TensorFlow.

A checkpoint `PREFIX` is `PREFIX.index`, a sorted string table (the LevelDB table format: prefix-compressed
blocks, an index block, a 48-byte footer) from variable name to a `BundleEntryProto`, and data shards
`PREFIX.data-00000-of-0000N` holding the raw little-endian arrays the entries point into.
"""

from pathlib import Path

import numpy as np

from kikibouba.errors import KikiboubaError

_FOOTER_SIZE = 48
_TABLE_MAGIC = 0xDB4775248B80FB57
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}


def read_tf_checkpoint(prefix: Path | str) -> dict[str, np.ndarray]:
    """All variables of a checkpoint, by TensorFlow name.

    Args:
        prefix: path of the checkpoint without `.index` (with it is accepted too).

    Raises:
        KikiboubaError: missing or damaged files.
    """
    prefix = Path(str(prefix).removesuffix(".index"))
    index_file = prefix.with_name(prefix.name + ".index")
    if not index_file.is_file():
        raise KikiboubaError(f"no checkpoint index {index_file}: give the path up to, without, '.index'")
    entries = dict(_table_entries(index_file.read_bytes(), index_file))
    header = _proto_fields(entries.pop(b"", b""))
    num_shards = int(header.get(1, [1])[0])
    shards = [_read_shard(prefix, i, num_shards) for i in range(num_shards)]
    return {name.decode(): _read_array(name.decode(), entry, shards) for name, entry in entries.items()}


def _read_shard(prefix: Path, i: int, n: int) -> bytes:
    path = prefix.with_name(f"{prefix.name}.data-{i:05d}-of-{n:05d}")
    if not path.is_file():
        raise KikiboubaError(f"checkpoint data shard {path} is missing: put it beside the .index file")
    return path.read_bytes()


def _read_array(name: str, entry: bytes, shards: list[bytes]) -> np.ndarray:
    fields = _proto_fields(entry)
    dtype = _DTYPES.get(int(fields.get(1, [0])[0]))
    if dtype is None:
        raise KikiboubaError(f"variable {name!r} has TensorFlow type {fields.get(1)}, not an array type")
    dims = [_proto_fields(dim).get(1, [0])[0] for dim in _proto_fields(fields.get(2, [b""])[0]).get(2, [])]
    shard = shards[int(fields.get(3, [0])[0])]
    offset, size = int(fields.get(4, [0])[0]), int(fields.get(5, [0])[0])
    if offset + size > len(shard) or size != np.dtype(dtype).itemsize * int(np.prod(dims, dtype=np.int64)):
        raise KikiboubaError(f"variable {name!r} points outside its data shard: the checkpoint is damaged")
    return np.frombuffer(shard, dtype, size // np.dtype(dtype).itemsize, offset).reshape(dims).copy()


def _table_entries(table: bytes, path: Path) -> list[tuple[bytes, bytes]]:
    footer = table[-_FOOTER_SIZE:]
    if len(footer) < _FOOTER_SIZE or int.from_bytes(footer[-8:], "little") != _TABLE_MAGIC:
        raise KikiboubaError(f"{path} is not a TensorFlow checkpoint index")
    _, _, pos = _block_handle(footer, 0)  # the metaindex, unused
    offset, size, _ = _block_handle(footer, pos)
    entries = []
    for _, handle in _block_entries(table, offset, size, path):
        offset, size, _ = _block_handle(handle, 0)
        entries += _block_entries(table, offset, size, path)
    return entries


def _block_handle(data: bytes, pos: int) -> tuple[int, int, int]:
    offset, pos = _varint(data, pos)
    size, pos = _varint(data, pos)
    return offset, size, pos


def _block_entries(table: bytes, offset: int, size: int, path: Path) -> list[tuple[bytes, bytes]]:
    if offset + size + 1 > len(table):
        raise KikiboubaError(f"{path} is truncated")
    if table[offset + size] != 0:
        raise KikiboubaError(f"{path} holds a compressed block, which TensorFlow's Saver does not write")
    block = table[offset : offset + size]
    num_restarts = int.from_bytes(block[-4:], "little")
    end = size - 4 * (num_restarts + 1)
    entries, pos, key = [], 0, b""
    while pos < end:
        shared, pos = _varint(block, pos)
        unshared, pos = _varint(block, pos)
        value_size, pos = _varint(block, pos)
        key = key[:shared] + block[pos : pos + unshared]
        pos += unshared
        entries.append((key, block[pos : pos + value_size]))
        pos += value_size
    return entries


def _varint(data: bytes, pos: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if pos >= len(data) or shift > 63:
            raise KikiboubaError("damaged checkpoint index: a number runs past its end")
        byte = data[pos]
        value |= (byte & 0x7F) << shift
        pos += 1
        if byte < 0x80:
            return value, pos
        shift += 7


def _proto_fields(message: bytes) -> dict[int, list]:
    """A protocol-buffer message as field number → values (ints, or bytes for nested messages)."""
    fields: dict[int, list] = {}
    pos = 0
    while pos < len(message):
        tag, pos = _varint(message, pos)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, pos = _varint(message, pos)
        elif wire == 2:
            size, pos = _varint(message, pos)
            value, pos = message[pos : pos + size], pos + size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, pos = int.from_bytes(message[pos : pos + size], "little"), pos + size
        else:
            raise KikiboubaError(f"damaged checkpoint index: wire type {wire}")
        fields.setdefault(number, []).append(value)
    return fields
