"""What kind of thing each example of a dataset is: the category it was stored with, or a label that a user
gives the file it came from.
"""

import csv
import io
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from kikibouba.data.files import read_bytes
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError

HEADER = ["file", "label"]
MAX_BYTES = 100_000_000
WILD = "*?["
"""A name with one of these is a pattern."""


def read_labels(path: str | Path) -> dict[str, str]:
    """A labels file → name of a source file, or pattern of names, to label, in the file's order.

        file,label
        pop909/001.mid,ballad
        fiddle/*,folk

    Raises:
        KikiboubaError: unreadable, without that header, an empty field, or two labels for one name.
    """
    rows = _cells(path)
    if not rows or rows[0] != HEADER:
        raise KikiboubaError(f"{path} must begin with the line {','.join(HEADER)}, then a line for each file")
    table: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != 2 or not all(row):
            raise KikiboubaError(f"{path}, line {number}: a file and its label are expected, not {row}")
        if table.setdefault(row[0], row[1]) != row[1]:
            raise KikiboubaError(f"{path} labels {row[0]} twice: {table[row[0]]} and {row[1]}")
    return table


def read_label_columns(path: str | Path) -> dict[str, dict[str, str]]:
    """A file of several columns of labels → column → name of a source file, or pattern of names, to label.

        file,mood,meter
        pop909/001.mid,calm,even
        fiddle/*,lively,

    An empty field leaves a file unlabelled.

    Raises:
        KikiboubaError: unreadable, without such a header, rows of other lengths, or two rows for one name.
    """
    header, *rows = _cells(path) or [[]]
    if header[:1] != HEADER[:1] or len(header) < 2 or not all(header) or len(set(header)) < len(header):
        raise KikiboubaError(f"{path} must begin with a line such as file,mood: a name for every column")
    columns: dict[str, dict[str, str]] = {name: {} for name in header[1:]}
    seen: set[str] = set()
    for number, (name, *labels) in enumerate(rows, 2):
        if len(labels) != len(columns) or not name:
            raise KikiboubaError(
                f"{path}, line {number}: a file and its labels are expected ({len(header)} fields), not "
                f"{[name, *labels]}"
            )
        if name in seen:
            raise KikiboubaError(f"{path} has two lines for {name}: leave one")
        seen.add(name)
        for column, label in zip(columns.values(), labels, strict=True):
            column |= {name: label} if label else {}
    return columns


def _cells(path: str | Path) -> list[list[str]]:
    """The fields of a CSV file, line by line, without the empty lines."""
    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8-sig")
        return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise KikiboubaError(f"{path} is not a CSV file in UTF-8: {error}") from None


def labels_of(dataset: Dataset, split: str, table: Mapping[str, str] | None = None) -> np.ndarray:
    """The label of every example of a split, "" for none. [n] of str

    Args:
        dataset: with stored categories, or labelled by `table`.
        split: "train", "valid" or "test".
        table: name or pattern of source files → label (see `read_labels`). A full name goes before any
            pattern, an earlier pattern before a later one.

    Raises:
        KikiboubaError: the table names a file, or has a pattern, that no source of the dataset fits.
    """
    if table is not None:
        return _from_files(dataset, split, table)
    examples = dataset.split(split)
    if examples.categories is None:
        return np.full(len(examples), "")
    return np.array([*dataset.categories, ""])[np.asarray(examples.categories)]


def _from_files(dataset: Dataset, split: str, table: Mapping[str, str]) -> np.ndarray:
    patterns = [name for name in table if any(sign in name for sign in WILD)]
    labels, counts, names, used = [], [], [], set()
    for source in dataset.sources():
        name = source["file"]
        fitting = [name] * (name in table) + [p for p in patterns if fnmatchcase(name, p)]
        labels.append(table[fitting[0]] if fitting else "")
        counts.append(source["counts"].get(split, 0))
        names.append(name)
        used.update(fitting)
    if unknown := [name for name in table if name not in used]:
        raise KikiboubaError(
            f"{len(unknown)} of {len(table)} labelled names fit no file of {dataset.path}, first "
            f"{unknown[0]!r}; its files are called as in sources.jsonl, e.g. {names[0]!r}"
        )
    return np.repeat(np.array(labels), counts)
