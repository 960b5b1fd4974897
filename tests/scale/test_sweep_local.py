"""A sweep on processes of this machine: what it leaves, how it goes on, what it refuses."""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from melody_sweep import melodies, sweep_file

from kikibouba import hub
from kikibouba.cli import main
from kikibouba.data import files
from kikibouba.errors import Interrupted, KikiboubaError
from kikibouba.scale.sweep import sweep
from kikibouba.scale.sweep_board import Board
from kikibouba.scale.sweep_file import read_sweep
from kikibouba.scale.sweep_folder import locked, read_reached, saved_step, write_plan
from kikibouba.scale.sweep_picture import plot_sweep
from kikibouba.scale.sweep_table import Row, Table
from kikibouba.scale.sweep_trial import train_job

STEPS = 20
FIRST = "z_size=3,dec_rnn_size=6,learning_rate=0.001"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return melodies(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def file(tmp_path_factory, data):
    """Four of its eight trials, which are enough here."""
    path = sweep_file(tmp_path_factory.mktemp("file"), data, STEPS)
    path.write_text(path.read_text(encoding="utf-8").replace("[[6], [9]]", "[[6]]"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory, data):
    """The first two trials of the sweep: what comes of them does not depend on the others."""
    folder = tmp_path_factory.mktemp("few")
    text = sweep_file(folder, data, STEPS).read_text(encoding="utf-8")
    text = text.replace("z_size = [3, 5]", "z_size = [3]").replace("[[6], [9]]", "[[6]]")
    (folder / "few.toml").write_text(text, encoding="utf-8")
    return folder / "few.toml"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, file):
    """The sweep, calm, job by job in this process: its table is what all others must come to."""
    out = tmp_path_factory.mktemp("undisturbed")
    trials = write_plan(out, read_sweep(file))
    board = Board([entry["rungs"] for entry in trials], [[] for _ in trials], "min", 2)
    while (job := board.next_job()) is not None:
        board.settle(job, train_job(str(out), trials[job.trial]["name"], job.rung, 1, "cpu"))
    return sweep(file, out, workers=1), out


def attempts(out, name):
    lines = (out / name / "attempts.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def when(condition, act):
    """Do something in another thread as soon as a condition holds."""

    def watch():
        deadline = time.monotonic() + 300
        while not (found := condition()):
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        act(found)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def test_what_a_sweep_leaves(undisturbed):
    table, out = undisturbed
    assert [row.status for row in table.rows].count("finished") >= 1
    assert [row.status for row in table.rows].count("stopped") >= 1
    best = json.loads((out / "results.json").read_text(encoding="utf-8"))["best"]
    assert len(hub.load(out / best).sample(2)) == 2
    rows = list(csv.DictReader((out / "results.csv").open(encoding="utf-8")))
    assert len(rows) == 4
    assert rows[0]["trial"] == best == table.best.name
    finished = [float(row["loss"]) for row in rows if row["status"] == "finished"]
    assert finished == sorted(finished)
    metrics = json.loads((out / best / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["valid"]["loss"] == finished[0]
    card = (out / best / "README.md").read_text(encoding="utf-8")
    assert "kikibouba train mel_2bar" in card
    assert "--set train.learning_rate=" in card
    assert (out / "results.png").read_bytes().startswith(b"\x89PNG")


def test_killed_workers_and_ctrl_c_cost_nothing(undisturbed, few, tmp_path):
    table, calm = undisturbed
    killer = when(
        lambda: saved_step(tmp_path / FIRST) >= 5,
        lambda _: os.kill(attempts(tmp_path, FIRST)[-1]["process"], signal.SIGKILL),
    )
    stopper = when(lambda: read_reached(tmp_path / FIRST), lambda _: os.kill(os.getpid(), signal.SIGINT))
    said = []
    with pytest.raises(Interrupted, match="of 2 trials done; repeat the command"):
        sweep(few, tmp_path, workers=1, say=said.append)
    killer.join()
    stopper.join()
    assert any("lost (its process ended with signal 9); it goes on from step" in line for line in said)
    before = attempts(tmp_path, FIRST)
    assert [attempt["steps"] for attempt in before][:2] == [10, 10]
    found = sweep(few, tmp_path, workers=1)
    known = {row.name: row for row in table.rows}
    assert len(found.rows) == 2
    assert all(row == known[row.name] for row in found.rows)
    for row in found.rows:
        weights = [(folder / row.name / "model.safetensors").read_bytes() for folder in (tmp_path, calm)]
        assert weights[0] == weights[1]
    assert attempts(tmp_path, FIRST)[: len(before)] == before
    done = [attempts(tmp_path, row.name) for row in found.rows]
    assert sum(len(jobs) - len({job["steps"] for job in jobs}) for jobs in done) <= 2
    assert sweep(few, tmp_path, workers=1).rows == found.rows
    assert [attempts(tmp_path, row.name) for row in found.rows] == done


def test_workers_end_when_their_sweep_was_killed(few, tmp_path):
    command = [sys.executable, "-m", "kikibouba", "sweep", str(few), "-o", str(tmp_path), "--workers", "1"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        when(lambda: saved_step(tmp_path / FIRST) >= 5, lambda _: process.kill()).join()
        process.wait()
    with locked(tmp_path / FIRST, 60, "an orphan still trains"):
        pass
    with locked(tmp_path, 1, "a killed sweep still runs"):
        assert 5 <= saved_step(tmp_path / FIRST) <= STEPS


def test_more_trials_are_added_and_other_settings_refused(undisturbed, file, data, tmp_path):
    _, calm = undisturbed
    text = file.read_text(encoding="utf-8")
    plan = json.loads((calm / "sweep.json").read_text(encoding="utf-8"))
    longer = tmp_path / "longer.toml"
    longer.write_text(text.replace("z_size = [3, 5]", "z_size = [4, 3, 5]"), encoding="utf-8")
    (tmp_path / "out").mkdir()
    write_plan(tmp_path / "out", read_sweep(file))
    names = [entry["name"] for entry in write_plan(tmp_path / "out", read_sweep(longer))]
    assert names[:4] == [entry["name"] for entry in plan["trials"]]
    assert len(names) == 6
    assert all(name.startswith("z_size=4") for name in names[4:])
    for old, new, message in (
        ("z_size = [3, 5]", "z_size = [3]", "not listed any more"),
        ("free_bits = 0.0", "free_bits = 1.0", r"model.free_bits \(was 0.0, now 1.0\)"),
        ("factor = 2", "factor = 3", r"factor \(was 2, now 3\)"),
        ("steps = 20", "steps = 50", r"train.num_steps \(was 20, now 50\)"),
    ):
        other = tmp_path / "other.toml"
        other.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(KikiboubaError, match=message):
            sweep(other, calm, workers=1)


def test_two_sweeps_never_share_a_folder(undisturbed, file):
    _, calm = undisturbed
    with (
        locked(calm, 0, "this test works"),
        pytest.raises(KikiboubaError, match=rf"another sweep runs in .* \(process {os.getpid()} on"),
    ):
        sweep(file, calm)


def test_what_cannot_work_is_said_before_anything_runs(file, data, tmp_path, capsys):
    text = file.read_text(encoding="utf-8")
    bad = tmp_path / "bad.toml"
    for old, new, message in (
        (str(data), str(tmp_path / "none"), "no prepared dataset"),
        ("model.z_size", "representation.bars", "was prepared with steps 32"),
        ("model.z_size = [3, 5]", "representation.gap_bars = [1, 2]", "would change nothing"),
        ("[[6]]", '["big"]', "must be a list"),
        ('"mel_2bar"', '"sketch"', "must be of type int"),
        ('"mel_2bar"', '"drums_2bar"', "drums"),
    ):
        bad.write_text(text.replace(old, new), encoding="utf-8")
        assert main(["sweep", str(bad), "-o", str(tmp_path / "out")]) == 1
        output = capsys.readouterr()
        assert message in output.err
        assert len(output.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_without_ray_or_its_cluster_one_line_says_so(file, tmp_path, monkeypatch, capsys):
    assert main(["sweep", str(file), "-o", str(tmp_path / "a"), "--address", "nowhere"]) == 1
    assert "must be auto, local, or host:port" in capsys.readouterr().err
    assert main(["sweep", str(file), "-o", str(tmp_path / "b"), "--address", "127.0.0.1:1"]) == 1
    assert "no Ray cluster answers at 127.0.0.1:1" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["sweep", str(file), "-o", str(tmp_path / "c"), "--ray"]) == 1
    assert "pip install 'kikibouba[scale]'" in capsys.readouterr().err


def test_dry_run_lists_the_trials(file, capsys):
    assert main(["sweep", str(file), "--dry-run"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_full_disk_ends_the_sweep_and_a_broken_trial_does_not(file, tmp_path, monkeypatch):
    name = write_plan(tmp_path, read_sweep(file))[0]["name"]

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        answer = train_job(str(tmp_path), name, 0, 1, "cpu")
    assert "is full; finished trials are kept" in answer["halt"]
    plan = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    plan["trials"][0]["metric"] = "accuracie"
    (tmp_path / "sweep.json").write_text(json.dumps(plan), encoding="utf-8")
    assert "did you mean 'accuracy'" in train_job(str(tmp_path), name, 0, 1, "cpu")["error"]
    (tmp_path / "sweep.json").unlink()
    assert "must share the output folder" in train_job(str(tmp_path), name, 0, 1, "cpu")["error"]


def test_figures_of_an_earlier_rung_are_not_taken_for_those_of_a_later_one(undisturbed, tmp_path, file):
    """A process that is killed after the last state of a job and before its figures leaves old figures."""
    _, calm = undisturbed
    entry = write_plan(tmp_path, read_sweep(file))[0]
    folder, name = tmp_path / entry["name"], entry["name"]
    train_job(str(tmp_path), name, 0, 1, "cpu")
    old = (folder / "metrics.json").read_bytes()
    train_job(str(tmp_path), name, 1, 1, "cpu")
    reached = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
    (folder / "metrics.json").write_bytes(old)
    (folder / "trial.json").write_text(json.dumps({**reached, "reached": reached["reached"][:1]}))
    answer = train_job(str(tmp_path), name, 1, 1, "cpu")
    assert answer["value"] == read_reached(calm / name)[1]["value"]
    assert read_reached(folder)[1]["metrics"]["steps_done"] == 20


def test_pictures_of_odd_tables():
    def table(*rows):
        fields = tuple(dict.fromkeys(name for row in rows for name in row.settings))
        return Table("loss", "min", fields, rows)

    assert plot_sweep(table(Row("a", {"seed": 1}, "failed", 0, None, "broken"))) is None
    one = plot_sweep(table(Row("a", {"seed": 1}, "finished", 3, 2.0)))
    mixed = plot_sweep(
        table(
            Row("a", {"preset": "x", "train.learning_rate": 1e-4}, "finished", 3, 2.0),
            Row("b", {"preset": "y", "train.learning_rate": 1e-1}, "stopped", 2, 2.5),
            Row("c", {"preset": "y"}, "stopped", 2, -3.0),
        )
    )
    assert one.startswith(b"\x89PNG")
    assert mixed.startswith(b"\x89PNG")
