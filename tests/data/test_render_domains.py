"""Music to recordings of several instruments: who plays what, evened out, resumable."""

import json
import subprocess
import sys

import numpy as np
import pytest

from kikibouba.cli import main
from kikibouba.data import render_pool
from kikibouba.data.audio_files import read_sound
from kikibouba.data.midi import write_midi
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.render import default_soundfont
from kikibouba.data.render_domains import Settings, plan_recordings, render
from kikibouba.data.render_notes import render_notes
from kikibouba.data.render_piece import AFTER, BEFORE, INSTRUMENTS, LOUDNESS, render_piece, within
from kikibouba.data.sources import Source
from kikibouba.data.store import Dataset
from kikibouba.errors import Interrupted, KikiboubaError


def song(seed=0, notes=6):
    rng = np.random.default_rng(seed)
    start = np.arange(notes) * 0.25 + 0.5
    pitched = make_notes(rng.integers(55, 75, notes), start, start + 0.25, 90, 0, 5)
    drums = make_notes(np.full(notes, 38), start, start + 0.1, 120, 1, 0, True)
    return NoteSequence(np.concatenate([pitched, drums]), total_time=start[-1] + 0.25)


@pytest.fixture
def music(tmp_path):
    folder = tmp_path / "music"
    (folder / "split").mkdir(parents=True)
    for number in range(6):
        write_midi(song(number), folder / f"{number}.mid")
    (folder / "broken.mid").write_bytes(b"MThd")
    for split, names in (("train", "0 1 2 3 broken"), ("valid", "4"), ("test", "5")):
        (folder / "split" / f"{split}.txt").write_text("\n".join(f"{n}.mid" for n in names.split()))
    return folder


def test_a_recording_is_evened_out():
    for name in ("piano", "flute"):
        wave = render_piece(song(), INSTRUMENTS[name], default_soundfont())
        silent = round(BEFORE * 16_000), round(AFTER * 16_000)
        assert not wave[: silent[0]].any()
        assert wave[silent[0]] != 0
        assert not wave[-silent[1] :].any()
        loudness = np.sqrt(np.mean(wave[silent[0] : -silent[1]] ** 2))
        assert loudness == pytest.approx(LOUDNESS, rel=1e-3) or np.abs(wave).max() == pytest.approx(0.95)


def test_only_the_pitched_notes_are_played_from_the_first_on():
    """A note at 440 Hz for a second, whatever drums and rests come before it."""
    notes = np.concatenate([make_notes([69], [3.0], [4.0]), make_notes([38], [0.0], [1.0], is_drum=True)])
    wave = render_piece(NoteSequence(notes, total_time=4.0), INSTRUMENTS["flute"], default_soundfont())
    spectrum = np.abs(np.fft.rfft(wave[3200:16_000] * np.hanning(12_800), 1 << 17))
    assert np.fft.rfftfreq(1 << 17, 1 / 16_000)[spectrum.argmax()] == pytest.approx(440, rel=0.01)
    tuned = render_piece(
        NoteSequence(notes, total_time=4.0), INSTRUMENTS["flute"], default_soundfont(), cents=100
    )
    spectrum = np.abs(np.fft.rfft(tuned[3200:16_000] * np.hanning(12_800), 1 << 17))
    assert np.fft.rfftfreq(1 << 17, 1 / 16_000)[spectrum.argmax()] == pytest.approx(466.2, rel=0.01)
    with pytest.raises(KikiboubaError, match="no notes but drums"):
        render_piece(NoteSequence(notes[1:]), INSTRUMENTS["flute"], default_soundfont())


def test_pitches_move_by_octaves_into_a_range():
    assert within(np.array([60, 64]), 21, 108).tolist() == [60, 64]
    assert within(np.array([40, 43, 47]), 60, 96).tolist() == [64, 67, 71]
    assert within(np.array([60, 62, 100]), 54, 86).tolist() == [60, 62, 76]


def sources(count, split):
    return [Source(f"{split}{n}.mid", f"/{split}{n}.mid", split) for n in range(count)]


def test_pieces_for_training_are_played_once_those_for_testing_by_all():
    settings = Settings({"piano": 0, "strings": 48, "flute": 73}, ("a.sf2", "b.sf2"), 60.0, 1)
    plan = plan_recordings(sources(9, "train") + sources(2, "valid") + sources(2, "test"), settings)
    train = [one for one in plan if one.split == "train"]
    assert len({one.source for one in train}) == len(train) == 9
    assert all(sum(one.domain == name for one in train) == 3 for name in settings.domains)
    assert {one.soundfont for one in train} == {"a.sf2", "b.sf2"}
    assert len({one.cents for one in train}) == 9
    test = [one for one in plan if one.split == "test"]
    assert len(test) == 6
    assert {(one.cents, one.tilt, one.soundfont) for one in test} == {(0.0, 0.0, "a.sf2")}
    assert plan == plan_recordings(
        (sources(9, "train") + sources(2, "valid") + sources(2, "test"))[::-1], settings
    )
    other = plan_recordings(sources(9, "train"), Settings(settings.domains, ("a.sf2",), 60.0, 2))
    assert [one.source for one in other] != [one.source for one in train]


def test_render_goes_on_and_prepares(music, tmp_path):
    out = tmp_path / "out"
    made = render([music], out, ["piano", "bells=14"], workers=2, progress=False)
    assert {one.split for one in made} == {"train", "valid", "test"}
    assert len(made) == 4 + 1 + 2
    assert "broken" in (out / "skipped.txt").read_text()
    known = json.loads((out / "render.json").read_text())
    assert known["settings"]["domains"] == {"piano": 0, "bells": 14}
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.wav")}
    content = {path: path.read_bytes() for path in before}
    gone = out / made[0].file
    gone.unlink()
    assert render([music], out, ["piano", "bells=14"], workers=1, progress=False) == made
    assert gone.read_bytes() == content[gone]
    assert all(path.stat().st_mtime_ns == t for path, t in before.items() if path != gone)
    with pytest.raises(KikiboubaError, match="holds recordings with domains"):
        render([music], out, ["piano", "flute"], progress=False)
    assert (
        main(["prepare", "audio", str(out), str(tmp_path / "set"), "--set", "representation.clip=8000"]) == 0
    )
    dataset = Dataset.open(tmp_path / "set")
    assert dataset.categories == ["bells", "piano"]
    assert dataset.meta["counts"] == {"train": 4, "valid": 1, "test": 2}
    pair = [read_sound(out / one.file) for one in made if one.split == "test"]
    assert not np.array_equal(*(wave[:8000] for wave in pair))


def test_a_crash_costs_one_recording(music, tmp_path, monkeypatch):
    started = []

    def crashing():
        started.append(1)
        if len(started) > 1:
            return start()
        words = [sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(3)"]
        return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    start = render_pool._start
    monkeypatch.setattr(render_pool, "_start", crashing)
    made = render([music], tmp_path / "out", ["piano", "flute"], seconds=1, workers=2, progress=False)
    assert len(made) == 6
    assert "1 x the renderer crashed on it (exit status 3)" in (tmp_path / "out/skipped.txt").read_text()


def test_ctrl_c_ends_it_and_it_goes_on(music, tmp_path, monkeypatch):
    asked = []

    def interrupted(self, task, arguments):
        asked.append(task)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(self, task, arguments)

    real = render_pool.Renderers.ask
    monkeypatch.setattr(render_pool.Renderers, "ask", interrupted)
    with pytest.raises(Interrupted, match="goes on with what is missing"):
        render([music], tmp_path / "out", ["piano", "flute"], seconds=1, workers=1, progress=False)
    assert 1 <= len(list((tmp_path / "out").rglob("*.wav"))) <= 6
    assert not list((tmp_path / "out").rglob("*.tmp"))
    monkeypatch.setattr(render_pool.Renderers, "ask", real)
    assert len(render([music], tmp_path / "out", ["piano", "flute"], seconds=1, progress=False)) == 7


def test_the_verb(music, tmp_path, capsys):
    command = [
        "prepare",
        "render",
        str(music),
        str(tmp_path / "out"),
        "--domains",
        "piano",
        "flute",
        "--seconds",
        "1",
    ]
    assert main(command) == 0
    assert "4 piano, 3 flute" in capsys.readouterr().out
    assert max(len(read_sound(path)) for path in (tmp_path / "out").rglob("*.wav")) < 16_000 * 3.5


@pytest.mark.parametrize(
    ("domains", "says"),
    [
        (["piano", "floot"], "did you mean 'flute'"),
        (["piano"], "two or more"),
        (["piano", "piano"], "given twice"),
        (["piano", "x=128"], "0 to 127"),
    ],
)
def test_domains_are_checked(music, tmp_path, domains, says):
    with pytest.raises(KikiboubaError, match=says):
        render([music], tmp_path / "out", domains)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_rendered(music, tmp_path):
    with pytest.raises(KikiboubaError, match="no soundfont"):
        render([music], tmp_path / "out", soundfonts=[tmp_path / "missing.sf2"])
    with pytest.raises(KikiboubaError, match=r"0\.mid is no soundfont"):
        render([music], tmp_path / "out", soundfonts=[music / "0.mid"])
    with pytest.raises(KikiboubaError, match="could be rendered"):
        render([music / "broken.mid"], tmp_path / "out", progress=False)
    with pytest.raises(KikiboubaError, match="at least 1"):
        render([music], tmp_path / "out", seconds=0)


def test_notes_are_laid_out_as_nsynth(tmp_path, capsys):
    command = ["prepare", "notes", "58-62", str(tmp_path / "notes"), "--domains", "flute", "bells=14"]
    assert main(command) == 0
    assert "40 notes" in capsys.readouterr().out  # a flute has three of these pitches, five velocities each
    names = {path.name for path in (tmp_path / "notes/audio").iterdir()}
    assert {"flute-060-025.wav", "bells-058-127.wav"} <= names
    loud, soft = (read_sound(tmp_path / f"notes/audio/flute-060-{v}.wav") for v in ("127", "025"))
    assert len(loud) == 64_000
    assert np.abs(loud).max() > 2 * np.abs(soft).max()
    spectrum = np.abs(np.fft.rfft(loud[8000:40_000] * np.hanning(32_000), 160_000))[:4000]  # to 400 Hz
    assert spectrum.argmax() / 10 == pytest.approx(261.6, rel=0.01)
    lists = [(tmp_path / f"notes/split/{s}.txt").read_text().split() for s in ("train", "valid", "test")]
    assert sum(map(len, lists)) == 40
    for lines in lists:  # a pitch is in one split with all its velocities
        pitches = [line.rpartition("-")[0] for line in lines]
        assert all(pitches.count(pitch) == 5 for pitch in pitches)


@pytest.mark.parametrize(("pitches", "says"), [("x", "48-72"), ("70-60", "48-72"), ("0-20", "has pitches")])
def test_ranges_of_notes_are_checked(tmp_path, pitches, says):
    with pytest.raises(KikiboubaError, match=says):
        render_notes(pitches, tmp_path, ["flute"], progress=False)
