"""The numbered example scripts run, and what they write is what it should be."""

import filecmp
import os
import subprocess
import sys

import numpy as np
import pytest
from pages import ROOT

from kikibouba.data.midi import read_midi
from kikibouba.data.svg import read_svg

EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(EXAMPLES.glob("[0-9]*.py"))
ARGUMENTS = {"05_train_a_tiny_model": ["20"]}


def run(script, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_writes_files_that_hold_something(script, tmp_path):
    printed = run(script, tmp_path, *ARGUMENTS.get(script.stem, []))
    written = [tmp_path / name for name in printed if name.startswith(str(tmp_path)) and "." in name[-5:]]
    assert written, "the script printed no path of a file"
    for path in written:
        assert path.stat().st_size > 0
        if path.suffix == ".svg":
            assert len(read_svg(path)) > 1, f"{path} has no strokes"
        if path.suffix == ".wav":
            samples = np.frombuffer(path.read_bytes()[44:], np.int16)
            assert np.abs(samples.astype(int)).max() > 1000, f"{path} is silent"
        if path.suffix == ".mid" and not path.stem.startswith("tiny"):
            assert len(read_midi(path).notes) >= 4, f"{path} has hardly any notes"


def test_the_scripts_are_numbered_without_gaps():
    assert [script.name[:2] for script in SCRIPTS] == [f"{n:02}" for n in range(1, len(SCRIPTS) + 1)]


def test_the_tunes_are_what_their_script_composes(tmp_path):
    run(EXAMPLES / "make_tunes.py", tmp_path)
    composed = sorted(path.name for path in tmp_path.glob("*.mid"))
    assert composed == sorted(path.name for path in EXAMPLES.glob("*.mid"))
    for name in composed:
        assert filecmp.cmp(tmp_path / name, EXAMPLES / name, shallow=False), f"compose {name} again"


def test_the_scores_are_what_their_script_writes(tmp_path):
    run(EXAMPLES / "make_scores.py", tmp_path)
    for name in ("song.mxl", "tunes.tfrecord"):
        assert filecmp.cmp(tmp_path / name, EXAMPLES / name, shallow=False), f"write {name} again"
