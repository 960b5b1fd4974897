"""Files → a dataset: in parallel, resumable, independent of order, and told in full about every skipped file.

Worker processes write part files under `<out>/parts`; once every file is in some part, the parts are merged
in the order of file names, so the result is the same bytes whatever the number of workers and
interruptions. An interrupted run goes on from its parts; a dataset already in the folder stays as it is
until the new one is complete.
"""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from kikibouba.config import representation_from_dict, representation_to_dict, to_dict
from kikibouba.data.prepare_pool import Parts, Reading, read_all
from kikibouba.data.sources import Source, find_sources
from kikibouba.data.store import SPLITS, Dataset, DatasetWriter
from kikibouba.errors import KikiboubaError


def prepare(
    representation: Any,
    in_paths: str | Path | Sequence[str | Path],
    out_dir: str | Path,
    *,
    splits: str | Path | Sequence[str | Path] | None = None,
    fractions: tuple[float, float, float] = (0.9, 0.05, 0.05),
    unique: bool = False,
    limit: int | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Dataset:
    """Build a dataset from files.

    Args:
        representation: a representation, or the kind ("melody", "drums", "sketch") with its default settings.
        in_paths: files or folders (searched through), one or several.
        out_dir: the dataset's folder; made if need be.
        splits: folder with lists train.txt, valid.txt, test.txt of relative file names, or one such folder
            per input.
            A folder `split` inside an input folder is taken by default. Files in no list are skipped, unless
            their format names the split of each item (QuickDraw's .npz), which always wins over lists.
        fractions: of train, valid and test, where there are no lists; a file's split follows from its name
            alone.
        unique: keep only the first of equal examples, train before valid before test, so that nothing in test
            occurs in train. Off by default: a phrase that many songs share is part of the distribution, and a
            single item never yields the same example twice anyway.
        limit: read only this many files (the first by name), for a quick trial.
        workers: processes; by default one per available core.
        progress: show a progress bar.

    Returns:
        The dataset; `report` says in words what its `meta` records.

    Raises:
        KikiboubaError: nothing to read, nothing usable, folder not writable, interrupted.
    """
    if limit is not None and limit < 1:
        raise KikiboubaError(f"limit {limit} must be at least 1 file")
    if isinstance(representation, str):
        representation = representation_from_dict({"kind": representation})
    out = Path(out_dir)
    inputs = [Path(path) for path in ([in_paths] if isinstance(in_paths, str | Path) else in_paths)]
    sources, missing = find_sources(representation, inputs, splits, fractions, out)
    sources = sources[:limit]
    # A file in no list need not be read, unless the items in it may bring their own splits.
    readable = [s for s in sources if s.split is not None or hasattr(representation, "read_many")]
    job = {
        "representation": f"{type(representation).__module__}:{type(representation).__qualname__}",
        "fields": to_dict(representation),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        parts = Parts(out / "parts", job)
        readings = read_all(readable, job, parts, workers or _cores(), progress)
        usable, skipped = _sort_out(sources, readings)
        dataset = _merge(representation, usable, skipped, missing, out, unique) if usable else None
        parts.remove()
    except OSError as error:
        raise KikiboubaError(f"cannot write the dataset to {out}: {error.strerror or error}") from None
    if dataset is None:
        with suppress(OSError):  # unless something else is in it, e.g. an older dataset
            out.rmdir()
        first = skipped[0]
        raise KikiboubaError(
            f"none of {len(sources)} files gave an example; {first['file']}: {first['reason']}"
        )
    return dataset


def report(dataset: Dataset) -> str:
    """What `prepare` made and what it left out, as lines for the console."""
    meta = dataset.meta
    counts = ", ".join(f"{count} {name}" for name, count in meta["counts"].items())
    lines = [f"{dataset.path}: {counts} examples from {len(meta['sources'])} files"]
    if meta["duplicates"]:
        lines.append(f"{meta['duplicates']} examples left out because they occurred before (unique)")
    if meta["skipped"]:
        reasons = Counter(skipped["reason"] for skipped in meta["skipped"])
        lines.append(f"{len(meta['skipped'])} files skipped (listed in {dataset.path / 'skipped.txt'}):")
        lines += [f"  {count} x {reason}" for reason, count in reasons.most_common(8)]
    if meta["rejected"]:
        lines += [f"  {count} items: {reason}" for reason, count in Counter(meta["rejected"]).most_common(8)]
    if meta["warnings"]:
        first = meta["warnings"][0]
        files = len({warning["file"] for warning in meta["warnings"]})
        lines.append(f"warnings about {files} files, e.g. {first['file']}: {first['warning']}")
    if meta["missing"]:
        lines.append(f"{meta['missing']} names in the split lists have no file")
    return "\n".join(lines)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class _Usable:
    """A file that gave examples, and how many of them each split got."""

    source: Source
    reading: Reading
    counts: dict[str, int]


def _sort_out(
    sources: Sequence[Source], readings: dict[str, Reading]
) -> tuple[list[_Usable], list[dict[str, str]]]:
    """The files that gave examples, and name and reason of those that did not."""
    usable, skipped = [], []
    for source in sources:
        reading = readings.get(source.name)
        if reading is None or (source.split is None and reading.record["splitless"]):
            skipped.append({"file": source.name, "reason": "in no split list"})
        elif reading.record["skipped"] is not None:
            skipped.append({"file": source.name, "reason": reading.record["skipped"]})
        else:
            usable.append(_Usable(source, reading, {}))
    return usable, skipped


def _merge(
    representation: Any,
    usable: Sequence[_Usable],
    skipped: Sequence[dict[str, str]],
    missing: int,
    out: Path,
    unique: bool,
) -> Dataset:
    """Put the parts together in the order of file names."""
    with DatasetWriter(out) as writer:
        categories = sorted({name for file in usable for name in file.reading.record["categories"]})
        duplicates = _write_examples(writer, usable, categories, unique)
        if getattr(representation, "scale_factor", None) == 1.0 and writer.counts()["train"]:
            representation = dataclasses.replace(representation, scale_factor=_normalise(writer))
        writer.write_text("skipped.txt", "".join(f"{s['file']}\t{s['reason']}\n" for s in skipped))
        meta = _meta(representation, usable) | {
            "categories": categories,
            "skipped": skipped,
            "duplicates": duplicates,
            "missing": missing,
        }
        return writer.close(meta)


def _meta(representation: Any, usable: Sequence[_Usable]) -> dict[str, Any]:
    rejected: Counter[str] = Counter()
    for file in usable:
        rejected.update(file.reading.record["rejected"])
    return {
        "representation": representation_to_dict(representation),
        "sources": [
            {"file": file.source.name, "sha256": file.reading.record["sha256"], "counts": file.counts}
            for file in usable
        ],
        "rejected": dict(sorted(rejected.items())),
        "warnings": [
            {"file": file.source.name, "warning": text}
            for file in usable
            for text in file.reading.record["warnings"]
        ],
    }


def _write_examples(
    writer: DatasetWriter, usable: Sequence[_Usable], categories: list[str], unique: bool
) -> int:
    """Every example into its split, in the order of files. Returns how many duplicates were left out."""
    load = lru_cache(maxsize=1)(_load_part)
    seen: set[bytes] = set()
    duplicates = 0
    for code, split in enumerate(SPLITS):
        for file in usable:
            part = load(file.reading.part)
            record, first = file.reading.record, file.reading.first
            own = part["splits"][first : first + record["count"]]
            named = SPLITS.index(file.source.split) if file.source.split else -1
            chosen = np.flatnonzero(np.where(own < 0, named, own) == code)
            if unique:
                examples = {i: _digest(part, first + i) for i in chosen.tolist()}
                chosen = [i for i, digest in examples.items() if digest not in seen and not seen.add(digest)]
                duplicates += len(examples) - len(chosen)
            if len(chosen):
                index = np.array([*(categories.index(name) for name in record["categories"]), -1])
                _write_some(writer, split, part, first + np.asarray(chosen), index)
                file.counts[split] = len(chosen)
    return duplicates


def _write_some(
    writer: DatasetWriter, split: str, part: dict[str, np.ndarray], chosen: np.ndarray, categories: np.ndarray
) -> None:
    """Write examples of a part by number; `categories` translates the file's category codes (-1 stays -1)."""
    start, stop = part["offsets"][chosen], part["offsets"][chosen + 1]
    if (start[1:] == stop[:-1]).all():
        rows = part["rows"][start[0] : stop[-1]]
    else:
        rows = np.concatenate([part["rows"][a:b] for a, b in zip(start, stop, strict=True)])
    writer.add(split, rows, stop - start, categories[part["categories"][chosen]])


def _digest(part: dict[str, np.ndarray], i: int) -> bytes:
    rows = part["rows"][part["offsets"][i] : part["offsets"][i + 1]]
    return blake2b(rows.tobytes(), digest_size=16).digest()


def _load_part(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        part = {name: file[name] for name in ("rows", "splits", "categories", "lengths")}
    part["offsets"] = np.concatenate([[0], np.cumsum(part["lengths"])])
    return part


def _normalise(writer: DatasetWriter) -> float:
    """Divide all offsets by their standard deviation over the training split, as Sketch-RNN does; returns it.

    It is the population deviation of dx and dy pooled, kept as `scale_factor` by the representation.
    """
    count, total, squares = 0, 0.0, 0.0
    for block in _offset_blocks(writer.rows("train")):
        values = block.astype(np.float64)
        count, total, squares = count + values.size, total + values.sum(), squares + np.square(values).sum()
    scale_factor = float(np.sqrt(squares / count - (total / count) ** 2)) or 1.0
    for split, n in writer.counts().items():
        if n:
            for block in _offset_blocks(writer.rows(split)):
                block /= np.float32(scale_factor)
    return scale_factor


def _offset_blocks(rows: np.ndarray, size: int = 1 << 20) -> list[np.ndarray]:
    """The (dx, dy) columns of stroke-3 rows as views of bounded length."""
    return [rows[i : i + size, :2] for i in range(0, len(rows), size)]
