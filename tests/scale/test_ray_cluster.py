"""A real Ray cluster of three nodes on this machine prepares, encodes and trains as one machine does."""

import hashlib
import os
import shutil
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from three_nodes import three_nodes

import toy_family.make  # noqa: F401 (registers the toy representations)
from kikibouba.data.prepare import prepare
from kikibouba.encoding import Encoder, gather, tasks_of
from kikibouba.errors import KikiboubaError
from kikibouba.hub import load_model
from kikibouba.scale import prepare as scale_prepare
from kikibouba.scale.encode import encode_on_ray
from kikibouba.scale.prepare import read_all
from kikibouba.scale.train import train_on_ray
from kikibouba.train.log import read_log
from kikibouba.train.state import load_state
from toy_family.data import ToyRepresentation
from toy_family.make import toy_dataset, toy_preset
from toy_family.train import train

ray = pytest.importorskip("ray")

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 300
"""Seconds, for machines that are busy with something else."""


@pytest.fixture(scope="module")
def nodes():
    """Three nodes of one CPU each, and this process connected to them; nothing outlives the module."""
    with three_nodes() as others:
        yield others


@pytest.fixture
def files(tmp_path):
    """Sixty files: most take a moment; one crashes its reader, some are bad, some in odd folders."""
    folder = tmp_path / "in"
    for i in range(60):
        path = folder / f"album {i % 3}" / f"{i:02}=ü.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("slow " * (i % 2) + " ".join(str(1 + i * k % 8) for k in range(1, 6)))
    (folder / "album 0" / "crash.txt").write_text("crash")
    (folder / "album 1" / "bad.txt").write_text("bad: the toy rule rejects it")
    (folder / "album 1" / "nine.txt").write_text("9")
    return folder


def content(folder):
    """Every file in a dataset, as hashes."""
    assert not (folder / "parts").exists()
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def kill_in_the_middle(out, parts, node):
    """SIGKILL a node, and with it its workers, once there are more than so many parts."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and len(list(out.glob("parts/*/*.part"))) <= parts:
        time.sleep(0.02)
    os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)


def test_encode_gives_the_same_numbers(nodes, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("morning_walk.mid", "lullaby.mid"):
        shutil.copy(EXAMPLES / name, folder)
    (folder / "broken.mid").write_bytes(b"MThd")
    prepare("melody", folder, tmp_path / "data", fractions=(1, 0, 0), progress=False)
    tasks = tasks_of([tmp_path / "data", folder / "broken.mid"], whole=True, batch_size=40)
    here = list(map(Encoder(load_model("mel_2bar")), tasks))
    there = encode_on_ray(tasks, "mel_2bar", progress=False)
    assert [part.skipped for part in there] == [part.skipped for part in here]
    assert sum(bool(part.skipped) for part in there) == 1
    ours, theirs = gather("mel_2bar", tasks, here), gather("mel_2bar", tasks, there)
    assert theirs.sources == ours.sources
    for name in ("mu", "sigma"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), rtol=1e-5, atol=1e-6)


def test_training_goes_on_where_the_cluster_stopped(nodes, tmp_path):
    toy_dataset(tmp_path / "data")
    recipe = {"save_every": 6, "noise": 0.0}  # every process draws its own noise
    said = []
    run = partial(train, tmp_path / "two", tmp_path / "data", toy_preset(num_steps=6, **recipe))
    metrics = train_on_ray(run, tmp_path / "two", 2, say=said.append)
    assert metrics["steps_done"] == 6
    assert any("train step" in line for line in said)
    assert not list((tmp_path / "two").glob(".ray-*"))
    train(tmp_path / "two", tmp_path / "data", toy_preset(num_steps=12, **recipe))
    train(tmp_path / "one", tmp_path / "data", toy_preset(num_steps=12, **recipe))
    one, two = load_state(tmp_path / "one"), load_state(tmp_path / "two")
    assert one.tensors.keys() == two.tensors.keys()
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(two.tensors[name], tensor, rtol=1e-5, atol=1e-6)
    losses = [
        [line["loss"] for line in read_log(tmp_path / name) if line["split"] == "train"]
        for name in ("one", "two")
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == sorted(
        p.name for p in (tmp_path / "two").iterdir()
    )


def test_prepare_gives_the_same_bytes_though_a_disk_fills_and_a_node_is_killed(
    nodes, files, tmp_path, monkeypatch
):
    here = prepare(ToyRepresentation(), files, tmp_path / "here", workers=2, progress=False)
    monkeypatch.setattr(scale_prepare, "MIN_CHUNK", 2)
    out, write, rows, asked = tmp_path / "there", scale_prepare.write_whole, scale_prepare._rows, []

    def fills(path, part):
        if len(list(out.glob("parts/*/*.part"))) == 3:
            raise OSError(28, "No space left on device")
        write(path, part)

    def noted(todo, *rest):
        asked.append(len(todo))
        return rows(todo, *rest)

    monkeypatch.setattr(scale_prepare, "_rows", noted)
    with monkeypatch.context() as patch:
        patch.setattr(scale_prepare, "write_whole", fills)
        with pytest.raises(KikiboubaError, match="No space left on device; what has been read is kept"):
            prepare(ToyRepresentation(), files, out, read_all=read_all, progress=False)
    assert not (out / "meta.json").exists()
    killer = threading.Thread(target=kill_in_the_middle, args=(out, 3, nodes[0]))
    killer.start()
    there = prepare(ToyRepresentation(), files, out, read_all=read_all, progress=False)
    killer.join()
    assert asked[0] == 63
    assert asked[1] < 60
    assert content(there.path) == content(here.path)
    deadline = time.monotonic() + PATIENCE
    while sum(node["Alive"] for node in ray.nodes()) > 2:
        assert time.monotonic() < deadline, "the node was never killed"
        time.sleep(0.1)
