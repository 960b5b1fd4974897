"""Shared fixtures. Reference data may lie in a folder `shared` beside the checkout; without it tests skip."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


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
