"""Chord symbols in the texts of MIDI files."""

from dataclasses import replace

import pytest
from music import midi_file, tune

from kikibouba.data.midi import from_midi_bytes, midi_bytes

TEXT, COPYRIGHT, NAME, LYRIC, MARKER = 1, 2, 3, 5, 6
END = b"\x00\xff\x2f\x00"


def track(kind: int, *texts: str) -> bytes:
    """A track of texts, one each quarter (at 120 ticks)."""
    encoded = [text.encode() for text in texts]
    events = [bytes([120 if i else 0, 0xFF, kind, len(text)]) + text for i, text in enumerate(encoded)]
    return b"".join(events) + END


def chords(*tracks: bytes) -> list[str]:
    return [symbol for _, symbol in from_midi_bytes(midi_file(*tracks, division=120)).chords]


@pytest.mark.parametrize("kind", [TEXT, LYRIC, MARKER])
def test_texts_lyrics_and_markers_are_read(kind: int) -> None:
    sequence = from_midi_bytes(midi_file(track(kind, "C", "F#m7b5", "Bb/D", "N.C."), division=120))
    assert sequence.chords == ((0.0, "C"), (0.5, "F#m7b5"), (1.0, "Bb/D"), (1.5, "N.C."))


@pytest.mark.parametrize("kind", [COPYRIGHT, NAME])
def test_other_texts_are_not(kind: int) -> None:
    assert chords(track(kind, "C", "F")) == []


def test_words_among_chords_are_passed_over() -> None:
    assert chords(track(MARKER, "Verse", "C", "Am", "Refrain", "F", " ", "G7 ")) == ["C", "Am", "F", "G7"]


def test_chord_like_words_among_lyrics_are_none() -> None:
    assert chords(track(LYRIC, "A", "ma", "zing", "grace", "Am", "I", "E")) == []


def test_rehearsal_marks_are_no_chords() -> None:
    assert chords(track(MARKER, "A", "B", "A", "C")) == []
    assert chords(track(MARKER, "A", "D", "A", "E")) == ["A", "D", "A", "E"]
    assert chords(track(TEXT, "A", "B")) == ["A", "B"]


def test_the_track_with_most_chords_counts() -> None:
    assert chords(track(TEXT, "C"), track(LYRIC, "C", "Am"), track(LYRIC, "Dm", "G")) == ["C", "Am"]


def test_symbols_that_cannot_be_read_are_kept_as_they_are() -> None:
    assert chords(track(TEXT, "C", "C7alt", "B♭")) == ["C", "C7alt", "B♭"]
    latin = b"\x00\xff\x01\x02C\xb0" + END
    assert chords(latin) == ["C°"]


def test_times_follow_the_tempo() -> None:
    slow = b"\x00\xff\x51\x03" + (1_000_000).to_bytes(3, "big") + END
    sequence = from_midi_bytes(midi_file(slow, track(TEXT, "C", "F"), division=120))
    assert sequence.chords == ((0.0, "C"), (1.0, "F"))


def test_what_is_written_is_read_again() -> None:
    written = ((0.0, "N.C."), (1.0, "C#m7b5/G"), (2.0, "A"), (2.5, "E♭maj7"))
    assert from_midi_bytes(midi_bytes(replace(tune((60, 0, 32)), chords=written))).chords == written
    alone = ((0.0, "A"),)
    assert from_midi_bytes(midi_bytes(replace(tune((60, 0, 32)), chords=alone))).chords == alone


def test_a_long_text_costs_no_time() -> None:
    text = "A" + "b" * 60_000 + "!"
    length = bytes([0x80 | len(text) >> 14, 0x80 | len(text) >> 7 & 0x7F, len(text) & 0x7F])
    assert chords(b"\x00\xff\x05" + length + text.encode() + END) == []
