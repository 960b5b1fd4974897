"""Sound from folder to sound: prepare, train (also interrupted), load, encode, translate, morph, stream."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import kikibouba as kb
from kikibouba import hub
from kikibouba.cli import main
from kikibouba.config import load_preset
from kikibouba.data.artifacts import Drawing, Sound
from kikibouba.data.audio_files import read_sound
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model
from kikibouba.sound_training import network_and_clips
from kikibouba.train.clips import ClipBatches
from kikibouba.training import train_model

TINY = {
    "representation.clip": "320", "model.hop": "80", "model.latent": "3", "model.encoder_channels": "4",
    "model.encoder_blocks": "1", "model.encoder_layers": "3", "model.blocks": "1", "model.layers": "3",
    "train.batch_size": "4", "train.num_steps": "4", "train.eval_every": "2", "train.save_every": "2",
    "train.log_every": "1",
}  # fmt: skip
UMTN = TINY | {"model.channels": "6", "model.classifier_channels": "4"}
NSYNTH = TINY | {"model.residual": "6", "model.skip": "5"}


def tone(hertz, seconds=0.1, rough=False):
    wave = np.sin(2 * np.pi * hertz * np.arange(int(16_000 * seconds)) / 16_000)
    return 0.4 * (np.sign(wave) if rough else wave)


def run(*words):
    assert main([str(word) for word in words]) == 0


def settings(overrides):
    return [part for name, value in overrides.items() for part in ("--set", f"{name}={value}")]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "split").mkdir()
    for domain, rough in (("organ", True), ("whistle", False)):
        (folder / domain).mkdir()
        for number in range(4):
            Sound(tone(300 + 50 * number, rough=rough)).save(folder / domain / f"{number}.wav")
    for split, numbers in (("train", (0, 1, 2)), ("valid", (3,))):
        names = [f"{domain}/{n}.wav" for domain in ("organ", "whistle") for n in numbers]
        (folder / "split" / f"{split}.txt").write_text("\n".join(names))
    return folder


@pytest.fixture(scope="module")
def dataset(recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("dataset")
    run("prepare", "audio", recordings, out, "--workers", 1, "--set", "representation.clip=320")
    return out


@pytest.fixture(scope="module")
def umtn(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("umtn") / "tiny"
    run("train", "umtn_small", "--data", dataset, "-o", out, *settings(UMTN))
    return out


@pytest.fixture(scope="module")
def nsynth(recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("nsynth")
    run("prepare", "nsynth", recordings, out / "data", "--workers", 1, "--set", "representation.clip=320")
    run("train", "nsynth_small", "--data", out / "data", "-o", out / "tiny", *settings(NSYNTH))
    return out / "tiny"


def test_clips_mix_domains_and_come_from_the_recordings(dataset):
    data = Dataset.open(dataset)
    clips = ClipBatches(data, data.representation, 6, seed=1, augment=True, domains=("whistle", "organ"))
    batch = clips.batch(7)
    assert sorted(batch.domain.tolist()) == [0, 0, 0, 1, 1, 1]
    train = data.split("train")
    for x, domain in zip(batch.x.numpy().astype(np.uint8), batch.domain.tolist(), strict=True):
        own = [i for i in range(len(train)) if data.categories[train.categories[i]] == clips.domains[domain]]
        assert any(x.tobytes() in train[i].tobytes() for i in own)
    assert (batch.x != batch.heard).any(1).all()
    assert ((batch.x != batch.heard).float().mean(1) <= 0.5).all()
    again = clips.batch(7)
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))
    assert not torch.equal(batch.x, clips.batch(8).x)
    shares = [clips.batch(7, rank, 2) for rank in range(2)]
    for field, whole in zip(("x", "heard", "domain"), batch, strict=True):
        joined = torch.stack([getattr(share, field) for share in shares], 1).reshape(whole.shape)
        assert torch.equal(joined, whole)
    held_out = list(clips.eval_batches())
    assert sum(len(b.x) for b in held_out) == 32
    assert all(torch.equal(b.x, b.heard) for b in held_out)


def test_a_run_goes_on_bit_by_bit(dataset, tmp_path):
    preset = load_preset("umtn_small", UMTN)
    train_model(preset, dataset, tmp_path / "whole", num_steps=4)
    train_model(preset, dataset, tmp_path / "parts", num_steps=2)
    train_model(preset, dataset, tmp_path / "parts", num_steps=4)
    state = "state/step-000000004.safetensors"
    whole, parts = (load_file(tmp_path / name / state) for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert (tmp_path / "whole/log.jsonl").read_text() == (tmp_path / "parts/log.jsonl").read_text()


def test_training_improves_what_is_said(dataset, tmp_path):
    recipe = {
        "train.num_steps": "60",
        "train.learning_rate": "0.02",
        "train.eval_every": "60",
        "train.ema_decay": "0",
    }
    metrics = train_model(load_preset("umtn_small", UMTN | recipe), dataset, tmp_path / "out")
    assert metrics["valid"]["bits"] < 6.5  # 8 without learning
    assert hub.load_model(tmp_path / "out").preset.model.domains == ("organ", "whistle")


def test_loading_gives_a_model(umtn):
    model = hub.load(umtn)
    assert isinstance(model, Model)
    assert (model.kind, model.z_size, model.domains) == ("audio", 3, ("organ", "whistle"))


@pytest.mark.parametrize("frames", [1, 7, 500])
def test_encoding_in_pieces_is_encoding_at_once(umtn, frames, monkeypatch):
    model = hub.load(umtn)
    codes = np.random.default_rng(0).integers(0, 256, 80 * 30 + 17).astype(np.uint8)
    monkeypatch.setattr("kikibouba.sounds.ENCODED", frames)
    found = model.encode(codes)
    whole = model.module.encode(torch.from_numpy(codes.astype(np.int64))[None])[0].T.detach().numpy()
    assert found.mu.shape == (30, 3)
    np.testing.assert_allclose(found.mu, whole, atol=1e-6)


def test_translating(umtn, recordings, tmp_path):
    model = hub.load(umtn)
    source = recordings / "organ" / "0.wav"
    sound = model.translate(source, "whistle", seed=1)
    assert len(sound.wave) == 1600
    again = model.translate(Sound(read_sound(source)), "whistle", seed=1)
    np.testing.assert_array_equal(sound.wave, again.wave)
    assert not np.array_equal(sound.wave, model.translate(source, "organ", seed=1).wave)
    streamed = model.save(tmp_path / "a.wav", model.encode(source).mu, "whistle", seed=1)
    np.testing.assert_allclose(read_sound(streamed), sound.wave, atol=1 / 32768)
    with pytest.raises(KikiboubaError, match="did you mean 'whistle'"):
        model.translate(source, "wistle")
    with pytest.raises(KikiboubaError, match="say which"):
        model.reconstruct(source)
    with pytest.raises(KikiboubaError, match="written as"):
        model.save(tmp_path / "a.mp3", model.encode(source).mu, "whistle")


@pytest.mark.parametrize("engine", ["torch", "auto"])
def test_several_are_translated_as_each_alone(umtn, tmp_path, engine):
    model = hub.load(umtn)
    model.engine = engine
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    sounds = [Sound(tone(300, seconds)) for seconds in (0.1, 0.3, 0.02)]
    *found, bad = model.translate_all([*sounds, tmp_path / "bad.wav"], "organ", seed=3)
    assert isinstance(bad, KikiboubaError)
    for sound, source in zip(found, sounds, strict=True):
        np.testing.assert_array_equal(sound.wave, model.translate(source, "organ", seed=3).wave)


def test_a_folder_with_a_bad_file(umtn, recordings, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kikibouba.sounds.TOGETHER", 2)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in (0, 1, 2):
        (folder / f"{number}.wav").write_bytes((recordings / "organ" / f"{number}.wav").read_bytes())
    (folder / "1.wav").write_bytes(b"RIFF")
    words = ["translate", folder, "--to", "whistle", "--with", umtn, "-o", tmp_path / "out"]
    assert main([str(word) for word in words]) == 1
    told = capsys.readouterr().err
    assert f"skipped {folder / '1.wav'}: " in told
    assert "2 files written, 1 skipped" in told
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.wav", "2.wav"]


def test_a_bundled_one_is_found_by_its_domain(umtn, recordings, tmp_path, monkeypatch, capsys):
    shutil.copytree(umtn, tmp_path / "weights" / "timbre_small")
    monkeypatch.setattr(hub, "WEIGHTS", tmp_path / "weights")
    assert hub.instruments() == {"organ": "timbre_small", "whistle": "timbre_small"}
    source = recordings / "organ" / "0.wav"
    run("translate", source, "--to", "whistle", "-o", tmp_path / "a.wav")
    assert len(kb.translate(source, "whistle").wave) == 1600
    assert main(["translate", str(source), "--to", "wistle", "-o", str(tmp_path / "b.wav")]) == 1
    assert "did you mean 'whistle'" in capsys.readouterr().err


def test_an_interrupted_stream_leaves_nothing(umtn, tmp_path, monkeypatch):
    model = hub.load(umtn)
    z = np.zeros((60, 3))
    real = model.say

    def stopped(*args):
        yield next(real(*args))
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "say", stopped)
    with pytest.raises(KeyboardInterrupt):
        model.save(tmp_path / "a.wav", z, "organ")
    assert not list(tmp_path.iterdir())


def test_sounds_through_nsynth(nsynth):
    model = hub.load(nsynth)
    a, b = Sound(tone(440, 0.2)), Sound(tone(300, 0.1, rough=True))
    assert model.encode(a).mu.shape == (40, 3)
    assert model.reconstruct(a, seed=1).seconds == pytest.approx(0.2)
    steps = model.interpolate(a, b, 3, mode="lerp", seed=1)
    assert [step.seconds for step in steps] == [pytest.approx(0.1)] * 3
    ends = model.reconstruct(b, seed=1)
    np.testing.assert_array_equal(steps[2].wave, ends.wave)
    with pytest.raises(KikiboubaError, match="no domains"):
        model.translate(a, "organ")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (Sound(tone(440)[:70]), "4 ms, less than the 5 ms"),
        (Sound(np.zeros(800)), "this sound is silent"),
        (Sound(np.zeros(0)), "0 ms, less than"),
        (Sound(np.array([0.0, np.nan] * 100)), "finite"),
        (Drawing(np.zeros((2, 3))), "this is a drawing"),
        ("missing.wav", "No such file"),
    ],
)
def test_what_cannot_be_heard(nsynth, source, says):
    with pytest.raises(KikiboubaError, match=says):
        hub.load(nsynth).encode(source)


def test_what_is_recorded_too_loud_is_said(nsynth, tmp_path):
    Sound(np.clip(9 * tone(440), -1, 1)).save(tmp_path / "loud.wav")
    with pytest.warns(UserWarning, match=r"loud\.wav: .* % of it is at full scale"):
        hub.load(nsynth).encode(tmp_path / "loud.wav")


@pytest.mark.parametrize(("organs", "says"), [(["0.wav"], "one recording"), ([], "gets no decoder")])
def test_domains_with_one_recording_or_none(recordings, tmp_path, organs, says):
    names = [f"organ/{name}" for name in organs] + [
        "whistle/0.wav",
        "whistle/1.wav",
        "bell/0.wav",
        "bell/1.wav",
    ]
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "train.txt").write_text("\n".join(names))
    (tmp_path / "split" / "valid.txt").write_text("organ/3.wav")
    (tmp_path / "split" / "test.txt").write_text("")
    for name in [*names, "organ/3.wav"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((recordings / name.replace("bell", "organ")).read_bytes())
    run("prepare", "audio", tmp_path, tmp_path / "set", "--workers", 1, "--set", "representation.clip=320")
    with pytest.warns(UserWarning, match=f"organ has .*{says}"):
        network_and_clips(load_preset("umtn_small", UMTN), Dataset.open(tmp_path / "set"), 0)


def test_what_a_model_of_sound_cannot_do(nsynth):
    model = hub.load(nsynth)
    with pytest.raises(KikiboubaError, match="no sounds of its own"):
        model.sample()
    with pytest.raises(KikiboubaError, match="attribute vectors"):
        model.reconstruct(Sound(tone(440)), attributes={"loudness": 1.0})
    with pytest.raises(KikiboubaError, match="decodes"):
        model.decode(np.zeros((4, 5)))
    with pytest.raises(KikiboubaError, match="temperature"):
        model.decode(np.zeros((4, 3)), temperature=-1.0)


def test_data_that_cannot_be_trained_on(dataset, recordings, tmp_path):
    data = Dataset.open(dataset)
    with pytest.raises(KikiboubaError, match="did you mean 'organ'"):
        network_and_clips(load_preset("umtn_small", UMTN | {"model.domains": '["orgn", "whistle"]'}), data, 0)
    with pytest.raises(KikiboubaError, match="translating takes two"):
        network_and_clips(load_preset("umtn_small", UMTN | {"model.domains": '["organ"]'}), data, 0)
    with pytest.raises(KikiboubaError, match="as long as a clip"):
        network_and_clips(load_preset("umtn_small", UMTN | {"representation.clip": "8000"}), data, 0)
    with pytest.raises(KikiboubaError, match="coding"):
        network_and_clips(load_preset("nsynth_small", NSYNTH), data, 0)


def test_verbs(umtn, nsynth, recordings, tmp_path, capsys):
    source = recordings / "organ" / "0.wav"
    run("translate", source, "--to", "whistle", "--with", umtn, "-o", tmp_path / "a.wav", "--also", "png,npz")
    expected = hub.load(umtn).translate(source, "whistle")
    np.testing.assert_allclose(read_sound(tmp_path / "a.wav"), expected.wave, atol=1 / 32768)
    assert (tmp_path / "a.png").exists()
    run("translate", recordings / "organ", "--to", "whistle", "--with", umtn, "-o", tmp_path / "many")
    assert len(list((tmp_path / "many").iterdir())) == 4
    assert (tmp_path / "many" / "0.wav").read_bytes() == (tmp_path / "a.wav").read_bytes()
    run("encode", source, "--model", nsynth, "-o", tmp_path / "codes.npy")
    assert np.load(tmp_path / "codes.npy").shape == (20, 3)
    run("decode", tmp_path / "codes.npy", "--model", nsynth, "-o", tmp_path / "b.wav")
    run("encode", source, "--model", umtn, "-o", tmp_path / "z.npz")
    run("decode", tmp_path / "z.npz", "--to", "whistle", "-o", tmp_path / "z.wav")
    assert (tmp_path / "z.wav").read_bytes() == (tmp_path / "a.wav").read_bytes()
    run("reconstruct", source, "--model", nsynth, "-o", tmp_path / "c.wav")
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()
    other = recordings / "whistle" / "1.wav"
    run("interpolate", source, other, "-n", 3, "--model", nsynth, "-o", tmp_path / "morph")
    assert len(list((tmp_path / "morph").iterdir())) == 3
    run("plot", "files", source, other, "-o", tmp_path / "both.png")
    run("plot", "reconstructions", source, other, "--model", nsynth, "-o", tmp_path / "rows.png")
    run("plot", "interpolation", source, other, "-n", 2, "--model", nsynth, "-o", tmp_path / "morph.png")
    assert (
        main(["translate", str(source), "--to", "wistle", "--with", str(umtn), "-o", str(tmp_path / "d.wav")])
        == 1
    )
    assert "did you mean 'whistle'" in capsys.readouterr().err
    assert (
        main(["translate", str(source), "--to", "x", "--with", str(nsynth), "-o", str(tmp_path / "d.wav")])
        == 1
    )
    assert "a translator is wanted" in capsys.readouterr().err
    assert main(["reconstruct", str(source), "-o", str(tmp_path / "d.wav")]) == 1
    assert "name one with --model" in capsys.readouterr().err


def test_domains_that_are_only_tested_have_no_decoder(recordings, tmp_path):
    (tmp_path / "split").mkdir()
    for split in ("train", "valid"):
        (tmp_path / "split" / f"{split}.txt").write_text((recordings / "split" / f"{split}.txt").read_text())
    (tmp_path / "split" / "test.txt").write_text("bell/0.wav")
    for path in [*recordings.rglob("*.wav")]:
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "bell").mkdir()
    Sound(tone(900)).save(tmp_path / "bell" / "0.wav")
    run("prepare", "audio", tmp_path, tmp_path / "set", "--workers", 1, "--set", "representation.clip=320")
    data = Dataset.open(tmp_path / "set")
    assert data.categories == ["bell", "organ", "whistle"]
    module, clips, preset = network_and_clips(load_preset("umtn_small", UMTN), data, 0)
    assert preset.model.domains == clips.domains == ("organ", "whistle")
    assert len(module.decoders) == 2


def test_evaluate(umtn, nsynth, dataset, tmp_path, capsys):
    run("evaluate", umtn, "--data", dataset, "--split", "valid", "--json", tmp_path / "figures.json")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert 7.0 < figures["bits"] == pytest.approx((figures["bits organ"] + figures["bits whistle"]) / 2)
    assert figures["probe chance"] == 0.5
    assert 0.0 <= figures["probe"] <= 1.0
    # the two domains play the same pieces: files of the same name are the true translations
    assert {"called target", "called target, copy", "distance", "distance, copy", "chroma", "onsets"} <= set(
        figures
    )
    assert figures["called target, copy"] == 0.0
    assert figures["distance"] > 0.0
    assert main(["evaluate", str(nsynth), "--data", str(dataset)]) == 1
    assert "coded as nsynth" in capsys.readouterr().err
