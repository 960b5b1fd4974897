"""Every kind of music through every verb: prepare, train, evaluate, use, draw. Tiny models, made-up songs."""

import json
import warnings

import numpy as np
import pytest

from kikibouba import hub
from kikibouba.cli import main
from kikibouba.config import load_representation
from kikibouba.data.midi import read_midi, write_midi
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.pieces import cut
from kikibouba.errors import KikiboubaError
from kikibouba.inputs import read_artifact, read_examples, read_piece
from kikibouba.plot import plot_reconstructions
from tiny_models import notes_of

SIXTEENTH = 0.125
TINY = ["model.z_size=6", "model.enc_rnn_size=[8]", "model.dec_rnn_size=[12]", "train.batch_size=8"]

CASES = {
    "trio": ("hierdec-trio_16bar", ["representation.bars=2", "model.decoder_level_lengths=[2, 16]"]),
    "flat trio": ("flat-trio_16bar", ["representation.bars=1"]),
    "groove": ("groovae_2bar_humanize", []),
    "hits": ("groovae_2bar_hits_control_tfds", []),
    "taps": ("groovae_2bar_tap_fixed_velocity_note_dropout", []),
    "multitrack": ("hier-multiperf_vel_1bar_med", []),
    "multitrack with chords": ("hier-multiperf_vel_1bar_med_chords", []),
    "chords": ("cat-mel_2bar_med_chords", []),
    "keys": ("cat-mel_2bar_med_chords", ["representation.condition_on_key=true"]),
    "bits": ("nade-drums_2bar_reduced", ["model.nade_num_hidden=4"]),
    "61 drums": ("nade-drums_2bar_full", ["model.nade_num_hidden=4"]),
    "bar by bar": ("hier-drums_4bar_small", []),
}
"""What is tried → preset and settings beside `TINY`."""

CHORDS = {"multitrack with chords": "Am", "chords": "C G Am F", "keys": "C G Am F"}


def song(seed, bars=8, qpm=120.0):
    """A melody, a bass and drums that play all the time, the drums a little late and of changing loudness."""
    rng = np.random.default_rng(seed)
    step = 60.0 / qpm / 4
    beats = np.arange(0, bars * 16, 4)
    melody, bass = rng.choice([60, 62, 64, 65, 67, 69], len(beats)), rng.choice([36, 41, 43], len(beats) // 2)
    drums = np.arange(0, bars * 16, 2)
    parts = [
        make_notes(melody, beats * step, (beats + 4) * step, 90, 0, 0),
        make_notes(bass, beats[::2] * step, (beats[::2] + 8) * step, 80, 1, 33),
        make_notes(
            rng.choice([36, 38, 42, 46], len(drums)),
            (drums + rng.uniform(0, 0.3, len(drums))) * step,
            (drums + 1) * step,
            rng.integers(30, 120, len(drums)),
            9,
            0,
            True,
        ),
    ]
    return NoteSequence(
        notes=np.concatenate(parts),
        tempos=np.array([[0.0, qpm]]),
        time_signatures=np.array([[0.0, 4, 4]]),
        key_signatures=np.array([[0.0, 0, 0]]),
        total_time=bars * 16 * step,
    )


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("songs")
    for seed in range(5):
        write_midi(song(seed), folder / f"song{seed}.mid")
    return folder


def run(*argv):
    assert main([str(word) for word in argv]) == 0


@pytest.fixture(scope="module", params=CASES)
def trained(request, songs, tmp_path_factory):
    """(case, dataset, folder of a tiny trained model)."""
    root = tmp_path_factory.mktemp(request.param.replace(" ", "_"))
    preset, settings = CASES[request.param]
    sets = [word for setting in [*TINY, *settings] for word in ("--set", setting)]
    ours = [word for setting in settings if setting[0] == "r" for word in ("--set", setting)]
    run("prepare", preset, songs, root / "data", "--workers", 1, "--fractions", 1, 0, 0, *ours)
    run("train", preset, "--data", root / "data", "-o", root / "model", "--steps", 2, *sets)
    return request.param, root / "data", root / "model"


def test_every_verb(trained, songs, tmp_path):
    _, data, model = trained
    one, other = songs / "song1.mid", songs / "song2.mid"
    run("sample", model, "-n", 2, "-o", tmp_path / "new", "--temperature", 1, "--also", "png")
    run("reconstruct", one, "--model", model, "-o", tmp_path / "again.mid")
    run("interpolate", one, other, "--model", model, "-n", 3, "-o", tmp_path / "between.mid")
    run("encode", one, "--model", model, "-o", tmp_path / "z.json")
    run("decode", tmp_path / "z.json", "-o", tmp_path / "decoded.mid")
    run("evaluate", model, "--data", data, "--split", "train", "--json", tmp_path / "figures.json")
    run("plot", "reconstructions", one, "--model", model, "-o", tmp_path / "rows.png")
    run("plot", "map", model, "--data", data, "--split", "train", "-o", tmp_path / "map.png")
    assert {path.suffix for path in (tmp_path / "new").iterdir()} == {".mid", ".png"}
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert all(np.isfinite(value) for value in figures.values())
    assert "teacher-forced accuracy" in figures


def test_whole_pieces(trained, tmp_path):
    """At another tempo than 120: all of the song, and encoding with decoding comes to the same."""
    _, _, model = trained
    slow = song(7, bars=5, qpm=80.0)
    write_midi(slow, tmp_path / "slow.mid")
    run("reconstruct", tmp_path / "slow.mid", "--model", model, "--whole", "-o", tmp_path / "again.mid")
    run("encode", tmp_path / "slow.mid", "--model", model, "--whole", "-o", tmp_path / "z.npz")
    again = read_midi(tmp_path / "again.mid")
    assert again.tempos[0, 1] == pytest.approx(80.0)
    assert again.total_time <= slow.total_time + 0.2
    loaded = hub.load_model(model)
    places = read_piece(tmp_path / "slow.mid", loaded.representation).places
    covered = {bar for p in places for bar in range(round(p.start / 3.0), round(p.end / 3.0))}
    assert covered == set(range(5))
    if loaded.controls_of(tmp_path / "slow.mid") is None:
        run("decode", tmp_path / "z.npz", "--whole", "-o", tmp_path / "decoded.mid")
        assert np.array_equal(read_midi(tmp_path / "decoded.mid").notes, again.notes)


def test_controls(trained, songs, tmp_path, capsys):
    case, _, folder = trained
    model = hub.load_model(folder)
    told = model.controls_of(songs / "song1.mid")
    key = ["--key", "C"] if case == "keys" else []
    argv = ["sample", str(folder), "-n", "1", "-o", str(tmp_path / "s.mid")]
    if case in CHORDS:
        run(*argv, "--chords", CHORDS[case], *key)
        written = [symbol for _, symbol in read_midi(tmp_path / "s.mid").chords if symbol != "N.C."]
        assert written == CHORDS[case].split() or case == "multitrack with chords"
        assert main([*argv, "--chords", "H7", *key]) == 1
    else:
        assert main([*argv, "--chords", "C"]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main([*argv, "--controls-from", str(songs / "song1.mid")]) == (told is None)
    assert (told is not None) == (case in CHORDS or case == "hits")
    if told is not None:
        assert main([*argv, "--chords", "C", "--controls-from", "x.mid"]) == 1
        with pytest.raises(KikiboubaError, match="shape"):
            model.decode(np.zeros((2, 6)), controls=told[:-1])
        with pytest.raises(KikiboubaError, match="shape"):
            model.decode(np.zeros((2, 6)), controls=np.stack([told] * 3))
    assert "internal error" not in capsys.readouterr().err


def test_what_is_told_is_the_files_own_unless_said_otherwise(trained, songs):
    case, _, folder = trained
    model = hub.load_model(folder)
    one, other = songs / "song1.mid", songs / "song2.mid"
    told = model.controls_of(one)
    z = model.encode(one).mu
    assert np.array_equal(notes_of(model.reconstruct(one)), notes_of(model.decode(z, controls=told)[0]))
    ends = model.interpolate(one, other, 3)
    (last,) = model.decode(model.encode(other).mu, controls=model.controls_of(other))
    np.testing.assert_allclose(notes_of(ends[-1]), notes_of(last), atol=1e-5)
    if case == "hits":
        (array,) = read_examples(one, model.representation)
        hits = np.nonzero(array[:, :9])
        assert np.array_equal(told, array[:, :9])
        assert len(hits[0]) > 0
        with pytest.raises(KikiboubaError, match="neither chords nor a key"):
            model.controls_from_text("C")


@pytest.mark.parametrize("kind", ["melody", "drums", "sketch", "trio", "groove", "multitrack"])
def test_every_kind_is_a_word_for_prepare(kind):
    representation = hub.representation_for(kind)
    assert representation.kind == kind


def test_pictures_show_what_a_model_makes_of_what_it_is_told(trained, songs, monkeypatch):
    _, _, folder = trained
    model, one, heard = hub.load_model(folder), songs / "song1.mid", []
    monkeypatch.setattr(model, "decode", lambda *given: heard.append(given) or [read_artifact(one)] * 2)
    plot_reconstructions(model, [one, songs / "song2.mid"])
    told = heard[0][3]
    assert (told is None) == (model.controls_of(one) is None)
    assert told is None or np.array_equal(told[0], model.controls_of(one))


def test_artifacts_are_named_by_their_model(trained, tmp_path):
    _, _, folder = trained
    run("sample", folder, "-n", 2, "-o", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model-1.mid", "model-2.mid"]


@pytest.mark.parametrize("case", CASES)
def test_windows_of_a_whole_piece_are_examples_like_any(case):
    """Where all bars are played, cutting a song changes nothing in what a window holds, chords included."""
    preset, settings = CASES[case]
    ours = dict(setting.split("=") for setting in settings if setting[0] == "r")
    representation = load_representation(preset, ours)
    piece = song(3, bars=8, qpm=97.0)
    known = {array.tobytes() for array in representation.windows(piece)}
    found = cut(piece, representation)
    assert {array.tobytes() for array in found.arrays} <= known
    assert len(found.arrays) == 8 // representation.bars
