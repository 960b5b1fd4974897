"""`kikibouba personalize`, and the other verbs with what it makes, as a user meets them."""

import json

import numpy as np
import pytest

from kikibouba import hub
from kikibouba.cli import main
from kikibouba.data.midi import read_midi, write_midi
from kikibouba.data.notes import NoteSequence, make_notes
from tiny_models import make_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def run(monkeypatch, weights, capsys):
    """Run a command line in this process; returns (exit status, stdout, stderr)."""
    monkeypatch.setattr(hub, "WEIGHTS", weights)

    def call(*argv):
        status = main([str(word) for word in argv])
        return status, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    start = np.arange(60) * 0.5
    notes = make_notes(60 + np.arange(60) % 17, start, start + 0.5)
    path = tmp_path_factory.mktemp("songs") / "song.mid"
    return write_midi(NoteSequence(notes, total_time=30.0), path)


def test_it_trains_samples_and_compares(run, song, tmp_path):
    out = tmp_path / "mine"
    status, text, errors = run(
        "personalize", song, "--model", "mel_2bar", "-o", out, "-n", 3, "--also", "png", "--steps", 5
    )
    assert status == 0, errors
    samples = sorted((out / "samples").glob("*.mid"))
    assert [path.name for path in samples] == ["mine-1.mid", "mine-2.mid", "mine-3.mid"]
    assert all(isinstance(read_midi(path), NoteSequence) for path in samples)
    assert len(list((out / "samples").glob("*.png"))) == 3
    report = json.loads((out / "report.json").read_text())
    assert set(report["distances"]) == {"pitch_classes", "intervals", "rhythm", "register", "density"}
    for name in (*report["distances"], "z1", "z4", "closer in", "are new"):
        assert name in text
    for name in ("config.json", "model.safetensors", "metrics.json", "README.md", "loss.png", "log.jsonl"):
        assert (out / name).is_file()


@pytest.fixture(scope="module")
def mine(song, weights, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(hub, "WEIGHTS", weights)
    out = tmp_path_factory.mktemp("bridges") / "mine"
    assert main(["personalize", str(song), "-o", str(out), "-n", "0", "--steps", "3"]) == 0
    patch.undo()
    return out


def test_every_verb_takes_it_as_a_model(run, mine, song, tmp_path):
    data, lists = tmp_path / "data", tmp_path / "lists"
    lists.mkdir()
    (lists / "train.txt").write_text("song.mid")
    assert run("prepare", "melody", song.parent, data, "--splits", lists, "--workers", 1)[0] == 0
    for words in (
        ("sample", mine, "-n", 5, "-o", tmp_path / "five", "--attribute", "z1=+1.5"),
        ("reconstruct", song, "--model", mine, "-o", tmp_path / "again.mid"),
        ("reconstruct", song, "--model", mine, "--whole", "-o", tmp_path / "whole.mid"),
        ("interpolate", song, song, "--model", mine, "-n", 3, "-o", tmp_path / "steps"),
        ("encode", song, "--model", mine, "-o", tmp_path / "z.json"),
        ("decode", tmp_path / "z.json", "-o", tmp_path / "back.mid"),
        ("plot", "sliders", mine, "-o", tmp_path / "sliders.png"),
        ("plot", "reconstructions", song, "--model", mine, "-o", tmp_path / "rows.png"),
        ("plot", "curve", mine, "-o", tmp_path / "curve.png"),
        ("evaluate", mine, "--data", data, "--split", "train", "--json", tmp_path / "figures.json"),
        ("plot", "map", mine, "--data", data, "--split", "train", "-o", tmp_path / "map.png"),
        ("models", "show", mine),
    ):
        status, text, errors = run(*words)
        assert status == 0, (words, errors)
    assert 0 <= json.loads((tmp_path / "figures.json").read_text())["greedy accuracy"] <= 1
    assert len(list((tmp_path / "five").glob("*.mid"))) == 5
    assert "personal" in text


def test_equal_seeds_equal_bytes(run, mine, tmp_path):
    for name in ("a", "b"):
        assert run("sample", mine, "-n", 1, "--seed", 4, "-o", tmp_path / f"{name}.mid")[0] == 0
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_presets_are_listed(run):
    text = run("models")[1]
    for name in ("personal", "midime", "ae-cat-mel_2bar_big"):
        assert f"  {name} " in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("SONG", "--model", "sketch-mel_2bar"), "is a translator"),
        (("SONG", "--model", "mel_3bar"), "did you mean"),
        (("SONG", "--preset", "midi_me"), "did you mean 'midime'"),
        (("SONG", "--set", "model.latents=3"), "did you mean 'latent_size'"),
        (("SONG", "-n", "-1"), "cannot make -1"),
        (("SONG", "--model", "sketch"), "song.mid"),
        (("gone.mid",), "no file gone.mid"),
    ],
)
def test_mistakes_are_one_line(run, song, tmp_path, words, message):
    words = [song if word == "SONG" else word for word in words]
    status, _, errors = run("personalize", *words, "-o", tmp_path / "out", "--steps", 2)
    assert status == 1
    assert message in errors.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_training_a_bridge_needs_one_base(run, tmp_path):
    for bases in ((), ("--bases", "mel_2bar", "sketch")):
        status, _, errors = run("train", "midime", "--data", tmp_path, "-o", tmp_path / "run", *bases)
        assert status == 1
        assert "--bases" in errors
