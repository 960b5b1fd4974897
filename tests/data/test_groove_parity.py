"""Grooves and drums of 61 classes give Magenta's own arrays and notes, number for number."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from music import reference_files

from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.groove import GrooveRepresentation
from kikibouba.data.midi import from_midi_bytes
from kikibouba.errors import KikiboubaError

GROOVES = {
    "groove2_humanize": GrooveRepresentation(humanize=True),
    "groove4": GrooveRepresentation(bars=4),
    "groove2_tap_fixed": GrooveRepresentation(tapify=True, fixed_velocities=True),
    "groove2_add_hh": GrooveRepresentation(add_instruments=(2,)),
    "groove2_hits_control": GrooveRepresentation(hits_as_controls=True),
}
FULL = DrumsRepresentation(pitch_classes="full")
FILES = 20
"""Files of the set that are at hand at least; some are kept back."""


def windows(representation: Any, content: bytes) -> list[np.ndarray]:
    try:
        return representation.windows(from_midi_bytes(content))
    except KikiboubaError:
        return []


def numbers(x: np.ndarray, part: Any) -> np.ndarray:
    """The columns of a part of the layout, as a model sees them."""
    columns = x[..., part.start : part.stop]
    if part.adds_none:
        columns = np.concatenate([columns, columns.sum(-1, keepdims=True) == 0], axis=-1)
    return columns.astype(np.float32)


def in_order(examples: np.ndarray) -> np.ndarray:
    """Examples [n, T, K] in lexical order."""
    return examples[np.lexsort(examples.reshape(len(examples), -1).T[::-1])]


def test_grooves_equal_the_original(shared: Path) -> None:
    seen = 0
    for facts, content, arrays in reference_files(shared, "groove"):
        for key in GROOVES.keys() & facts["conv"]:
            representation, counts = GROOVES[key], facts["conv"][key]
            found = windows(representation, content)
            assert len(found) == counts["default"], facts["file"]
            if found:
                x, _ = representation.collate(found[: counts.get("kept")])
                layout = representation.layout
                parts = [("in", layout.inputs[0]), ("out", layout.outputs[0])]
                for name, part in [*parts, *(("controls", told) for told in layout.controls)]:
                    expected = arrays[f"{key}/default/{name}"].astype(np.float32)
                    assert np.array_equal(numbers(x, part), expected), (facts["file"], key, name)
            seen += 1
    assert seen >= FILES


def test_drums_of_61_classes_equal_the_original(shared: Path) -> None:
    seen = 0
    for facts, content, arrays in reference_files(shared, "groove"):
        if "drums2_nade_full" in facts["conv"]:
            found = windows(FULL, content)
            assert len(found) == facts["conv"]["drums2_nade_full"]["all"]
            if found:
                x, _ = FULL.collate(found)
                (read,), (said,) = FULL.layout.inputs, FULL.layout.outputs
                for name, part in {"in": read, "out": said}.items():
                    expected = arrays[f"drums2_nade_full/all/{name}"]
                    assert np.array_equal(in_order(numbers(x, part)), in_order(expected)), facts["file"]
            seen += 1
    assert seen >= FILES // 3


@pytest.mark.parametrize("key", [*GROOVES, "drums2_nade_full"])
def test_decoded_notes_equal_the_original(shared: Path, key: str) -> None:
    representation: Any = GROOVES.get(key, FULL)
    seen = 0
    for facts, _, arrays in reference_files(shared, "groove"):
        outputs = arrays.get(f"{key}/default/out", ())
        for row, reference in zip(outputs, facts.get("from_tensors", {}).get(key, ()), strict=False):
            notes = representation.to_sequence(row).notes
            ours = sorted([float(value) for value in note] for note in notes.tolist())
            columns = ("pitch", "velocity", "start", "end", "instrument", "program", "is_drum")
            assert list(notes.dtype.names) == list(columns)
            assert np.allclose(ours, sorted(reference["notes"]), rtol=0, atol=1e-6), facts["file"]
            seen += 1
    assert seen >= 2
