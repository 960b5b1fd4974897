"""Warnings of meters and beats that do not fit: POP909's trap, and no false alarm."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from music import STEP, reference_files, tune

from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.grid import grid_warnings
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.midi import from_midi_bytes
from kikibouba.data.notes import NoteSequence

ON_GRID = tune(*((60 + i % 5, 2 * i, 2 * i + 2) for i in range(64)))


def shifted(sequence: NoteSequence, seconds: np.ndarray | float) -> NoteSequence:
    notes = sequence.notes.copy()
    notes["start"] += seconds
    notes["end"] += seconds
    return replace(sequence, notes=notes, total_time=float(notes["end"].max()))


def test_music_on_its_grid_gives_no_warning() -> None:
    assert grid_warnings(ON_GRID) == []
    assert grid_warnings(NoteSequence()) == []


@pytest.mark.parametrize("meter", [(1, 4), (2, 4), (3, 4), (4, 3)])
def test_other_meters(meter: tuple[int, int]) -> None:
    (warning,) = grid_warnings(replace(ON_GRID, time_signatures=np.array([[0.0, *meter]])))
    assert f"the meter {meter[0]}/{meter[1]}" in warning.replace("meter is", "meter")
    assert "100% of the notes" in warning


def test_share_of_notes_in_other_meters() -> None:
    meters = np.array([[0.0, 4, 4], [8.0, 3, 4]])
    (warning,) = grid_warnings(replace(ON_GRID, time_signatures=meters))
    assert warning.startswith("the meter is 3/4: 50% of the notes")


@pytest.mark.parametrize("shift", [0.15, 0.4, -0.3])
def test_a_constant_shift(shift: float) -> None:
    (warning,) = grid_warnings(shifted(ON_GRID, (1 + shift) * STEP))
    assert f"{shift:+.2f} steps off the grid" in warning


def test_free_playing_and_small_shifts_give_no_warning() -> None:
    free = np.random.default_rng(0).uniform(0, 1, len(ON_GRID.notes)) * STEP
    assert grid_warnings(shifted(ON_GRID, free)) == []
    assert grid_warnings(shifted(ON_GRID, 0.08 * STEP)) == []


def test_representations_pass_the_warnings_on() -> None:
    wrong = replace(ON_GRID, time_signatures=np.array([[0.0, 2.0, 4.0]]))
    assert MelodyRepresentation().warnings(wrong) == grid_warnings(wrong)
    assert DrumsRepresentation().warnings(wrong) == grid_warnings(wrong)


def test_real_files(shared: Path) -> None:
    """Two thirds of POP909's untouched files are shifted, and hardly a file of the other sets."""
    share = {}
    for name in ("pop909_raw", "nottingham", "groove"):
        warnings = [
            grid_warnings(from_midi_bytes(content)) for _, content, _ in reference_files(shared, name)
        ]
        share[name] = np.mean([any("off the grid" in line for line in lines) for lines in warnings])
    assert share["pop909_raw"] > 0.5
    assert share["nottingham"] == 0
    assert share["groove"] < 0.15


def test_an_upbeat_is_no_reason_for_a_warning() -> None:
    piece = tune((60, 0, 4), *[(60 + i % 5, 4 + 4 * i, 8 + 4 * i) for i in range(16)])
    piece.time_signatures = np.array([[0.0, 1, 4], [0.5, 4, 4]])
    assert grid_warnings(piece) == []
