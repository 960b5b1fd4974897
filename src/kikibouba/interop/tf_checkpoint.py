"""Read TensorFlow 1 checkpoints without TensorFlow.

A checkpoint `PREFIX` is `PREFIX.index`, a string table (`string_table`) from variable name to a
`BundleEntryProto`, and data shards `PREFIX.data-00000-of-0000N` holding the raw little-endian arrays the
entries point into. Every array carries a checksum, which is verified. A folder's file `checkpoint` names its
latest prefix.

The files are not trusted: arrays must lie within their shards and must not overlap, so that what is read is
never more than what is there.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kikibouba.data.crc32c import masked_crc32c
from kikibouba.data.protobuf import BYTES, VARINT, each_field, varint
from kikibouba.errors import KikiboubaError
from kikibouba.interop.original import Original
from kikibouba.interop.regions import Region, open_files, open_tar
from kikibouba.interop.string_table import read_string_table

TAR_SUFFIXES = (".tar", ".tgz", ".tar.gz")
_LARGEST_INDEX = 1 << 24
_MOST_SHARDS = 1024
_MOST_AXES = 8
_DEEPEST = 16
"""Most parts of a path in the file `checkpoint`."""
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 14: "<u2", 19: "<f2"}
_BFLOAT16 = 14
_PRECISIONS = {14: "bfloat16", 19: "float16"}
_TRAINING = re.compile(r"(.*/)?(global_step|beta[12]_power(_\d+)?)|.*/(Adam(_\d+)?|opaque_kernel)")


class _Checkpoint(NamedTuple):
    """Open files, one prefix among them."""

    files: Mapping[str, Region]
    """By name, relative to the folder or archive."""
    prefix: str
    note: str
    """What the user should know of the choice of this prefix, if anything."""


class _Entry(NamedTuple):
    """A variable in the index."""

    dtype: int
    """TensorFlow's number"""
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int | None


def read_tf_checkpoint(path: Path | str) -> dict[str, np.ndarray]:
    """All variables of a checkpoint, by TensorFlow name; what only training needs as well.

    Args:
        path: see `read_tf_original`.

    Raises:
        KikiboubaError: missing or damaged files.
    """
    original = read_tf_original(path, training=True)
    if original.missing:
        needs = ", ".join(sorted(set(original.missing.values())))
        raise KikiboubaError(f"{path} is incomplete: it {needs} beside the .index file")
    return dict(original.variables)


def read_tf_original(path: Path | str, training: bool = False) -> Original:
    """The variables of a checkpoint, as far as its data shards are there.

    Args:
        path: the prefix (or one of the files it begins), a folder of checkpoints, or an archive of one (.tar,
            .tar.gz, .tgz). Of several checkpoints that one is read which the file `checkpoint` names, or else
            the newest.
        training: also what `for_training_only`; otherwise it is left unread.

    Raises:
        KikiboubaError: no checkpoint, or damaged.
    """
    with _open(Path(path)) as found:
        entries, shard_count = _read_index(found.files[found.prefix + ".index"])
        names = [f"{found.prefix}.data-{i:05d}-of-{shard_count:05d}" for i in range(shard_count)]
        left = sum(found.files[name].size for name in names if name in found.files)
        unwanted = set() if training else for_training_only(entries)
        variables: dict[str, np.ndarray] = {}
        missing: dict[str, str] = {}
        for name, entry in entries.items():
            if name in unwanted:
                continue
            if entry.shard >= shard_count:
                raise KikiboubaError(f"{path} is damaged: variable {name!r} lies in a shard that it has not")
            if (shard := names[entry.shard]) not in found.files:
                missing[name] = f"needs {shard}"
                continue
            left -= entry.size
            if left < 0:
                raise KikiboubaError(f"{path} is damaged: its variables share their data")
            variables[name] = _read_array(name, entry, found.files[shard])
    stored = (_PRECISIONS.get(entries[name].dtype, "") for name in variables)
    notes = (found.note,) if found.note else ()
    return Original("tensorflow", variables, missing, {}, max(stored, default="") or "float32", notes)


def for_training_only(names: Collection[str]) -> set[str]:
    """Which of a checkpoint's variables only training needs: counters, cuDNN's copies of the LSTM kernels,
    and slots, which an optimiser keeps for a variable under the variable's name.
    """
    known = set(names)
    return {name for name in names if _TRAINING.fullmatch(name) or name.rpartition("/")[0] in known}


# ---------------------------------------------------------------------------------------------- which files


def is_tf_checkpoint(path: Path) -> bool:
    """Whether a path looks like a checkpoint: prefix, one of its files, folder with an index, archive."""
    if path.is_dir():
        places = (path, path / "train")
        return any((place / "checkpoint").is_file() or any(place.glob("*.index")) for place in places)
    return path.name.lower().endswith(TAR_SUFFIXES) or _index_file(path).is_file()


def _index_file(path: Path) -> Path:
    prefix = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path.name)
    return path.with_name(prefix + ".index")


@contextmanager
def _open(path: Path) -> Iterator[_Checkpoint]:
    """The files of a checkpoint."""
    if path.is_file() and path.name.lower().endswith(TAR_SUFFIXES):
        with open_tar(path) as files:
            said = {name: file for name, file in files.items() if name.rpartition("/")[2] == "checkpoint"}
            prefixes = [name.removesuffix(".index") for name in files if name.endswith(".index")]
            yield _Checkpoint(files, *_choose(path, prefixes, {name: _text(said[name]) for name in said}))
        return
    folder, note = path, ""
    if path.is_dir():
        lists = [
            file for place in ("checkpoint", "*/checkpoint") for file in path.glob(place) if file.is_file()
        ]
        with open_files(path, lists) as said:
            texts = {name: _text(file) for name, file in said.items()}
        indices = [*path.glob("*.index"), *path.glob("*/*.index")]
        names = [index.relative_to(path).as_posix() for index in indices]
        prefix, note = _choose(path, [name.removesuffix(".index") for name in names], texts)
    else:
        folder, prefix = path.parent, _index_file(path).name.removesuffix(".index")
        if not _index_file(path).is_file():
            raise KikiboubaError(f"no checkpoint index {_index_file(path)}: give the path without '.index'")
    index = folder / f"{prefix}.index"
    shards = [file for file in index.parent.iterdir() if file.name.startswith(f"{index.stem}.data-")]
    with open_files(folder, [index, *shards]) as files:
        yield _Checkpoint(files, prefix, note)


def _text(file: Region) -> str:
    return file.read(0, min(file.size, 1 << 20)).tobytes().decode("utf-8", "replace")


def _choose(path: Path, prefixes: Sequence[str], said: Mapping[str, str]) -> tuple[str, str]:
    """Which of several prefixes to read, and what to tell the user of that choice.

    Args:
        path: the folder or archive.
        prefixes: of the checkpoints in it.
        said: the files `checkpoint` in it, by name → what they say.
    """
    if not prefixes:
        raise KikiboubaError(f"{path} holds no checkpoint (no .index file)")
    newest = max(prefixes, key=_step)
    top = min((name.count("/") for name in said), default=0)
    texts = {name: text for name, text in said.items() if name.count("/") == top}
    if len(texts) == 1:
        ((name, text),) = texts.items()
        match = re.search(r'^model_checkpoint_path:\s*"([^"]+)"', text, re.MULTILINE)
        parts = re.split(r"[/\\]+", match[1])[-_DEEPEST:] if match else []
        for k in range(len(parts)):  # it may be a path on the machine that trained
            if (prefix := "/".join([*name.split("/")[:-1], *parts[k:]])) in prefixes:
                return prefix, ""
        if parts and len(prefixes) == 1:
            return newest, f"{path} speaks of a checkpoint {parts[-1]}, which is not there; {newest} is taken"
    if len(prefixes) == 1:
        return newest, ""
    if sum(_step(prefix) == _step(newest) for prefix in prefixes) > 1:
        names = ", ".join(sorted(prefixes)[:9])
        raise KikiboubaError(
            f"{path} holds several checkpoints, none the newest: {names}; name one by its prefix"
        )
    return newest, f"{path} holds {len(prefixes)} checkpoints; {newest}, the newest, is taken"


def _step(prefix: str) -> int:
    """The training step in a name like model.ckpt-4000; -1 without one."""
    match = re.search(r"-(\d{1,18})$", prefix)
    return int(match[1]) if match else -1


# ----------------------------------------------------------------------------------------- index and arrays


def _read_index(index: Region) -> tuple[dict[str, _Entry], int]:
    """(the variables, number of shards)."""
    if index.size > _LARGEST_INDEX:
        raise KikiboubaError(f"{index.name} is too large to be a checkpoint's index")
    try:
        table = read_string_table(index.read().tobytes())
        header = _fields(table.pop(b"", b""))
        shards = _number(header, 1) if header else 1
        if _number(header, 2):
            raise KikiboubaError("it says big-endian, which no machine of the originals was")
        if not 1 <= shards <= _MOST_SHARDS:
            raise KikiboubaError(f"it speaks of {shards} data shards")
        return {(name := _decode(key)): _entry(name, value) for key, value in table.items()}, shards
    except KikiboubaError as error:
        raise KikiboubaError(f"{index.name} cannot be read: {error}") from None


def _entry(name: str, message: bytes) -> _Entry:
    fields = _fields(message)
    if _number(fields, 1) not in _DTYPES:
        raise KikiboubaError(f"variable {name!r} has the type {_number(fields, 1)}, which is no array's")
    if 7 in fields:
        raise KikiboubaError(f"variable {name!r} is stored in slices, which no original model's is")
    dims = [_number(_fields(dim), 1) for dim in _fields(_message(fields, 2)).get(2, [])]
    entry = _Entry(
        dtype=_number(fields, 1),
        shape=tuple(dims),
        shard=_number(fields, 3),
        offset=_number(fields, 4),
        size=_number(fields, 5),
        checksum=_number(fields, 6) if 6 in fields else None,
    )
    wanted = np.dtype(_DTYPES[entry.dtype]).itemsize * math.prod(dims)
    if entry.size != wanted or len(dims) > _MOST_AXES or max(dims, default=0) >= 1 << 31:
        raise KikiboubaError(f"variable {name!r} has sizes that contradict each other")
    return entry


def _read_array(name: str, entry: _Entry, shard: Region) -> np.ndarray:
    content = shard.read(entry.offset, entry.size)
    if entry.checksum is not None and masked_crc32c(content) != entry.checksum:
        raise KikiboubaError(f"the data of variable {name!r} is damaged (its checksum is wrong)")
    values = content.view(_DTYPES[entry.dtype])
    if entry.dtype == _BFLOAT16:
        values = (values.astype("<u4") << 16).view("<f4")
    return values.reshape(entry.shape)


def _fields(message: int | bytes) -> dict[int, list[int | bytes]]:
    """A protocol-buffer message as field number → values: numbers, or bytes of nested messages."""
    if not isinstance(message, bytes):
        raise KikiboubaError("a number stands where a message belongs")
    fields: dict[int, list[int | bytes]] = {}
    for number, wire, start, end in each_field(message):
        content = message[start:end]
        value = varint(message, start, end)[0] if wire == VARINT else int.from_bytes(content, "little")
        fields.setdefault(number, []).append(content if wire == BYTES else value)
    return fields


def _number(fields: Mapping[int, list[int | bytes]], number: int) -> int:
    """A field that is a whole number; 0 if absent."""
    value = fields.get(number, [0])[0]
    if not isinstance(value, int):
        raise KikiboubaError("text stands where a number belongs")
    return value


def _message(fields: Mapping[int, list[int | bytes]], number: int) -> int | bytes:
    """A field that is a nested message; empty if absent."""
    return fields.get(number, [b""])[0]


def _decode(key: bytes) -> str:
    name = key.decode("utf-8", "replace")
    if not name.isprintable() or "\ufffd" in name:
        raise KikiboubaError("the name of a variable is not text")
    return name
