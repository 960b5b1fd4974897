"""`kikibouba import` and `export`, and originals in place of models in other verbs."""

import json
import os
import subprocess
import sys

import pytest

from interop.small_models import music_model, sketch_model
from kikibouba.cli import main
from kikibouba.exporting import export


@pytest.fixture
def folder(tmp_path):
    """A model as magenta.js has it, at mel/, and a Sketch-RNN's decoder beside it."""
    export(music_model("melody"), "magenta-js", tmp_path / "mel")
    export(sketch_model(conditional=False), "sketch-rnn-js", tmp_path)
    return tmp_path


def test_import_then_use(folder, capsys):
    assert main(["import", str(folder / "mel"), "-o", str(folder / "ours")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder / "ours")]
    assert main(["sample", str(folder / "ours"), "-n", "1", "-o", str(folder / "a.mid")]) == 0
    assert (folder / "a.mid").stat().st_size > 0
    assert main(["models", "show", str(folder / "ours")]) == 0
    assert "Imported from" in capsys.readouterr().out


def test_an_original_in_place_of_a_model(folder):
    for source, out in (("mel", "b.mid"), ("sketch.gen.json", "b.svg")):
        assert main(["sample", str(folder / source), "-n", "1", "-o", str(folder / out)]) == 0
        assert (folder / out).stat().st_size > 0


def test_an_original_is_the_first_that_a_process_loads(folder):
    """Not as in all other tests here, before which something has loaded a model of ours."""
    out = folder / "first.mid"
    command = [sys.executable, "-m", "kikibouba", "sample", str(folder / "mel"), "-n", "1", "-o", str(out)]
    path = os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]
    assert out.stat().st_size > 0


def test_import_says_what_is_wrong_in_one_line(folder, capsys):
    (folder / "mel" / "weights_manifest.json").write_text("[]")
    assert main(["import", str(folder / "mel"), "-o", str(folder / "ours")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "must be a list of groups" in said
    assert not (folder / "ours").exists()


def test_import_settings(folder):
    out = folder / "sheep"
    setting = "representation.scale_factor=18.5"
    assert main(["import", str(folder / "sketch.gen.json"), "--set", setting, "-o", str(out)]) == 0
    assert json.loads((out / "config.json").read_text())["representation"]["scale_factor"] == 18.5


def test_export(folder, capsys):
    assert (
        main(["export", "mel_2bar", "--to", "magenta-js", "--quantize", "uint16", "-o", str(folder / "js")])
        == 0
    )
    paths = capsys.readouterr().out.splitlines()
    assert paths[-1] == str(folder / "js" / "config.json")
    assert main(["export", "sketch", "--to", "sketch-rnn-js", "-o", str(folder / "js2")]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "js2" / "sketch.vae.json")
    assert main(["encode", "examples/sheep.svg", "-o", str(folder / "z.json")]) == 0
    command = ["export", "sketch", "--to", "sketch-rnn-js", "--z", str(folder / "z.json"), "-o"]
    assert main([*command, str(folder / "js3")]) == 0
    info = json.loads((folder / "js3" / "sketch.gen.json").read_text())[0]
    assert set(info["initial_state"]) == {"c", "h"}
    capsys.readouterr()
    assert main(["export", "sketch", "--to", "magenta-js", "-o", str(folder / "js4")]) == 1
    assert "holds music_vae models" in capsys.readouterr().err
    assert main(["export", "sketch-mel_2bar", "--to", "onnx", "-o", str(folder / "js4")]) == 1
    assert "is a translator" in capsys.readouterr().err
    assert not (folder / "js4").exists()
