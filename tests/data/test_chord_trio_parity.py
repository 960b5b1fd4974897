"""Melodies with chords, and trios, are Magenta's own arrays, bit for bit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from music import reference_files, windows_or_none

from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.midi import from_midi_bytes
from kikibouba.data.notes import NoteSequence
from kikibouba.data.trio import TrioRepresentation

CHORD_MELODY = MelodyRepresentation(valid_programs=None, chords="triad")
TRIO = TrioRepresentation()
MOST = 24
"""Windows of a file that the reference keeps."""


def sequence_of(name: str, content: bytes) -> NoteSequence:
    sequence = from_midi_bytes(content)
    if name == "pop909_as44":
        return replace(sequence, time_signatures=np.array([[0.0, 4.0, 4.0]]))
    return sequence


def decoded_notes(sequence: NoteSequence) -> list[list[float]]:
    columns = ("pitch", "velocity", "start", "end", "instrument", "program", "is_drum")
    return sorted([float(note[name]) for name in columns] for note in sequence.notes)


@pytest.mark.parametrize("name", ["pop909_as44", "nottingham"])
def test_melodies_with_chords_equal_the_original(shared: Path, name: str) -> None:
    seen = 0
    for facts, content, arrays in reference_files(shared, name):
        if "mel2_chords" in facts["conv"]:
            rows = np.array(windows_or_none(CHORD_MELODY, sequence_of(name, content)))
            assert len(rows) == facts["conv"]["mel2_chords"]["all"], facts["file"]
            if not len(rows):
                continue
            expected = np.stack([arrays[f"mel2_chords/all/{key}"] for key in ("labels", "chords")], axis=2)
            flat = rows.transpose(0, 2, 1).reshape(len(rows), -1)
            assert np.array_equal(rows[np.lexsort(flat.T[::-1])], expected), facts["file"]
            seen += 1
    assert seen >= 2


def test_trios_equal_the_original(shared: Path) -> None:
    seen = 0
    for facts, content, arrays in reference_files(shared, "trio"):
        rows = np.array(windows_or_none(TRIO, from_midi_bytes(content)))
        assert len(rows) == facts["conv"]["trio16"]["all"], facts["file"]
        if len(rows):
            assert np.array_equal(rows[:MOST], arrays["trio16/all/labels"]), facts["file"]
        seen += 1
    assert seen >= 4


def test_decoded_notes_equal_the_original(shared: Path) -> None:
    seen = 0
    for name, key, representation in (
        ("pop909_as44", "mel2_chords", CHORD_MELODY),
        ("nottingham", "mel2_chords", CHORD_MELODY),
        ("trio", "trio16", TRIO),
    ):
        for facts, _, arrays in reference_files(shared, name):
            if key not in facts.get("from_tensors", {}):
                continue
            rows = arrays[f"{key}/default/labels"]
            if key == "mel2_chords":
                rows = np.stack([rows, arrays[f"{key}/default/chords"]], axis=2)
            for row, reference in zip(rows, facts["from_tensors"][key], strict=False):
                sequence = representation.to_sequence(row)
                assert decoded_notes(sequence) == sorted(reference["notes"])
                assert sequence.total_time == reference["total_time"]
                seen += 1
    assert seen >= 8
