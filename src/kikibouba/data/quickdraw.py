"""Drawings in the wild: Sketch-RNN's .npz files and QuickDraw's .ndjson.

The .npz files hold object arrays, that is, Python pickles, and a pickle may run any code. So nothing of
numpy's own loading is used: `_ArrayUnpickler` knows a few names, each a stand-in below that merely notes what
the pickle says, and the arrays are then built here, from bytes whose number has been checked.
"""

import gzip
import io
import json
import lzma
import math
import pickle
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from kikibouba.data.strokes import from_lines
from kikibouba.errors import KikiboubaError

SPLITS = ("train", "valid", "test", "holdout", "strokes")
"""Names of arrays that hold drawings; `strokes` is a single drawing, as `Drawing.save` writes it."""
MAX_BYTES = 2**30
"""Unpacked size up to which a file is read: QuickDraw's largest class is a fifth of that."""
MAX_TOTAL = 100_000_000
"""Points in all drawings of a file together."""
MAX_POINTS = 100_000
"""Points in one drawing; beyond it is not a drawing."""

_NUMBERS = {kind + size for kind in "iu" for size in "1248"} | {"f2", "f4", "f8", "b1"}


class Records(NamedTuple):
    """The drawings of an .ndjson file; the first four lists are parallel."""

    drawings: list[np.ndarray]
    """stroke-3 float32 [N, 3]"""
    categories: list[str]
    """What was to be drawn; "" where the file does not say."""
    key_ids: list[str]
    lines: list[int]
    """Where in the file, from 1."""
    problems: list[str]
    """One line for each record left out: where and why."""


def read_npz(path: str | Path, problems: list[str] | None = None) -> dict[str, list[np.ndarray]]:
    """The drawings of a Sketch-RNN .npz by split, as stroke-3 float32 [N, 3] in the file's units.

    Drawings that are no drawings (wrong shape, NaN, no points) are left out, and if `problems` is given, a
    line on each is appended to it. Every drawing returned ends with pen = 1.

    Args:
        path: a file with arrays named as in `SPLITS`, pickled by Python 2 or 3, or dense [n, N, 3].
        problems: a list to append to.

    Raises:
        KikiboubaError: no such file, damaged, too large, holding more than arrays, or no usable drawing.
    """
    numbered = read_npz_numbered(path, [] if problems is None else problems)
    return {name: list(drawings.values()) for name, drawings in numbered.items()}


def read_npz_numbered(path: str | Path, problems: list[str]) -> dict[str, dict[int, np.ndarray]]:
    """`read_npz` with the index of each drawing in its array."""
    splits: dict[str, dict[int, np.ndarray]] = {}
    points = 0
    for name, content in _read_zip(Path(path)).items():
        try:
            raw = _read_npy(content)
        except Exception as error:  # a damaged pickle makes its reader stumble in any way
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise KikiboubaError(f"{path}: array {name!r} cannot be read: {reason}") from None
        found = [raw] if name == "strokes" else list(raw)
        splits[name] = {}
        for index, drawing in enumerate(found):
            try:
                splits[name][index] = _checked(drawing)
            except KikiboubaError as error:
                problems.append(f"{name}[{index}]: {error}")
                continue
            points += len(drawing)
            if points > MAX_TOTAL:  # a small pickle may name one array a million times
                raise KikiboubaError(f"{path} holds more than {MAX_TOTAL} points; split it")
    if not any(splits.values()):
        reason = f": {problems[0]}" if problems else ""
        raise KikiboubaError(f"{path} holds no usable drawing{reason}")
    return splits


def _read_zip(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = {name: entries[name] for name in SPLITS if name in entries}
            if not wanted:
                held = ", ".join(sorted(entries)[:5]) or "nothing"
                raise KikiboubaError(
                    f"{path} holds {held}, but no drawings; they must be named {', '.join(SPLITS)}"
                )
            if sum(info.file_size for info in wanted.values()) > MAX_BYTES:
                raise KikiboubaError(f"{path} unpacks to more than {MAX_BYTES / 2**30:.0f} GiB")
            return {name: archive.read(info) for name, info in wanted.items()}
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, lzma.LZMAError) as error:
        raise KikiboubaError(f"{path} is no readable .npz: {error}") from None


def _read_npy(content: bytes) -> np.ndarray | list[Any]:
    """The array in the bytes of an .npy; of an object array the list of what it holds."""
    file = io.BytesIO(content)
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"unknown format version {version}")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        return _ArrayUnpickler(file, encoding="latin1").load().drawings()
    return _from_buffer(file.read(), str(dtype.str), shape, fortran)


def _from_buffer(buffer: bytes, dtype: str, shape: Sequence[int], fortran: bool) -> np.ndarray:
    if dtype[1:] not in _NUMBERS:
        raise ValueError(f"elements of type {dtype!r} where numbers are expected")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * np.dtype(dtype).itemsize != len(buffer):
        raise ValueError(f"{len(buffer)} bytes do not make a {dtype} array of shape {tuple(shape)}")
    return np.frombuffer(buffer, dtype).reshape(shape, order="F" if fortran else "C")


class _PickledDtype:
    """Stands in for numpy.dtype: notes the type code and byte order."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = str(code), "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = ">" if state[1] == ">" else "<"


class _PickledArray:
    """Stands in for numpy.ndarray: notes the state, of which the array is made."""

    def __init__(self, *_: object) -> None:
        self.state: tuple = ()
        self.array: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        self.state = state

    def drawings(self) -> list[Any]:
        """What a one-dimensional object array holds, or the drawings of a dense one."""
        _, shape, _, _, content = self.state
        if len(shape) > 1:
            return list(self.build())
        return [item.build() if isinstance(item, _PickledArray) else item for item in content]

    def build(self) -> np.ndarray:
        """The array of numbers, made once however often the pickle refers to it."""
        if self.array is None:
            self.array = self._build()
        return self.array

    def _build(self) -> np.ndarray:
        _, shape, dtype, fortran, content = self.state
        if dtype.code.startswith("O"):
            # numpy makes equally long drawings one object array [n, N, 3] of plain numbers
            if not all(isinstance(item, int | float) for item in content):
                raise ValueError("objects that are neither numbers nor arrays of numbers")
            return np.array(content, np.float64).reshape(shape)
        if isinstance(content, str):  # bytes pickled by Python 2
            content = content.encode("latin1")
        elif isinstance(content, _PickledBytes):
            content = content.content
        return _from_buffer(content, dtype.order + dtype.code, shape, fortran)


class _PickledBytes:
    """Stands in for _codecs.encode, by which Python 3 writes bytes in the older pickle protocols."""

    def __init__(self, text: str, encoding: str) -> None:
        if encoding != "latin1":
            raise pickle.UnpicklingError(f"bytes in encoding {encoding!r}")
        self.content = text.encode("latin1")

    def __setstate__(self, state: object) -> None:  # without it, a pickle could set attributes of this class
        raise pickle.UnpicklingError("bytes have no state")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _PickledArray,
    ("numpy", "dtype"): _PickledDtype,
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): _PickledArray,
    ("_codecs", "encode"): _PickledBytes,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads pickles of arrays of arrays; any other name in a pickle is refused before it is imported."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays of numbers are read")
        return _STAND_INS[module, name]


def _checked(drawing: Any) -> np.ndarray:
    """stroke-3 float32 of what a file claims to be a drawing.

    Raises:
        KikiboubaError: it is not one, and why.
    """
    strokes = drawing
    if not isinstance(strokes, np.ndarray):
        raise KikiboubaError(f"a {type(strokes).__name__} where an array of numbers is expected")
    if strokes.ndim != 2 or strokes.shape[1] != 3:
        hint = "; stroke-5? `to_stroke3` converts it" if strokes.shape[1:] == (5,) else ""
        raise KikiboubaError(f"shape {strokes.shape} where [N, 3] (dx, dy, pen) is expected{hint}")
    if not 0 < len(strokes) <= MAX_POINTS:
        raise KikiboubaError(f"{len(strokes)} points; 1 to {MAX_POINTS} are allowed")
    if strokes.dtype.kind in "ub":
        raise KikiboubaError(f"offsets of type {strokes.dtype} cannot be negative; write int16 or float32")
    if not np.isfinite(strokes).all():
        raise KikiboubaError("NaN or infinite offsets")
    if not np.isin(strokes[:, 2], (0, 1)).all():
        raise KikiboubaError("pen values other than 0 and 1")
    checked = strokes.astype(np.float32)
    checked[-1, 2] = 1
    return checked


def read_ndjson(path: str | Path, *, recognized_only: bool = True) -> Records:
    """The drawings of a QuickDraw .ndjson (simplified, or raw with times), also .ndjson.gz and .ndjson.xz.

    Args:
        path: one JSON record a line.
        recognized_only: leave out drawings that QuickDraw's classifier did not recognise.

    Raises:
        KikiboubaError: unreadable, or no usable drawing; says the commonest reasons.
    """
    records = Records([], [], [], [], [])
    reasons: Counter[str] = Counter()
    for number, line in enumerate(_read_lines(Path(path)), 1):
        if not line.strip():
            continue
        try:
            record = _parse_record(line)
            if recognized_only and record.get("recognized") is False:
                raise KikiboubaError("not recognized")
            strokes = drawing_to_strokes(record.get("drawing"))
        except KikiboubaError as error:
            reasons[str(error)] += 1
            records.problems.append(f"line {number}: {error}")
            continue
        records.drawings.append(strokes)
        records.categories.append(str(record.get("word", "")))
        records.key_ids.append(str(record.get("key_id", "")))
        records.lines.append(number)
    if not records.drawings:
        why = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(3)) or "no lines"
        raise KikiboubaError(f"{path} holds no usable drawing: {why}")
    return records


def _read_lines(path: Path) -> list[str]:
    opener = {".xz": lzma.open, ".gz": gzip.open}.get(path.suffix, open)
    try:
        with opener(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror or error}") from None
    except (EOFError, lzma.LZMAError) as error:
        raise KikiboubaError(f"{path} is damaged: {error}") from None
    if len(content) > MAX_BYTES:
        raise KikiboubaError(f"{path} unpacks to more than {MAX_BYTES / 2**30:.0f} GiB; split it")
    return content.decode("utf-8-sig", errors="replace").split("\n")


def _parse_record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise KikiboubaError("not valid JSON") from None
    if not isinstance(record, dict):
        raise KikiboubaError("not a JSON object")
    return record


def drawing_to_strokes(drawing: Any) -> np.ndarray:
    """A QuickDraw `drawing`, strokes `[[x, …], [y, …]]` or with times, → stroke-3 float32 [N, 3].

    Raises:
        KikiboubaError: it is not such a list, and why.
    """
    if not isinstance(drawing, list):
        raise KikiboubaError("no list of strokes under 'drawing'")
    lines = []
    for stroke in drawing:
        if not isinstance(stroke, list) or len(stroke) not in (2, 3):
            raise KikiboubaError("a stroke that is not [[x, …], [y, …]]")
        try:
            lines.append(np.array(stroke[:2], np.float64).T)
        except (ValueError, TypeError, OverflowError):
            raise KikiboubaError("a stroke whose x and y are not equally many numbers") from None
    if any(line.ndim != 2 or not np.isfinite(line).all() for line in lines):
        raise KikiboubaError("a stroke whose x and y are not equally many numbers")
    return _checked(from_lines(lines))
