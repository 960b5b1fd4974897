"""A studio for the tests: the application in this process, a server as a user starts it, a browser."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the studio needs the extra [web]")
pytest.importorskip("httpx2", reason="the TestClient needs httpx2")

from fastapi.testclient import TestClient

from kikibouba.web.app import create_app

ROOT = Path(__file__).parents[2]
START_SECONDS = 60

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--mute-audio",
]
"""Chromium as root, without a screen, and without its own conversations with the world."""


@pytest.fixture(scope="session")
def client():
    """The application with one worker."""
    with TestClient(create_app(workers=1)) as client:
        yield client


@contextmanager
def _served(*options: str):
    """Address of a studio started by `kikibouba serve`."""
    command = [sys.executable, "-m", "kikibouba", "serve", "--port", "0", "--workers", "1", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert "http://" in line, line
            yield "http://" + line.split("http://")[1].split()[0]
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="session")
def served():
    """What starts a studio with options."""
    return _served


@pytest.fixture(scope="session")
def server():
    """Address of a studio as most users start it."""
    with _served() as address:
        yield address


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, the one that the machine has."""
    driver = pytest.importorskip("playwright.sync_api", reason="no playwright to drive a browser")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with driver.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield found
        found.close()


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of examples."""
    return ROOT / "examples"
