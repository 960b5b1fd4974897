"""Melodies that tell their chord and key at every step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music import STEP, tune

from kikibouba.config import representation_from_dict, representation_to_dict
from kikibouba.data.chord_controls import ChordControls, keys_by_step, symbols_by_step
from kikibouba.data.chords import chord_class
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.midi import read_midi, write_midi
from kikibouba.data.notes import NoteSequence, concatenate, split_on_time_changes, transpose
from kikibouba.errors import KikiboubaError

TOLD = MelodyRepresentation(chords="triad")
BOTH = MelodyRepresentation(chords="triad", condition_on_key=True)
C, AM, F, G = (chord_class(symbol) for symbol in ("C", "Am", "F", "G"))


def named(*chords: tuple[float, str], keys: tuple[tuple[float, int], ...] = ()) -> NoteSequence:
    """Four bars of quarters with chords and keys at steps."""
    return replace(
        tune(*((60 + i % 5, 4 * i, 4 * i + 4) for i in range(16))),
        chords=tuple((step * STEP, symbol) for step, symbol in chords),
        key_signatures=np.array([[step * STEP, key, 0] for step, key in keys]).reshape(-1, 3),
    )


def test_columns() -> None:
    (row, *_) = TOLD.windows(named((0, "C"), (16, "Am7")))
    assert (row.shape, row.dtype) == ((32, 2), np.uint8)
    assert row[:, 1].tolist() == [C] * 16 + [AM] * 16
    assert np.array_equal(row[:, 0], MelodyRepresentation().windows(named())[0])
    assert [part.width for part in TOLD.layout.controls] == [49]
    (row, *_) = BOTH.windows(named((0, "C"), keys=((0, 7), (20, 2))))
    assert row.shape == (32, 3)
    assert row[:, 2].tolist() == [7] * 20 + [2] * 12
    assert [(part.start, part.width) for part in BOTH.layout.controls] == [(1, 49), (2, 12)]
    (row, *_) = MelodyRepresentation(condition_on_key=True).windows(named(keys=((0, 7),)))
    assert row[:, 1].tolist() == [7] * 32


def test_without_chords_nothing_changes() -> None:
    plain = MelodyRepresentation()
    (row, *_) = plain.windows(named((0, "C")))
    assert row.shape == (32,)
    assert plain.layout.controls == ()
    stored = representation_to_dict(plain)
    del stored["chords"], stored["condition_on_key"]
    assert representation_from_dict(stored) == plain


def test_windows_that_differ_in_their_chords_are_different() -> None:
    music = tune(*((60, 4 * i, 4 * i + 4) for i in range(16)))
    assert len(MelodyRepresentation().windows(music)) == 1
    by_chord = TOLD.windows(replace(music, chords=((0.0, "C"), (2.0, "F"))))
    assert [row[[0, -1], 1].tolist() for row in by_chord] == [[C, F], [F, F]]
    by_symbol = TOLD.windows(replace(music, chords=((0.0, "F"), (2.0, "F7"))))
    assert len(by_symbol) == 2  # as in the original, which compares symbols


def test_before_the_first_chord_there_is_none() -> None:
    (row, *_) = TOLD.windows(named((4, "C"), (40, "F")))
    assert row[:, 1].tolist() == [0] * 4 + [C] * 28


def test_chords_follow_the_place_of_a_phrase() -> None:
    every_bar = tuple((2.0 * bar, symbol) for bar, symbol in enumerate("CDEFGABCDE"))
    rows = TOLD.windows(replace(tune((60, 32, 64), (62, 128, 160)), chords=every_bar))
    assert [row[::16, 1].tolist() for row in rows] == [
        [chord_class("E"), chord_class("F")],
        [chord_class("D"), chord_class("E")],
    ]


def test_the_last_chord_lasts_to_the_end_of_the_bar() -> None:
    (row,) = TOLD.windows(replace(tune((60, 0, 20)), chords=((0.0, "C"), (2.4, "F"), (3.5, "G"))))
    assert row[:, 1].tolist() == [C] * 19 + [F] * 13


def test_padded_melodies_keep_their_chords() -> None:
    padded = MelodyRepresentation(chords="triad", pad_to_total_time=True)
    music = replace(tune((60, 16, 32)), chords=((0.0, "C"), (2.0, "F")))
    (row,) = padded.windows(music)
    assert row[:, 1].tolist() == [C] * 16 + [F] * 16


def test_the_end_token_repeats_the_chord() -> None:
    ended = MelodyRepresentation(chords="triad", condition_on_key=True, add_end_token=True)
    (row, *_) = ended.windows(named((0, "C"), (16, "F"), keys=((0, 5),)))
    assert row[-2:].tolist() == [[row[-2, 0], F, 5], [90, F, 5]]
    assert row.shape == (33, 3)
    assert ended.to_sequence(row).chords == ((0.0, "C"), (2.0, "F"))


def test_chords_are_guessed_where_they_are_missing() -> None:
    melody = [(72 + i % 2, 4 * i, 4 * i + 4, 0) for i in range(8)]
    chords = [(p + 5 * bar, 16 * bar, 16 * bar + 16, 1) for bar in range(2) for p in (60, 64, 67)]
    (row, *_) = BOTH.windows(tune(*melody, *chords))
    assert row[::16, 1].tolist() == [C, F]
    assert set(row[:, 2]) <= {0, 5}


def test_a_key_is_guessed_without_touching_chords_that_are_named() -> None:
    (row, *_) = BOTH.windows(named((0, "Bdim")))
    assert set(row[:, 1]) == {chord_class("Bdim")}
    (guessed, *_) = BOTH.windows(named(keys=((0, 11),)))
    assert 11 not in guessed[:, 2]  # no chords are named: both are guessed, as in the original


@pytest.mark.parametrize(
    ("chords", "rule"),
    [
        (((0, "Csus4"),), "'Csus4' is not among the major"),
        (((0, "C"), (20, "G5")), "'G5' is not among"),
        (((0, "Hm"),), "cannot read the chord symbol 'Hm'"),
        (((16, "C"), (16.2, "F")), r"the chords C and F fall on the same step, at 2\.00 s"),
    ],
)
def test_what_cannot_be_told_rejects_the_piece(chords: tuple[tuple[float, str], ...], rule: str) -> None:
    with pytest.raises(KikiboubaError, match=rule):
        TOLD.windows(named(*chords))


def test_chords_outside_the_windows_do_no_harm() -> None:
    music = replace(tune((60, 0, 32), (60, 96, 100)), chords=((0.0, "C"), (8.0, "Csus4")))
    assert len(TOLD.windows(music)) == 1
    with pytest.raises(KikiboubaError, match="'Caug' is not among the major and minor"):
        MelodyRepresentation(chords="majmin").windows(named((0, "Caug")))


def test_the_same_chord_twice_is_one() -> None:
    index, symbols = symbols_by_step(((0.0, "C"), (0.01, "C"), (0.5, "F"), (0.5, "F")), 8.0, 8)
    assert [symbols[i] for i in index] == ["C"] * 4 + ["F"] * 4


def test_keys_by_step() -> None:
    keys = np.array([[0.5, 7, 0], [0.7, 2, 1]])
    assert keys_by_step(keys, 8.0, 8).tolist() == [7, 7, 7, 7, 7, 7, 2, 2]


def random_example(seed: int) -> np.ndarray:
    """A note, a chord and a key at every step."""
    return np.random.default_rng(seed).integers([20, 0, 0], [71, 49, 12], (32, 3)).astype(np.uint8)


EXAMPLES = st.integers(0, 2**32 - 1).map(random_example)


@given(EXAMPLES, st.integers(-5, 5))
@settings(deadline=None)
def test_transposition_moves_chords_and_keys_with_the_notes(row: np.ndarray, semitones: int) -> None:
    there, expected = (
        BOTH.to_sequence(BOTH.transpose(row, semitones)),
        transpose(BOTH.to_sequence(row), semitones),
    )
    assert np.array_equal(there.notes, expected.notes)
    assert [chord_class(symbol) for _, symbol in there.chords] == [chord_class(s) for _, s in expected.chords]
    assert np.array_equal(there.key_signatures, expected.key_signatures)
    assert np.array_equal(BOTH.transpose(BOTH.transpose(row, semitones), -semitones), row)


@given(EXAMPLES)
@settings(deadline=None)
def test_what_is_decoded_is_read_again(row: np.ndarray) -> None:
    (again,) = BOTH.windows(BOTH.to_sequence(row))
    assert np.array_equal(again, row)


def test_augmentation_moves_everything() -> None:
    row = np.column_stack([np.full(32, 41), np.full(32, C), np.zeros(32)]).astype(np.uint8)
    rng = np.random.default_rng(0)
    drawn = {tuple(BOTH.augment(row, rng)[0].tolist()) for _ in range(200)}
    assert drawn == {(41 + k, C + k % 12, k % 12) for k in range(-5, 6)}


def test_batches() -> None:
    rows = BOTH.windows(named((0, "C"), keys=((0, 0),)))
    x, lengths = BOTH.collate(rows)
    assert x.shape == (len(rows), 32, 3)
    assert all(np.array_equal(a, b) for a, b in zip(BOTH.split_batch(x, lengths), rows, strict=True))
    alone = MelodyRepresentation().attributes(row[:, 0] for row in rows)
    assert all(np.array_equal(alone[name], values) for name, values in BOTH.attributes(rows).items())


def test_a_file_keeps_chords_and_keys(tmp_path: Path) -> None:
    row = BOTH.windows(named((0, "C"), (12, "G#dim"), keys=((0, 3), (16, 8))))[0]
    path = BOTH.to_artifact(row).save(tmp_path / "a.mid")
    assert read_midi(path).chords == ((0.0, "C"), (12 * STEP, "Abdim"))
    assert np.array_equal(BOTH.windows(BOTH.read(path)[0])[0], row)


def test_fewer_bars_are_filled_up_with_the_last_chord() -> None:
    row = np.column_stack([[41] + [0] * 15, [C] * 16, [2] * 16]).astype(np.uint8)
    filled = BOTH.fill_up(row)
    assert filled[16].tolist() == [1, C, 2]
    assert filled[17:].tolist() == [[0, C, 2]] * 15


def test_chords_from_text() -> None:
    told = TOLD.controls_from_text("C G | Am, F")
    assert told.shape == (32, 1)
    assert told[::8, 0].tolist() == [C, G, AM, F]
    assert TOLD.controls_from_text("C G Am")[:, 0].tolist() == [C] * 12 + [G] * 12 + [AM] * 8
    assert set(TOLD.controls_from_text("")[:, 0]) == {0}
    both = MelodyRepresentation(bars=1, chords="triad", condition_on_key=True, add_end_token=True)
    assert both.controls_from_text("C", key="F#m").tolist() == [[C, 6]] * 17


@pytest.mark.parametrize(
    ("representation", "text", "key", "rule"),
    [
        (MelodyRepresentation(), "C", "", "is not told chords"),
        (MelodyRepresentation(), "", "", "told neither chords nor a key"),
        (TOLD, "C", "C", "is not told a key; leave it out"),
        (BOTH, "C", "", "needs a key"),
        (BOTH, "C", "H", "cannot read the key 'H'"),
        (TOLD, "C G H", "", "cannot read the chord symbol 'H'"),
        (TOLD, "C " * 9, "", "9 chords are more than the 8 quarters"),
    ],
)
def test_text_that_cannot_be_told(
    representation: MelodyRepresentation, text: str, key: str, rule: str
) -> None:
    with pytest.raises(KikiboubaError, match=rule):
        representation.controls_from_text(text, key)


def test_pieces_keep_the_chord_in_force() -> None:
    music = replace(
        named((0, "C"), (10, "F"), (40, "G")), tempos=np.array([[0.0, 120.0], [2.0, 60.0], [5.0, 90.0]])
    )
    assert [piece.chords for piece in split_on_time_changes(music)] == [
        ((0.0, "C"), (10 * STEP, "F")),
        ((0.0, "F"),),
        ((0.0, "G"),),
    ]


def test_joining_keeps_what_each_part_says() -> None:
    first, silent, second = named((0, "C"), (8, "F")), named(), named((8, "F"), (16, "F"))
    assert concatenate([first, second], [8.0, 8.0]).chords == (
        (0.0, "C"),
        (1.0, "F"),
        (8.0, "N.C."),
        (9.0, "F"),
    )
    assert concatenate([first, first], [8.0, 8.0]).chords[2] == (8.0, "C")
    assert concatenate([first, silent], [8.0, 8.0]).chords[2:] == ((8.0, "N.C."),)
    assert concatenate([silent, silent]).chords == ()


def test_transposing_a_sequence_moves_its_chords() -> None:
    assert transpose(named((0, "C7/E"), (4, "N.C.")), -1).chords == ((0.0, "B7/Eb"), (0.5, "N.C."))


def test_a_part_of_a_named_piece_is_told_what_the_whole_is() -> None:
    chords = [(p + 5 * (bar % 2), 16 * bar, 16 * bar + 16, 1) for bar in range(6) for p in (60, 64, 67)]
    melody = [(72 + i % 3, 4 * i, 4 * i + 4, 0) for i in range(24)]
    music = replace(tune(*melody, *chords), tempos=np.array([[0.0, 120.0], [4.0, 100.0]]))
    named_music = BOTH.named(music)
    assert np.array_equal(BOTH.windows(named_music), BOTH.windows(music))
    alone = replace(named_music, notes=named_music.notes[named_music.notes["instrument"] == 0])
    assert {row[0, 1] for row in BOTH.windows(alone)} == {C, F}
    assert TOLD.named(music).key_signatures.tolist() == []
    assert MelodyRepresentation().named(music) is music
    waltz = replace(music, time_signatures=np.array([[0.0, 5, 4]]))
    assert BOTH.named(waltz).chords == ()


def test_controls_are_columns_in_order() -> None:
    assert ChordControls("none", False, 4).num_columns == 0
    assert [part.width for part in ChordControls("majmin", True, 4).parts(3)] == [25, 12]


def test_a_sequence_without_chords_is_written_without(tmp_path: Path) -> None:
    assert read_midi(write_midi(named(), tmp_path / "a.mid")).chords == ()
