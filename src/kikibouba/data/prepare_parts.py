"""Part files: what an unfinished `prepare` has read so far, and where in them each file's examples lie.

A part holds a few dozen input files. It is a row of numpy arrays, one after the other in the .npy format, and
`END`:

    records     JSON bytes: a list with a dictionary a file, see `prepare_worker`
    rows        all examples end to end, [R] or [R, K]
    lengths     [n] int64
    splits      [n] int8: index into `store.SPLITS`; -1: the file's own split
    categories  [n] int32: index into the record's list; -1: none
"""

import hashlib
import io
import json
import os
import shutil
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kikibouba.data.sources import Source
from kikibouba.errors import KikiboubaError

END = b"that is all"
"""A machine that stops may leave a file without its last bytes."""
CACHED_PARTS = 4
"""Parts held in memory while they are put together; files that lie side by side are mostly in one part."""


class Examples(NamedTuple):
    """Some examples end to end: all of a part, or those of one file."""

    rows: np.ndarray
    lengths: np.ndarray
    splits: np.ndarray
    categories: np.ndarray


class Reading(NamedTuple):
    """What reading one file gave."""

    record: dict[str, Any]
    examples: Examples


def end_to_end(arrays: Sequence[np.ndarray], split: int, category: int) -> Examples:
    """At least one example, all of one split and category."""
    lengths = np.array([len(array) for array in arrays], np.int64)
    count = len(arrays)
    return Examples(
        np.concatenate(arrays), lengths, np.full(count, split, np.int8), np.full(count, category, np.int32)
    )


NOTHING = Examples(np.empty(0), np.zeros(0, np.int64), np.zeros(0, np.int8), np.zeros(0, np.int32))


def write_part(path: Path, records: list[dict[str, Any]], blocks: list[Examples]) -> None:
    """Write a part file, whole or not at all."""
    content = io.BytesIO()
    np.save(content, np.frombuffer(json.dumps(records).encode(), np.uint8))
    for columns in zip(*(blocks or [NOTHING]), strict=True):
        np.save(content, np.concatenate(columns))
    content.write(END)
    write_whole(path, content.getbuffer())


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write the bytes of a part file, all of them or none."""
    unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(content)  # numpy's own writing does not tell a full disk
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _read_records(path: Path) -> list[dict[str, Any]] | None:
    """The records of a part; None if it is damaged."""
    try:
        with path.open("rb") as file:
            records = json.loads(np.load(file).tobytes())
            file.seek(-len(END), os.SEEK_END)
            return records if file.read() == END else None
    except (ValueError, EOFError):
        return None


def _read_part(path: Path) -> tuple[list[dict[str, Any]], Examples]:
    try:
        with path.open("rb") as file:
            return json.loads(np.load(file).tobytes()), Examples(*(np.load(file) for _ in Examples._fields))
    except (ValueError, EOFError):
        path.unlink()
        raise KikiboubaError(f"{path} was damaged; the same command reads its files again") from None


def signature(path: str) -> tuple[int, int]:
    """(bytes, time of change in ns) of a file, by which a changed one is known; (-1, -1) if it is gone."""
    try:
        stat = os.stat(path)
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


class Parts:
    """The parts of an unfinished run, in a folder named after the job: those of another job are discarded."""

    def __init__(self, folder: Path, job: dict[str, Any]) -> None:
        key = hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]
        self.root, self.folder = folder, folder / key
        if folder.is_dir() and not self.folder.is_dir():
            shutil.rmtree(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def name_for(self, files: Sequence[Source]) -> str:
        """What the parts of a chunk of files are called, but for the number and suffix of each."""
        names = "\n".join(file.name for file in files)
        return hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()[:24]

    def readings(self, sources: Sequence[Source]) -> "Readings":
        """What is known of the sources: those read before and unchanged since. Removes damaged parts."""
        readings = Readings(len(sources))
        number = {source.name: i for i, source in enumerate(sources)}
        for path in sorted(self.folder.glob("*.part")):
            if (records := _read_records(path)) is None:
                path.unlink()
                continue
            readings.paths.append(path)
            first = 0
            for place, record in enumerate(records):
                i = number.get(record["name"])
                if i is not None and signature(sources[i].path) == (record["bytes"], record["mtime"]):
                    readings.note(i, place, first)
                    if sources[i].split is not None or not record["splitless"]:
                        readings.categories.update(record["categories"])
                first += record["count"]
        return readings

    def begun(self) -> bool:
        """Whether anything has been read."""
        return any(self.folder.glob("*.part"))

    def remove(self) -> None:
        """The run is finished."""
        shutil.rmtree(self.root, ignore_errors=True)


class Readings:
    """Where the reading of each source lies: three numbers a source, so that many sources need no memory."""

    def __init__(self, count: int) -> None:
        self.paths: list[Path] = []
        self.categories: set[str] = set()
        """Of all examples that belong to some split."""
        self._part = np.full(count, -1, np.int32)
        self._place, self._first = np.zeros(count, np.int32), np.zeros(count, np.int64)
        self._cache: OrderedDict[int, tuple[list[dict[str, Any]], Examples, np.ndarray]] = OrderedDict()

    def note(self, i: int, place: int, first: int) -> None:
        """Source i is the file number `place` of the last part; its examples begin with number `first`."""
        self._part[i], self._place[i], self._first[i] = len(self.paths) - 1, place, first

    def has(self, i: int) -> bool:
        """Whether source i has a reading."""
        return bool(self._part[i] >= 0)

    def __iter__(self) -> Iterator[Reading | None]:
        """The reading of every source in order; None where there is none."""
        return (self._get(i) if self.has(i) else None for i in range(len(self._part)))

    def _get(self, i: int) -> Reading:
        records, examples, offsets = self._load(int(self._part[i]))
        record, first = records[self._place[i]], self._first[i]
        last = first + record["count"]
        own = slice(first, last)
        return Reading(
            record,
            Examples(
                examples.rows[offsets[first] : offsets[last]],
                examples.lengths[own],
                examples.splits[own],
                examples.categories[own],
            ),
        )

    def _load(self, part: int) -> tuple[list[dict[str, Any]], Examples, np.ndarray]:
        if part not in self._cache:
            if len(self._cache) == CACHED_PARTS:
                self._cache.popitem(last=False)
            records, examples = _read_part(self.paths[part])
            self._cache[part] = records, examples, np.append(0, np.cumsum(examples.lengths))
        self._cache.move_to_end(part)
        return self._cache[part]
