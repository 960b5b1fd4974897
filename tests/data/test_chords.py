"""Chord symbols and their classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikibouba.data.chords import (
    NUM_CLASSES,
    ROOT_NAMES,
    chord_class,
    chord_name,
    chord_pitches,
    looks_like_symbol,
    read_key,
    read_symbol,
    transpose_classes,
    transpose_symbol,
)
from kikibouba.errors import KikiboubaError

MAJOR, MINOR, AUGMENTED, DIMINISHED = 1, 13, 25, 37
"""First class of each triad"""


@pytest.mark.parametrize(
    ("triad", "kinds"),
    [
        (
            MAJOR,
            "C CM Cmaj C6 C69 C6/9 C7 C9 C13 Cmaj7 CM7 C△7 C^ Cmaj9(#11) Cadd9 C(add9) C7b9 C7(b9,#11) C7-9",
        ),
        (MINOR, "Cm Cmin Cmi C- Cm6 Cm7 C-7 Cmi7 Cm9 Cm(maj7) CmM7 Cm7(b13) Cm7(no5)add5 C(b3)"),
        (AUGMENTED, "C+ Caug C+7 C7#5 C7+5 Cmaj7(#5) C+9"),
        (DIMINISHED, "Cdim Co C° Co7 Cdim7 Cm7b5 C-7b5 Cm7(b5) Cø Cø7 C/o7 Cm7-5"),
    ],
)
def test_only_the_triad_counts(triad: int, kinds: str) -> None:
    assert {kind: chord_class(kind) for kind in kinds.split()} == dict.fromkeys(kinds.split(), triad)


@pytest.mark.parametrize(
    ("symbol", "root"),
    [("C#", 1), ("Db", 1), ("B#", 0), ("Cb", 11), ("E##", 6), ("Bbb", 9), ("F♯", 6), ("B♭", 10), ("A", 9)],
)
def test_roots(symbol: str, root: int) -> None:
    assert chord_class(symbol) == MAJOR + root
    assert chord_class(symbol + "m7b5") == DIMINISHED + root


def test_examples() -> None:
    assert chord_class("F#m7b5") == DIMINISHED + 6
    assert chord_class("Bbmaj7/D") == MAJOR + 10
    assert read_symbol("Bbmaj7/D").bass == 2
    assert [chord_class(text) for text in ("N.C.", "NC")] == [0, 0]


@pytest.mark.parametrize("symbol", ["Csus4", "Csus", "C7sus4", "C5", "C(no3)", "Cped", "Cdim(b5)", "C+7b3"])
def test_what_is_no_triad_has_no_class(symbol: str) -> None:
    with pytest.raises(
        KikiboubaError, match=r"(?s)is not among the major, .*replace it by C, Cm or N\.C\."
    ) as error:
        chord_class(symbol)
    assert repr(symbol) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("symbol", ["H", "c", "", "C7alt", "Cfoo", "C#b", "C/H", "Am I", "4"])
def test_what_cannot_be_read_is_named(symbol: str) -> None:
    with pytest.raises(KikiboubaError, match="cannot read the chord symbol") as error:
        chord_class(symbol)
    assert repr(symbol) in str(error.value)


def test_majmin_is_the_first_half() -> None:
    for label in range(25):
        assert chord_class(chord_name(label), "majmin") == label
    with pytest.raises(KikiboubaError, match="not among the major and minor ones"):
        chord_class("Cdim", "majmin")


def test_names_are_read_as_what_they_name() -> None:
    assert [chord_class(chord_name(label)) for label in range(49)] == list(range(49))
    assert [chord_name(label) for label in (0, 1, 2, 4, 13, 28, 48)] == [
        "N.C.",
        "C",
        "C#",
        "Eb",
        "Cm",
        "Ebaug",
        "Bdim",
    ]
    assert NUM_CLASSES == {"triad": 49, "majmin": 25, "pitches": 193}


def test_chords_as_pitches() -> None:
    table = chord_pitches()
    e_minor = table[chord_class("Em", "pitches")]
    assert np.flatnonzero(e_minor).tolist() == [1 + 4, 13 + 4, 13 + 7, 13 + 11, 25 + 4]
    assert np.flatnonzero(table[0]).tolist() == [0]
    assert len(np.unique(table, axis=0)) == 193


@pytest.mark.parametrize(
    ("symbol", "pitches"),
    [
        ("G7", {7, 11, 2, 5}),
        ("Cmaj7", {0, 4, 7, 11}),
        ("Am7", {9, 0, 4, 7}),
        ("Bm7b5", {11, 2, 5, 9}),
        ("Bø", {11, 2, 5, 9}),
        ("Bdim7", {11, 2, 5, 8}),
        ("F6", {5, 9, 0, 2}),
        ("C9/E", {0, 4, 7, 10}),
    ],
)
def test_sevenths_as_pitches(symbol: str, pitches: set[int]) -> None:
    row = chord_pitches()[chord_class(symbol, "pitches")]
    assert set(np.flatnonzero(row[13:25]).tolist()) == pitches
    assert transpose_classes(np.array([chord_class(symbol, "pitches")]), 12)[0] == chord_class(
        symbol, "pitches"
    )


def test_names_of_chords_with_sevenths_are_read_as_what_they_name() -> None:
    assert [chord_class(chord_name(label), "pitches") for label in range(193)] == list(range(193))


SYMBOLS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from([*ROOT_NAMES, "Db", "Gb", "A#", "Fb"]),
    st.sampled_from(["", "m", "+", "dim", "7", "maj7", "m7b5", "m(maj7)", "6/9"]),
    st.sampled_from(["", "(b9)", "add2"]),
    st.sampled_from(["", "/E", "/Bb", "/F#"]),
)


@given(SYMBOLS, st.integers(-30, 30))
@settings(deadline=None)
def test_transposing_a_symbol_transposes_its_class(symbol: str, semitones: int) -> None:
    moved = transpose_symbol(symbol, semitones)
    assert chord_class(moved) == transpose_classes(np.array([chord_class(symbol)]), semitones)[0]
    assert chord_class(transpose_symbol(moved, -semitones)) == chord_class(symbol)
    bass = read_symbol(symbol).bass
    assert read_symbol(moved).bass == (None if bass is None else (bass + semitones) % 12)


def test_transposing() -> None:
    assert transpose_symbol("Bbmaj7/D", 3) == "C#maj7/F"
    assert transpose_symbol("N.C.", 3) == "N.C."
    labels = transpose_classes(np.array([[0, 1, 12], [24, 25, 48]], np.uint8), 1)
    assert labels.tolist() == [[0, 2, 1], [13, 26, 37]]
    assert labels.dtype == np.uint8


def test_what_looks_like_a_symbol() -> None:
    assert all(map(looks_like_symbol, ["C", "F#m7b5", "Bb/D", "N.C.", "C7alt", "Asus4", "E(no3)"]))
    words = ["", "Verse", "Refrain", "Amen", "Dear", "I", "am", "Hello", "By", "C" + "b" * 40]
    assert not any(map(looks_like_symbol, words))


def test_keys() -> None:
    assert [read_key(text) for text in ("C", "F#m", "Bb major", "A minor", "E♭")] == [0, 6, 10, 9, 3]
    with pytest.raises(KikiboubaError, match="cannot read the key 'H'"):
        read_key("H")
