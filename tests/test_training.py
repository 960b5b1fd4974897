"""From files to trained models and translators, in miniature: prepare, train, evaluate, use."""

import json
from pathlib import Path

import numpy as np
import pytest

from kikibouba import hub
from kikibouba.config import load_preset
from kikibouba.data.prepare import prepare
from kikibouba.errors import KikiboubaError
from kikibouba.evaluation import evaluate
from kikibouba.training import open_for, train_model, train_translator
from tiny_models import SMALL, make_weights

EXAMPLES = Path(__file__).parents[1] / "examples"
SHARES = (0.6, 0.2, 0.2)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def bundled(monkeypatch, weights):
    monkeypatch.setattr(hub, "WEIGHTS", weights)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Kind → a folder of examples in three splits, the same for each: what counts here is the way."""
    root = tmp_path_factory.mktemp("datasets")
    for kind in ("melody", "sketch"):
        lists = root / f"{kind}_lists"
        lists.mkdir()
        suffix = ".svg" if kind == "sketch" else ".mid"
        names = [p.name for p in sorted(EXAMPLES.glob(f"*{suffix}")) if not p.name.startswith("drums")]
        for split, part in (("train", names[:-2]), ("valid", names[-2:-1]), ("test", names[-1:])):
            (lists / f"{split}.txt").write_text("\n".join(part), encoding="utf-8")
        representation = hub.representation_for(kind)
        prepare(representation, EXAMPLES, root / kind, splits=lists, workers=1, progress=False)
    return root


def small(name):
    return load_preset(
        name, dict(s.split("=") for s in [*SMALL[name], "train.batch_size=8", "train.precision=fp32"])
    )


def test_a_model_learns_and_goes_on(datasets, tmp_path):
    out = tmp_path / "run"
    train_model(small("mel_2bar"), datasets / "melody", out, num_steps=3)
    metrics = train_model(small("mel_2bar"), datasets / "melody", out, num_steps=6)
    assert metrics["steps_done"] == 6
    figures = evaluate(out, datasets / "melody", "test")
    assert 0 <= figures["greedy accuracy"] <= 1
    assert len(hub.load(out).sample(2)) == 2


@pytest.mark.parametrize("name", ["translation", "translation_attributes"])
def test_a_translator_learns(datasets, tmp_path, name):
    settings = {
        "model.width": "8",
        "model.shared_size": "4",
        "model.adaptor_size": "8",
        "train.batch_size": "8",
    }
    bases = ("sketch", "mel_2bar")
    data = [datasets / "sketch", datasets / "melody"]
    out = tmp_path / "run"
    metrics = train_translator(load_preset(name, settings), bases, data, out, num_steps=2)
    assert metrics["steps_done"] == 2
    translator = hub.load(out)
    assert translator.kinds == ("sketch", "melody")
    assert bool(translator.preset.model.attributes) == (name == "translation_attributes")
    assert translator.translate(EXAMPLES / "sheep.svg", seed=1).notes.total_time > 0


def test_categories_come_from_labels_files(datasets, tmp_path):
    sounds, shapes = tmp_path / "sounds.csv", tmp_path / "shapes.csv"
    sounds.write_text("file,label\nhedgehog.mid,wild\n*.mid,calm\n", encoding="utf-8")
    shapes.write_text("file,label\nc*.svg,round\nhedgehog.svg,spiky\nlightning.svg,spiky\n", encoding="utf-8")
    settings = {"train.batch_size": "8", "model.categories": '[["round","calm"],["spiky","wild"]]'}
    preset, bases = load_preset("translation_categories", settings), ("sketch", "mel_2bar")
    data = [datasets / "sketch", datasets / "melody"]
    labels = {"sketch": shapes, "mel_2bar": sounds}
    train_translator(preset, bases, data, tmp_path / "run", labels=labels, num_steps=1)
    assert hub.read_preset(tmp_path / "run").model.categories == (("round", "calm"), ("spiky", "wild"))
    assert hub.load(tmp_path / "run").translate(EXAMPLES / "sheep.svg").notes.total_time > 0
    for wrong, message in (
        ({"mel2bar": sounds}, "did you mean 'mel_2bar'"),
        ({"sketch": sounds, "mel_2bar": sounds}, "fit no file"),
        ({"mel_2bar": sounds}, "no example of sketch is labelled 'round'"),
    ):
        with pytest.raises(KikiboubaError, match=message):
            train_translator(preset, bases, data, tmp_path / "other", labels=wrong, num_steps=1)
    assert not (tmp_path / "other/model.safetensors").exists()


def test_attributes_follow_the_kinds_of_the_bases(datasets, tmp_path):
    preset = load_preset("translation_attributes", {"train.batch_size": "8"})
    data = [datasets / "melody", datasets / "sketch"]
    train_translator(preset, ("mel_2bar", "sketch"), data, tmp_path / "run", num_steps=1)
    found = hub.read_preset(tmp_path / "run").model.attributes
    assert found == (("jaggedness", "angularity"), ("density", "density"))


def test_evaluating_a_translator_takes_datasets_in_any_order(datasets):
    data = [datasets / "sketch", datasets / "melody"]
    one, other = (evaluate("sketch-mel_2bar", order, "train", limit=40) for order in (data, data[::-1]))
    assert one == pytest.approx(other, nan_ok=True)
    assert "sketch>mel_2bar cycle" in one
    with pytest.raises(KikiboubaError, match="each of its bases"):
        evaluate("sketch-mel_2bar", datasets / "sketch")


def test_drawings_of_another_scale_are_rescaled(datasets):
    model = hub.load("sketch")
    plain = json.loads((datasets / "sketch" / "meta.json").read_text(encoding="utf-8"))["representation"]
    assert plain["scale_factor"] != model.representation.scale_factor
    dataset = open_for(model, datasets / "sketch")
    names = sorted(p for p in (datasets / "sketch_lists" / "train.txt").read_text().split())
    (expected,) = model.representation.windows(model.representation.read(EXAMPLES / names[0])[0])
    examples = dataset.split("train")
    found = [
        np.allclose(examples[i], expected, atol=1e-4)
        for i in range(len(examples))
        if len(examples[i]) == len(expected)
    ]
    assert any(found)
    with pytest.raises(KikiboubaError, match="no 'tset'"):
        dataset.split("tset")


def test_what_does_not_fit_is_refused(datasets, tmp_path):
    cases = [
        (lambda: train_model(small("drums_2bar"), datasets / "melody", tmp_path / "a"), "learns drums"),
        (lambda: train_model(small("mel_2bar"), tmp_path, tmp_path / "a"), "no prepared dataset"),
        (lambda: train_translator(small("mel_2bar"), (), (), tmp_path / "a"), "not a translator"),
        (
            lambda: train_translator(
                load_preset("translation"), ("sketch",), (datasets / "sketch",), tmp_path / "a"
            ),
            "two",
        ),
        (lambda: evaluate("sketch", datasets / "melody"), "learns sketch"),
    ]
    for call, message in cases:
        with pytest.raises(KikiboubaError, match=message):
            call()
    assert not (tmp_path / "a").exists()
