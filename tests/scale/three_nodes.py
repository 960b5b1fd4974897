"""A Ray cluster of three nodes of one CPU each, on this machine."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def three_nodes() -> Iterator[list[Any]]:
    """This process is connected to the three; gives the two beside the head. Nothing outlives the block."""
    import ray
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets in it must have short names
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # Ray's workers are patient; tests are not
        patch.setenv("OMP_NUM_THREADS", "1")
        each = {"num_cpus": 1, "object_store_memory": 100_000_000}
        head = {"include_dashboard": False, "include_log_monitor": False, "temp_dir": folder}
        cluster = Cluster(initialize_head=True, head_node_args=head | each)
        try:
            others = [cluster.add_node(**each) for _ in range(2)]
            ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
            yield others
        finally:
            ray.shutdown()
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
