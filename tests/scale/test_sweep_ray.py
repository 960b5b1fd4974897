"""A sweep on a cluster of three nodes, one of which is killed: the same table as without all that."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from melody_sweep import melodies, sweep_file
from three_nodes import three_nodes

from kikibouba.scale.sweep import sweep
from kikibouba.scale.sweep_board import Board
from kikibouba.scale.sweep_file import read_sweep
from kikibouba.scale.sweep_folder import saved_step, write_plan
from kikibouba.scale.sweep_trial import train_job

ray = pytest.importorskip("ray", reason="the extra `scale` is not installed")

RUNGS = (10, 20, 40)


@pytest.fixture
def nodes():
    """Process ids of the two nodes beside the head; this process is connected to the three."""
    with three_nodes() as others:
        yield {node.all_processes["raylet"][0].process.pid for node in others}


def attempts(folder):
    path = folder / "attempts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def parent(process):
    """The node that a process belongs to: its raylet is its parent."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except FileNotFoundError:
        return 0


def kill_a_node(out, nodes, killed):
    """As soon as a trial is in the middle of a job on one of the nodes, kill that node."""
    deadline = time.monotonic() + 500
    while time.monotonic() < deadline:
        for folder in out.glob("z_size*"):
            node = parent(attempts(folder)[-1]["process"]) if attempts(folder) else 0
            if node in nodes and saved_step(folder) not in (0, *RUNGS):
                attempt = attempts(folder)[-1]
                for process in (node, attempt["process"]):  # a machine is lost with all that runs on it
                    os.kill(process, signal.SIGKILL)
                killed.append((folder.name, attempt["steps"]))
                return
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of a node in /proc")
def test_a_killed_node_changes_nothing(tmp_path, nodes):
    file = sweep_file(tmp_path, melodies(tmp_path / "data"), RUNGS[-1])
    calm, out, killed = tmp_path / "calm", tmp_path / "out", []
    calm.mkdir()
    killer = threading.Thread(target=kill_a_node, args=(out, nodes, killed))
    killer.start()
    said = []
    table = sweep(file, out, address="auto", say=said.append)
    killer.join()
    assert len(killed) == 1
    assert sum("lost (" in line and "goes on from step" in line for line in said) == 1

    trials = write_plan(calm, read_sweep(file))
    board = Board([entry["rungs"] for entry in trials], [[] for _ in trials], "min", 2)
    while (job := board.next_job()) is not None:
        board.settle(job, train_job(str(calm), trials[job.trial]["name"], job.rung, 1, "cpu"))
    assert sweep(file, calm, workers=1) == table
    for name in ("results.csv", "results.json", "results.png"):
        assert (out / name).read_bytes() == (calm / name).read_bytes()
    for row in table.rows:
        jobs = [attempt["steps"] for attempt in attempts(out / row.name)]
        once = [steps for steps in RUNGS if steps <= row.steps]
        assert sorted(jobs) == sorted(once + [steps for name, steps in killed if name == row.name])
        weights = [(folder / row.name / "model.safetensors").read_bytes() for folder in (out, calm)]
        assert weights[0] == weights[1]
    assert not (out / ".tune").exists()

    before = {row.name: attempts(out / row.name) for row in table.rows}
    assert sweep(file, out, workers=1) == table
    assert {row.name: attempts(out / row.name) for row in table.rows} == before
