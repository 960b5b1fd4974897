"""The process that reads files for `prepare`: a parser that crashes takes this process down, not the run.

It speaks JSON lines. First comes the job, `{"representation": "module:Class", "fields": {...}}`, answered by
`{"ready": true}`; then chunks, `{"parts": path, "files": [{"name", "path", "drawn"}, ...]}`, each answered by
`{"files": n}` once its parts, `<path>-0.part` and so on, are on disk, or by `{"error": text}`.

The record of a file in a part (see `prepare_parts`) is a dictionary:

    name, bytes, mtime, sha256
    count       of its examples
    categories  the names its examples' codes stand for
    splitless   it has examples, and none of them names its split
    skipped     why it has no examples, or null
    left_out    [[count, where, why], ...] of items in it that gave none
    warnings    [[where, what looks wrong], ...]
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from kikibouba.config import from_dict
from kikibouba.data.prepare_ledger import Tally
from kikibouba.data.prepare_parts import Examples, end_to_end, signature, write_part
from kikibouba.data.representation import Item
from kikibouba.data.sources import draw_split
from kikibouba.data.store import SPLITS
from kikibouba.errors import KikiboubaError

PART_BYTES = 32 * 1024 * 1024
"""A chunk whose examples take more is spread over several parts, so that memory stays bounded."""


def read_items(representation: Any, path: Path, problems: list[str]) -> Iterator[Item]:
    """What is in a file; for each thing that could not be read a line "where: why" is added to `problems`.

    Formats that name splits or categories themselves (QuickDraw's) are read by an optional method
    `read_many(path, problems)`; for all others `read` gives the items.
    """
    if hasattr(representation, "read_many"):
        yield from representation.read_many(path, problems)
    else:
        for content in representation.read(path):
            yield Item(content, where=getattr(content, "name", ""))


def extract(
    representation: Any, name: str, path: Path, fractions: Sequence[float] | None = None
) -> tuple[dict[str, Any], list[Examples]]:
    """The record of one file, and its examples item by item. Whatever is wrong with it is in the record.

    Args:
        representation: reads it.
        name: under which the file is known.
        path: where it is.
        fractions: of the splits, if items with a key are to have splits of their own, drawn from `name` and
            that key.
    """
    record = blank_record(name, path)
    blocks: list[Examples] = []
    categories: dict[str, int] = {}
    left_out, problems = Tally(), []
    try:
        record["sha256"] = _sha256(path)
        for item in read_items(representation, path, problems):
            try:
                arrays = representation.windows(item.content)
            except KikiboubaError as error:
                left_out.add(_reason(error, path), item.where)
                continue
            own = draw_split(f"{name}#{item.key}", fractions) if fractions and item.key else None
            split = SPLITS.index(item.split or own) if item.split or own else -1
            category = -1 if not item.category else categories.setdefault(item.category, len(categories))
            if arrays:
                blocks.append(end_to_end(arrays, split, category))
            if hasattr(representation, "warnings"):
                record["warnings"] += [(item.where, text) for text in representation.warnings(item.content)]
    except KikiboubaError as error:
        record["skipped"] = _reason(error, path)
    except OSError as error:
        record["skipped"] = f"cannot be read: {error.strerror or error}"
    except Exception as error:  # a parser tripping over a damaged file must cost that file only
        record["skipped"] = f"unexpected {type(error).__name__}: {error}"
    for problem in problems:
        where, _, why = problem.partition(": ")
        left_out.add(why, where)
    record["left_out"] = left_out.rows()
    if not blocks and record["skipped"] is None:
        record["skipped"] = _why_nothing(left_out)
    if record["skipped"] is not None:
        blocks, categories = [], {}
    record |= {"count": sum(len(block.lengths) for block in blocks), "categories": list(categories)}
    record["splitless"] = bool(blocks) and all(block.splits[0] < 0 for block in blocks)
    return record, blocks


def blank_record(name: str, path: Path, skipped: str | None = None) -> dict[str, Any]:
    """The record of a file of which nothing is known yet, or nothing but why it is skipped."""
    size, mtime = signature(str(path))
    known = {"name": name, "bytes": size, "mtime": mtime, "sha256": "", "skipped": skipped}
    return {**known, "count": 0, "categories": [], "splitless": False, "left_out": [], "warnings": []}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 16):  # hashlib.file_digest clears a larger buffer for every file
            digest.update(block)
    return digest.hexdigest()


def _reason(error: KikiboubaError, path: Path) -> str:
    """The message without the file's path: the record names it, and equal reasons shall read the same."""
    return str(error).removeprefix(f"{path}: ").replace(str(path), "it")


def _why_nothing(left_out: Tally) -> str:
    """Why a file gave no examples, by the rule that left out most of its items."""
    rows = left_out.rows()
    if not rows:
        return "no examples in it"
    count, where, why = rows[0]
    total = sum(count for count, _, _ in rows)
    return why if total == 1 else f"none of its {total} items is usable: {count} x {why}, e.g. {where}"


def _serve(requests: TextIO, replies: TextIO) -> None:
    def reply(message: dict[str, Any]) -> None:
        replies.write(json.dumps(message) + "\n")
        replies.flush()

    job, parent = json.loads(requests.readline()), os.getppid()
    module, name = job["representation"].split(":")
    representation = from_dict(getattr(import_module(module), name), job["fields"])
    reply({"ready": True})
    for line in requests:
        chunk = json.loads(line)
        try:
            parts = _parts(representation, chunk["files"], job["fractions"])
            for number, (records, blocks) in enumerate(parts):
                if os.getppid() != parent:
                    return  # the run was killed; what is written from now on could get in the next one's way
                write_part(Path(f"{chunk['parts']}-{number}.part"), records, blocks)
            reply({"files": len(chunk["files"])})
        except OSError as error:
            reply({"error": error.strerror or str(error)})


def _parts(
    representation: Any, files: list[dict[str, Any]], fractions: Sequence[float]
) -> Iterator[tuple[list[dict[str, Any]], list[Examples]]]:
    """(records, examples) of files, in parts of about `PART_BYTES` at most."""
    records: list[dict[str, Any]] = []
    blocks: list[Examples] = []
    size = 0
    for file in files:
        own = fractions if file["drawn"] else None
        record, found = extract(representation, file["name"], Path(file["path"]), own)
        records.append(record)
        blocks += found
        size += sum(block.rows.nbytes for block in found)
        if size > PART_BYTES:
            yield records, blocks
            records, blocks, size = [], [], 0
    if records:
        yield records, blocks


def main() -> None:
    """Answer on the real standard output; what libraries print there goes to standard error instead."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _serve(sys.stdin, replies)


if __name__ == "__main__":
    main()
