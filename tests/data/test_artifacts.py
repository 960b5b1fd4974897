"""What a user saves: the form its suffix names, whole, the same every time."""

import io
import json
import os
import wave
from dataclasses import replace

import numpy as np
import pytest

from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.midi import read_midi
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.quickdraw import read_npz
from kikibouba.data.strokes import from_lines, to_lines
from kikibouba.data.svg import read_svg
from kikibouba.errors import KikiboubaError

START = np.arange(4) * 0.5
TUNE = Tune(NoteSequence(notes=make_notes(np.array([60, 64, 67, 72]), START, START + 0.5), total_time=2.0))
DRAWING = Drawing(from_lines([np.array([[0.0, 0], [100, 0], [100, 60]]), np.array([[20.0, 30], [50, 40]])]))
EVERY = [(artifact, suffix) for artifact in (TUNE, DRAWING) for suffix in artifact.suffixes]


@pytest.mark.parametrize(("artifact", "suffix"), EVERY)
def test_every_suffix(tmp_path, artifact, suffix):
    path = artifact.save(tmp_path / f"a ü={suffix.upper()}")
    assert path.read_bytes() == artifact.save(tmp_path / f"b{suffix}").read_bytes()
    magic = {".mid": b"MThd", ".wav": b"RIFF", ".png": b"\x89PNG", ".svg": b"<svg", ".npz": b"PK"}
    assert path.read_bytes().startswith(magic.get(suffix, b"{"))
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("artifact", [TUNE, DRAWING])
@pytest.mark.parametrize("name", ["a.txt", "a", ".mid", "a.mid.gz"])
def test_unknown_suffix(tmp_path, artifact, name):
    with pytest.raises(KikiboubaError, match="allowed: " + ", ".join(artifact.suffixes)):
        artifact.save(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("artifact", [TUNE, DRAWING])
def test_no_such_folder(tmp_path, artifact):
    with pytest.raises(KikiboubaError, match="there is no folder"):
        artifact.save(tmp_path / "nowhere" / "a.png")


def test_nothing_is_left_when_encoding_fails(tmp_path, monkeypatch):
    path = DRAWING.save(tmp_path / "a.svg")
    monkeypatch.setattr(Drawing, "to_svg", lambda self: 1 / 0)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        DRAWING.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.svg"]


def test_tune_files_hold_the_notes(tmp_path):
    again = read_midi(TUNE.save(tmp_path / "a.mid")).notes
    np.testing.assert_array_equal(again["pitch"], [60, 64, 67, 72])
    np.testing.assert_allclose(again["start"], START, atol=0.003)
    record = json.loads(TUNE.save(tmp_path / "a.json").read_text())
    note = {"pitch": 64, "velocity": 80, "start": 0.5, "end": 1.0, "instrument": 0, "program": 0}
    assert record["notes"][1] == note | {"is_drum": False}
    assert record["total_time"] == 2.0
    with wave.open(str(TUNE.save(tmp_path / "a.wav"))) as file:
        assert file.getnframes() / file.getframerate() >= 2.0


def test_json_of_a_tune_names_its_chords(tmp_path):
    named = Tune(replace(TUNE.notes, chords=((0.0, "C"), (1.0, "Am"))))
    record = json.loads(named.save(tmp_path / "a.json").read_text())
    assert record["chords"] == [{"time": 0.0, "symbol": "C"}, {"time": 1.0, "symbol": "Am"}]
    assert "chords" not in json.loads(TUNE.save(tmp_path / "b.json").read_text())


def test_drawing_files_hold_the_strokes(tmp_path):
    (from_npz,) = read_npz(DRAWING.save(tmp_path / "a.npz"))["strokes"]
    np.testing.assert_array_equal(from_npz, DRAWING.strokes)
    record = json.loads(DRAWING.save(tmp_path / "a.json").read_text())
    assert record["drawing"] == [[[0, 100, 100], [0, 0, 60]], [[20, 50], [30, 40]]]
    lines = to_lines(read_svg(DRAWING.save(tmp_path / "a.svg")))
    for line, expected in zip(lines, DRAWING.lines, strict=True):
        span, expected_span = line - lines[0][0], expected - DRAWING.lines[0][0]
        np.testing.assert_allclose(span / lines[0][1, 0], expected_span / 100, atol=1)
        assert len(line) == len(expected)


def test_npz_needs_no_pickle(tmp_path):
    with np.load(io.BytesIO(DRAWING.to_npz()), allow_pickle=False) as arrays:
        assert arrays["strokes"].dtype == np.float32


def test_empty_artifacts_save_too(tmp_path):
    nothing = (Tune(NoteSequence()), Drawing(np.zeros((0, 3), np.float32)))
    for artifact in nothing:
        for suffix in artifact.suffixes:
            assert artifact.save(tmp_path / f"empty{suffix}").stat().st_size > 0


def test_notebooks_show_and_play():
    assert TUNE._repr_html_().count("data:image/png;base64,") == 1
    assert TUNE._repr_html_().count("data:audio/wav;base64,") == 1
    assert DRAWING._repr_html_().startswith("<svg")
    assert DRAWING._repr_png_().startswith(b"\x89PNG")
