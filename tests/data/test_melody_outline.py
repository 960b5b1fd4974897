"""Shapes and rhythms: against magenta.js's converters, and by hand."""

import json

import numpy as np
import pytest

from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.melody_outline import FALLS, RISES, STAYS, MelodyOutlineRepresentation

SHAPE, RHYTHM = MelodyOutlineRepresentation("shape"), MelodyOutlineRepresentation("rhythm")


def melody(events: dict[int, int]) -> np.ndarray:
    """Labels of two bars: step → pitch, 0 for a note off."""
    labels = np.zeros(32, np.uint8)
    for step, pitch in events.items():
        labels[step] = pitch - 21 + 2 if pitch else 1
    return labels


def test_a_shape_leads_to_the_next_note():
    shape = SHAPE.of_melody(melody({2: 60, 6: 64, 10: 64, 12: 0, 20: 55}))
    assert shape.tolist() == [RISES] * 7 + [STAYS] * 4 + [FALLS] * 21


@pytest.mark.parametrize("events", [{}, {5: 60}])
def test_fewer_than_two_notes_stay(events):
    assert SHAPE.of_melody(melody(events)).tolist() == [STAYS] * 32


def test_a_rhythm_marks_onsets_and_sounds_as_drums():
    rhythm = RHYTHM.of_melody(melody({2: 60, 6: 0, 7: 64}))
    assert np.flatnonzero(rhythm).tolist() == [2, 7]
    notes = RHYTHM.to_sequence(rhythm).notes
    assert notes["start"].tolist() == [0.25, 0.875]
    assert notes["is_drum"].all()


def test_shapes_keep_within_the_pitches():
    notes = MelodyOutlineRepresentation(min_pitch=60, max_pitch=63).to_sequence(np.full(32, RISES)).notes
    assert notes["pitch"].tolist() == [63] * 32
    assert notes["pitch"][0] == (60 + 63 + 1) // 2 + 1


def test_windows_are_outlines_of_melodies_none_twice(tmp_path):
    path = MelodyRepresentation().to_artifact(melody({0: 60, 8: 64, 16: 60, 24: 64})).save(tmp_path / "a.mid")
    (item,) = SHAPE.read(path)
    assert len(SHAPE.windows(item)) == 1
    assert RHYTHM.attributes(RHYTHM.windows(item))["density"].tolist() == [4 / 32]
    assert SHAPE.attributes(SHAPE.windows(item))["jaggedness"].tolist() == [2 / 31]


def test_as_magenta_js(shared):
    golden = shared / "golden" / "musicvae_js" / "golden_tiny"
    arrays = np.load(golden / "mel_shape.npz")
    meta = json.loads((golden / "meta.json").read_text())["mel_shape"]
    labels = melody({note["quantizedStartStep"]: note["pitch"] for note in meta["input"]["notes"]})
    assert np.array_equal(SHAPE.of_melody(labels), arrays["input_tensor"].argmax(-1))
    for said, decoded in zip(arrays["decoded_tensor"], meta["decoded"], strict=True):
        pitches = SHAPE.to_sequence(said.argmax(-1)).notes["pitch"]
        assert pitches.tolist() == [note["pitch"] for note in decoded["notes"]]
