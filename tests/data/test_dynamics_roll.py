"""The roll of ToneNet: golden for a hand-made MIDI file, and exact there and back."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikibouba.data.dynamics_roll import (
    KEYS,
    LOWEST,
    ROLL,
    DynamicsRepresentation,
    canonical,
    notes_of,
    original_steps,
    roll,
)
from kikibouba.data.event_tokens import Steps
from kikibouba.data.midi import from_midi_bytes, write_midi
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.quarters import sections, steps_in
from kikibouba.errors import KikiboubaError

T = 48


def steps(rows):
    return Steps(*np.array(rows, np.int64).reshape(-1, 4).T)


def midi(events):
    """A MIDI file of 480 ticks a quarter from (tick, status, data1, data2), written byte by byte."""
    body, last = b"\x00\xff\x58\x04\x04\x02\x18\x08", 0
    for tick, *message in events:
        delta, last = tick - last, tick
        body += (bytes([0x80 | delta >> 7, delta & 127]) if delta > 127 else bytes([delta])) + bytes(message)
    body += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(body)) + body


def test_golden_of_a_hand_made_file():
    """C4 for two quarters, struck again at once for one; E4 within. One step a quarter."""
    piece = from_midi_bytes(
        midi(
            [
                (0, 0x90, 60, 100),
                (480, 0x90, 64, 50),
                (960, 0x80, 60, 0),
                (960, 0x90, 60, 70),
                (960, 0x80, 64, 0),
                (1440, 0x80, 60, 0),
            ]
        )
    )
    notes, _ = steps_in(piece, sections(piece)[0], 1)
    c, e = 60 - LOWEST, 64 - LOWEST
    known, velocity = roll(notes, 4)
    pairs = known.reshape(4, KEYS, 2)
    assert pairs[:, c].tolist() == [[1, 1], [0, 1], [1, 1], [0, 0]]
    assert pairs[:, e].tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]
    assert velocity[:, c].tolist() == [100, 100, 70, 0]
    assert velocity[:, e].tolist() == [0, 50, 0, 0]
    assert known.sum() == 5 + 2
    # The original: one step longer, but what is struck again wins.
    known, velocity = roll(notes, 4, original=True)
    pairs = known.reshape(4, KEYS, 2)
    assert pairs[:, c].tolist() == [[1, 1], [0, 1], [1, 1], [0, 1]]
    assert pairs[:, e].tolist() == [[0, 0], [1, 1], [0, 1], [0, 0]]
    assert velocity[:, c].tolist() == [100, 100, 70, 70]


def test_lengths_of_the_original():
    assert [original_steps(n) for n in (1, 5, 7, 9, 10, 11, 14, 100, 113, 200)] == [
        *(1, 4, 6, 8, 8, 12, 12, 96, 128, 192)
    ]


@st.composite
def played(draw):
    """Any notes, on few keys, so that they overlap and repeat."""
    row = st.tuples(
        st.integers(0, T - 1), st.sampled_from([21, 60, 61, 108]), st.integers(1, 20), st.integers(1, 127)
    )
    return steps(draw(st.lists(row, max_size=25)))


@given(played())
@settings(max_examples=150, deadline=None)
def test_notes_to_roll_and_back_is_exact(notes):
    """But for what no piano can do, and what reaches beyond the last step."""
    expected = canonical(notes)
    expected = expected._replace(duration=np.minimum(expected.duration, T - expected.start))
    found = notes_of(*roll(notes, T))
    for column, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(column, wanted)
    for again, before in zip(roll(found, T), roll(notes, T), strict=True):
        np.testing.assert_array_equal(again, before)


@given(played(), st.lists(st.tuples(st.integers(0, T), st.booleans()), max_size=6))
@settings(max_examples=60, deadline=None)
def test_midi_to_roll_to_midi_is_exact(tmp_path_factory, notes, pedal):
    """Files on the grid, with sustain: what the file plays is what comes back, note by note."""
    folder = tmp_path_factory.mktemp("roll")
    seconds = 0.125  # a sixteenth
    song = NoteSequence(
        make_notes(
            notes.pitch, notes.start * seconds, (notes.start + notes.duration) * seconds, notes.velocity
        ),
        total_time=float((notes.start + notes.duration).max(initial=0) * seconds),
        pedals=np.array([[at * seconds, 0, 127 * down] for at, down in sorted(pedal)]).reshape(-1, 3),
    )
    kind = DynamicsRepresentation()
    if not len(notes.start):
        return
    read = kind.lead(from_midi_bytes(write_midi(song, folder / "a.mid").read_bytes()))
    on_grid, _ = steps_in(read, sections(read)[0], 4)
    known, velocity = roll(on_grid, 200)
    rows = np.concatenate([known, velocity, np.zeros((200, 1), np.uint8)], axis=1)
    kind.to_artifact(rows).save(folder / "b.mid")
    back = from_midi_bytes((folder / "b.mid").read_bytes())
    found, _ = steps_in(back, sections(back)[0], 4)
    for column, wanted in zip(canonical(found), canonical(on_grid), strict=True):
        np.testing.assert_array_equal(column, wanted)


def test_sound_without_an_onset_starts_a_note():
    known, velocity = np.zeros((4, ROLL), np.uint8), np.zeros((4, KEYS), np.uint8)
    known[1:3, 2 * 10 + 1], velocity[1:3, 10] = 1, 33
    assert [column.tolist() for column in notes_of(known, velocity)] == [[1], [31], [2], [33]]


def song(velocities, pitch=60):
    start = np.arange(len(velocities)) * 0.5
    return NoteSequence(make_notes(np.full(len(start), pitch), start, start + 0.5, np.array(velocities)))


def test_windows_of_a_performance():
    kind = DynamicsRepresentation(bars=2, min_velocities=3)
    arrays = kind.windows((song([40, 50, 60, 70] * 5), ""))  # five bars
    assert [array.shape for array in arrays] == [(32, 265), (32, 265), (16, 265)]
    x, lengths = kind.collate(arrays)
    assert x.shape == (3, 32, 265)
    assert lengths.tolist() == [32, 32, 16]
    for array, same in zip(arrays, kind.split_batch(x, lengths), strict=True):
        np.testing.assert_array_equal(array, same)
    figures = kind.attributes(arrays)
    np.testing.assert_allclose(figures["loudness"], 55 / 127)
    np.testing.assert_allclose(figures["density"], 0.25)
    assert kind.to_artifact(arrays[2]).notes.notes["velocity"].tolist() == [40, 50, 60, 70]


def test_what_cannot_be_used_is_named():
    kind = DynamicsRepresentation(bars=2, min_velocities=3, styles=("jazz", "classical"))
    with pytest.raises(KikiboubaError, match="3 different velocities: nobody played it"):
        kind.windows((song([64] * 8), "jazz"))
    with pytest.raises(KikiboubaError, match="no notes on the keys"):
        kind.windows((song([1, 2, 3, 4], pitch=12), "jazz"))
    with pytest.raises(KikiboubaError, match="did you mean 'jazz'"):
        kind.windows((song([1, 2, 3, 4]), "jaz"))
    with pytest.raises(KikiboubaError, match="bars = 0"):
        DynamicsRepresentation(bars=0)
