"""Datasets on disk: a folder of memory-mapped arrays that opens in milliseconds, whatever its size.

    meta.json                 {"format": 1, "representation": {...}, "counts": {...}, "sources": [...], ...}
    <split>.rows.npy          every example of the split, end to end: [R] labels or [R, 3] stroke-3 rows
    <split>.offsets.npy       int64 [n + 1]: example i is rows[offsets[i]:offsets[i + 1]]
    <split>.categories.npy    int32 [n], optional: index into meta["categories"], -1 for none

Rows are ready for a model: whatever scaling a representation records (a sketch's `scale_factor`) is applied
already.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from kikibouba.config import read_json, representation_from_dict
from kikibouba.errors import KikiboubaError, did_you_mean

FORMAT = 1
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
        """Example i, a read-only view: labels [T] or stroke-3 [N, 3]."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.name} has {len(self)} examples, no number {i}")
        i %= len(self)
        return self.rows[self.offsets[i] : self.offsets[i + 1]]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Rows of each example, int64 [n]."""
        return np.diff(self.offsets)


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
        self.meta: dict[str, Any] = read_json(self.path / "meta.json")
        if not isinstance(self.meta, dict) or self.meta.get("format") != FORMAT:
            raise KikiboubaError(
                f"{path}/meta.json is not of dataset format {FORMAT}; prepare the dataset again"
            )
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

    def split(self, name: str) -> Split:
        """The examples of "train", "valid" or "test"; an error names the splits there are."""
        if name not in self.splits:
            raise KikiboubaError(f"{self.path} has no {name!r} examples{did_you_mean(name, self.splits)}")
        return Split(self.path, name)


class DatasetWriter:
    """Collects a dataset in a hidden folder inside `folder` and moves it into place when it is complete.

    Leaving the `with` block through an exception (a full disk, Ctrl-C) removes what was collected and
    leaves an older dataset in `folder` as it was.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._hidden = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
        self._rows: dict[str, _GrowingArray] = {}
        self._lengths: dict[str, list[np.ndarray]] = {}
        self._categories: dict[str, list[np.ndarray]] = {}

    def __enter__(self) -> "DatasetWriter":
        return self

    def add(
        self, split: str, rows: np.ndarray, lengths: np.ndarray, categories: np.ndarray | None = None
    ) -> None:
        """Append examples.

        Args:
            split: "train", "valid" or "test".
            rows: the examples end to end, [R] or [R, D], of one dtype throughout the dataset.
            lengths: rows of each example, int [n], summing to R.
            categories: int [n], -1 for none.
        """
        if split not in self._rows:
            self._rows[split] = _GrowingArray(self._hidden / f"{split}.rows.npy", rows.dtype, rows.shape[1:])
            self._lengths[split], self._categories[split] = [], []
        self._rows[split].append(rows)
        self._lengths[split].append(lengths)
        self._categories[split].append(np.full(len(lengths), -1) if categories is None else categories)

    def counts(self) -> dict[str, int]:
        """Examples added so far, by split."""
        return {name: sum(map(len, self._lengths.get(name, ()))) for name in SPLITS}

    def rows(self, split: str) -> np.ndarray:
        """The rows added to a split so far, memory-mapped for reading and for changing in place."""
        self._rows[split].finish()
        return np.load(self._hidden / f"{split}.rows.npy", mmap_mode="r+")

    def write_text(self, name: str, text: str) -> None:
        """A text file beside the arrays."""
        (self._hidden / name).write_text(text, encoding="utf-8")

    def close(self, meta: Mapping[str, Any]) -> Dataset:
        """Write offsets, categories and `meta.json`, put everything in place, and open the result."""
        for split, growing in self._rows.items():
            growing.finish()
            offsets = np.concatenate([[0], np.cumsum(np.concatenate(self._lengths[split]))]).astype(np.int64)
            np.save(self._hidden / f"{split}.offsets.npy", offsets)
            categories = np.concatenate(self._categories[split]).astype(np.int32)
            if (categories >= 0).any():
                np.save(self._hidden / f"{split}.categories.npy", categories)
        text = json.dumps({"format": FORMAT, "counts": self.counts(), **meta}, indent=1, ensure_ascii=False)
        (self._hidden / "meta.json").write_text(text + "\n", encoding="utf-8")
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
        for growing in self._rows.values():
            growing.file.close()
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
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        self.file.seek(0)
        np.lib.format.write_array_header_1_0(self.file, header)
        self.file.seek(0, 2)
        self.file.flush()


def _load(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise KikiboubaError(f"cannot read {path} ({error}); prepare the dataset again") from None
