"""The commands of the page on Embedding RNNs, one after the other, with few notes and a tiny model."""

import shlex

import numpy as np
from pages import ROOT, shell_lines

from kikibouba.cli import main
from kikibouba.data.audio_files import read_sound

PAGE = ROOT / "docs/embedding_rnn.md"
FRAMES = (
    "--workers 1 --set representation.frames=16 --set representation.width=12 --set representation.hop=128"
)
TINY = (
    "--steps 2 --set model.rnn_size=8 --set model.enc_rnn_size=6 --set model.z_size=3 "
    "--set train.batch_size=4 --set model.n_pca_components=4"
)


def shortened(line: str) -> str:
    """The same command on fewer and smaller things."""
    if "prepare notes" in line:
        return line.replace("48-72", "60-61").replace("organ guitar cello trumpet clarinet", "organ")
    if "prepare embedding" in line:
        return f"{line} {FRAMES}"
    if "kikibouba train" in line:
        return f"{line} {TINY}"
    return f"{line} -n 2 --samples 1 --split train" if "plot embedding" in line else line


def test_the_commands_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [line for line in shell_lines(PAGE) if line.startswith("kikibouba ")]
    assert len(lines) >= 11
    for line in lines:
        if "kikibouba evaluate" in line:
            line += " --split train"  # of twenty notes none may be left for testing
        words = shlex.split(shortened(line))
        assert main(words[1:]) == 0, line
    assert "<audio " in (tmp_path / "analysis" / "listen.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / "analysis").glob("fig*.png"))) == 7
    for name in ("again.wav", "nearer.wav", "lower.wav"):
        assert len(read_sound(tmp_path / name)) == 16 * 128
    assert not np.array_equal(read_sound(tmp_path / "again.wav"), read_sound(tmp_path / "nearer.wav"))
    assert len(list((tmp_path / "morph").glob("*.wav"))) == 5
    assert len(list((tmp_path / "new").glob("*.wav"))) == 4
