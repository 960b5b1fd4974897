"""The commands of the page on sequence-to-sequence models, one after the other, on a few small songs."""

import shlex

import numpy as np
import pytest
from pages import ROOT, shell_lines

from kikibouba.cli import main
from kikibouba.data.midi import read_midi, write_midi
from kikibouba.data.notes import NoteSequence, make_notes

PAGE = ROOT / "docs/seq2seq.md"
TINY = "--steps 2 --set model.units=8 --set model.embedding_size=4 --set train.batch_size=8"


def tune(rng, names=("MELODY", "PIANO")):
    """Eight bars of a melody, and chords under it, at many loudnesses."""
    start = np.arange(32) * 0.5
    parts = [make_notes(rng.integers(60, 75, 32), start, start + 0.5, rng.integers(30, 100, 32), 0)]
    if len(names) > 1:
        parts.append(make_notes(rng.integers(40, 55, 32), start, start + 0.5, rng.integers(30, 100, 32), 1))
    return NoteSequence(np.concatenate(parts), total_time=16.0, instrument_names=names)


@pytest.fixture
def files(tmp_path):
    """Songs, tunes in two styles, a table of pairs, and a tune to translate."""
    rng = np.random.default_rng(0)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for folder in ("songs", "styles/pop", "styles/fiddle", "tunes", "hymns"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(40):
            write_midi(tune(rng), tmp_path / folder / f"{number}.mid")
    rows = [f"tunes/{number}.mid,hymns/{number}.mid" for number in range(40)]
    (tmp_path / "pairs.csv").write_text("\n".join(["source,target", *rows]) + "\n", encoding="utf-8")
    write_midi(tune(rng, ("Flute",)), tmp_path / "tune.mid")


def test_the_commands_of_the_page(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line for line in shell_lines(PAGE) if line.startswith("kikibouba ")]
    assert len(lines) >= 14
    for line in lines:
        words = shlex.split(line)
        if "--max-minutes" in words:
            place = words.index("--max-minutes")
            words[place : place + 2] = TINY.split()
        if words[1] == "prepare":
            words += ["--workers", "1"]
        if "--limit" in words:
            words[words.index("--limit") + 1] = "4"
        if words[1] == "evaluate" and "--limit" not in words:
            words += ["--limit", "4"]
        assert main(words[1:]) == 0, line
    arranged = read_midi("arranged.mid")
    assert arranged.instrument_names == ("Flute", "piano-arrangement")
    played = read_midi("played.mid").notes
    assert played["start"].tolist() == arranged.notes["start"].tolist()
    assert len({*played["velocity"].tolist()}) > 2
    assert read_midi("walk.mid").instrument_names[-1] == "piano-arrangement"
    for name in ("arranged_5.mid", "mine.mid", "fiddled.mid"):
        assert len(read_midi(name).notes)
    assert (tmp_path / "arranged.wav").stat().st_size > 1000
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")
