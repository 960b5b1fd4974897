"""Files → a dataset: in parallel, resumable, independent of order, and told in full about every skipped file.

Worker processes write part files under `<out>/parts` (`prepare_pool`, `prepare_worker`, `prepare_parts`);
once every file is in some part, the parts are put together in the order of file names (`prepare_merge`), so
the result is the same bytes whatever the number of workers and interruptions. An interrupted run goes on
from its parts; a dataset already in the folder stays as it is until the new one is complete.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from kikibouba.config import representation_from_dict, to_dict
from kikibouba.data import prepare_pool
from kikibouba.data.prepare_merge import NothingUsable, merge
from kikibouba.data.prepare_parts import Parts, Readings
from kikibouba.data.sources import Source, find_sources
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError

ReadAll = Callable[[Sequence[Source], Sequence[bool], dict[str, Any], Parts, bool], Readings]
"""Has every wanted source read into some part: (sources, wanted, job, parts, progress)."""

ROWS = 12
"""Reasons that a report names, of skipped files, items and warnings each."""


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
    read_all: ReadAll | None = None,
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
            alone, and the split of a tune in a book, or of a record among many, from the file's name and its
            own.
        unique: keep only the first of equal examples, train before valid before test, so that nothing in test
            occurs in train. Off by default: a phrase that many songs share is part of the distribution, and a
            single item never yields the same example twice anyway.
        limit: read only this many files (the first by name), for a quick trial.
        workers: processes; by default one per available core.
        progress: show a progress bar.
        read_all: reads the files, if not the processes of this machine: see `scale.prepare`.

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
    job = {
        "representation": f"{type(representation).__module__}:{type(representation).__qualname__}",
        "fields": to_dict(representation),
        "fractions": list(fractions),
        "drawn": sorted({source.drawn for source in sources}),  # by them, not taken from lists
    }
    # A file in no list need not be read, unless the items in it may bring their own splits.
    every = getattr(representation, "names_splits", False)
    try:
        out.mkdir(parents=True, exist_ok=True)
        parts = Parts(out / "parts", job)
    except OSError as error:
        raise KikiboubaError(f"cannot write the dataset to {out}: {error.strerror or error}") from None
    try:
        wanted = [every or source.split is not None for source in sources]
        read_all = read_all or partial(prepare_pool.read_all, workers=workers or _cores())
        readings = read_all(sources, wanted, job, parts, progress)
        dataset = merge(representation, sources, readings, missing, out, unique)
    except OSError as error:
        raise KikiboubaError(
            f"cannot write the dataset to {out}: {error.strerror or error}; "
            "what has been read is kept there, and the same command goes on from it"
        ) from None
    except KikiboubaError as error:
        if isinstance(error, NothingUsable) or not parts.begun():
            parts.remove()
            with suppress(OSError):  # unless something else is in it, e.g. an older dataset
                out.rmdir()
        raise
    parts.remove()
    return dataset


def report(dataset: Dataset) -> str:
    """What `prepare` made, and what it left out by which rule, as lines for the console."""
    meta, path = dataset.meta, dataset.path
    counts = ", ".join(f"{count} {name}" for name, count in meta["counts"].items())
    lines = [f"{path}: {counts} examples from {meta['files']} files"]
    if meta["duplicates"]:
        lines.append(f"{meta['duplicates']:>8} examples left out because they occurred before (unique)")
    if meta["missing"]:
        lines.append(f"{meta['missing']:>8} names in the split lists have no file")
    for what, title, listed in (
        ("skipped", "files skipped", "skipped.txt"),
        ("left_out", "items of other files left out", "skipped.txt"),
        ("warnings", "warnings", "warnings.txt"),
    ):
        if rows := meta[what]:
            lines.append(f"{title}: {sum(row[0] for row in rows)} (listed in {path / listed})")
            lines += [f"{count:>8} x {text}, e.g. {where}" for count, where, text in rows[:ROWS]]
            if len(rows) > ROWS:
                lines.append(f"{sum(row[0] for row in rows[ROWS:]):>8} for other reasons")
    return "\n".join(lines)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
