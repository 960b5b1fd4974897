"""Personal models from end to end, over tiny bases: what they are, what they keep, what they refuse."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import kikibouba as kb
from kikibouba import hub
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.config import find_preset, load_preset
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.prepare import prepare
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.generate import Model
from kikibouba.personal_report import compare, report_lines, slider_lines
from kikibouba.personal_songs import FEWEST, VARIED, varied
from kikibouba.personalizing import make_personal, train_over_base
from kikibouba.plot import plot_sliders
from kikibouba.train.checkpoint import build_module, load_checkpoint, save_checkpoint
from tiny_models import SMALL, make_weights

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def weights(home, monkeypatch):
    monkeypatch.setattr(hub, "WEIGHTS", home)
    return home


def write_song(path, bars=12):
    """A scale up and down in quarter notes, as a MIDI file."""
    start = np.arange(4 * bars) * 0.5
    notes = make_notes(60 + np.abs(np.arange(4 * bars) % 14 - 7), start, start + 0.5)
    return kb.write_midi(NoteSequence(notes, total_time=float(start[-1] + 0.5)), path)


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    return write_song(tmp_path_factory.mktemp("songs") / "scale ü.mid")


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("base", ["mel_2bar", "drums_2bar", "sketch"])
def test_every_kind_of_base(weights, base):
    base = kb.load(base)
    mine = kb.personalize(base, base.sample_arrays(6, temperature=1.0), steps=3)
    assert (mine.kind, mine.z_size) == (base.kind, 4)
    assert mine.module.base is base.module, "the base is shared, not copied"
    assert len(mine.sample(3)) == 3
    example = base.sample_arrays(1)[0]
    assert mine.encode([example]).mu.shape == (1, 4)
    assert type(mine.reconstruct(example)) is type(mine.sample(1)[0])


@pytest.mark.parametrize("name", ["groovae_2bar_humanize", "flat-trio_16bar"])
def test_bases_that_say_more(name):
    """Grooves, and several instruments at once."""
    sizes = {"model.z_size": "5", "model.enc_rnn_size": "[8]", "model.dec_rnn_size": "[8]"}
    preset = load_preset(name, sizes)
    base = Model(preset, build_module(preset).eval(), "tiny")
    rng = np.random.default_rng(0)
    songs = base.decode_arrays(rng.standard_normal((6, base.z_size)), temperature=1.0)
    made = make_personal(base, songs, steps=2)
    report = compare(made.model, base, made.songs.examples, n=4)
    assert len(report["distances"]) >= 5
    assert len(report_lines(report)) == len(report["distances"]) + 2


def test_tunes_and_drawings_are_songs(weights):
    names = ("cat", "circle", "cloud", "fish", "star")
    drawings = [kb.Drawing(kb.read_svg(EXAMPLES / f"{name}.svg")) for name in names]
    assert len(drawings) == FEWEST
    assert kb.personalize("sketch", drawings, steps=2).kind == "sketch"


def test_it_is_kept_and_found_again_to_the_bit(weights, song, tmp_path):
    made = make_personal("mel_2bar", song, out=tmp_path / "my own", steps=5, seed=3)
    again = kb.load(tmp_path / "my own")
    assert equal(made.model.sample_arrays(6, seed=1), again.sample_arrays(6, seed=1))
    assert hub.kind_of_model(tmp_path / "my own") == "melody"
    size = sum(file.stat().st_size for file in (tmp_path / "my own").iterdir())
    assert size < 2_000_000
    metrics = json.loads((tmp_path / "my own/metrics.json").read_text())
    assert metrics["songs"] == [str(song)]
    assert metrics["examples"] == len(made.songs.examples) == 7
    assert "scale ü.mid" in (tmp_path / "my own/README.md").read_text(encoding="utf-8")
    assert (tmp_path / "my own/log.jsonl").is_file()


def test_a_large_bridge_is_kept_in_half_precision_and_stays_the_same(weights, song, tmp_path):
    mine = kb.personalize("mel_2bar", song, preset="midime", out=tmp_path / "js", steps=2)
    assert (tmp_path / "js/model.safetensors").stat().st_size < 2_000_000
    assert equal(mine.sample_arrays(4, seed=1), kb.load(tmp_path / "js").sample_arrays(4, seed=1))


def test_equal_seeds_equal_models(weights, song):
    samples = [
        kb.personalize("mel_2bar", song, steps=5, seed=seed).decode_arrays(np.ones(4), temperature=0.0)
        for seed in (0, 0)
    ]
    assert equal(*samples)
    z = [
        kb.personalize("mel_2bar", song, steps=5, seed=seed).module.bridge.decode(torch.ones(1, 4))
        for seed in (0, 1)
    ]
    assert not torch.equal(*z)


def test_latents_are_in_order_and_turned(weights, song):
    made = make_personal("mel_2bar", song, steps=40)
    shares = [slider["share"] for slider in made.sliders]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1.0, abs=1e-4)
    mu = made.model.encode(made.songs.examples).mu
    attributes = made.model.representation.attributes(made.songs.examples)
    for latent, slider in zip(mu.T, made.sliders, strict=True):
        related = {name: value for name, value in slider.items() if name != "share"}
        for name, value in related.items():
            assert spearman(latent, attributes[name]) == pytest.approx(value, abs=1e-6)
        assert max(related.values(), key=abs) >= 0
    assert len(slider_lines(made.sliders)) == 4


def test_sliders_move_single_latents(weights, song):
    mine = kb.personalize("mel_2bar", song, steps=10)
    moved = mine.shifted(np.zeros((1, 4), np.float32), {"z2": -1.5})
    deviation = np.sqrt((mine.fitted_prior.factor @ mine.fitted_prior.factor.T)[1, 1])
    np.testing.assert_allclose(moved, [[0, -1.5 * deviation, 0, 0]], rtol=1e-5)
    assert mine.sample(1, attributes={"z1": 1})
    with pytest.raises(KikiboubaError, match="z1 to z4"):
        mine.sample(1, attributes={"z5": 1})
    assert plot_sliders(mine).startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore:sketch-mel_2bar made")
def test_it_composes_with_a_translator(weights, song):
    mine = kb.personalize("mel_2bar", song, steps=3)
    assert isinstance(kb.translate(mine.sample(1)[0], to="sketch", seed=1), kb.Drawing)


def test_a_checkpoint_of_the_originals_may_be_a_base(shared, tmp_path):
    base = kb.load(shared / "golden/musicvae_js/tiny_checkpoints/drums_2bar")
    songs = base.sample_arrays(FEWEST, temperature=1.0)
    mine = kb.personalize(base, songs, out=tmp_path / "mine", steps=3)
    assert equal(mine.sample_arrays(3), kb.load(tmp_path / "mine").sample_arrays(3))


def test_a_personal_model_may_be_a_base(weights, song, tmp_path):
    kb.personalize("mel_2bar", song, out=tmp_path / "mine", steps=3)
    kb.personalize(tmp_path / "mine", song, out=tmp_path / "more", steps=3)
    assert kb.load(tmp_path / "more").z_size == 4


def test_progress_is_told(weights, song):
    told = []
    kb.personalize("mel_2bar", song, steps=4, progress=lambda *step: told.append(step))
    assert [(done, steps) for done, steps, _ in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(np.isfinite(loss) for *_, loss in told)


# What is not enough, or not right ------------------------------------------------------------------------


def test_too_little_says_how_much_is_needed_and_augmentation_helps(weights, tmp_path):
    short = write_song(tmp_path / "short.mid", bars=3)
    with pytest.raises(KikiboubaError, match=r"2 different 2-bar windows where 5 are needed.*--augment"):
        kb.personalize("mel_2bar", short)
    made = make_personal("mel_2bar", short, augment=True, steps=2)
    assert len(made.songs.examples) == 2
    drawing = EXAMPLES / "cat.svg"
    with pytest.raises(KikiboubaError, match="1 drawings where 5"):
        kb.personalize("sketch", drawing)
    assert kb.personalize("sketch", drawing, augment=True, steps=2).kind == "sketch"


def test_what_is_enough_is_not_varied(weights, song):
    plain, asked = (kb.personalize("mel_2bar", song, augment=asked, steps=4) for asked in (False, True))
    assert equal(plain.sample_arrays(4), asked.sample_arrays(4))


def test_variations_fill_up_and_mean_the_same(weights):
    base = kb.load("mel_2bar")
    examples = base.sample_arrays(3, temperature=1.0)
    more = varied(examples, base.representation)
    assert len(more) == VARIED
    assert equal(more[:3], examples)
    assert equal(more, varied(examples, base.representation))
    for number in range(3, VARIED):  # transposed as a whole
        transposed = [base.representation.transpose(examples[number % 3], k) for k in range(-5, 6)]
        assert any(np.array_equal(more[number], one) for one in transposed)
    many = base.sample_arrays(VARIED + 1, temperature=1.0)
    assert len(varied(many, base.representation)) == VARIED + 1


def test_broken_songs_among_several_are_named_skipped_and_counted(weights, song, tmp_path):
    broken, empty = tmp_path / "broken.mid", tmp_path / "empty.mid"
    broken.write_bytes(b"not a song")
    empty.write_bytes(b"")
    with pytest.warns(UserWarning, match="skipped") as told:
        made = make_personal("mel_2bar", [broken, song, empty], steps=2)
    texts = [str(warning.message) for warning in told]
    assert "broken.mid" in texts[0]
    assert "empty.mid" in texts[1]
    assert "learnt from: 1, skipped: 2" in texts[2]
    assert list(made.songs.skipped) == [str(broken), str(empty)]
    with pytest.raises(KikiboubaError, match=r"broken\.mid"):
        kb.personalize("mel_2bar", broken)
    with (
        pytest.warns(UserWarning, match="skipped"),
        pytest.raises(KikiboubaError, match="none of the 2 songs"),
    ):
        kb.personalize("mel_2bar", [broken, empty])
    with pytest.raises(KikiboubaError, match="no songs"):
        kb.personalize("mel_2bar", [])


def test_bases_that_cannot_be(weights, song):
    with pytest.raises(KikiboubaError, match="is a translator"):
        kb.personalize("sketch-mel_2bar", song)
    with pytest.raises(KikiboubaError, match="did you mean 'mel_2bar'"):
        kb.personalize("mel_2bars", song)
    settings = [*SMALL["sketch"], "model.conditional=false"]
    preset = load_preset("sketch", dict(setting.split("=") for setting in settings))
    blind = Model(preset, build_module(preset).eval(), "blind")
    with pytest.raises(KikiboubaError, match="blind has no latent space"):
        kb.personalize(blind, kb.load("sketch").sample_arrays(6, temperature=1.0))
    with pytest.raises(KikiboubaError, match="scale ü"):
        kb.personalize("sketch", song)


def test_recipes_that_cannot_be(weights, song):
    with pytest.raises(KikiboubaError, match="allowed: personal, midime, ae-cat-mel_2bar_big"):
        kb.personalize("mel_2bar", song, preset="mel_2bar")
    with pytest.raises(KikiboubaError, match="0 steps"):
        kb.personalize("mel_2bar", song, steps=0)


def test_nothing_else_is_written_over(weights, song, tmp_path):
    shutil.copytree(weights / "sketch", tmp_path / "kept")
    before = (tmp_path / "kept/model.safetensors").read_bytes()
    with pytest.raises(KikiboubaError, match="another kind of model"):
        kb.personalize("mel_2bar", song, out=tmp_path / "kept", steps=2)
    assert (tmp_path / "kept/model.safetensors").read_bytes() == before
    (tmp_path / "file").write_text("kept")
    with pytest.raises(KikiboubaError, match="is a file"):
        kb.personalize("mel_2bar", song, out=tmp_path / "file", steps=2)
    kb.personalize("mel_2bar", song, out=tmp_path / "mine", steps=2)
    kb.personalize("mel_2bar", song, out=tmp_path / "mine", steps=2)  # its own like may be replaced


def test_a_base_that_was_trained_again_is_noticed(song, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "WEIGHTS", make_weights(tmp_path / "weights"))
    kb.personalize("mel_2bar", song, out=tmp_path / "mine", steps=2)
    preset, _ = load_checkpoint(hub.WEIGHTS / "mel_2bar")
    save_checkpoint(hub.WEIGHTS / "mel_2bar", build_module(preset, seed=9), preset, {}, "")
    with pytest.raises(KikiboubaError, match="other weights of 'mel_2bar'"):
        kb.load(tmp_path / "mine")


def test_a_bridge_without_its_base_says_so(weights, song, tmp_path):
    shutil.copytree(weights / "mel_2bar", tmp_path / "home/base")
    kb.personalize(tmp_path / "home/base", song, out=tmp_path / "home/mine", steps=2)
    (tmp_path / "home").rename(tmp_path / "moved")
    assert kb.load(tmp_path / "moved/mine").kind == "melody"  # found beside it
    shutil.rmtree(tmp_path / "moved/base")
    with pytest.raises(KikiboubaError, match="no model"):
        kb.load(tmp_path / "moved/mine")


def test_a_bridge_over_itself_is_refused(weights, song, tmp_path):
    kb.personalize("mel_2bar", song, out=tmp_path / "mine", steps=2)
    config = json.loads((tmp_path / "mine/config.json").read_text())
    config["model"]["base"] = str(tmp_path / "mine")
    (tmp_path / "mine/config.json").write_text(json.dumps(config))
    with pytest.raises(KikiboubaError, match="names itself"):
        kb.load(tmp_path / "mine")


# A dataset in place of songs ------------------------------------------------------------------------------


def test_a_dataset_is_learnt_by_the_training_loop(weights, tmp_path):
    (tmp_path / "raw").mkdir()
    for number, bars in enumerate((10, 12, 14, 16)):
        write_song(tmp_path / f"raw/{number}.mid", bars)
    prepare(
        kb.load("mel_2bar").representation, tmp_path / "raw", tmp_path / "data", fractions=(0.5, 0.25, 0.25)
    )
    preset = find_preset("ae-cat-mel_2bar_big")
    metrics = train_over_base(preset, "mel_2bar", tmp_path / "data", tmp_path / "run", num_steps=3)
    assert metrics["steps_done"] == 3
    mine = kb.load(tmp_path / "run")
    assert mine.preset.model.base_hash == weights_hash(kb.load("mel_2bar").module)
    assert len(mine.sample(5)) == 5
    shares = [
        slider["share"] for slider in json.loads((tmp_path / "run/metrics.json").read_text())["sliders"]
    ]
    assert shares == sorted(shares, reverse=True)
    more = train_over_base(preset, "mel_2bar", tmp_path / "data", tmp_path / "run", num_steps=5)
    assert more["steps_done"] == 5
