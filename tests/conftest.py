"""Shared fixtures. Reference data may lie in a folder `shared` beside the checkout; without it tests skip."""

import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


# A shell lets what it runs in the background ignore Ctrl-C, and so would all processes that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference arrays and real data."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}")
    return folder


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    """Small reference arrays that travel with the repository."""
    return ROOT / "tests" / "golden"
