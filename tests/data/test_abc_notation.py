"""ABC notation: what is written sounds as it should; repeats; every tune of a book for itself; damage."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikibouba.data.abc_fields import parse_key, parse_meter, parse_tempo, parse_unit
from kikibouba.data.abc_notation import read_abc
from kikibouba.data.notes import NoteSequence, split_on_time_changes
from kikibouba.errors import KikiboubaError

QUARTER = 0.5
"""Seconds, at the usual 120 quarters a minute"""


def tunes(tmp_path: Path, text: str) -> list[tuple[str, NoteSequence | KikiboubaError]]:
    path = tmp_path / "tunes.abc"
    path.write_text(text, encoding="utf-8")
    return list(read_abc(path))


def tune(tmp_path: Path, body: str, head: str = "M:4/4\nL:1/4\nK:C") -> NoteSequence:
    ((_, sequence),) = tunes(tmp_path, f"X:1\nT:a\n{head}\n{body}\n")
    if isinstance(sequence, KikiboubaError):
        raise sequence
    return sequence


def sounds(sequence: NoteSequence) -> list[tuple[int, float, float]]:
    """(pitch, start, length) in quarters."""
    return [
        (int(n["pitch"]), round(n["start"] / QUARTER, 4), round((n["end"] - n["start"]) / QUARTER, 4))
        for n in sequence.notes
    ]


@pytest.mark.parametrize(
    ("body", "pitches"),
    [
        ("C,, C, C c c' c''", [36, 48, 60, 72, 84, 96]),
        ("^C _D ^^C __D =C", [61, 61, 62, 60, 60]),
        ("^F F f | F", [66, 66, 78, 65]),  # to the end of the bar, in all octaves
        ("[K:G] F c [K:F] B =B B|B", [66, 72, 70, 71, 71, 70]),
        ("{gab}C ~D .E HF !trill!G +mordent+A {/c}B", [60, 62, 64, 65, 67, 69, 71]),
        ('"Am"A "^slowly"B "_x"c', [69, 71, 72]),
        ("(CDE) | F y G", [60, 62, 64, 65, 67]),
        ("C D\\\nE F % a comment G A\n%%MIDI program 40\nw:la la la\nB", [60, 62, 64, 65, 71]),
    ],
)
def test_pitches(tmp_path, body, pitches):
    assert [pitch for pitch, _, _ in sounds(tune(tmp_path, body))] == pitches


@pytest.mark.parametrize(
    ("body", "lengths"),
    [
        ("C2 C C/ C/2 C// C3/2 C/4 C3/", [2, 1, 0.5, 0.5, 0.25, 1.5, 0.25, 1.5]),
        ("C>D E<F", [1.5, 0.5, 0.5, 1.5]),
        ("C>>D E <<F", [1.75, 0.25, 0.25, 1.75]),
        ("(3CDE F (3:2:4C/D/E/F/ G", [2 / 3, 2 / 3, 2 / 3, 1, *[1 / 3] * 4, 1]),
        ("(2CD (4CDEF (5CDEFG", [1.5, 1.5, *[0.75] * 4, *[0.4] * 5]),
        ("C2-C D- | D", [3, 2]),
        ("[C-E]2[CE]", [3, 2, 1]),
        ("[L:1/8] C C2", [0.5, 1]),
    ],
)
def test_lengths(tmp_path, body, lengths):
    found = [length for _, _, length in sounds(tune(tmp_path, body))]
    assert found == pytest.approx(lengths, abs=1e-3)


def test_rests_chords_and_overlays(tmp_path):
    assert sounds(tune(tmp_path, "C z D x2 E")) == [(60, 0, 1), (62, 2, 1), (64, 5, 1)]
    assert sounds(tune(tmp_path, "[CEG]2 [c2e]")) == [
        (60, 0, 2), (64, 0, 2), (67, 0, 2), (72, 2, 2), (76, 2, 1),
    ]  # fmt: skip
    assert sounds(tune(tmp_path, "C4 & E2 G2 | D4")) == [(60, 0, 4), (64, 0, 2), (67, 2, 2), (62, 4, 4)]
    assert sounds(tune(tmp_path, "C4 | Z2 | D")) == [(60, 0, 4), (62, 12, 1)]


@pytest.mark.parametrize(
    ("body", "order"),
    [
        ("C4 | D4 :| E4", "CDCDE"),
        ("C4 |: D4 :| E4", "CDDE"),
        ("|: C4 :: D4 :|", "CCDD"),
        ("|: C4 :||: D4 :|", "CCDD"),
        ("|:: C4 ::| D4", "CCCD"),
        ("C4 || D4 :| E4", "CDDE"),  # back to the double bar
        ("|: C4 || D4 :| E4", "CDCDE"),  # a repeat that has begun goes on across it
        ("|: C4 |1 D4 :|2 E4 | F4", "CDCEF"),
        ("|: C4 [1 D4 :| [2 E4 || F4 G4 :|", "CDCEFGFG"),
        ("C4 |1,2 D4 :|3 E4 |]", "CDCDCE"),
        ("C4 |1-2 D4 :|3 E4 |]", "CDCDCE"),
        ("C4 |1 D4 | E4 :|2 F4 |]", "CDECF"),
        ("C4 |1 D4 :| E4 |", "CDCE"),
        ("C4 :| D4 :| E4 :|", "CCDDEE"),
    ],
)
def test_repeats(tmp_path, body, order):
    assert "".join("CDEFGAB"["CDEFGAB".index(name)] for name in letters(tune(tmp_path, body))) == order


def letters(sequence: NoteSequence) -> list[str]:
    return ["C D EF G A B"[int(pitch) % 12] for pitch in sequence.notes["pitch"]]


def test_chord_symbols_go_with_the_repeats(tmp_path):
    sequence = tune(tmp_path, '|: "Am"C2 "G7/B"D2 | "F#m(Dm)"E4 :| "N.C."F4 "^fine"z "hello"z')
    chords = [(time / QUARTER, symbol) for time, symbol in sequence.chords]
    assert chords == [
        (0, "Am"), (2, "G7/B"), (4, "F#m"), (8, "Am"), (10, "G7/B"), (12, "F#m"), (16, "N.C."),
    ]  # fmt: skip


def test_an_upbeat_has_a_meter_of_its_own(tmp_path):
    sequence = tune(tmp_path, "G | C D E F | G4 |]")
    assert sequence.time_signatures.tolist() == [[0, 1, 4], [QUARTER, 4, 4]]
    upbeat, piece = split_on_time_changes(sequence)
    assert (len(upbeat.notes), piece.notes["start"].tolist()) == (1, [0.0, 0.5, 1.0, 1.5, 2.0])


def test_an_incomplete_bar_in_the_middle_moves_the_bar_lines(tmp_path):
    sequence = tune(tmp_path, "C4 | D2 || E4 | F4")
    assert [(time / QUARTER, *meter) for time, *meter in sequence.time_signatures.tolist()] == [
        (0, 4, 4), (4, 1, 2), (6, 4, 4),
    ]  # fmt: skip
    # the upbeat of a repeat completes the bar before it: nothing moves
    assert len(tune(tmp_path, "|: A | C D E F | G3 :| A | B4 |").time_signatures) == 2


def test_tempo_meter_and_key(tmp_path):
    head = "M:6/8\nL:1/8\nQ:3/8=60\nK:Dmix"
    sequence = tune(tmp_path, "F3 [Q:1/4=60] c3 | [M:C|][K:Am] F8", head)
    assert sequence.tempos.tolist() == [[0, 90], [1, 60]]
    assert sequence.time_signatures.tolist() == [[0, 6, 8], [2.5, 2, 2]]
    assert sequence.key_signatures.tolist() == [[0, 2, 0], [2.5, 9, 1]]
    assert sequence.notes["pitch"].tolist() == [66, 72, 65]
    assert sequence.notes["end"].tolist() == [1, 2.5, 6.5]


def test_the_unit_of_length_follows_the_meter(tmp_path):
    for meter, length in (("2/4", 0.25), ("3/4", 0.5), ("6/8", 0.5), ("none", 0.5)):
        assert sounds(tune(tmp_path, "C", f"M:{meter}\nK:C"))[0][2] == length


def test_loudness(tmp_path):
    sequence = tune(tmp_path, "C !ff! D E !p! F")
    assert sequence.notes["velocity"].tolist() == [90, 120, 120, 60]


def test_voices(tmp_path):
    sequence = tune(
        tmp_path,
        "V:1\n|: C4 :| D4 |\nV:2 clef=treble-8\n|: [CE]4 :| G4 |\n[V:1] E4 | [V:2] A4 |",
    )
    assert sequence.instrument_names == ("1", "2")
    first = sequence.notes[sequence.notes["instrument"] == 0]
    second = sequence.notes[sequence.notes["instrument"] == 1]
    assert first["pitch"].tolist() == [60, 60, 62, 64]
    assert second["pitch"].tolist() == [48, 52, 48, 52, 55, 57]
    assert second["start"].tolist() == [0, 0, 2, 2, 4, 6]


def test_a_book_has_many_tunes_and_a_broken_one_costs_only_itself(tmp_path):
    found = tunes(
        tmp_path,
        "%abc-2.1\nM:3/4\nL:1/4\n\nX:1\nT:Erste\nK:C\nCDE|\n\nX:2\nT:broken\nM:4/5\nK:C\nC\n\n"
        "X:3\nT:Third % here\nT:also called\nK:G\nF4 |\n\nX: 4\nT:silence\nK:C\nz4|\n\nX:5\nT:no key\nC\n",
    )
    assert [name for name, _ in found] == ["1 Erste", "2 broken", "3 Third", "4 silence", "5 no key"]
    errors = [str(piece) if isinstance(piece, KikiboubaError) else "" for _, piece in found]
    assert "cannot read the meter '4/5'" in errors[1]
    assert (errors[0], errors[2]) == ("", "")
    assert "no notes" in errors[3]
    assert "it has no key" in errors[4]
    first, third = found[0][1], found[2][1]
    assert isinstance(first, NoteSequence)
    assert isinstance(third, NoteSequence)
    assert first.time_signatures.tolist() == [[0, 3, 4]]
    assert (third.notes["pitch"].tolist(), third.name) == ([66], "3 Third")


def test_old_files_are_not_utf8(tmp_path):
    path = tmp_path / "old.abc"
    path.write_bytes("X:1\nT:Fröhlich\nK:C\nC\n".encode("latin-1"))
    assert [name for name, _ in read_abc(path)] == ["1 Fröhlich"]


@pytest.mark.parametrize(
    ("text", "tonic", "mode", "signature"),
    [
        ("C", 0, 0, {}),
        ("G", 7, 0, {"F": 1}),
        ("Bb", 10, 0, {"B": -1, "E": -1}),
        ("F#m", 6, 1, {"F": 1, "C": 1, "G": 1}),
        ("A dorian", 9, 1, {"F": 1}),
        ("EMinor", 4, 1, {"F": 1}),
        ("D Phr", 2, 1, {"B": -1, "E": -1}),
        ("F lydian", 5, 0, {}),
        ("Amix clef=bass", 9, 0, {"F": 1, "C": 1}),
        ("D ^c _b", 2, 0, {"F": 1, "C": 1, "B": -1}),
        ("D exp _b =c", 2, 0, {"B": -1, "C": 0}),
        ("Hp", 9, 0, {"F": 1, "C": 1}),
        ("G#", 8, 0, {"F": 2, "C": 1, "G": 1, "D": 1, "A": 1, "E": 1, "B": 1}),
    ],
)
def test_keys(text, tonic, mode, signature):
    assert parse_key(text) == (tonic, mode, signature)


@pytest.mark.parametrize("text", ["none", "", "clef=bass", "treble"])
def test_no_keys(text):
    assert parse_key(text) is None


def test_fields_that_cannot_be_read():
    for parse, text in ((parse_key, "H"), (parse_meter, "4"), (parse_unit, "x"), (parse_tempo, "fast=x")):
        with pytest.raises(KikiboubaError, match=r"cannot read the .* write for example"):
            parse(text)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("C9999", "a note has the length 9999"),
        ("C1/9999", "a note has the length"),
        ("|:C4|99 D:|", "an ending for pass 99"),
        ("C'''''''", "beyond the pitches"),
        ("[K:H] C", "cannot read the key 'H'"),
        ("|:" * 3 + ("C1024|" * 200 + "::") * 300, "hours|bars"),
        ("|:C4" + "|" * 10 + ":" * 9, None),
    ],
)
def test_nonsense_is_refused(tmp_path, body, reason):
    if reason is None:
        assert len(tune(tmp_path, body).notes) == 1
        return
    with pytest.raises(KikiboubaError, match=reason):
        tune(tmp_path, body)


def test_a_file_without_tunes(tmp_path):
    with pytest.raises(KikiboubaError, match="holds no tune in ABC notation"):
        tunes(tmp_path, "T:no number\nK:C\nCDE\n")


@given(st.text(alphabet="ABCDabcd^_=',/2348|:[]()<>-&zZ\"{}!\\% \nKMLQV:1", max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_a_tune_or_our_error(tmp_path_factory, body):
    for _, piece in tunes(tmp_path_factory.mktemp("abc"), f"X:1\nK:C\n{body}"):
        if isinstance(piece, NoteSequence):
            assert (piece.notes["end"] > piece.notes["start"]).all()
            assert piece.total_time == piece.notes["end"].max()
