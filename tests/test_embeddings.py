"""Embedding RNNs in use: from recordings to a dataset, a model, and every verb; through a WaveNet too."""

import re
from pathlib import Path

import numpy as np
import pytest

from kikibouba import hub
from kikibouba.cli import main
from kikibouba.config import load_preset
from kikibouba.data.artifacts import Sound
from kikibouba.data.audio_files import read_sound, wav_bytes
from kikibouba.data.embedding_artifact import Embedding
from kikibouba.data.store import Dataset
from kikibouba.embeddings import EmbeddingModel
from kikibouba.embeddings_page import analyse
from kikibouba.errors import KikiboubaError
from kikibouba.train.checkpoint import build_module, save_checkpoint

FRAMES, WIDTH, HOP = 8, 12, 128
SHAPE = [f"representation.frames={FRAMES}", f"representation.width={WIDTH}", f"representation.hop={HOP}"]
TINY = [
    *("model.rnn_size=8", "model.enc_rnn_size=6", "model.z_size=3", "model.num_mixture=2"),
    *("model.n_pca_components=4", "train.batch_size=8", "train.ema_decay=0", "train.save_every=3"),
]
RECORDING = Sound(np.sin(np.arange(FRAMES * HOP) / 9).astype(np.float32) * 0.4)


def settings(fields: list[str]) -> list[str]:
    return [word for field in fields for word in ("--set", field)]


def tone(hertz: float, seconds: float = 0.1) -> np.ndarray:
    time = np.arange(int(16_000 * seconds)) / 16_000
    return (0.5 * np.sin(2 * np.pi * hertz * time) * np.exp(-10 * time)).astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Notes of two instruments, a dataset of their frames, and a model that learnt a little from it."""
    folder = tmp_path_factory.mktemp("embeddings")
    (folder / "notes").mkdir()
    for pitch in range(48, 72):
        for instrument in ("flute", "organ"):
            wave = tone(440 * 2 ** ((pitch - 69) / 12) * (1 + (instrument == "organ")))
            (folder / "notes" / f"{instrument}-{pitch:03}-100.wav").write_bytes(wav_bytes(wave))
    prepare = ["prepare", "embedding", str(folder / "notes"), str(folder / "data"), "--workers", "1"]
    assert main([*prepare, "--fractions", "0.6", "0.2", "0.2", *settings(SHAPE)]) == 0
    train = ["train", "embedding_small", "--data", str(folder / "data"), "-o", str(folder / "run")]
    assert main([*train, "--steps", "4", *settings(TINY)]) == 0
    return folder


@pytest.fixture
def model(place) -> EmbeddingModel:
    found = hub.load(place / "run")
    assert isinstance(found, EmbeddingModel)
    return found


@pytest.fixture(scope="module")
def wavenet(tmp_path_factory) -> Path:
    """An untrained WaveNet autoencoder of four numbers a frame of 64 samples."""
    fields = {
        "model.latent": "4",
        "model.hop": "64",
        "model.encoder_channels": "4",
        "model.encoder_blocks": "1",
        "model.encoder_layers": "2",
        "model.residual": "4",
        "model.skip": "4",
        "model.blocks": "1",
        "model.layers": "2",
        "representation.clip": "256",
    }
    preset = load_preset("nsynth_small", fields)
    folder = tmp_path_factory.mktemp("wavenet") / "net"
    save_checkpoint(folder, build_module(preset), preset, {}, "# net\n")
    return folder


def lines_of(capsys) -> str:
    return " ".join(capsys.readouterr())


# ------------------------------------------------------------------------------------------------- dataset


def test_recordings_become_a_dataset_that_knows_its_instruments(place) -> None:
    dataset = Dataset.open(place / "data")
    assert dataset.representation.instruments == ("flute", "organ")
    assert sum(dataset.meta["counts"].values()) == 48
    example = dataset.split("train")[0]
    assert example.shape == (FRAMES, WIDTH + 3)
    assert 48 <= example[0, WIDTH] < 72


def test_components_are_those_of_the_training_notes_alone(place, model) -> None:
    train = Dataset.open(place / "data").split("train")
    frames = np.concatenate([train[i][:, :WIDTH] for i in range(len(train))])
    np.testing.assert_allclose(model.module.whiten_mean.numpy(), frames.mean(0), atol=1e-5)


def test_a_run_that_was_stopped_goes_on_bit_by_bit(place, tmp_path) -> None:
    train = ["train", "embedding_small", "--data", str(place / "data"), *settings(TINY)]
    assert main([*train, "-o", str(tmp_path / "once"), "--steps", "6"]) == 0
    for steps in ("3", "6"):
        assert main([*train, "-o", str(tmp_path / "twice"), "--steps", steps]) == 0
    once, twice = (hub.load(tmp_path / name).module.state_dict() for name in ("once", "twice"))
    assert all((once[name] == twice[name]).all() for name in once)


def test_files_of_frames_say_their_width_themselves(tmp_path, capsys) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "train_z.npy", np.random.default_rng(0).standard_normal((30, FRAMES, 5)))
    np.save(tmp_path / "in" / "train_pitch_one_hot.npy", np.eye(128)[np.full(30, 64)])
    words = ["prepare", "embedding", str(tmp_path / "in"), str(tmp_path / "data"), "--workers", "1"]
    assert main([*words, "--set", f"representation.frames={FRAMES}"]) == 0
    dataset = Dataset.open(tmp_path / "data")
    assert (dataset.representation.source, dataset.representation.width) == ("arrays", 5)
    assert dataset.split("train")[0][0, 5] == 64
    run = ["train", "embedding_small", "--data", str(tmp_path / "data"), "-o", str(tmp_path / "run")]
    assert main([*run, "--steps", "2", *settings(TINY)]) == 0
    again = ["sample", str(tmp_path / "run"), "-n", "1", "-o"]
    assert main([*again, str(tmp_path / "new.npy")]) == 0
    assert np.load(tmp_path / "new.npy").shape == (FRAMES, 5)
    assert main([*again, str(tmp_path / "new.wav")]) == 1
    assert "kikibouba decode" in lines_of(capsys)


@pytest.mark.parametrize(
    ("array", "fields", "message"),
    [
        (np.full((20, FRAMES, 4), np.nan), [], "NaN"),
        (np.zeros((20, 3, 4)), [], "3 frames, an example"),
        (np.random.default_rng(0).standard_normal((8, FRAMES, 4)), ["model.n_pca_components=5"], "4 numbers"),
    ],
)
def test_bad_frames_are_one_line(tmp_path, capsys, array, fields, message) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", array)
    words = ["prepare", "embedding", str(tmp_path / "in"), str(tmp_path / "data"), "--workers", "1"]
    status = main([*words, "--fractions", "1", "0", "0", "--set", f"representation.frames={FRAMES}"])
    if fields:
        run = ["train", "embedding_small", "--data", str(tmp_path / "data"), "-o", str(tmp_path / "run")]
        status = main([*run, "--steps", "2", *settings([*TINY, *fields])])
    said = lines_of(capsys)
    assert status == 1
    assert message in said
    assert "Traceback" not in said


def test_recordings_and_frames_do_not_mix(place, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_bytes(wav_bytes(tone(300)))
    np.save(tmp_path / "in" / "b.npy", np.zeros((FRAMES, 4)))
    assert main(["prepare", "embedding", str(tmp_path / "in"), str(tmp_path / "data")]) == 1
    assert main(["prepare", "melody", "examples", str(tmp_path / "data"), "--model", "sketch"]) == 1


# --------------------------------------------------------------------------------------------------- verbs


def test_a_note_is_rebuilt_told_its_own_pitch(place, model) -> None:
    file = place / "notes" / "organ-060-100.wav"
    assert model.controls_of(file).tolist() == [60, 100, 1]
    again = model.reconstruct(file)
    assert isinstance(again, Embedding)
    assert again.frames.shape[1] == WIDTH
    other = model.reconstruct(file, controls=model.controls_for_note(50))
    assert not np.array_equal(again.frames, other.frames)
    assert model.reconstruct(file, whole=True).frames.shape[0] >= FRAMES


def test_mixtures_lie_between_note_and_reconstruction(model) -> None:
    (original,) = model._examples(RECORDING)
    nothing, all_of_it = (model.reconstruct(RECORDING, mix=share).frames for share in (0.0, 1.0))
    np.testing.assert_allclose(all_of_it, original[:, :WIDTH], atol=1e-6)
    half = model.reconstruct(RECORDING, mix=0.5).frames
    np.testing.assert_allclose(half, (nothing + all_of_it) / 2, atol=1e-6)
    assert len(model.mixes(RECORDING)) == 6
    with pytest.raises(KikiboubaError, match="between 0"):
        model.reconstruct(RECORDING, mix=1.5)


def test_sampling_follows_seed_pitch_and_temperature(model) -> None:
    def frames(**how) -> np.ndarray:
        return model.sample(2, **how)[1].frames  # type: ignore[attr-defined]

    np.testing.assert_array_equal(frames(seed=1), frames(seed=1))
    assert not np.array_equal(frames(seed=1), frames(seed=2))
    low = model.controls_for_note(30)
    assert not np.array_equal(frames(seed=1, temperature=0), frames(seed=1, temperature=0, controls=low))
    with pytest.raises(KikiboubaError, match="pitch 128"):
        model.controls_for_note(128)
    with pytest.raises(KikiboubaError, match="flute"):
        model.controls_for_note(instrument="fluet")
    with pytest.raises(KikiboubaError, match=r"\[3\] or \[2, 3\]"):
        model.sample(2, controls=np.zeros(5))


def test_interpolation_goes_from_one_note_to_the_other(place, model) -> None:
    ends = [place / "notes" / f"{name}-060-100.wav" for name in ("flute", "organ")]
    steps = model.interpolate(*ends, n=3)
    rebuilt = [model.reconstruct(end).frames for end in ends]
    for step, end in ((steps[0], rebuilt[0]), (steps[2], rebuilt[1])):
        np.testing.assert_allclose(step.frames, end, atol=1e-4)  # type: ignore[attr-defined]


def test_the_verbs_on_the_command_line(place, tmp_path, capsys) -> None:
    run, note = str(place / "run"), str(place / "notes" / "flute-055-100.wav")

    def verb(*words: str) -> str:
        assert main(list(words)) == 0, words
        return lines_of(capsys)

    verb(
        "reconstruct",
        note,
        "--model",
        run,
        "-o",
        str(tmp_path / "a.wav"),
        "--also",
        "npy,png",
        "--mix",
        "0.5",
    )
    assert len(read_sound(tmp_path / "a.wav")) == FRAMES * HOP
    verb("encode", note, "--model", run, "-o", str(tmp_path / "z.json"))
    verb("decode", str(tmp_path / "z.json"), "--model", run, "--pitch", "55", "-o", str(tmp_path / "b.wav"))
    verb("sample", run, "-n", "2", "--pitch", "64", "--velocity", "80", "-o", str(tmp_path / "new"))
    assert len(list((tmp_path / "new").glob("*.wav"))) == 2
    verb("interpolate", note, note, "-n", "2", "--model", run, "-o", str(tmp_path / "morph"))
    verb("plot", "reconstructions", note, "--model", run, "-o", str(tmp_path / "rows.png"))
    verb("plot", "map", run, "--data", str(place / "data"), "-o", str(tmp_path / "map.png"))
    table = verb("evaluate", run, "--data", str(place / "data"))
    assert all(name in table for name in ("mse, mean frame", "mse, first frame", "mse median"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "mel_2bar", "--pitch", "60"], "is told no pitch"),
        (["sample", "RUN", "--pitch", "60", "--chords", "C"], "either --pitch"),
        (["sample", "RUN", "--pitch", "300"], "between 0 and 127"),
        (["reconstruct", "examples/river.mid", "--model", "RUN"], "cannot read"),
        (["reconstruct", "examples/river.mid", "--mix", "0.5"], "--mix is for an Embedding RNN"),
        (["plot", "embedding", "mel_2bar", "--data", "DATA"], "name an Embedding RNN"),
        (["plot", "embedding", "RUN", "--data", "DATA", "-n", "1"], "too few"),
    ],
)
def test_misuse_is_one_line(place, tmp_path, capsys, words, message) -> None:
    names = {"RUN": str(place / "run"), "DATA": str(place / "data")}
    assert main([*(names.get(word, word) for word in words), "-o", str(tmp_path / "out")]) == 1
    said = lines_of(capsys)
    assert message in said
    assert "Traceback" not in said


def test_the_page_and_the_figures(place, tmp_path) -> None:
    models = [hub.load_model(place / "run")] * 2
    written = analyse(models, place / "data", tmp_path / "analysis", n=2, samples=1)  # type: ignore[arg-type]
    names = [path.name for path in written]
    assert names == [*(f"fig{one}.png" for one in ("1a", "1b", "2", "3", "4", "5", "6")), "listen.html"]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in written[:-1])
    page = written[-1].read_text(encoding="utf-8")
    assert page.count("<audio ") == 2 * 8 + 1
    assert page.count("<img ") == 7
    assert not re.search(r'(src|href)="(?!data:)', page)
    (alone,) = analyse(models[:1], place / "data", tmp_path / "a.html", n=2, samples=0)  # type: ignore[arg-type]
    assert alone.suffix == ".html"
    with pytest.raises(KikiboubaError, match="folder, or a page"):
        analyse(models, place / "data", tmp_path / "a.png")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ through a WaveNet


def test_a_wavenet_s_frames_and_its_voice(place, wavenet, tmp_path, capsys) -> None:
    prepare = ["prepare", "embedding", str(place / "notes"), str(tmp_path / "data"), "--workers", "1"]
    words = [*prepare, "--model", str(wavenet), "--set", "representation.frames=10", "--limit", "24"]
    assert main(words) == 0
    stamps = [path.stat().st_mtime_ns for path in sorted((tmp_path / "data" / "frames").rglob("*.npy"))]
    assert len(stamps) == 24
    assert main(words) == 0  # nothing is encoded twice
    again = sorted((tmp_path / "data" / "frames").rglob("*.npy"))
    assert [path.stat().st_mtime_ns for path in again] == stamps
    representation = Dataset.open(tmp_path / "data").representation
    assert (representation.source, representation.width, representation.hop) == ("wavenet", 4, 64)
    run = ["train", "embedding_small", "--data", str(tmp_path / "data"), "-o", str(tmp_path / "run")]
    assert main([*run, "--steps", "2", *settings(TINY)]) == 0
    model = hub.load(tmp_path / "run")
    note = place / "notes" / "organ-050-100.wav"
    examples = model._examples(note)
    frames = np.load(next((tmp_path / "data" / "frames").rglob("flute-050-100.npy")))
    assert examples[0].shape == (10, 7)
    np.testing.assert_allclose(
        model._examples(place / "notes" / "flute-050-100.wav")[0][:, :4], frames[:10], atol=1e-5
    )
    assert len(model.reconstruct(note).sound.wave) == 10 * 64
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(place / "data")]) == 1
    assert "with source spectral" in lines_of(capsys)


def test_a_folder_of_frames_that_is_not_ours_stays(place, wavenet, tmp_path, capsys) -> None:
    (tmp_path / "data" / "frames").mkdir(parents=True)
    (tmp_path / "data" / "frames" / "mine.txt").write_text("precious")
    words = ["prepare", "embedding", str(place / "notes"), str(tmp_path / "data"), "--model", str(wavenet)]
    assert main(words) == 1
    assert "choose another folder" in lines_of(capsys)
    assert (tmp_path / "data" / "frames" / "mine.txt").read_text() == "precious"


def test_a_wavenet_that_is_gone_or_was_trained_again(place, wavenet, tmp_path) -> None:
    small = {"representation.source": "wavenet", "representation.width": "4"}
    small |= {"model.n_pca_components": "3", "model.rnn_size": "4"}
    for vocoder, digest, message in (
        ("", "", "not known"),
        (str(tmp_path / "gone"), "", "no model"),
        (str(wavenet), "0123456789abcdef", "other weights"),
        ("mel_2bar", "", "no WaveNet"),
    ):
        fields = {"representation.vocoder": vocoder, "representation.vocoder_hash": digest}
        used = load_preset("embedding_small", small | fields)
        model = EmbeddingModel(used, build_module(used).eval(), "mine")
        with pytest.raises(KikiboubaError, match=message):
            model.reconstruct(RECORDING)
