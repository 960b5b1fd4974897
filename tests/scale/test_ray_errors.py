"""What goes wrong on a cluster is said in a line, and leaves nothing half-written. No cluster is needed."""

import json
import socket
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from kikibouba.cli import main
from kikibouba.data.prepare_parts import signature
from kikibouba.errors import KikiboubaError
from kikibouba.scale import rows
from kikibouba.scale import train as scale_train
from kikibouba.scale.prepare import read_chunk
from kikibouba.scale.train import train_on_ray
from toy_family.make import toy_dataset, toy_preset
from toy_family.train import train

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def data(tmp_path):
    return toy_dataset(tmp_path / "data").path


def commands(out, data):
    """Every verb that can use Ray, and the folder or file that it would write."""
    walk = EXAMPLES / "morning_walk.mid"
    yield ["prepare", "melody", walk, out]
    yield ["encode", walk, "-o", out]
    yield ["train", "mel_2bar", "--data", data, "-o", out, "--ray-workers", "2"]


@pytest.mark.parametrize("verb", range(3))
def test_without_ray(verb, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = list(commands(tmp_path / "out.npz", data))[verb]
    words += [] if verb == 2 else ["--ray"]
    assert main(list(map(str, words))) == 1
    message = capsys.readouterr().err
    assert "Ray is not installed" in message
    assert "pip install 'kikibouba[scale]'" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("verb", range(3))
def test_nobody_at_the_address(verb, data, tmp_path, capsys):
    pytest.importorskip("ray")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    words = list(commands(tmp_path / "out.npz", data))[verb]
    assert main([*map(str, words), "--address", address]) == 1
    assert f"no Ray cluster answers at {address}" in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


def test_a_node_that_sees_other_files(tmp_path):
    pa = pytest.importorskip("pyarrow")
    file = tmp_path / "a.txt"
    file.write_text("1 2")
    job = json.dumps({"representation": "toy_family.data:ToyRepresentation", "fields": {}, "fractions": []})

    def read(*seen):
        chunk = json.dumps([["a.txt", str(file), "train", False, *seen]])
        return [row for table in read_chunk(pa.table({"item": [chunk]}), job) for row in table.to_pylist()]

    [row] = read(*signature(str(file)))
    assert (row["files"], row["error"]) == (1, "")
    assert row["content"].endswith(b"that is all")
    for seen in ((3, 5), (-1, -1)):
        [row] = read(*seen)
        assert f"does not see the same {file} as this machine" in row["error"]


def test_what_ray_says_becomes_a_line():
    exceptions = pytest.importorskip("ray").exceptions
    for error, words in (
        (exceptions.ObjectStoreFullError("a\nb"), "more --object-store-memory"),
        (exceptions.OutOfDiskError("a\nb"), "disk of a node is full"),
        (exceptions.WorkerCrashedError(), "died"),
        (exceptions.RayError("first\nlast"), "the Ray cluster failed: RayError last"),
    ):
        said = rows.explain(error)
        assert words in said
        assert "\n" not in said


class Cluster:
    """As far as `train_on_ray` asks."""

    def __init__(self, cpus):
        self.cpus = cpus

    def cluster_resources(self):
        return {"CPU": float(self.cpus)}


def on(cluster, monkeypatch, fit):
    """Let `train_on_ray` find a cluster, and `fit` in place of Ray Train."""

    @contextmanager
    def connected(address, num_cpus=None):
        yield cluster

    monkeypatch.setattr(scale_train, "connected", connected)
    monkeypatch.setattr(scale_train, "_fit", fit)
    monkeypatch.setattr(scale_train, "SETTLE", 0.0)


def test_a_run_whose_processes_died_goes_on(data, tmp_path, monkeypatch):
    out, said, ran = tmp_path / "out", [], []

    def fit(run, own, workers, cuda):
        assert (own / "driver").is_file()
        ran.append(run.args[0].keywords["resume"])
        if len(ran) == 1:
            train(out, data, toy_preset(num_steps=10))
            return "ActorDiedError: its node is gone"
        run()
        return ""

    on(Cluster(2), monkeypatch, fit)
    monkeypatch.chdir(tmp_path)
    run = partial(train, out, data, toy_preset(num_steps=20))
    metrics = train_on_ray(run, out, 2, resume=False, say=said.append)
    assert ran == [False, True]
    assert metrics["steps_done"] == 20
    assert any("its node is gone" in line for line in said)
    assert not list(out.glob(".ray-*"))


def test_a_run_whose_processes_die_always(data, tmp_path, monkeypatch):
    ran = []
    on(Cluster(2), monkeypatch, lambda *_: ran.append(1) or "ActorDiedError: again")
    with pytest.raises(KikiboubaError, match="died 4 times, the last time of: ActorDiedError: again"):
        train_on_ray(partial(train, tmp_path / "out", data), tmp_path / "out", 2, say=print)
    assert len(ran) == 4
    assert not (tmp_path / "out").exists()


def test_more_workers_than_cpus(data, tmp_path, monkeypatch):
    on(Cluster(2), monkeypatch, None)
    with pytest.raises(KikiboubaError, match="has 2 CPUs for --ray-workers 3"):
        train_on_ray(partial(train, tmp_path / "out", data), tmp_path / "out", 3)
    with pytest.raises(KikiboubaError, match="must be at least 1"):
        train_on_ray(partial(train, tmp_path / "out", data), tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()


def test_a_node_without_the_folder(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(KikiboubaError, match=r"does not see .* share"):
        scale_train._in_worker(lambda: None, tmp_path / "out" / ".ray-1" / "driver", tmp_path, [])
