"""The process that reads files for `prepare`: a parser that crashes takes this process down, not the run.

It speaks JSON lines. First comes the job, `{"representation": "module:Class", "fields": {...}}`, answered by
`{"ready": true}`; then chunks, `{"part": path, "files": [{"name", "path"}, ...]}`, each answered by
`{"files": n}` once its part file is on disk, or by `{"error": text}`.

A part file is an .npz: `rows` (all examples end to end), `lengths` [n] int64, `splits` [n] int8 (index into
`store.SPLITS`, -1: the file's own), `categories` [n] int32 (index into the record's list, -1: none) and
`records`, JSON bytes with a dictionary a file: name, bytes, mtime, sha256, count, categories, splitless
(examples, and none names its split), skipped (reason or null), rejected (reason → number of items), warnings.
"""

import hashlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from kikibouba.config import from_dict
from kikibouba.data.store import SPLITS
from kikibouba.errors import KikiboubaError

Example = tuple[np.ndarray, int, int]
"""An example, its split and its category, as in a part file."""


def read_items(representation: Any, path: Path) -> Iterator[tuple[Any, str | None, str | None]]:
    """(item, split or None, category or None) of a file.

    Formats that name splits or categories themselves (QuickDraw's) are read by an optional method
    `read_many` that yields such triples; for all others `read` gives the items.
    """
    if hasattr(representation, "read_many"):
        yield from representation.read_many(path)
    else:
        yield from ((item, None, None) for item in representation.read(path))


def extract(representation: Any, name: str, path: Path) -> tuple[dict[str, Any], list[Example]]:
    """The record and the examples of one file. Whatever is wrong with the file ends up in the record."""
    content = path.read_bytes()
    stat = path.stat()
    record: dict[str, Any] = {"name": name, "bytes": stat.st_size, "mtime": stat.st_mtime_ns, "skipped": None}
    record["sha256"] = hashlib.sha256(content).hexdigest()
    examples: list[Example] = []
    categories: dict[str, int] = {}
    rejected: Counter[str] = Counter()
    warnings: list[str] = []
    try:
        for item, split, category in read_items(representation, path):
            if hasattr(representation, "warnings"):
                warnings += representation.warnings(item)
            try:
                arrays = representation.windows(item)
            except KikiboubaError as error:
                rejected[_reason(error, path)] += 1
                continue
            split_code = -1 if split is None else SPLITS.index(split)
            category_code = -1 if not category else categories.setdefault(category, len(categories))
            examples += [(array, split_code, category_code) for array in arrays]
        if not examples:
            record["skipped"] = next(iter(rejected), "no examples in it")
    except KikiboubaError as error:
        record["skipped"] = _reason(error, path)
    except Exception as error:  # a parser tripping over a damaged file must cost that file only
        record["skipped"] = f"unexpected {type(error).__name__}: {error}"
    if record["skipped"]:
        examples = []
    record |= {
        "count": len(examples),
        "categories": list(categories),
        "rejected": rejected,
        "warnings": warnings,
    }
    record["splitless"] = bool(examples) and all(split < 0 for _, split, _ in examples)
    return record, examples


def _reason(error: KikiboubaError, path: Path) -> str:
    """The message without the file's path: the record names it, and equal reasons shall read the same."""
    return str(error).removeprefix(f"{path}: ").replace(str(path), "it")


def write_part(path: Path, records: list[dict[str, Any]], examples: list[Example]) -> None:
    """Write a part file, whole or not at all."""
    arrays = [array for array, _, _ in examples]
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        np.savez(
            file,
            rows=np.concatenate(arrays) if arrays else np.empty(0),
            lengths=np.array([len(array) for array in arrays], np.int64),
            splits=np.array([split for _, split, _ in examples], np.int8),
            categories=np.array([category for _, _, category in examples], np.int32),
            records=np.frombuffer(json.dumps(records).encode(), np.uint8),
        )
    unfinished.replace(path)


def _serve(requests: TextIO, replies: TextIO) -> None:
    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    job = json.loads(requests.readline())
    module, name = job["representation"].split(":")
    representation = from_dict(getattr(import_module(module), name), job["fields"])
    reply({"ready": True})
    for line in requests:
        chunk = json.loads(line)
        records, examples = [], []
        try:
            for file in chunk["files"]:
                record, found = extract(representation, file["name"], Path(file["path"]))
                records.append(record)
                examples += found
            write_part(Path(chunk["part"]), records, examples)
            reply({"files": len(records)})
        except OSError as error:
            reply({"error": f"{error.strerror}: {error.filename}" if error.filename else str(error)})


def main() -> None:
    """Answer on the real standard output; what libraries print there goes to standard error instead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
