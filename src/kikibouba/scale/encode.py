"""`encode` on a Ray cluster: actors that hold the model turn tasks into posteriors, on GPUs if there are."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from kikibouba.data.prepare_parts import signature
from kikibouba.encoding import Encoder, Part, Task
from kikibouba.errors import KikiboubaError
from kikibouba.hub import bundled, load_model
from kikibouba.scale.ray_start import LOCAL, connected
from kikibouba.scale.rows import count, here, items_of, rows_of, unlike

if TYPE_CHECKING:
    import pyarrow as pa

TOGETHER = 16
"""Tasks that an actor is given at a time, if there are many: giving costs as much as encoding a small one."""

TURNS = 4
"""How often at least every actor is given some, so that all are done at about the same time."""


def encode_on_ray(
    tasks: Sequence[Task],
    model: str,
    *,
    address: str = LOCAL,
    device: str | None = None,
    cores: int | None = None,
    progress: bool = True,
) -> list[Part]:
    """`Encoder` over all tasks, by as many actors as the cluster has GPUs, or else CPUs.

    Args:
        tasks: from `encoding.tasks_of`. Every node must see their files, under the same absolute paths.
        model: bundled name, or a folder that every node sees.
        address: of the cluster, see `ray_start.connected`.
        device: "cpu" or "cuda"; None = "cuda" where the cluster has GPUs.
        cores: how many to use of a local cluster; by default all.
        progress: show a progress bar.

    Returns:
        A part for every task, in their order; the same numbers as of `Encoder` here, given as many threads.

    Raises:
        KikiboubaError: no Ray, no cluster, no GPU; a node sees other files, or none; what `Encoder` raises.
    """
    if model not in bundled():
        model = str(Path(model).absolute())
    tasks = [task._replace(path=str(Path(task.path).absolute())) for task in tasks]
    parts: dict[int, Part] = {}
    with (
        connected(address, num_cpus=cores) as ray,
        tqdm(total=len(tasks), disable=None if progress else True, leave=False) as bar,
    ):
        from ray.data import ActorPoolStrategy

        gpus = count(ray, "GPU")
        device = device or ("cuda" if gpus else "cpu")
        crew = min(len(tasks), count(ray) if device == "cpu" else gpus)
        if not crew:
            raise KikiboubaError(f"the Ray cluster has no GPU for --device {device}: use --device cpu")
        size = max(1, min(TOGETHER, len(tasks) // (TURNS * crew)))
        together = [range(i, min(i + size, len(tasks))) for i in range(0, len(tasks), size)]
        rows = items_of([_as_item(tasks, numbers) for numbers in together]).map_batches(
            EncodingActor,
            fn_constructor_args=(model, device),
            batch_size=None,
            batch_format="pyarrow",
            compute=ActorPoolStrategy(min_size=1, max_size=crew, initial_size=crew),
            num_cpus=1,
            num_gpus=None if device == "cpu" else 1,
        )
        for row in rows_of(rows):
            parts[row["task"]] = _unpack(row["part"])
            bar.update()
    return [parts[number] for number in range(len(tasks))]


def _as_item(tasks: Sequence[Task], numbers: Sequence[int]) -> str:
    """Tasks as JSON, with their numbers and what this machine sees of their files."""
    return json.dumps([[number, signature(tasks[number].path), tasks[number]] for number in numbers])


class EncodingActor:
    """On a node: a model, and what it makes of tasks."""

    def __init__(self, model: str, device: str) -> None:
        self.error, self.encode = "", None
        try:
            self.encode = Encoder(load_model(model, device))
        except KikiboubaError as error:
            self.error = f"{here()}: {error}"

    def __call__(self, batch: "pa.Table") -> Iterator["pa.Table"]:
        """Tasks (column `item`) → a row each: task, part, error."""
        import pyarrow as pa

        for item in batch["item"].to_pylist():
            for number, seen, fields in json.loads(item):
                part, error = self._encode(Task(*fields), seen)
                content = pa.array([part], pa.large_binary())
                yield pa.table({"task": [number], "error": [error], "part": content})

    def _encode(self, task: Task, seen: list[int]) -> tuple[bytes, str]:
        """A packed part, and why there is none."""
        if self.encode is None:
            return b"", self.error
        if error := unlike(task.path, seen):
            return b"", error
        try:
            return _pack(self.encode(task)), ""
        except KikiboubaError as error:
            return b"", f"{here()}: {error}"


def _pack(part: Part) -> bytes:
    content = io.BytesIO()
    np.savez(content, *part[:4], np.frombuffer(part.skipped.encode(), np.uint8))
    return content.getvalue()


def _unpack(content: bytes) -> Part:
    found = np.load(io.BytesIO(content))
    mu, sigma, places, rows, skipped = (found[f"arr_{i}"] for i in range(5))
    return Part(mu, sigma, places, rows, skipped.tobytes().decode())
