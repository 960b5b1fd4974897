"""Original checkpoints made on the spot, in formats that the package itself only reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from kikibouba.data.crc32c import masked_crc32c


def write_tf_checkpoint(prefix: Path, variables: Mapping[str, np.ndarray], shards: int = 1) -> Path:
    """Write a checkpoint; names share prefixes within blocks of three entries."""
    data, entries = [b""] * shards, {b"": field(1, shards) + field(3, field(1, 1))}
    for k, name in enumerate(sorted(variables)):
        value, shard = np.asarray(variables[name]), k % shards
        dims = b"".join(field(2, field(1, n)) for n in value.shape)
        content = value.tobytes()
        entries[name.encode()] = (
            field(1, {"float32": 1, "float64": 2, "int64": 9, "uint16": 14}[value.dtype.name])
            + field(2, dims)
            + field(3, shard)
            + field(4, len(data[shard]))
            + field(5, len(content))
            + bytes([6 << 3 | 5])
            + masked_crc32c(content).to_bytes(4, "little")
        )
        data[shard] += content
    names = sorted(entries)
    blocks = [{name: entries[name] for name in names[start : start + 3]} for start in range(0, len(names), 3)]
    table = index_table([(max(block), _entries(block)) for block in blocks])
    prefix.with_name(prefix.name + ".index").write_bytes(table)
    for shard, content in enumerate(data):
        prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
    return prefix


def index_table(blocks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A string table of some blocks of entries, each with its last name."""
    table, handles = b"", {}
    for name, content in blocks:
        block = _block(content)
        handles[name] = varint(len(table)) + varint(len(block) - 5)
        table += block
    meta = varint(len(table)) + varint(8)
    table += _block(b"")
    index = _block(_entries(handles))
    footer = meta + varint(len(table)) + varint(len(index) - 5)
    return table + index + footer.ljust(40, b"\0") + (0xDB4775248B80FB57).to_bytes(8, "little")


def _block(content: bytes) -> bytes:
    """Entries, one restart, the type of compression (none) and the checksum."""
    content += bytes(4) + (1).to_bytes(4, "little") + b"\0"
    return content + masked_crc32c(content).to_bytes(4, "little")


def _entries(entries: Mapping[bytes, bytes]) -> bytes:
    """Names without what they share with the one before, and values."""
    content, previous = b"", b""
    for key, value in entries.items():
        shared = len(_common(previous, key))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        previous = key
    return content


def _common(a: bytes, b: bytes) -> bytes:
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return a[:n]


def varint(number: int) -> bytes:
    """A whole number as protocol buffers write it."""
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol-buffer message: a number, or a message of its own."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def write_pth(folder: Path, module: torch.nn.Module, stem: str = "bestmodel", wrap: str = "") -> Path:
    """Write a music translation network: a file for each domain, as the original's processes do, one of them
    in the format of 2019.
    """

    def part(prefix: str) -> dict[str, torch.Tensor]:
        weights = module.state_dict().items()
        return {wrap + k.removeprefix(prefix): v.clone() for k, v in weights if k.startswith(prefix)}

    folder.mkdir(exist_ok=True)
    for k in range(len(module.decoders)):
        state = {"encoder_state": part("encoder."), "decoder_state": part(f"decoders.{k}.")}
        state |= {
            "discriminator_state": part("classifier."),
            "dataset": k,
            "model_optimizer_state": {"lr": 1},
        }
        torch.save(state, folder / f"{stem}_{k}.pth", _use_new_zipfile_serialization=k != 1)
    return folder


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
