"""Items go out to a cluster, rows come back in any order: Ray Data as `prepare` and `encode` use it."""

import logging
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from kikibouba.data.prepare_parts import signature
from kikibouba.errors import KikiboubaError

DIED = "a worker of the Ray cluster died, or its node did"

MEANINGS = {
    "OutOfDiskError": "the disk of a node is full: free some, or start Ray there with --temp-dir on another",
    "ObjectStoreFullError": "the shared memory of a node is full: start Ray there with more "
    "--object-store-memory",
    "OutOfMemoryError": "a node ran out of memory: start Ray there with fewer --num-cpus",
    "WorkerCrashedError": DIED,
    "RayActorError": DIED,
    "NodeDiedError": DIED,
    "ObjectLostError": DIED,
}
"""What Ray's exceptions say to users, by the names of their classes."""


def count(ray: ModuleType, resource: str = "CPU") -> int:
    """How many CPUs or GPUs the cluster has."""
    return int(ray.cluster_resources().get(resource, 0))


def items_of(items: Sequence[str]) -> Any:
    """A dataset (`ray.data.Dataset`) with a column `item`; each item is a task of its own."""
    from ray.data import DataContext, from_items

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # its plans and its own progress bars
    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    return from_items([{"item": item} for item in items], override_num_blocks=len(items))


def rows_of(dataset: Any) -> Iterator[dict[str, Any]]:
    """Run it. Rows have a column `error`: "", or why a node cannot do its part.

    Raises:
        KikiboubaError: such a row; the cluster fell apart, or its shared memory and its disks are full.
    """
    from ray.exceptions import RayError

    try:
        for row in dataset.iter_rows():
            if row["error"]:
                raise KikiboubaError(row["error"])
            yield row
    except RayError as error:
        raise KikiboubaError(explain(error)) from None


def here() -> str:
    """This node, for messages."""
    import ray

    return f"node {ray.util.get_node_ip_address()}"


def unlike(path: str, seen: Sequence[int]) -> str:
    """What to say of a file that is not as the caller saw it (`prepare_parts.signature`); "" if it is."""
    if list(signature(path)) == list(seen):
        return ""
    return (
        f"{here()} does not see the same {path} as this machine: all nodes need the files under the same "
        "paths, for instance in a folder that they share"
    )


def explain(error: BaseException) -> str:
    """What became of a cluster, in one line."""
    kinds = {kind.__name__ for one in (error, error.__cause__) for kind in type(one).__mro__}
    for name, what in MEANINGS.items():
        if name in kinds:
            return what
    text = next((line for line in reversed(str(error).splitlines()) if line.strip()), "")
    return f"the Ray cluster failed: {type(error).__name__} {text.strip()}"
