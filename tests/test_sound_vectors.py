"""Sounds of one length as vectors, and drawings that become sounds: in miniature, from folder to sound."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kikibouba import hub
from kikibouba.bridges.sound_vectors.config import ModelConfig
from kikibouba.bridges.sound_vectors.model import SoundVectors
from kikibouba.cli import main
from kikibouba.config import load_preset
from kikibouba.data.artifacts import Drawing, Sound
from kikibouba.data.audio_files import read_sound
from kikibouba.data.prepare import prepare
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model
from kikibouba.train.checkpoint import build_module, save_checkpoint
from kikibouba.training import open_for
from tiny_models import make_weights

EXAMPLES = Path(__file__).parents[1] / "examples"
HOP, SECONDS = 80, 0.05
SMALL = {
    "model.hop": f"{HOP}", "model.latent": "3", "model.encoder_channels": "4", "model.encoder_blocks": "1",
    "model.encoder_layers": "3", "model.blocks": "1", "model.layers": "3", "representation.clip": "320",
}  # fmt: skip
NSYNTH = SMALL | {"model.residual": "6", "model.skip": "5"}
UMTN = SMALL | {"model.channels": "6", "model.classifier_channels": "4", "model.domains": '["reed", "bell"]'}
VECTORS = {"model.seconds": f"{SECONDS}", "model.z_size": "4"}
BRIDGE = {
    "model.width": "8", "model.shared_size": "4", "model.adaptor_size": "8", "train.batch_size": "8",
    "train.precision": "fp32",
}  # fmt: skip


def run(*words):
    assert main([str(word) for word in words]) == 0


def settings(overrides):
    return [part for name, value in overrides.items() for part in ("--set", f"{name}={value}")]


def untrained(folder, name, overrides):
    preset = load_preset(name, overrides)
    save_checkpoint(folder, build_module(preset), preset, {}, "# tiny\n")
    return folder


def lists(folder, names, shares=(0.75, 0.125)):
    folder.mkdir()
    ends = [int(len(names) * sum(shares[: i + 1])) for i in range(len(shares))]
    for split, first, last in zip(("train", "valid", "test"), [0, *ends], [*ends, None], strict=True):
        (folder / f"{split}.txt").write_text("\n".join(names[first:last]))
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Datasets of tones and drawings, tiny bases, and vectors of the tones."""
    root = tmp_path_factory.mktemp("sounds")
    (root / "tones").mkdir()
    rng, times = np.random.default_rng(0), np.arange(2400) / 16_000
    names = [f"{number:02}.wav" for number in range(48)]
    for name in names:
        hertz, loud, bright = rng.uniform(200, 900), rng.uniform(0.05, 0.7), rng.uniform(0, 1)
        wave = np.sin(2 * np.pi * hertz * times) + bright * np.sin(14 * np.pi * hertz * times)
        Sound(0.5 * loud * wave).save(root / "tones" / name)
    drawings = sorted(path.name for path in EXAMPLES.glob("*.svg"))
    tone_lists, sketch_lists = lists(root / "a", names), lists(root / "b", drawings, (0.92, 0.05))
    for kind, source, split in (
        ("nsynth", root / "tones", tone_lists),
        ("umtn", root / "tones", tone_lists),
        ("sketch", EXAMPLES, sketch_lists),
    ):
        overrides = {} if kind == "sketch" else {"representation.clip": "320"}
        representation = hub.representation_for(kind, overrides)
        prepare(representation, source, root / f"{kind}_set", splits=split, workers=1, progress=False)
    untrained(root / "notes", "nsynth_small", NSYNTH)
    untrained(root / "timbre", "umtn_small", UMTN)
    train_vectors(root, "notes", "nsynth_set", "vectors")
    return root


def train_vectors(root, base, data, out, **overrides):
    run(
        "train", "sound_vectors", "--bases", root / base, "--data", root / data, "-o", root / out,
        *settings(VECTORS | overrides),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def bundled(monkeypatch, tmp_path_factory):
    if not (weights := tmp_path_factory.getbasetemp() / "tiny_weights").exists():
        make_weights(weights)
    monkeypatch.setattr(hub, "WEIGHTS", weights)


def test_vectors_are_principal_components():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((400, 3)) * [5.0, 2.0, 1.0]
    frames = torch.tensor(factors @ rng.standard_normal((3, 12)) + 4, dtype=torch.float32)
    frames += 0.01 * torch.from_numpy(rng.standard_normal(frames.shape)).float()
    vectors = SoundVectors(ModelConfig(frames=4, frame_size=3, z_size=3))
    assert vectors.fit(frames) > 0.9999
    q = vectors.encode(frames)
    torch.testing.assert_close(q.mu.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cov(q.mu.T, correction=0), torch.eye(3), atol=1e-3, rtol=0)
    assert (vectors.decode(q.mu) - frames).abs().max() < 0.1
    assert torch.all(q.sigma < 0.05)
    assert torch.all(q.sigma[:, 1:] >= q.sigma[:, :-1])  # the less an axis varies, the more of it is noise
    again = SoundVectors(ModelConfig(frames=4, frame_size=3, z_size=3))
    again.fit(frames[torch.randperm(400)])
    torch.testing.assert_close(again.axes, vectors.axes, atol=1e-4, rtol=0)


def test_too_little_to_fit():
    with pytest.raises(KikiboubaError, match="3 sounds of 12 numbers are too few"):
        SoundVectors(ModelConfig(frames=4, frame_size=3, z_size=3)).fit(torch.randn(3, 12))
    with pytest.raises(KikiboubaError, match="differ in 1 ways only"):
        SoundVectors(ModelConfig(frames=4, frame_size=3, z_size=3)).fit(torch.randn(9, 1) * torch.ones(1, 12))


def test_a_sound_is_a_vector_to_every_verb(root, tmp_path):
    model = hub.load(root / "vectors")
    assert type(model) is Model
    assert (model.kind, model.z_size) == ("audio", 4)
    tone = root / "tones" / "03.wav"
    mu, sigma = model.encode(tone)
    assert mu.shape == sigma.shape == (1, 4)
    (sound,) = model.decode(mu, seed=1)
    assert isinstance(sound, Sound)
    assert sound.seconds == pytest.approx(SECONDS)
    np.testing.assert_array_equal(sound.wave, model.decode(mu, seed=1)[0].wave)
    assert not np.array_equal(sound.wave, model.decode(mu, seed=2)[0].wave)
    assert len(model.sample(9)) == 9
    run("interpolate", tone, root / "tones" / "04.wav", "-n", 3, "--model", root / "vectors", "-o", tmp_path)
    run("encode", tone, "--model", root / "vectors", "-o", tmp_path / "z.json")
    run("decode", tmp_path / "z.json", "-o", tmp_path / "z.wav")
    run("reconstruct", tone, "--model", root / "vectors", "-o", tmp_path / "r.wav")
    assert (tmp_path / "z.wav").read_bytes() == (tmp_path / "r.wav").read_bytes()
    run("evaluate", root / "vectors", "--data", root / "nsynth_set", "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {"kept", "brightness kept", "loudness kept", "pitch kept"} <= set(figures)
    kept = json.loads((root / "vectors" / "metrics.json").read_text())
    assert 0 < kept["test"]["kept"] == pytest.approx(figures["kept"], abs=1e-4)
    assert kept["test"]["kept"] <= kept["train"]["kept"] <= 1


def test_vectors_keep_what_the_frames_say(root):
    """With as many numbers as frames have, what is decoded is what the base itself says."""
    train_vectors(root, "notes", "nsynth_set", "whole", **{"model.z_size": "30", "model.every": "0.025"})
    model, base = hub.load(root / "whole"), hub.load(root / "notes")
    tone = read_sound(root / "tones" / "05.wav")[: int(16_000 * SECONDS)]
    frames = base.encode(Sound(tone)).mu
    rebuilt = model.module.bridge.decode(torch.from_numpy(model.encode(Sound(tone)).mu))
    np.testing.assert_allclose(rebuilt.numpy().reshape(-1, 3), frames, atol=1e-3)


def test_windows_of_recordings(root):
    train_vectors(root, "notes", "nsynth_set", "windows", **{"model.every": "0.025"})
    model = hub.load(root / "windows")
    data, whole = open_for(model, root / "nsynth_set"), Dataset.open(root / "nsynth_set")
    windows, recordings = data.split("train"), whole.split("train")
    assert len(windows) == 5 * len(recordings)  # 0.15 s, the last beginning at 0.1 s
    np.testing.assert_array_equal(windows[1], recordings[0][400:1200])
    assert len(windows.categories) == len(windows)
    np.testing.assert_array_equal(windows.lengths, 800)
    piece = model.representation.windows(read_sound(root / "tones" / "00.wav"))
    np.testing.assert_array_equal(np.stack(piece), np.stack([windows[i] for i in range(5)]))
    with pytest.raises(KikiboubaError, match="silent"):
        model.representation.windows(np.zeros(2000))


def test_a_translation_network_plays_one_of_its_domains(root):
    train_vectors(root, "timbre", "umtn_set", "bells", **{"model.plays": "bell"})
    train_vectors(root, "timbre", "umtn_set", "reeds")
    z = np.zeros((1, 4))
    bell, reed = (hub.load(root / name).decode(z, seed=1)[0].wave for name in ("bells", "reeds"))
    assert not np.array_equal(bell, reed)


def test_drawings_become_sounds_and_sounds_drawings(root, tmp_path, capsys):
    run(
        "train", "translation_attributes", "--bases", "sketch", root / "vectors", "--data",
        root / "sketch_set", root / "nsynth_set", "-o", root / "both", "--steps", 3, *settings(BRIDGE),
    )  # fmt: skip
    found = hub.load_translator(root / "both")
    assert found.preset.model.attributes == (("angularity", "brightness"), ("density", "loudness"))
    star = EXAMPLES / "star.svg"
    for word, out in (("sound", "a.wav"), ("audio", "b.wav")):
        run("translate", star, "--to", word, "--with", root / "both", "-o", tmp_path / out)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    sound = read_sound(tmp_path / "a.wav")
    assert len(sound) == SECONDS * 16_000
    assert np.abs(sound).max() > 0.01
    drawing = found.translate(root / "tones" / "01.wav", "sketch")
    assert isinstance(drawing, Drawing)
    run("translate", tmp_path / "a.wav", "--to", "sketch", "--with", root / "both", "-o", tmp_path / "a.svg")
    words = [
        star,
        EXAMPLES / "circle.svg",
        "--to",
        "audio",
        "--with",
        root / "both",
        "-n",
        2,
        "--also",
        "wav",
    ]
    run("plot", "translations", *words, "-o", tmp_path / "sheet.png")
    assert len(read_sound(tmp_path / "sheet.wav")) == 2 * len(sound)
    both = found.interpolate(star, root / "tones" / "01.wav", 3)
    assert {kind: len(steps) for kind, steps in both.items()} == {"sketch": 3, "audio": 3}
    run("evaluate", root / "both", "--data", root / "sketch_set", root / "nsynth_set", "--split", "train")
    assert "angularity" in capsys.readouterr().out


def test_what_is_refused(root, capsys):
    def says(message, *words):
        assert main([str(word) for word in words]) == 1
        assert message in capsys.readouterr().err

    command = ["train", "sound_vectors", "--data", root / "nsynth_set", "-o", root / "no"]
    says("bridge over one model", *command)
    says("is a model of melody", *command, "--bases", "mel_2bar")
    says("computed, not trained", *command, "--bases", root / "notes", "--steps", 3)
    says("too few", *command, "--bases", root / "notes", "--set", "model.z_size=60")
    says("coding", *command, "--bases", root / "timbre")
    says("did you mean 'bell'", *command, "--bases", root / "timbre", "--set", "model.plays=bel")
    says(
        "no bundled translator between sketch and",
        "translate",
        EXAMPLES / "star.svg",
        "--to",
        "sound",
        "-o",
        root / "a.wav",
    )
    assert not (root / "no").exists()
