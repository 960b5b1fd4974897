"""Finding models by name: bundled ones, folders, translators with their bases, and what is said without."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from kikibouba import hub
from kikibouba.errors import KikiboubaError
from kikibouba.train.checkpoint import build_module, load_checkpoint, save_checkpoint
from tiny_models import make_translator, make_weights


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "WEIGHTS", make_weights(tmp_path / "weights"))
    return hub.WEIGHTS


def test_bundled_names(weights):
    assert hub.bundled() == [
        "drums_2bar",
        "mel_2bar",
        "mel_2bar-drums_2bar",
        "sketch",
        "sketch-drums_2bar",
        "sketch-mel_2bar",
    ]


def test_nothing_bundled_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path / "none")
    assert hub.bundled() == []
    with pytest.raises(KikiboubaError, match="no bundled translator"):
        hub.find_translator("sketch", "melody")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("mel_2bar", "melody"),
        ("drums_2bar", "drums"),
        ("sketch", "sketch"),
        ("sketch-mel_2bar", "translator"),
    ],
)
def test_kinds(weights, name, kind):
    assert hub.kind_of_model(name) == kind


def test_translators_serve_both_directions(weights):
    for source, target in (("sketch", "melody"), ("sketch", "drums"), ("melody", "drums")):
        assert hub.find_translator(source, target) == hub.find_translator(target, source)
    assert hub.find_translator("melody", "sketch") == "sketch-mel_2bar"
    with pytest.raises(KikiboubaError, match="reconstruct"):
        hub.find_translator("sketch", "sketch")


def test_unknown_names_get_the_nearest(weights, tmp_path):
    with pytest.raises(KikiboubaError, match="did you mean 'mel_2bar'"):
        hub.load("mel_2bars")
    with pytest.raises(KikiboubaError, match=r"no config\.json"):
        hub.load(tmp_path)


def test_half_precision_on_disk_is_single_in_memory(weights):
    model = hub.load("mel_2bar")
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}
    assert not model.module.training


def test_half_precision_in_memory_on_request(weights):
    half, exact = (hub.load_model("mel_2bar", precision=precision) for precision in ("fp16", "fp32"))
    assert {p.dtype for name, p in half.module.named_parameters() if ".w_" in name} == {torch.float16}
    labels = [np.arange(32) % 90]
    np.testing.assert_allclose(half.encode(labels).mu, exact.encode(labels).mu, atol=1e-3)
    assert half.sample(2, seed=1)[0].notes is not None
    with pytest.raises(KikiboubaError, match="fp16"):
        hub.load("sketch", precision="fp16")


def test_a_bundled_name_wins_over_a_folder(weights, tmp_path, monkeypatch):
    shutil.copytree(weights / "mel_2bar", tmp_path / "here" / "sketch")
    monkeypatch.chdir(tmp_path / "here")
    assert hub.load("sketch").kind == "sketch"
    assert hub.load("./sketch").kind == "melody"


def test_a_translator_finds_its_bases_beside_it(weights, tmp_path, monkeypatch):
    """Bases named by relative paths are looked for where the translator lies."""
    home = tmp_path / "moved = to ü"
    for name in ("mel_2bar", "sketch"):
        shutil.copytree(weights / name, home / f"my_{name}")
    make_translator(home, ("my_sketch", "my_mel_2bar"))
    monkeypatch.chdir(tmp_path)
    assert hub.load(home / "my_sketch-my_mel_2bar").kinds == ("sketch", "melody")


def test_a_base_that_was_trained_again_is_noticed(weights):
    preset, _ = load_checkpoint(weights / "mel_2bar")
    save_checkpoint(weights / "mel_2bar", build_module(preset, seed=9), preset, {}, "")
    with pytest.raises(KikiboubaError, match="other weights of 'mel_2bar'"):
        hub.load("sketch-mel_2bar")


def test_a_missing_base_is_named(weights):
    shutil.rmtree(weights / "mel_2bar")
    with pytest.raises(KikiboubaError, match="no model 'mel_2bar'"):
        hub.load("sketch-mel_2bar")


def test_models_and_translators_are_told_apart(weights):
    with pytest.raises(KikiboubaError, match="is a translator"):
        hub.load_model("sketch-mel_2bar")
    with pytest.raises(KikiboubaError, match="is a model"):
        hub.load_translator("mel_2bar")


def test_representations_by_kind_preset_and_setting():
    assert hub.representation_for("melody").kind == "melody"
    assert hub.representation_for("sketch").max_length == hub.representation_for("sketch", {}).max_length
    assert hub.representation_for("sketch_rnn", {"representation.max_length": "99"}).max_length == 99
    with pytest.raises(KikiboubaError, match="did you mean 'melody'"):
        hub.representation_for("melodi")
    with pytest.raises(KikiboubaError, match="bases"):
        hub.representation_for("translation")


def test_finding_models_imports_no_torch():
    code = "import sys; from kikibouba import hub; hub.bundled(); hub.representation_for('sketch'); "
    code += "sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
