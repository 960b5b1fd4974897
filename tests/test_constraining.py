"""Constraints from files to results, in miniature: train, load, ask, measure; and what is refused."""

import dataclasses
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import kikibouba as kb
from kikibouba import cli, hub
from kikibouba.bridges.latent_constraints.best_of import Moved, best_of
from kikibouba.bridges.latent_constraints.classes import asked
from kikibouba.config import find_preset
from kikibouba.constraining import constrain_whole, constraints_of, decode_moved, load_constraints, move
from kikibouba.constraint_training import train_constraints
from kikibouba.data.prepare import prepare
from kikibouba.errors import KikiboubaError
from kikibouba.train.checkpoint import build_module, load_checkpoint, save_checkpoint
from tiny_models import make_weights, notes_of, same_weights

EXAMPLES = Path(__file__).parents[1] / "examples"
TUNES = ("bouncing_ball", "hedgehog", "lullaby", "morning_walk", "river", "stars")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The example tunes, the last one held out."""
    folder = tmp_path_factory.mktemp("data")
    lists = folder / "lists"
    lists.mkdir()
    for split, names in (("train", TUNES[:-1]), ("valid", TUNES[-1:])):
        (lists / f"{split}.txt").write_text("\n".join(f"{name}.mid" for name in names))
    representation = hub.representation_for("melody")
    prepare(representation, EXAMPLES, folder / "melody", splits=lists, workers=1, progress=False)
    return folder / "melody"


def recipe(name="constraints", **settings):
    preset = find_preset(name)
    train = dataclasses.replace(preset.train, batch_size=8, num_steps=4, log_every=1, eval_every=2)
    if name == "constraints":
        settings = {"width": 8, "layers": 1, "judged": 4} | settings
    return dataclasses.replace(preset, model=dataclasses.replace(preset.model, **settings), train=train)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, data):
    """Tiny bundled models, one of them constraints."""
    folder = make_weights(tmp_path_factory.mktemp("weights"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "WEIGHTS", folder)
        train_constraints(recipe(), "mel_2bar", data, folder / "constraints-mel_2bar")
    return folder


@pytest.fixture(autouse=True)
def bundled(monkeypatch, weights):
    monkeypatch.setattr(hub, "WEIGHTS", weights)


@pytest.fixture
def quiet():
    """Tiny constraints reach nothing, and say so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not what was asked")
        yield


def test_constraints_are_a_model_of_their_bases_kind(weights):
    found = kb.load("constraints-mel_2bar")
    assert (found.kind, found.z_size) == ("melody", hub.load_model("mel_2bar").z_size)
    assert hub.kind_of_model("constraints-mel_2bar") == "melody"
    assert len(found.sample(2, seed=1)) == 2
    assert found.fitted_prior is not None
    assert found.reconstruct(EXAMPLES / "river.mid").notes is not None
    config = constraints_of(found).config
    assert config.base == "mel_2bar"
    assert config.attributes[-1] == "key"
    assert set(config.attributes[:-1]) <= set(found.representation.attributes([]))
    assert hub.find_translator("sketch", "melody") == "sketch-mel_2bar"
    metrics = json.loads((weights / "constraints-mel_2bar" / "metrics.json").read_text())
    assert metrics["steps_done"] == 4


def test_by_model_by_name_of_the_base_and_by_source(quiet):
    wish = {"note_density": "high"}
    named = kb.constrain("constraints-mel_2bar", EXAMPLES / "river.mid", wish)
    by_base = kb.constrain("mel_2bar", EXAMPLES / "river.mid", wish)
    by_source = kb.constrain(source=EXAMPLES / "river.mid", attributes=wish)
    loaded = kb.constrain(load_constraints("mel_2bar"), EXAMPLES / "river.mid", wish)
    assert len(named) == 1
    for other in (by_base, by_source, loaded):
        assert np.array_equal(notes_of(named[0]), notes_of(other[0]))


def test_new_ones_and_seeds(quiet):
    tunes, again, others = (
        kb.constrain("mel_2bar", attributes={"density": "low"}, n=3, seed=s) for s in (5, 5, 6)
    )
    assert len(kb.constrain("mel_2bar", tries=1)) == 8
    same, differ = (
        [np.array_equal(notes_of(a), notes_of(b)) for a, b in zip(tunes, other, strict=True)]
        for other in (again, others)
    )
    assert all(same)
    assert not all(differ)


@pytest.mark.parametrize("method", ["actor", "optimize"])
def test_what_is_moved_is_what_is_decoded(method, quiet):
    found = load_constraints("mel_2bar")
    mu = found.encode(EXAMPLES / "river.mid").mu
    labels = asked(constraints_of(found).config, {"density": "high"})
    z = move(found, mu, labels, keep_close=True, method=method)
    expected = found.representation.to_artifact(decode_moved(found, z)[0])
    made = kb.constrain(found, EXAMPLES / "river.mid", {"density": "high"}, method=method, tries=1)
    assert np.array_equal(notes_of(made[0]), notes_of(expected))
    assert not np.allclose(z, mu)


def test_a_whole_piece_keeps_its_length(quiet):
    source = EXAMPLES / "morning_walk.mid"
    whole = constrain_whole(None, source, {"density": "low"}, tries=2)
    assert whole.notes.total_time == pytest.approx(kb.read_midi(source).total_time, abs=4.1)
    assert whole.notes.total_time > 8


def test_results_that_miss_are_drawn_anew_and_the_best_stays():
    ordered, labels = np.array([True, False]), np.array([2, 1])
    has = [[[0, 1], [1, 0]], [[1, 1], [2, 0]], [[1, 1], [2, 1]], [[2, 1], [0, 0]]]
    calls = []

    def attempt(number):
        calls.append(number)
        z = np.full((2, 1), number)
        return Moved(z, z, [np.array(number)] * 2, np.array(has[number]))

    assert best_of(2, labels, ordered, attempt).z.ravel().tolist() == [1, 1]
    assert best_of(3, labels, ordered, attempt).z.ravel().tolist() == [1, 2]
    calls.clear()
    best = best_of(9, labels, ordered, attempt)
    assert (best.z.ravel().tolist(), calls) == ([3, 2], [0, 1, 2, 3])
    unknown = Moved(np.zeros((1, 1)), np.zeros((1, 1)), [], np.array([[-1, -1]]))
    assert not unknown.misses(labels, ordered).any()


def test_what_is_not_reached_is_said():
    with pytest.warns(UserWarning, match="of 8 results are not what was asked in density"):
        kb.constrain("mel_2bar", attributes={"density": "low", "range": "high"}, tries=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "drums_2bar"}, "no constraints for drums_2bar: make them with .*train constraints"),
        ({"attributes": {"desnity": "high"}}, "nothing was learnt about 'desnity'; did you mean 'density'"),
        (
            {"attributes": {"density": "huge"}},
            "density cannot be 'huge'; allowed: low, mid, high, or a number",
        ),
        ({"attributes": {"key": "H"}}, "key cannot be 'H'; allowed: "),
        ({"n": 0}, "cannot make 0 results"),
        ({"tries": 0}, "in 0 tries"),
        ({"seed": -1}, "seed -1"),
        ({"method": "magic"}, "unknown method 'magic'; allowed: actor, optimize"),
        ({"model": None}, "name a model, or a file"),
        ({"source": EXAMPLES / "sheep.svg"}, "sheep.svg"),
    ],
)
def test_mistakes_are_told(arguments, message):
    with pytest.raises(KikiboubaError, match=message):
        kb.constrain(**({"model": "mel_2bar"} | arguments))


def test_other_weights_of_the_base_are_refused(weights, tmp_path, monkeypatch):
    preset, module = load_checkpoint(weights / "constraints-mel_2bar")
    save_checkpoint(tmp_path / "mine", module, preset, {}, "# mine\n")
    other = load_checkpoint(weights / "mel_2bar")[0]
    save_checkpoint(tmp_path / "mel_2bar", build_module(other, seed=9), other, {}, "# other\n")
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path)
    with pytest.raises(KikiboubaError, match="trained on other weights of 'mel_2bar'"):
        kb.load(tmp_path / "mine")


def test_labels_from_a_csv_can_be_asked_for(data, tmp_path, quiet):
    labels = tmp_path / "moods.csv"
    moods = {"bouncing_ball": "calm", "lullaby": "calm", "river": "calm", "hedgehog": "wild", "stars": "wild"}
    moods["morning_walk"] = "wild"
    rows = [f"{name}.mid,{mood},slow" for name, mood in moods.items()]
    labels.write_text("\n".join(["file,mood,tempo", *rows]))
    with pytest.raises(KikiboubaError, match=r"labels 'tempo' need two classes.*slow"):
        train_constraints(recipe(), "mel_2bar", data, tmp_path / "out", labels)
    labels.write_text("\n".join(["file,mood", *(row[:-5] for row in rows)]))
    train_constraints(recipe(), "mel_2bar", data, tmp_path / "out", labels)
    found = kb.load(tmp_path / "out")
    config = constraints_of(found).config
    assert config.classes[config.attributes.index("mood")] == ("calm", "wild")
    assert len(kb.constrain(found, attributes={"mood": "wild", "density": "low"}, n=2)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,mood\nriver.mid,calm\nnone.mid,wild\n", "1 of 2 labelled names fit no file.*none.mid"),
        ("file,mood\n*.mid,calm\n", "need two classes or more"),
        ("name,mood\nriver.mid,calm\n", "must begin with a line such as file,mood"),
        ("file,mood\nriver.mid\n", "line 2"),
        ("file,mood\nriver.mid,a\nriver.mid,b\n", "two lines for river.mid"),
    ],
)
def test_bad_labels_are_told_before_anything_is_written(data, tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(KikiboubaError, match=message):
        train_constraints(recipe(), "mel_2bar", data, tmp_path / "out", tmp_path / "labels.csv")
    assert not (tmp_path / "out" / "config.json").exists()


def test_lc_learns_loads_samples_and_goes_on(data, tmp_path):
    preset = recipe("lc-cat-mel_2bar_big", dec_rnn_size=(8, 8), encoded_z_size=3)
    train_constraints(preset, "mel_2bar", data, tmp_path / "whole", seed=2)
    train_constraints(preset, "mel_2bar", data, tmp_path / "parts", seed=2, num_steps=2)
    train_constraints(preset, "mel_2bar", data, tmp_path / "parts", seed=2)
    found = kb.load(tmp_path / "whole")
    assert (found.kind, found.z_size) == ("melody", 3)
    assert same_weights(found.module, kb.load(tmp_path / "parts").module)
    first, again = (found.sample(5, seed=3) for _ in range(2))
    assert [notes_of(t).tolist() for t in first] == [notes_of(t).tolist() for t in again]
    mu, sigma = found.encode(EXAMPLES / "river.mid")
    assert mu.shape == sigma.shape == (1, 3)
    z = np.zeros((1, 3), np.float32)
    assert len(found.decode(z, seed=1)) == 1
    with pytest.raises(KikiboubaError, match="learns from music alone"):
        train_constraints(preset, "mel_2bar", data, tmp_path / "x", tmp_path / "labels.csv")
    with pytest.raises(KikiboubaError, match="encoded_z_size 0 must be 1 or more"):
        train_constraints(recipe("lc-cat-mel_2bar_big", encoded_z_size=0), "mel_2bar", data, tmp_path / "x")


def test_the_verbs_from_training_to_figures(data, tmp_path, capsys):
    wishes = 'model.attributes=["density","key"]'
    settings = (wishes, "model.width=8", "model.layers=1", "model.judged=0", "train.batch_size=8")
    arguments = [word for setting in settings for word in ("--set", setting)]
    out = tmp_path / "out"
    train = [
        "train",
        "constraints",
        "--bases",
        "mel_2bar",
        "--data",
        str(data),
        "-o",
        str(out),
        "--steps",
        "2",
    ]
    assert cli.main([*train, *arguments]) == 0
    assert cli.main(["evaluate", str(out), "--data", str(data), "--split", "valid", "--limit", "4"]) == 0
    printed = capsys.readouterr().out
    for figure in ("realism constrained", "density high moved", "key reached close", "notes kept close"):
        assert re.search(rf"{figure} +\d", printed), figure
    made = tmp_path / "made.mid"
    ask = ["constrain", str(EXAMPLES / "river.mid"), "--attribute", "note_density=high", "-o", str(made)]
    assert cli.main([*ask, "--keep-close", "--model", str(out), "--also", "png"]) == 0
    assert made.is_file()
    assert made.with_suffix(".png").is_file()
    many = ["constrain", "--model", str(out), "--attribute", "key=G", "-n", "3", "-o", str(tmp_path / "many")]
    assert cli.main(many) == 0
    assert len(list((tmp_path / "many").iterdir())) == 3
    capsys.readouterr()
    for bad, message in (
        ([*ask, "--whole", "-n", "2"], "--whole changes all of one file"),
        ([*ask, "--attribute", "density"], "must be NAME=VALUE"),
        ([*train[:2], *train[4:]], "is a bridge over one model: give that with --bases"),
        ([*train, "--labels", "a.csv", "b.csv"], "constraints takes one file of --labels"),
    ):
        assert cli.main(bad) != 0
        assert message in capsys.readouterr().err
