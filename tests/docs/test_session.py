"""The commands of a how-to, one after the other, as a reader would type them, only with a tiny model."""

import json
import shlex

import numpy as np
import pytest
from pages import ROOT, blocks, shell_lines

from kikibouba import hub
from kikibouba.cli import main
from kikibouba.data.midi import read_midi, write_midi
from kikibouba.data.notes import NoteSequence, make_notes

PAGE = ROOT / "docs/howto_train_your_own_configuration.md"
TINY = "--steps 2 --set model.z_size=4 --set model.enc_rnn_size=[8] --set model.dec_rnn_size=[8]"


@pytest.fixture
def groove(tmp_path):
    """Forty files of six bars of drums, for the Groove data."""
    (tmp_path / "groove").mkdir()
    for number in range(40):
        rng = np.random.default_rng(number)
        start = np.flatnonzero(rng.random(96) < 0.5) * 0.125
        notes = make_notes(rng.choice([36, 38, 42], len(start)), start, start + 0.1, 90, 9, 0, True)
        write_midi(NoteSequence(notes=notes, total_time=12.0), tmp_path / "groove" / f"{number}.mid")


def test_own_configuration_from_files_to_figures(groove, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (toml,) = [block.text for block in blocks(PAGE) if block.language == "toml"]
    for line in shell_lines(PAGE):
        if "show" in line:
            words = shlex.split(line)
            assert main(words[1 : words.index(">")]) == 0
            assert 'preset = "hier-drums_4bar_small"' in capsys.readouterr().out
            (tmp_path / "my_drums.toml").write_text(toml, encoding="utf-8")
            continue
        line = line.replace("--max-minutes 60", TINY).replace("--tensorboard", "")
        assert main(shlex.split(line)[1:]) == 0, line
    preset = hub.read_preset("trained/my_drums")
    assert (preset.name, preset.model.decoder_level_lengths) == ("my_drums", (4, 16))
    assert hub.read_preset("trained/my_flat_drums").model.decoder_level_lengths == ()
    assert len(list(tmp_path.glob("beats/*.mid"))) == 3
    assert len(list(tmp_path.glob("morph/*.png"))) == 5
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert all(0 <= read_midi(path).total_time <= 8.01 for path in tmp_path.glob("morph/*.mid"))
    figures = json.loads((tmp_path / "both.json").read_text(encoding="utf-8"))
    assert set(figures) == {"trained/my_drums", "trained/my_flat_drums"}
    for found in figures.values():
        assert {"free-running accuracy", "teacher-forced accuracy", "greedy accuracy"} <= set(found)
