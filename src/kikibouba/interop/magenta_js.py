"""Checkpoint folders of magenta.js, and those of its forerunner deeplearn.js.

magenta.js    config.json says what the model is; weights_manifest.json lists groups of {paths, weights}. The
              files of a group, joined in the order of `paths`, hold its weights one after another,
              little-endian and row-major. A weight may be quantised: value = q * scale + min.
deeplearn.js  manifest.json: name → {filename, shape}, one raw float32 file a variable; converter.json says
              what the data is, if it is there at all.

Both are read as far as they are there: what cannot be read is named in `Original.missing`.
"""

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from kikibouba.data.files import write_bytes, write_text
from kikibouba.errors import KikiboubaError
from kikibouba.interop.original import Original, read_json_object, shape_of
from kikibouba.interop.regions import open_files
from kikibouba.interop.tf_checkpoint import for_training_only

SHARD_BYTES = 4 << 20
"""Largest shard; what the original's converter writes."""
_LONGEST_NAME = 1024
MOST_ENTRIES = 4096
"""Most files or weights of a group; the largest published checkpoint has some 400 files and 50 weights."""
Precision = Literal["float32", "uint16", "uint8"]

_STORED = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}
_TARGETS = {"float32": "<f4", "int32": "<i4"}
_COARSENESS = ("float32", "float16", "uint16", "uint8")


class _Entry(NamedTuple):
    """A variable in a manifest: where its bytes lie in its group, and what they mean."""

    name: str
    shape: tuple[int, ...]
    stored: str
    scale: float | None
    minimum: float
    start: int
    size: int


def is_magenta_js(path: Path) -> bool:
    """Whether a folder is a checkpoint of magenta.js."""
    return (path / "weights_manifest.json").is_file()


def is_deeplearn_js(path: Path) -> bool:
    """Whether a folder is a checkpoint of deeplearn.js."""
    return (path / "manifest.json").is_file()


def read_magenta_js(folder: Path | str) -> Original:
    """The variables of a magenta.js checkpoint, and its config.json as `spec` ({} if there is none).

    Raises:
        KikiboubaError: the manifest is damaged, or contradicts the files.
    """
    folder = Path(folder)
    manifest = read_json_object(folder / "weights_manifest.json")
    if (
        not isinstance(manifest, list)
        or not manifest
        or not all(isinstance(group, dict) for group in manifest)
    ):
        raise KikiboubaError(f"{folder / 'weights_manifest.json'} must be a list of groups of weights")
    config = folder / "config.json"
    spec = read_json_object(config) if config.is_file() else {}
    if not isinstance(spec, dict):
        raise KikiboubaError(f"{config} must be a JSON object")
    variables: dict[str, np.ndarray] = {}
    missing: dict[str, str] = {}
    stored: set[str] = set()
    paths: set[str] = set()
    for group in manifest:
        entries = _entries(group, folder)
        stored |= {entry.stored for entry in entries}
        _read_group(folder, _paths(group.get("paths"), paths, folder), entries, variables, missing)
    precision = max(stored & set(_COARSENESS), key=_COARSENESS.index, default="float32")
    return Original("magenta.js", variables, missing, spec, precision)


def _entries(group: Mapping[str, Any], folder: Path) -> list[_Entry]:
    weights = group.get("weights")
    if not isinstance(weights, list) or not all(isinstance(weight, dict) for weight in weights):
        raise KikiboubaError(f"{folder / 'weights_manifest.json'}: a group lacks its list of weights")
    _check_count(weights, folder)
    entries, start = [], 0
    for weight in weights:
        name = weight.get("name")
        if not isinstance(name, str) or not name.isprintable() or len(name) > _LONGEST_NAME:
            raise KikiboubaError(f"{folder / 'weights_manifest.json'} lists a weight without a usable name")
        shape, target = shape_of(weight.get("shape"), name), weight.get("dtype", "float32")
        quantization = weight.get("quantization") or {}
        if not isinstance(quantization, dict):
            raise KikiboubaError(f"the quantization of {name} must be an object with dtype, scale and min")
        stored = quantization.get("dtype", target)
        if target not in _TARGETS or stored not in _STORED | _TARGETS:
            raise KikiboubaError(
                f"{name} has the type {target!r} stored as {stored!r}, which is not known here"
            )
        scale = minimum = None
        if stored in ("uint8", "uint16"):
            scale, minimum = (_finite(quantization.get(key), name) for key in ("scale", "min"))
        size = math.prod(shape) * np.dtype((_STORED | _TARGETS)[stored]).itemsize
        entries.append(_Entry(name, shape, stored, scale, minimum or 0.0, start, size))
        start += size
    return entries


def _finite(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise KikiboubaError(f"the quantization of {name} must have finite numbers scale and min")
    return float(value)


def _paths(given: Any, known: set[str], folder: Path) -> list[str]:
    """Names of files out of a manifest, added to those that are known already: no file is read twice."""
    if not isinstance(given, list) or not given or not all(isinstance(path, str) for path in given):
        raise KikiboubaError(f"{folder}: its manifest lacks the names of files where they belong")
    _check_count(given, folder)
    for path in given:
        if path in ("", ".", "..") or set("/\\\0") & set(path) or len(path) > 255:
            raise KikiboubaError(f"{folder}: its manifest names {path[:60]!r}, which is no file beside it")
        if path in known:
            raise KikiboubaError(f"{folder}: its manifest names the file {path} twice")
        known.add(path)
    return given


def _check_count(entries: Sequence[Any], folder: Path) -> None:
    if len(entries) > MOST_ENTRIES:
        raise KikiboubaError(
            f"{folder / 'weights_manifest.json'} lists {len(entries)} files or weights; {MOST_ENTRIES} is "
            "the most allowed"
        )


def _read_group(
    folder: Path,
    paths: Sequence[str],
    entries: Sequence[_Entry],
    variables: dict[str, np.ndarray],
    missing: dict[str, str],
) -> None:
    """Read what is there of a group."""
    total = entries[-1].start + entries[-1].size if entries else 0
    there = {path: (folder / path).stat().st_size for path in paths if (folder / path).is_file()}
    starts = [0, *accumulate(_sizes(folder, paths, there, total))]
    unwanted = for_training_only([entry.name for entry in entries])
    for entry in entries:
        if entry.name in unwanted:
            continue
        if entry.name in variables or entry.name in missing:
            raise KikiboubaError(f"{folder / 'weights_manifest.json'} lists {entry.name} twice")
        stop = entry.start + entry.size
        needed = range(bisect_right(starts, entry.start) - 1, bisect_left(starts, stop)) if entry.size else ()
        if absent := [paths[k] for k in needed if paths[k] not in there]:
            missing[entry.name] = f"needs {', '.join(absent)}"
            continue
        content = np.empty(entry.size, np.uint8)
        for k in needed:
            low, high = max(entry.start, starts[k]), min(stop, starts[k + 1])
            with open_files(folder, [folder / paths[k]]) as files:
                part = files[paths[k]].read(low - starts[k], high - low)
            content[low - entry.start : high - entry.start] = part
        variables[entry.name] = _values(content, entry)


def _sizes(folder: Path, paths: Sequence[str], there: Mapping[str, int], total: int) -> list[int]:
    """The size of each file of a group. All but the last are of one size: that of missing ones."""
    if len(there) == len(paths):
        sizes = [there[path] for path in paths]
        if sum(sizes) != total:
            raise KikiboubaError(
                f"the files of {folder} hold {sum(sizes)} bytes of weights where weights_manifest.json lists "
                f"{total}: one of them is truncated, or belongs to another checkpoint"
            )
        return sizes
    usual = next((there[path] for path in paths[:-1] if path in there), SHARD_BYTES)
    sizes = [usual] * (len(paths) - 1) + [total - usual * (len(paths) - 1)]
    if sizes[-1] < 0 or any(there.get(path, size) != size for path, size in zip(paths, sizes, strict=True)):
        absent = ", ".join(path for path in paths if path not in there)
        raise KikiboubaError(
            f"{folder} lacks {absent}, and the sizes of the other files do not tell what it held"
        )
    return sizes


def _values(content: np.ndarray, entry: _Entry) -> np.ndarray:
    """The stored bytes as float32."""
    raw = content.view((_STORED | _TARGETS)[entry.stored])
    if entry.scale is None:
        return raw.astype(np.float32, copy=False).reshape(entry.shape)
    values = np.empty(len(raw), np.float32)
    for start in range(0, len(raw), 1 << 20):  # in double precision, but not all at once
        part = raw[start : start + (1 << 20)]
        values[start : start + len(part)] = part.astype(np.float64) * entry.scale + entry.minimum
    return values.reshape(entry.shape)


def read_deeplearn_js(folder: Path | str) -> Original:
    """The variables of a deeplearn.js checkpoint; `spec` has "dataConverter" if there is a converter.json.

    Raises:
        KikiboubaError: the manifest is damaged, or a file has another size than it says.
    """
    folder = Path(folder)
    manifest = read_json_object(folder / "manifest.json")
    if not isinstance(manifest, dict) or not manifest:
        raise KikiboubaError(f"{folder / 'manifest.json'} must be an object: variable → filename and shape")
    variables: dict[str, np.ndarray] = {}
    missing: dict[str, str] = {}
    paths: set[str] = set()
    unwanted = for_training_only(manifest)
    for name, entry in manifest.items():
        if name in unwanted:
            continue
        if not isinstance(entry, dict):
            raise KikiboubaError(f"{folder / 'manifest.json'} names no file for {name}")
        (path,) = _paths([entry.get("filename")], paths, folder)
        shape = shape_of(entry.get("shape"), name)
        if not (folder / path).is_file():
            missing[name] = f"needs {path}"
            continue
        with open_files(folder, [folder / path]) as files:
            if files[path].size != 4 * math.prod(shape):
                raise KikiboubaError(
                    f"{folder / path} does not hold the {math.prod(shape)} numbers of {name}"
                )
            variables[name] = files[path].read().view("<f4").reshape(shape)
    converter = folder / "converter.json"
    spec = {"dataConverter": read_json_object(converter)} if converter.is_file() else {}
    return Original("deeplearn.js", variables, missing, spec)


def write_magenta_js(
    folder: Path | str,
    variables: Mapping[str, np.ndarray],
    spec: Mapping[str, Any],
    precision: Precision = "float32",
) -> list[Path]:
    """Write a checkpoint folder that magenta.js loads.

    Args:
        folder: new or empty.
        variables: TensorFlow's name → float32.
        spec: what config.json says.
        precision: "uint16" and "uint8" quantise every variable over its own range, zero kept exact.

    Returns:
        The files, config.json last: without it nothing takes the folder for a checkpoint.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise KikiboubaError(f"{folder} is not empty; name a new folder")
    except OSError as error:
        raise KikiboubaError(f"cannot write to {folder}: {error.strerror or error}") from None
    entries, parts = [], []
    for name in sorted(variables):
        value = np.ascontiguousarray(variables[name], "<f4")
        entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": "float32"}
        if precision != "float32":
            value, scale, minimum = quantise(value, precision)
            entry["quantization"] = {"dtype": precision, "scale": scale, "min": minimum}
        entries.append(entry)
        parts.append(value.tobytes())
    content = b"".join(parts)
    count = -(-len(content) // SHARD_BYTES)
    paths = [f"group1-shard{i + 1}of{count}.bin" for i in range(count)]
    files = [
        write_bytes(folder / path, content[i * SHARD_BYTES : (i + 1) * SHARD_BYTES])
        for i, path in enumerate(paths)
    ]
    manifest = [{"paths": paths, "weights": entries}]
    files.append(write_text(folder / "weights_manifest.json", json.dumps(manifest, indent=1) + "\n"))
    files.append(write_text(folder / "config.json", json.dumps(spec, indent=2) + "\n"))
    return files


def quantise(value: np.ndarray, precision: Literal["uint16", "uint8"]) -> tuple[np.ndarray, float, float]:
    """(whole numbers, scale, min) with value ≈ number * scale + min.

    The range always takes in zero, and min is a whole multiple of scale, so that 0.0 comes back as 0.0.
    """
    top = np.iinfo(precision).max
    low, high = min(0.0, float(value.min(initial=0.0))), max(0.0, float(value.max(initial=0.0)))
    scale = (high - low) / top or 1.0
    minimum = -round(-low / scale) * scale
    numbers = np.clip(np.rint((value.astype(np.float64) - minimum) / scale), 0, top)
    return numbers.astype((_STORED)[precision]), scale, minimum
