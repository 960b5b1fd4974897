"""Reading, quantising, extraction and decoding give Magenta's own arrays, bit for bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from music import reference_files

from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.midi import from_midi_bytes, read_midi
from kikibouba.data.notes import NOTE_DTYPE, NoteSequence, quantize, split_on_time_changes
from kikibouba.errors import KikiboubaError

CONVERTERS = {
    "mel2": MelodyRepresentation(),
    "mel16": MelodyRepresentation(bars=16),
    "drums2": DrumsRepresentation(),
    "drums4": DrumsRepresentation(bars=4),
}
SETS = {"pop909_raw": 20, "pop909_as44": 20, "groove": 20, "nottingham": 10, "trio": 4}
"""Reference set → files of it that are at hand at least; some of each are kept back."""
SMALL = ["groove_a", "groove_b", "groove_c", "pop909_a", "pop909_b"]


def read_as_reference(name: str, content: bytes) -> NoteSequence:
    sequence = from_midi_bytes(content)
    if name == "pop909_as44":
        return replace(sequence, time_signatures=np.array([[0.0, 4.0, 4.0]]))
    return sequence


def sorted_windows(representation: Any, sequence: NoteSequence) -> np.ndarray:
    """All windows of a piece, in lexical order; none if it is rejected."""
    try:
        stacked = np.array(representation.windows(sequence))
    except KikiboubaError:
        return np.zeros((0, representation.steps), int)
    return stacked[np.lexsort(stacked.T[::-1])]


def decoded_notes(sequence: NoteSequence) -> list[list[float]]:
    columns = ("pitch", "velocity", "start", "end", "instrument", "program", "is_drum")
    return sorted([float(note[name]) for name in columns] for note in sequence.notes)


@pytest.mark.parametrize("name", SETS)
def test_notes_and_grid_equal_the_original(shared: Path, name: str) -> None:
    seen = 0
    for facts, content, arrays in reference_files(shared, name):
        sequence = read_as_reference(name, content)
        assert sequence.ticks_per_quarter == facts["ticks_per_quarter"]
        assert sequence.total_time == facts["total_time"]
        assert sequence.tempos.tolist() == facts["tempos"]
        assert sequence.time_signatures.tolist() == facts["time_signatures"]
        assert sequence.key_signatures.tolist() == facts["key_signatures"]
        if "splits_on_time_changes" in facts:
            assert len(split_on_time_changes(sequence)) == facts["splits_on_time_changes"]
        if "notes_pitch" in arrays:
            for column in NOTE_DTYPE.names or ():
                assert np.array_equal(sequence.notes[column], arrays[f"notes_{column}"]), (
                    facts["file"],
                    column,
                )
        if "q_start" in arrays:
            quantized = quantize(sequence)
            assert np.array_equal(quantized.q_start, arrays["q_start"])
            assert np.array_equal(quantized.q_end, arrays["q_end"])
            assert quantized.total_steps == facts["total_quantized_steps"]
        seen += 1
    assert seen >= SETS[name]


@pytest.mark.parametrize("name", SETS)
def test_windows_equal_the_original(shared: Path, name: str) -> None:
    seen = 0
    for facts, content, arrays in reference_files(shared, name):
        sequence = read_as_reference(name, content)
        for key, representation in CONVERTERS.items():
            if key in facts["conv"]:
                rows = sorted_windows(representation, sequence)
                expected = arrays.get(f"{key}/all/labels", np.zeros((0, representation.steps)))
                assert np.array_equal(rows, expected), (facts["file"], key)
                if (roll := arrays.get(f"{key}/all/roll")) is not None:
                    assert np.array_equal(representation.roll()[rows], roll)
                seen += 1
    assert seen >= SETS[name]


@pytest.mark.parametrize("name", ["pop909_as44", "groove", "nottingham", "trio"])
def test_decoded_notes_equal_the_original(shared: Path, name: str) -> None:
    seen = 0
    for facts, _, arrays in reference_files(shared, name):
        for key, decoded in facts.get("from_tensors", {}).items():
            if key in CONVERTERS:
                labels = arrays[f"{key}/default/labels"]
                for row, reference in zip(labels, decoded, strict=False):
                    sequence = CONVERTERS[key].to_sequence(row)
                    assert decoded_notes(sequence) == sorted(reference["notes"])
                    assert sequence.total_time == reference["total_time"]
                    seen += 1
    assert seen >= 12


@pytest.fixture(scope="module")
def small(golden_dir: Path) -> dict[str, np.ndarray]:
    with np.load(golden_dir / "converters" / "converters.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", SMALL)
def test_small_set_windows_grid_and_decoding(small: dict[str, np.ndarray], name: str) -> None:
    sequence = NoteSequence(
        notes=small[f"{name}/notes"],
        tempos=small[f"{name}/tempos"],
        time_signatures=small[f"{name}/time_signatures"],
        total_time=float(small[f"{name}/total_time"]),
    )
    if f"{name}/q_start" in small:
        quantized = quantize(sequence)
        assert np.array_equal(quantized.q_start, small[f"{name}/q_start"])
        assert np.array_equal(quantized.q_end, small[f"{name}/q_end"])
    tested = [key for key in CONVERTERS if f"{name}/{key}" in small]
    assert tested
    for key in tested:
        representation = CONVERTERS[key]
        rows = sorted_windows(representation, sequence)
        assert np.array_equal(rows, small[f"{name}/{key}"])
        decoded = representation.to_sequence(small[f"{name}/{key}/decoded_from"])
        assert decoded_notes(decoded) == sorted(small[f"{name}/{key}/decoded"].tolist())


@pytest.mark.parametrize("name", ["groove_a", "groove_b", "groove_c"])
def test_small_set_is_read_alike(small: dict[str, np.ndarray], golden_dir: Path, name: str) -> None:
    sequence = read_midi(golden_dir / "converters" / f"{name}.mid")
    assert np.array_equal(sequence.notes, small[f"{name}/notes"])
    assert np.array_equal(sequence.tempos, small[f"{name}/tempos"])
    assert np.array_equal(sequence.time_signatures, small[f"{name}/time_signatures"])
    assert sequence.total_time == small[f"{name}/total_time"]
