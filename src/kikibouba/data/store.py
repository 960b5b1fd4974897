"""Datasets on disk: a folder of memory-mapped arrays that opens in milliseconds, whatever its size.

    meta.json                 {"format": 2, "representation": {...}, "counts": {"train": n, ...}, "files": n,
                              "fingerprint": ..., "categories": [...], ...}
    <split>.rows.npy          every example of the split, end to end: [R] labels or [R, K] rows of K columns
    <split>.offsets.npy       int64 [n + 1]: example i is rows[offsets[i]:offsets[i + 1]]
    <split>.categories.npy    int32 [n], optional: index into meta["categories"], -1 for none
    sources.jsonl             the files it was made from, a line each: {"file", "sha256", "counts" by split}

Rows are ready for a model: whatever scaling a representation records (a sketch's `scale_factor`) is applied
already.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

import numpy as np

from kikibouba.config import read_json, representation_from_dict
from kikibouba.errors import KikiboubaError, did_you_mean

FORMAT = 2
SPLITS = ("train", "valid", "test")


class Split:
    """The examples of one split; reading one copies nothing."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.rows = _load(folder / f"{name}.rows.npy")
        self.offsets = _load(folder / f"{name}.offsets.npy")
        categories = folder / f"{name}.categories.npy"
        self.categories: np.ndarray | None = _load(categories) if categories.exists() else None
        if self.offsets.ndim != 1 or not len(self.offsets) or self.offsets[-1] != len(self.rows):
            raise KikiboubaError(
                f"{folder} is damaged: {name}.offsets and {name}.rows disagree; prepare it again"
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        """Example i, a read-only view: labels [T], or rows [T, K] such as stroke-3 [N, 3]."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.name} has {len(self)} examples, no number {i}")
        i %= len(self)
        return self.rows[self.offsets[i] : self.offsets[i + 1]]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Rows of each example, int64 [n]; where all are equally long, one number seen n times."""
        lengths = np.diff(self.offsets)
        if len(lengths) and (lengths == lengths[0]).all():
            return np.broadcast_to(lengths[:1].copy(), len(lengths))
        return lengths


class Dataset:
    """A prepared folder, opened for reading."""

    def __init__(self, path: str | Path) -> None:
        """Open a dataset folder.

        Raises:
            KikiboubaError: no such folder, not a dataset, or written by another version.
        """
        self.path = Path(path)
        if not (self.path / "meta.json").is_file():
            raise KikiboubaError(
                f"{path} holds no prepared dataset (no meta.json); make one with `kikibouba prepare`"
            )
        meta = read_json(self.path / "meta.json")
        if not isinstance(meta, dict) or meta.get("format") not in (1, FORMAT):
            raise KikiboubaError(
                f"{path}/meta.json is not of dataset format {FORMAT}; prepare the dataset again"
            )
        self.meta: dict[str, Any] = _from_format_1(meta) if meta["format"] == 1 else meta
        self.representation: Any = representation_from_dict(self.meta["representation"])

    @classmethod
    def open(cls, path: str | Path) -> "Dataset":
        """The dataset in a folder; see `__init__`."""
        return cls(path)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have examples."""
        return tuple(name for name, count in self.meta["counts"].items() if count)

    @property
    def categories(self) -> list[str]:
        """Category names, in the order `Split.categories` counts them."""
        return self.meta["categories"]

    def sources(self) -> Iterator[dict[str, Any]]:
        """The files it was made from, in the order of their examples: file, sha256, counts by split."""
        if "sources" in self.meta:  # format 1
            yield from self.meta["sources"]
            return
        with (self.path / "sources.jsonl").open(encoding="utf-8", errors="surrogateescape") as lines:
            yield from map(json.loads, lines)

    def split(self, name: str) -> Split:
        """The examples of "train", "valid" or "test"; an error names the splits there are."""
        if name not in self.splits:
            raise KikiboubaError(f"{self.path} has no {name!r} examples{did_you_mean(name, self.splits)}")
        return Split(self.path, name)


class DatasetWriter:
    """Collects a dataset in a hidden folder inside `folder` and moves it into place when it is complete.

    What was added goes to disk, so that memory does not grow with it. Leaving the `with` block through an
    exception (a full disk, Ctrl-C) removes what was collected and leaves an older dataset in `folder` as it
    was; what a killed process left there is removed by the next writer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for left_over in folder.glob(".unfinished-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        self._hidden = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
        self._arrays: dict[str, _GrowingArray] = {}
        self._counts = dict.fromkeys(SPLITS, 0)
        self._texts: dict[str, TextIO] = {}
        self._files, self._fingerprint = 0, sha256()

    def __enter__(self) -> "DatasetWriter":
        return self

    def add(
        self, split: str, rows: np.ndarray, lengths: np.ndarray, categories: np.ndarray | None = None
    ) -> None:
        """Append examples.

        Args:
            split: "train", "valid" or "test".
            rows: the examples end to end, [R] or [R, K], of one dtype throughout the dataset.
            lengths: rows of each example, int [n], summing to R.
            categories: int [n], -1 for none.
        """
        if not self._counts[split]:
            self._array(split, "rows", rows.dtype, rows.shape[1:])
            self._array(split, "offsets", np.dtype(np.int64), ()).append(np.zeros(1, np.int64))
            self._array(split, "categories", np.dtype(np.int32), ())
        growing, offsets = self._arrays[f"{split}.rows.npy"], self._arrays[f"{split}.offsets.npy"]
        offsets.append(growing.length + np.cumsum(lengths, dtype=np.int64))
        growing.append(rows)
        codes = np.full(len(lengths), -1) if categories is None else categories
        self._arrays[f"{split}.categories.npy"].append(codes.astype(np.int32))
        self._counts[split] += len(lengths)

    def _array(self, split: str, name: str, dtype: np.dtype, item_shape: tuple[int, ...]) -> "_GrowingArray":
        growing = _GrowingArray(self._hidden / f"{split}.{name}.npy", dtype, item_shape)
        self._arrays[f"{split}.{name}.npy"] = growing
        return growing

    def add_source(self, name: str, digest: str, counts: Mapping[str, int]) -> None:
        """Note a file that examples came from: its SHA-256 (hex) and how many each split got."""
        line = json.dumps({"file": name, "sha256": digest, "counts": dict(counts)}, ensure_ascii=False)
        self.text("sources.jsonl").write(line + "\n")
        self._files += 1
        self._fingerprint.update(digest.encode())

    def counts(self) -> dict[str, int]:
        """Examples added so far, by split."""
        return dict(self._counts)

    def rows(self, split: str) -> np.ndarray:
        """The rows added to a split so far, memory-mapped for reading and for changing in place."""
        self._arrays[f"{split}.rows.npy"].finish()
        return np.load(self._hidden / f"{split}.rows.npy", mmap_mode="r+")

    def text(self, name: str) -> TextIO:
        """A text file beside the arrays, open for writing; the same one whenever asked again."""
        if name not in self._texts:
            self._texts[name] = (self._hidden / name).open("w", encoding="utf-8", errors="surrogateescape")
        return self._texts[name]

    def close(self, meta: Mapping[str, Any]) -> Dataset:
        """Write `meta.json`, put everything in place, and open the result."""
        own = {
            "format": FORMAT,
            "counts": self.counts(),
            "files": self._files,
            "fingerprint": self._fingerprint.hexdigest(),
        }
        text = json.dumps({**own, **meta}, indent=1, ensure_ascii=False)
        self.text("meta.json").write(text + "\n")
        self.text("sources.jsonl")
        for growing in self._arrays.values():
            growing.finish()
        for file in [*self._texts.values(), *(growing.file for growing in self._arrays.values())]:
            file.close()
        for name in self._arrays:
            path = self._hidden / name
            if name.endswith("categories.npy") and not (np.load(path, mmap_mode="r") >= 0).any():
                path.unlink()
        self._put_in_place()
        return Dataset(self.folder)

    def _put_in_place(self) -> None:
        """Without meta.json a folder is no dataset; it goes first and comes last: no mixture is readable."""
        (self.folder / "meta.json").unlink(missing_ok=True)
        for split in SPLITS:
            for old in ("rows", "offsets", "categories"):
                (self.folder / f"{split}.{old}.npy").unlink(missing_ok=True)
        for new in sorted(self._hidden.iterdir(), key=lambda path: path.name == "meta.json"):
            new.replace(self.folder / new.name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in [*self._texts.values(), *(growing.file for growing in self._arrays.values())]:
            with suppress(OSError):  # on a full disk, closing fails as writing did
                file.close()
        shutil.rmtree(self._hidden, ignore_errors=True)


class _GrowingArray:
    """A .npy file appended to; numpy reserves room in its header for the first axis to grow."""

    def __init__(self, path: Path, dtype: np.dtype, item_shape: tuple[int, ...]) -> None:
        self.file: BinaryIO = path.open("wb")
        self.dtype, self.item_shape, self.length = dtype, item_shape, 0
        self.finish()

    def append(self, rows: np.ndarray) -> None:
        """Write rows [R, *item_shape] at the end."""
        if rows.dtype != self.dtype or rows.shape[1:] != self.item_shape:
            raise ValueError(
                f"rows {rows.dtype} {rows.shape} do not continue {self.dtype} [*, {self.item_shape}]"
            )
        self.file.write(np.ascontiguousarray(rows).data)
        self.length += len(rows)

    def finish(self) -> None:
        """Make the header say how many rows there are."""
        shape = (self.length, *self.item_shape)
        descr = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        self.file.seek(0)
        np.lib.format.write_array_header_1_0(self.file, header)
        self.file.seek(0, 2)
        self.file.flush()


def _from_format_1(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Format 1 held the sources in meta.json itself."""
    digest = sha256("".join(source["sha256"] for source in meta["sources"]).encode()).hexdigest()
    return {**meta, "files": len(meta["sources"]), "fingerprint": digest}


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise KikiboubaError(f"cannot read {path} ({error}); prepare the dataset again") from None
