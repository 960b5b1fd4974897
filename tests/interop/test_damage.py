"""Hundreds of damaged copies of a checkpoint in each format: refused with a clear error, or harmless."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from interop.damage import FORMATS, VARIANTS


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_checkpoints(form, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "interop.damage", form, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, filter(None, sys.path)))},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    assert not counts["wrong"], "\n".join(counts["wrong"][:3])
    assert counts["refused"] + counts["loaded"] == VARIANTS
    if form in ("tensorflow", "tar", "tgz"):  # checksums cover every weight
        assert counts["changed"] == 0
    else:  # a weight that changes to another number, and spaces and text in JSON, pass
        assert counts["refused"] > VARIANTS // (4 if form == "pth" else 2)
