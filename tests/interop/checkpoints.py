"""Original checkpoints made on the spot, in formats that the package itself only reads."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kikibouba.data.crc32c import masked_crc32c


def write_tf_checkpoint(prefix: Path, variables: Mapping[str, np.ndarray]) -> Path:
    """Write a checkpoint in one shard; names share prefixes within blocks of three entries."""
    data, entries = b"", {b"": _field(1, 1) + _message(3, _field(1, 1))}
    for name in sorted(variables):
        value = np.asarray(variables[name])
        dims = b"".join(_message(2, _field(1, n)) for n in value.shape)
        content = value.tobytes()
        entries[name.encode()] = (
            _field(1, {"float32": 1, "int64": 9, "uint16": 14}[value.dtype.name])
            + _message(2, dims)
            + _field(4, len(data))
            + _field(5, len(content))
            + bytes([6 << 3 | 5])
            + masked_crc32c(content).to_bytes(4, "little")
        )
        data += content
    table, handles = b"", {}
    names = sorted(entries)
    for start in range(0, len(names), 3):
        block = _block({name: entries[name] for name in names[start : start + 3]})
        handles[names[min(start + 2, len(names) - 1)]] = _varint(len(table)) + _varint(len(block) - 5)
        table += block
    meta = _varint(len(table))
    table += _block({})
    meta += _varint(8)
    index = _block(handles)
    footer = meta + _varint(len(table)) + _varint(len(index) - 5)
    table += index + footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")
    prefix.with_name(prefix.name + ".index").write_bytes(table)
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)
    return prefix


def _block(entries: Mapping[bytes, bytes]) -> bytes:
    """Entries, one restart, the type of compression (none) and the checksum."""
    content, previous = b"", b""
    for key, value in entries.items():
        shared = len(_common(previous, key))
        content += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        previous = key
    content += bytes(4) + (1).to_bytes(4, "little") + b"\0"
    return content + masked_crc32c(content).to_bytes(4, "little")


def _common(a: bytes, b: bytes) -> bytes:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def write_deeplearn_js(folder: Path, variables: Mapping[str, np.ndarray], converter: dict | None) -> Path:
    """Write a checkpoint folder of 2017."""
    folder.mkdir()
    manifest = {}
    for name, value in variables.items():
        manifest[name] = {"filename": name.replace("/", "_"), "shape": list(value.shape)}
        (folder / name.replace("/", "_")).write_bytes(value.astype("<f4").tobytes())
    (folder / "manifest.json").write_text(json.dumps(manifest))
    if converter is not None:
        (folder / "converter.json").write_text(json.dumps(converter))
    return folder
