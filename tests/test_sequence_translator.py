"""Whole pieces through sequence-to-sequence models: windows, carried context, tempos, styles, bad input."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import kikibouba as kb
from kikibouba import attention_map, hub
from kikibouba.cli import main
from kikibouba.config import Preset, load_preset
from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.dynamics_roll import DynamicsRepresentation
from kikibouba.data.midi import read_midi, write_midi
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.pairs import PairsRepresentation
from kikibouba.data.pairs_restyle import RestyleRepresentation
from kikibouba.errors import KikiboubaError
from kikibouba.evaluation import evaluate
from kikibouba.models.seq2seq.config import ModelConfig
from kikibouba.sequence_translator import Choice, SequenceTranslator
from kikibouba.train.checkpoint import build_module, save_checkpoint
from kikibouba.training import copy_weights, train_model
from kikibouba.translator import translate
from tiny_models import make_weights, same_weights

SMALL = ModelConfig(embedding_size=8, units=12, dropout=0.0)


def made(representation, config=SMALL, seed=0):
    """An untrained translator."""
    preset = Preset("tiny", "seq2seq", representation, config)
    module = build_module(preset, seed).eval()
    for weight in module.parameters():
        weight.data *= 2
    return SequenceTranslator(preset, module, "tiny")


def song(bars=9, tempos=None, gap=(), program=40):
    """A tune of quarters; bars in `gap` are silent. Drums play along."""
    steps = [s for s in range(0, 16 * bars, 4) if s // 16 not in gap]
    tempos = np.array([[0.0, 120.0]]) if tempos is None else np.array(tempos, float)
    start = np.array(steps) * 0.125
    tune = make_notes(60 + np.array(steps) % 12, start, start + 0.5, 70, 0, program)
    drums = make_notes(np.full(bars, 36), np.arange(bars) * 2.0, np.arange(bars) * 2.0 + 0.1, 99, 1, 0, True)
    notes = np.concatenate([tune, drums])
    return NoteSequence(notes, tempos, total_time=float(notes["end"].max()), instrument_names=("Flute", ""))


PAIRS = PairsRepresentation(bars=4, to="piano-arrangement", program=5)


def test_the_tune_stays_and_an_instrument_joins_it():
    tune = made(PAIRS).translate(Tune(song())).notes
    assert tune.instrument_names == ("Flute", "piano-arrangement")
    lead, new = (tune.notes[tune.notes["instrument"] == k] for k in (0, 1))
    np.testing.assert_array_equal(lead, song().notes[:36])
    assert len(new)
    assert set(new["program"].tolist()) == {5}
    assert new["start"].max() < 18
    steps = new["start"] / 0.125
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)


def test_windows_go_on_from_what_was_said():
    translator = made(PAIRS)
    vocabulary = PAIRS.vocabulary
    windows = list(translator.windows(Tune(song(bars=9))))
    assert [window.bar for window in windows] == [0, 2, 4, 6]  # the last reaches beyond bar 9
    for before, after in pairwise(windows):
        said, again = (vocabulary.decode(window.said.symbols) for window in (before, after))
        old = said.rows(said.start >= 32)
        same = again.rows(again.start < 32)
        for one, other, shift in zip(old, same, (32, 0, 0, 0), strict=True):
            np.testing.assert_array_equal(one - shift, other)


def test_silent_bars_stay_silent_and_break_the_thread():
    translator = made(PAIRS)
    windows = list(translator.windows(Tune(song(bars=12, gap=(4, 5, 6, 7)))))
    assert [window.bar for window in windows] == [0, 2, 6, 8]
    alone = next(iter(translator.windows(Tune(song(bars=4)))))
    np.testing.assert_array_equal(windows[0].said.symbols, alone.said.symbols)


def test_a_tempo_change_moves_the_translation_with_the_tune():
    straight = made(PAIRS).translate(Tune(song(bars=4))).notes
    slow = song(bars=4, tempos=[[0.0, 120.0], [4.0, 60.0]])
    for column in ("start", "end"):
        late = slow.notes[column] > 4
        slow.notes[column][late] = 4 + 2 * (slow.notes[column][late] - 4)
    found = made(PAIRS).translate(Tune(slow)).notes
    a, b = (t.notes[t.notes["instrument"] == 1] for t in (straight, found))
    np.testing.assert_array_equal(a["pitch"], b["pitch"])
    np.testing.assert_allclose(np.where(a["start"] > 4, 2 * a["start"] - 4, a["start"]), b["start"])


def test_a_piece_in_another_key_is_arranged_alike():
    translator = made(replace(PAIRS, in_c=True))
    higher = song(bars=4)
    higher.notes["pitch"][~higher.notes["is_drum"]] += 2
    a, b = (translator.translate(Tune(piece)).notes.notes for piece in (song(bars=4), higher))
    np.testing.assert_array_equal((a["pitch"] + 2) % 12, b["pitch"] % 12)  # at the edges another octave
    np.testing.assert_array_equal(a["start"], b["start"])


def test_bars_of_another_meter_are_passed_over_with_a_word():
    mixed = replace(song(bars=8), time_signatures=np.array([[0.0, 4, 4], [4.0, 3, 4], [8.5, 4, 4]]))
    with pytest.warns(UserWarning, match="9 notes lie in bars that do not last four quarters"):
        found = made(PAIRS).translate(Tune(mixed)).notes
    new = found.notes["start"][found.notes["instrument"] == 1]
    assert not ((new >= 4.0) & (new < 8.5)).any()
    assert (new < 4.0).any()
    assert (new >= 8.5).any()
    np.testing.assert_array_equal(found.time_signatures, mixed.time_signatures)


def test_a_grid_of_triplets():
    kind = replace(PAIRS, steps_per_quarter=6, bars=2)
    start = np.arange(24) / 6.0  # eighths of a triplet, four bars
    piece = NoteSequence(make_notes(60 + np.arange(24) % 5, start, start + 1 / 6, 70, 0), total_time=4.0)
    found = made(kind).translate(Tune(piece)).notes.notes
    steps = found["start"] * 2 * 6
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
    window = next(iter(made(kind).windows(Tune(piece))))
    read = kind.vocabulary.decode(window.source)
    np.testing.assert_array_equal(read.start, np.arange(24) * 2)
    played = made(DynamicsRepresentation(bars=1, steps_per_quarter=6)).translate(Tune(piece)).notes.notes
    np.testing.assert_array_equal(played["start"], piece.notes["start"])
    assert (played["velocity"] != 70).any()


def test_choices():
    translator = made(PAIRS)

    def notes(**choice):
        return translator.translate(Tune(song(bars=4)), choice=Choice(**choice)).notes.notes

    np.testing.assert_array_equal(notes(temperature=1.0, seed=3), notes(temperature=1.0, seed=3))
    assert len(notes(temperature=1.0, seed=3)) != len(notes(temperature=1.0, seed=4))
    assert notes(beam=3).dtype == notes().dtype
    for wrong, message in (
        ({"beam": 0}, "beam of 0"),
        ({"beam": 2, "temperature": 1.0}, "either --beam or"),
        ({"temperature": -1.0}, "temperature -1"),
        ({"top_p": 0.0}, "top_p"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(KikiboubaError, match=message):
            Choice(**wrong)


def test_styles_are_asked_for_by_name():
    kind = RestyleRepresentation(styles=("folk", "pop"), bars=2)
    translator = made(kind)
    by_word, by_style = (
        translator.translate(Tune(song(bars=2)), **words) for words in ({"to": "pop"}, {"style": "POP"})
    )
    np.testing.assert_array_equal(by_word.notes.notes, by_style.notes.notes)
    assert by_word.notes.instrument_names == ("style",)
    assert set(by_word.notes.notes["program"].tolist()) == {40}
    with pytest.raises(KikiboubaError, match="has styles: say which, --style folk or pop"):
        translator.translate(Tune(song()))
    with pytest.raises(KikiboubaError, match="unknown style 'jazz'"):
        translator.translate(Tune(song()), style="jazz")
    with pytest.raises(KikiboubaError, match="does not translate to 'jazz'; allowed: folk, pop, style"):
        translator.translate(Tune(song()), "jazz")
    with pytest.raises(KikiboubaError, match="no styles"):
        made(PAIRS).translate(Tune(song()), style="folk")


def test_dynamics_change_velocities_only():
    kind = DynamicsRepresentation(bars=2)
    played = song(bars=5)
    played.notes["start"][3] += 0.03  # not quite on the grid
    played.notes["pitch"][7] = 3  # below the lowest key
    translator = made(kind)
    with pytest.warns(UserWarning, match="1 notes keep their velocities"):
        found = translator.translate(Tune(played), "dynamics").notes
    changed = found.notes["velocity"] != played.notes["velocity"]
    assert changed[:20].sum() > 15
    assert not changed[7]
    assert not changed[20:].any()  # drums
    for name in ("pitch", "start", "end", "instrument", "program"):
        np.testing.assert_array_equal(found.notes[name], played.notes[name])
    assert 1 <= found.notes["velocity"].min() <= found.notes["velocity"].max() <= 127
    with pytest.raises(KikiboubaError, match="says no sentences"):
        next(translator.windows(Tune(song())))


def test_bad_input_is_named(tmp_path):
    translator = made(PAIRS)
    with pytest.raises(KikiboubaError, match="this drawing is no music"):
        translator.translate(Drawing(np.zeros((2, 3))))
    with pytest.raises(KikiboubaError, match=r"a.svg is no music.*\.mid"):
        translator.translate(tmp_path / "a.svg")
    with pytest.raises(KikiboubaError, match="no notes"):
        translator.translate(Tune(NoteSequence()))
    drums = song()
    drums.notes["is_drum"] = True
    with pytest.raises(KikiboubaError, match="this tune cannot be translated: it has no notes but drums"):
        translator.translate(Tune(drums))
    waltz = song()
    waltz.time_signatures = np.array([[0.0, 3, 4]])
    with pytest.raises(KikiboubaError, match="the meter is 3/4; only bars of four quarters"):
        translator.translate(Tune(waltz))
    with pytest.raises(KikiboubaError, match="does not translate to 'piano'"):
        translator.translate(Tune(song()), "piano")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with an untrained model as a checkpoint, and a tune."""
    folder = tmp_path_factory.mktemp("seq2seq")
    translator = made(PAIRS)
    save_checkpoint(folder / "model", translator.module, translator.preset, {}, "# card\n")
    write_midi(song(bars=5), folder / "tune.mid")
    return folder


def test_loading_and_translating_by_name(trained):
    loaded = kb.load(trained / "model")
    assert repr(loaded) == "SequenceTranslator('model', to piano-arrangement)"
    result = translate(
        trained / "tune.mid", "piano-arrangement", translator=trained / "model", temperature=0.0
    )
    expected = loaded.translate(trained / "tune.mid")
    np.testing.assert_array_equal(result.notes.notes, expected.notes.notes)
    with pytest.raises(KikiboubaError, match="cannot translate to 'piano-arangement' without --with"):
        translate(trained / "tune.mid", "piano-arangement")
    with pytest.raises(KikiboubaError, match="is a translator; a model is wanted"):
        hub.load_model(trained / "model")
    with pytest.raises(KikiboubaError, match="no sequence-to-sequence model"):
        hub.load_sequences("mel_2bar")
    with pytest.raises(KikiboubaError, match="no weights for precision fp16"):
        kb.load(trained / "model", precision="fp16")
    with pytest.raises(KikiboubaError, match="takes no --style"):
        translate("examples/sheep.svg", "melody", style="folk")


def test_a_bundled_one_is_found_by_what_it_makes(trained, tmp_path, monkeypatch, capsys):
    weights = make_weights(tmp_path / "weights")
    shutil.copytree(trained / "model", weights / "arrange_small")
    monkeypatch.setattr(hub, "WEIGHTS", weights)
    assert "arrange_small" in hub.bundled()
    assert hub.find_sequences("piano-arrangement") == "arrange_small"
    words = ["translate", trained / "tune.mid", "--to", "piano-arrangement", "-o", tmp_path / "out.mid"]
    assert main([str(word) for word in words]) == 0
    assert read_midi(tmp_path / "out.mid").instrument_names == ("Flute", "piano-arrangement")
    assert main(["models"]) == 0
    assert "arrange_small" in capsys.readouterr().out
    assert hub.find_translator("melody", "sketch") == "sketch-mel_2bar"
    with pytest.raises(KikiboubaError, match=r"bundled: drums_2bar, mel_2bar, sketch$"):
        hub.load_model("arrange_small")
    with pytest.raises(KikiboubaError, match="is a sequence-to-sequence model; a translator is wanted"):
        hub.load_translator("arrange_small")


@pytest.mark.skipif("arrange_small" not in hub.bundled(), reason="no arrange_small among the bundled models")
def test_the_bundled_one_plays_chords_under_a_tune():
    tune = kb.translate("examples/morning_walk.mid", "piano-arrangement", temperature=0.0).notes
    lead, piano = (tune.notes[tune.notes["instrument"] == k] for k in (0, 1))
    assert len(piano) > 2 * len(lead)
    assert np.median(piano["pitch"]) < np.median(lead["pitch"])
    scale = np.unique(lead["pitch"] % 12)
    assert np.isin(piano["pitch"] % 12, scale).mean() > 0.6
    at, count = np.unique(piano["start"], return_counts=True)
    assert count.max() >= 2
    assert at.min() < 2.3  # in the first bar, at 108 quarters a minute


def test_training_starts_from_a_trained_one(trained):
    translator, fresh = made(PAIRS), build_module(made(PAIRS).preset, seed=5)
    copy_weights(trained / "model", fresh)
    assert same_weights(fresh, translator.module)
    with pytest.raises(KikiboubaError, match="cannot start from sketch-mel_2bar: it joins two models"):
        copy_weights("sketch-mel_2bar", fresh)


def test_the_verb(trained, capsys):
    words = ["translate", trained / "tune.mid", "--to", "piano-arrangement", "--with", trained / "model"]
    out = trained / "out.mid"
    assert main([*map(str, words), "--beam", "3", "-o", str(out)]) == 0
    assert len(read_midi(out).notes) > 20
    assert main([*map(str, words), "--beam", "0", "-o", str(trained / "none.mid")]) == 1
    assert "a beam of 0 must be 1 or more" in capsys.readouterr().err
    assert not (trained / "none.mid").exists()


def test_attention_is_drawn(trained, capsys):
    out = trained / "attention.png"
    words = ["plot", "attention", trained / "model", trained / "tune.mid", "--window", "1", "-o", out]
    assert main([str(word) for word in words]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    words[words.index("1")] = "9"
    assert main([str(word) for word in words]) == 1
    assert "no window 9" in capsys.readouterr().err
    blind = made(PAIRS, ModelConfig(embedding_size=8, units=12, attention="none"))
    with pytest.raises(KikiboubaError, match="no attention to draw"):
        attention_map.plot_attention(blind, Tune(song()))


@pytest.mark.parametrize("name", ["arrange_small", "restyle", "tonenet_dynamics"])
def test_from_files_to_figures(name, tmp_path):
    """Prepare, train two steps, evaluate."""
    rng = np.random.default_rng(0)
    for number in range(30):
        folder = tmp_path / "raw" / ("pop909", "fiddle")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        start = np.sort(rng.choice(128, 40, replace=False)) * 0.125
        rows = [
            make_notes(rng.integers(55, 75, 40), start, start + 0.25, rng.integers(30, 110, 40), k, 0)
            for k in range(2)
        ]
        both = NoteSequence(np.concatenate(rows), instrument_names=("MELODY", "PIANO"), total_time=16.3)
        write_midi(both, folder / f"{number}.mid")
    preset = load_preset(name, {"model.units": "12", "model.embedding_size": "8", "train.batch_size": "8"})
    how = {"fractions": (0.6, 0.2, 0.2), "workers": 1, "progress": False}
    data = kb.prepare(preset.representation, tmp_path / "raw", tmp_path / "data", **how)
    assert min(data.meta["counts"].values()) > 0
    metrics = train_model(preset, tmp_path / "data", tmp_path / "run", num_steps=2)
    assert np.isfinite(metrics["valid"]["loss"])
    figures = evaluate(tmp_path / "run", tmp_path / "data", limit=6)
    wanted = {
        "arrange_small": {
            "nll",
            "accuracy",
            "model chroma",
            "model diagonality",
            "nearest onset F1",
            "truth copied",
            "copy note F1",
        },
        "restyle": {"nll", "judge, real tunes", "model in the style", "copy profile cosine"},
        "tonenet_dynamics": {"model MAE", "constant MAE", "nearest MAE"},
    }[name]
    assert wanted <= set(figures)
    assert np.isfinite(list(figures.values())).all()
    if name == "arrange_small":
        kb.prepare(
            PairsRepresentation(bars=2), tmp_path / "raw", tmp_path / "short", workers=1, progress=False
        )
        with pytest.raises(KikiboubaError, match="prepared with bars 2, but run was trained with 4"):
            evaluate(tmp_path / "run", tmp_path / "short")
