"""Joining a Ray cluster, or starting one of this machine alone: the only place where Ray is started."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from kikibouba.errors import KikiboubaError

LOCAL = "local"
"""The address that stands for a cluster of this machine alone, started for the occasion."""

PATIENCE = 5.0
"""Seconds in which a head must accept a connection. Ray itself tries for minutes, then ends the process."""

OBJECT_STORE = 200_000_000
"""Bytes of shared memory of a cluster of this machine alone; data lies in files, so little passes through."""


def import_ray() -> ModuleType:
    """Ray, which is an extra.

    Raises:
        KikiboubaError: it is not installed.
    """
    # Before Ray is imported: it sends no statistics of use, and no warning that it could; and what a cluster
    # of this machine runs has as much of the CPU as anything else, where Ray would give it what is left over.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise KikiboubaError(
            f"Ray is not installed ({error}): pip install 'kikibouba[scale]', or do without a cluster"
        ) from None
    return ray


@contextmanager
def connected(
    address: str = LOCAL, num_cpus: int | None = None, object_store: int = OBJECT_STORE
) -> Iterator[ModuleType]:
    """Ray, connected to a cluster until the block ends. A process that is connected already stays so.

    Args:
        address: "local" for a cluster of this machine alone, which is ended with the block; "auto" for the
            one that `ray start` made this machine part of; "host:port" for the one with its head there.
        num_cpus: of a local cluster how many CPUs it may use; by default all.
        object_store: of a local cluster the bytes of its shared memory.

    Raises:
        KikiboubaError: Ray is not installed, or there is no cluster at the address.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == LOCAL:
            ray.init(
                "local",
                num_cpus=num_cpus,
                object_store_memory=object_store,
                include_dashboard=False,
                **quiet,
            )
        else:
            if address != "auto":
                _check_reachable(address)
            ray.init(address, **quiet)
    except KikiboubaError:
        raise
    except (Exception, SystemExit) as error:  # Ray leaves the process where its head does not answer
        with suppress(Exception):
            ray.shutdown()
        raise KikiboubaError(_no_cluster(address, str(error))) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Knock at a head's door, because Ray would wait for minutes and then end this process."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in address:
        raise KikiboubaError(
            f"--address {address} must be auto, local, or host:port of the head of a Ray cluster, "
            "e.g. 10.0.0.1:6379"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise KikiboubaError(_no_cluster(address, getattr(error, "strerror", None) or str(error))) from None


def _no_cluster(address: str, reason: str) -> str:
    if address == LOCAL:
        return f"Ray could not be started on this machine: {reason}"
    if address == "auto":
        return (
            "no Ray cluster on this machine: start one with `ray start --head`, join one with "
            "`ray start --address=HEAD:6379`, or use --address local"
        )
    return (
        f"no Ray cluster answers at {address} ({reason}): `ray start --head` prints the address, and this "
        "machine must have joined with `ray start --address`"
    )
