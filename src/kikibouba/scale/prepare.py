"""`prepare` on a Ray cluster: the same parts, read elsewhere, and so the same bytes.

The machine that calls keeps the folder of the dataset, and with it the progress: nodes read chunks of files
and send back part files (`data.prepare_parts`), each of which is on this disk before the next one is asked
for. So a run that is interrupted goes on from its parts, with Ray or without; and a node that dies costs the
chunks it had in hand, which Ray gives to another. Nodes must see the input files under the same paths.
"""

import json
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from kikibouba.data.prepare_parts import Parts, Readings, signature, write_whole
from kikibouba.data.prepare_pool import Worker, work_off
from kikibouba.data.sources import Source
from kikibouba.errors import Interrupted, KikiboubaError
from kikibouba.scale.ray_start import LOCAL, connected
from kikibouba.scale.rows import count, here, items_of, rows_of, unlike

if TYPE_CHECKING:
    import pyarrow as pa

MIN_CHUNK, MAX_CHUNK = 16, 512
"""Files in a task. Starting one costs as much as reading a few files."""

CHUNKS_PER_CORE = 8
"""Tasks for every core if there are few files, so that all cores are done at about the same time."""


def read_all(
    sources: Sequence[Source],
    wanted: Sequence[bool],
    job: dict[str, Any],
    parts: Parts,
    progress: bool,
    *,
    address: str = LOCAL,
    cores: int | None = None,
) -> Readings:
    """Have every wanted source read into some part by a cluster, as `data.prepare_pool.read_all` does here:
    `prepare(..., read_all=partial(read_all, address="auto"))`.

    Args:
        sources, wanted, job, parts, progress: from `data.prepare.prepare`.
        address: of the cluster, see `ray_start.connected`.
        cores: how many to use of a local cluster; by default all.

    Raises:
        KikiboubaError: no Ray, no cluster; a node sees other files; the cluster fell apart. What has been
            read is kept, and the same call goes on from it.
    """
    done = parts.readings(sources)
    todo = [source for i, source in enumerate(sources) if wanted[i] and not done.has(i)]
    if not todo:
        return done
    bar = tqdm(
        total=len(sources), initial=len(sources) - len(todo), unit="file", disable=not progress, leave=False
    )
    with bar, connected(address, num_cpus=cores) as ray:
        try:
            for row in _rows(todo, job, max(1, count(ray))):
                write_whole(parts.folder / row["name"], row["content"])
                bar.update(row["files"])
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted after {bar.n} files; the same command goes on from there"
            ) from None
    readings = parts.readings(sources)
    changed = [source.path for i, source in enumerate(sources) if wanted[i] and not readings.has(i)]
    if changed:
        raise KikiboubaError(
            f"{len(changed)} files changed while they were read, e.g. {changed[0]}; "
            "the same command reads them again"
        )
    return readings


def _rows(todo: Sequence[Source], job: dict[str, Any], cores: int) -> Iterator[dict[str, Any]]:
    """The rows that `read_chunk` makes of files, as they come."""
    size = max(MIN_CHUNK, min(MAX_CHUNK, len(todo) // (CHUNKS_PER_CORE * cores)))
    items = items_of([_as_item(todo[i : i + size]) for i in range(0, len(todo), size)])
    return rows_of(
        items.map_batches(
            read_chunk, batch_size=None, batch_format="pyarrow", fn_args=(json.dumps(job),), num_cpus=1
        )
    )


def _as_item(chunk: Sequence[Source]) -> str:
    """A chunk as JSON, with what this machine sees of each file."""
    return json.dumps([[s.name, s.path, s.split, s.drawn, *signature(s.path)] for s in chunk])


def read_chunk(batch: "pa.Table", job: str) -> Iterator["pa.Table"]:
    """On a node: chunks of files (column `item`) → part files, a row each: name, content, files, error."""
    import pyarrow as pa

    for item in batch["item"].to_pylist():
        for name, content, files, error in _read(json.loads(item), job):
            columns = {"name": [name], "files": [files], "error": [error]}
            yield pa.table(columns | {"content": pa.array([content], pa.large_binary())})


def _read(chunk: list[list[Any]], job: str) -> Iterator[tuple[str, bytes, int, str]]:
    for _, path, _, _, *seen in chunk:
        if error := unlike(path, seen):
            yield "", b"", 0, error
            return
    sources = [Source(*fields[:4]) for fields in chunk]
    with tempfile.TemporaryDirectory(prefix="kikibouba-") as folder:
        parts = Parts(Path(folder) / "parts", {})
        try:
            work_off(_reader(job), deque([sources]), parts, lambda _: None)
        except (OSError, KikiboubaError) as error:
            yield "", b"", 0, f"{here()}: {error}"
            return
        paths = sorted(parts.folder.glob("*.part"))
        for number, path in enumerate(paths):
            yield path.name, path.read_bytes(), len(chunk) if number == len(paths) - 1 else 0, ""


@lru_cache(maxsize=1)
def _reader(job: str) -> Worker:
    """The reading process of this Ray worker, which it keeps from chunk to chunk; it ends with the worker."""
    return Worker(json.loads(job))
