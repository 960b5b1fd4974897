"""Read TensorFlow 1 checkpoints without TensorFlow.

A checkpoint `PREFIX` is `PREFIX.index`, a sorted string table (the LevelDB table format: prefix-compressed
blocks, an index block, a 48-byte footer) from variable name to a `BundleEntryProto`, and data shards
`PREFIX.data-00000-of-0000N` holding the raw little-endian arrays the entries point into. Every block and
every array carries a checksum, which is verified. A folder's file `checkpoint` names its latest prefix.

The files are not trusted: blocks and arrays must lie within their files and must not overlap, so that what is
read is never more than what is there.
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from kikibouba.data.crc32c import masked_crc32c
from kikibouba.data.files import read_bytes
from kikibouba.errors import KikiboubaError
from kikibouba.interop.regions import Region, open_files, open_tar

_FOOTER_SIZE = 48
_TABLE_MAGIC = 0xDB4775248B80FB57
_LARGEST_INDEX = 1 << 24
_LONGEST_NAME = 4096
_MOST_SHARDS = 1024
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 14: "<u2", 19: "<f2"}
_BFLOAT16 = 14
TAR_SUFFIXES = (".tar", ".tgz", ".tar.gz")

TRAINING_ONLY = re.compile(r"(.*/)?global_step|(.*/)?beta[12]_power(_\d+)?|.*/(Adam(_\d+)?|opaque_kernel)")
"""Names of what only training needs: counters, optimiser slots, and cuDNN's copy of the LSTM kernels."""


def read_tf_checkpoint(path: Path | str, skip: re.Pattern[str] | None = None) -> dict[str, np.ndarray]:
    """All variables of a checkpoint, by TensorFlow name.

    Args:
        path: the prefix (or one of the files it begins), a folder of checkpoints, whose latest is read, or an
            archive (.tar, .tar.gz, .tgz) with one checkpoint.
        skip: names to leave out (a full match), unread; e.g. `TRAINING_ONLY`.

    Raises:
        KikiboubaError: missing or damaged files.
    """
    with _open(Path(path)) as files:
        (prefix,) = [name.removesuffix(".index") for name in files if name.endswith(".index")]
        index = files[prefix + ".index"]
        if index.size > _LARGEST_INDEX:
            raise KikiboubaError(f"{index.name} is too large to be a checkpoint's index")
        entries = dict(_table_entries(index.read().tobytes(), index.name))
        header = _fields(entries.pop(b"", b""))
        if _number(header, 2):
            raise KikiboubaError(f"{index.name} is big-endian, which no machine of the originals wrote")
        shards = _shards(files, prefix, _number(header, 1) if header else 1)
        variables: dict[str, np.ndarray] = {}
        left = sum(shard.size for shard in shards)
        for key, entry in entries.items():
            name = _decode(key, index.name)
            if skip is None or not skip.fullmatch(name):
                variables[name] = _read_array(name, _fields(entry), shards)
                left -= variables[name].nbytes // (2 if _number(_fields(entry), 1) == _BFLOAT16 else 1)
                if left < 0:
                    raise KikiboubaError(f"{index.name} is damaged: its variables share their data")
        return variables


def is_tf_checkpoint(path: Path) -> bool:
    """Whether a path looks like a checkpoint: prefix, one of its files, folder with an index, archive."""
    if path.is_dir():
        return (path / "checkpoint").is_file() or (path / "train" / "checkpoint").is_file() or _single(path)
    return path.name.lower().endswith(TAR_SUFFIXES) or _index_file(path).is_file()


def _single(folder: Path) -> bool:
    return len(list(folder.glob("*.index"))) == 1


def _index_file(path: Path) -> Path:
    prefix = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path.name)
    return path.with_name(prefix + ".index")


@contextmanager
def _open(path: Path) -> Iterator[dict[str, Region]]:
    """A checkpoint's files by name, exactly one of them an .index."""
    if path.is_file() and path.name.lower().endswith(TAR_SUFFIXES):
        with open_tar(path) as files:
            found = [name for name in files if name.endswith(".index")]
            if len(found) != 1:
                what = (
                    f"{len(found)} checkpoints ({', '.join(found)})" if found else "no checkpoint (no .index)"
                )
                raise KikiboubaError(f"{path} holds {what}; an archive must hold exactly one")
            yield files
        return
    index = _index_file(_latest(path) if path.is_dir() else path)
    if not index.is_file():
        raise KikiboubaError(f"no checkpoint index {index}: give the path up to, without, '.index'")
    prefix = index.name.removesuffix(".index")
    shards = [p for p in sorted(index.parent.iterdir()) if p.name.startswith(f"{prefix}.data-")]
    with open_files([index, *shards]) as files:
        yield files


def _latest(folder: Path) -> Path:
    """The latest prefix in a folder: what its file `checkpoint` says, or the only one there is."""
    for place in (folder, folder / "train"):
        if (place / "checkpoint").is_file():
            text = read_bytes(place / "checkpoint", 1 << 20).decode("utf-8", "replace")
            if (match := re.search(r'^model_checkpoint_path:\s*"([^"]*)"', text, re.MULTILINE)) is None:
                raise KikiboubaError(f"{place / 'checkpoint'} names no checkpoint; name its prefix instead")
            return place / re.split(r"[/\\]", match[1])[-1]  # it may be a path on the machine that trained
    found = sorted(folder.glob("*.index"))
    if len(found) != 1:
        names = ", ".join(p.name.removesuffix(".index") for p in found[:9]) or "none"
        raise KikiboubaError(
            f"{folder} must hold one checkpoint, or say which in a file 'checkpoint'; found: {names}"
        )
    return found[0]


def _shards(files: dict[str, Region], prefix: str, count: int) -> list[Region]:
    if not 1 <= count <= _MOST_SHARDS:
        raise KikiboubaError(f"the index of {prefix} is damaged: it speaks of {count} data shards")
    names = [f"{prefix}.data-{i:05d}-of-{count:05d}" for i in range(count)]
    for name in names:
        if name not in files:
            raise KikiboubaError(f"checkpoint data shard {name} is missing: put it beside the .index file")
    return [files[name] for name in names]


def _read_array(name: str, fields: dict[int, list], shards: list[Region]) -> np.ndarray:
    dtype = _DTYPES.get(_number(fields, 1))
    if dtype is None:
        raise KikiboubaError(f"variable {name!r} has TensorFlow type {fields.get(1)}, not an array type")
    if 7 in fields:
        raise KikiboubaError(f"variable {name!r} is stored in slices, which no original model's is")
    dims = [_number(_fields(dim), 1) for dim in _fields(_message(fields, 2)).get(2, [])]
    shard, offset, size = _number(fields, 3), _number(fields, 4), _number(fields, 5)
    if shard >= len(shards) or size != np.dtype(dtype).itemsize * math.prod(dims) or len(dims) > 8:
        raise KikiboubaError(f"variable {name!r} has sizes that contradict each other: the index is damaged")
    content = shards[shard].read(offset, size)
    if 6 in fields and masked_crc32c(content) != _number(fields, 6):
        raise KikiboubaError(f"the data of variable {name!r} is damaged (its checksum is wrong)")
    if _number(fields, 1) == _BFLOAT16:
        return (content.view("<u2").astype("<u4") << 16).view("<f4").reshape(dims)
    return content.view(dtype).reshape(dims)


# ----------------------------------------------------------------------------------- the string table


def _table_entries(table: bytes, path: str) -> list[tuple[bytes, bytes]]:
    footer = table[-_FOOTER_SIZE:]
    if len(footer) < _FOOTER_SIZE or int.from_bytes(footer[-8:], "little") != _TABLE_MAGIC:
        raise KikiboubaError(f"{path} is not a TensorFlow checkpoint index, or is truncated")
    _, _, pos = _block_handle(footer, 0)  # the metaindex, unused
    offset, size, _ = _block_handle(footer, pos)
    entries: list[tuple[bytes, bytes]] = []
    end = 0
    for _, handle in _block_entries(table, offset, size, path):
        offset, size, _ = _block_handle(handle, 0)
        if offset < end:
            raise KikiboubaError(f"{path} is damaged: its blocks overlap")
        entries += _block_entries(table, offset, size, path)
        end = offset + size
    keys = [key for key, _ in entries]
    if any(a >= b for a, b in pairwise(keys)):
        raise KikiboubaError(f"{path} is damaged: its names are not in order")
    return entries


def _block_handle(data: bytes, pos: int) -> tuple[int, int, int]:
    offset, pos = _varint(data, pos)
    size, pos = _varint(data, pos)
    return offset, size, pos


def _block_entries(table: bytes, offset: int, size: int, path: str) -> list[tuple[bytes, bytes]]:
    end = offset + size
    if size < 4 or end + 5 > len(table):
        raise KikiboubaError(f"{path} is truncated or damaged: a block lies outside it")
    if masked_crc32c(table[offset : end + 1]) != int.from_bytes(table[end + 1 : end + 5], "little"):
        raise KikiboubaError(f"{path} is damaged: the checksum of a block is wrong")
    if table[end] != 0:
        raise KikiboubaError(f"{path} holds a compressed block, which TensorFlow's Saver does not write")
    block = table[offset:end]
    stop = size - 4 * (int.from_bytes(block[-4:], "little") + 1)
    entries, pos, key = [], 0, b""
    while pos < stop:
        shared, pos = _varint(block, pos)
        unshared, pos = _varint(block, pos)
        value_size, pos = _varint(block, pos)
        if shared > len(key) or shared + unshared > _LONGEST_NAME or pos + unshared + value_size > stop:
            raise KikiboubaError(f"{path} is damaged: an entry runs out of its block")
        key = key[:shared] + block[pos : pos + unshared]
        pos += unshared
        entries.append((key, block[pos : pos + value_size]))
        pos += value_size
    return entries


# ----------------------------------------------------------------------------------- protocol buffers


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


def _fields(message: bytes) -> dict[int, list]:
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
    if pos > len(message):
        raise KikiboubaError("damaged checkpoint index: an entry is cut off")
    return fields


def _number(fields: dict[int, list], number: int) -> int:
    """A field that is a whole number; 0 if absent."""
    value = fields.get(number, [0])[0]
    if not isinstance(value, int):
        raise KikiboubaError("damaged checkpoint index: text where a number belongs")
    return value


def _message(fields: dict[int, list], number: int) -> bytes:
    """A field that is a nested message; empty if absent."""
    value = fields.get(number, [b""])[0]
    if not isinstance(value, bytes):
        raise KikiboubaError("damaged checkpoint index: a number where a message belongs")
    return value


def _decode(key: bytes, path: str) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise KikiboubaError(f"{path} is damaged: the name of a variable is not text") from None
