"""The commands of docs/api.md, run as they stand against a server, only on another port."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "api.md"
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
CURL = [block for block in BLOCKS if "curl" in block]
STRICT = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; echo; }\n'


def test_there_are_examples():
    assert len(CURL) >= 7
    paths = {path for block in CURL for path in re.findall(r"/api/(\w+)", block)}
    described = {
        "translate",
        "sample",
        "encode",
        "decode",
        "reconstruct",
        "interpolate",
        "map",
        "models",
        "read",
    }
    assert described | {"render", "personalize", "jobs"} <= paths | {"decode"}


@pytest.mark.parametrize("block", CURL, ids=lambda block: re.findall(r"/api/(\w+)", block)[0])
def test_curl_examples_run(block, server, tmp_path):
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("no curl on this machine")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = STRICT + block.replace("http://localhost:8000", server)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    if "events" in block:
        assert "event: done" in done.stdout
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            assert "error" not in json.loads(line)
    if "tune.mid" in block:
        assert (tmp_path / "tune.mid").read_bytes().startswith(b"MThd")
