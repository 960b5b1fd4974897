"""Whole pieces: every bar is in some window, and windows put together again are the piece."""

import dataclasses
import warnings

import numpy as np
import pytest

from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.pieces import Piece, Place, cut, join
from kikibouba.data.sheet import CELL, sheet
from kikibouba.data.strokes import bounds, from_lines
from kikibouba.errors import KikiboubaError

MELODY, DRUMS = MelodyRepresentation(), DrumsRepresentation()


def melody(bars, pitch=60, silent=(), qpm=120.0, start=0.0):
    """Four notes a bar, pitches differing by bar, some bars silent."""
    beats = np.array([4 * bar + beat for bar in range(bars) if bar not in silent for beat in range(4)])
    seconds = 60.0 / qpm
    starts = start + beats * seconds
    return NoteSequence(
        notes=make_notes(pitch + beats // 4 % 12, starts, starts + seconds),
        tempos=np.array([[0.0, qpm]]),
        total_time=start + bars * 4 * seconds,
    )


def drums(bars, silent=()):
    beats = np.array([4 * bar + beat for bar in range(bars) if bar not in silent for beat in range(4)])
    return NoteSequence(
        notes=make_notes(np.where(beats % 2, 38, 36), beats * 0.5, beats * 0.5 + 0.1, 80, 9, 0, True),
        tempos=np.array([[0.0, 120.0]]),
        total_time=bars * 2.0,
    )


def firsts(piece):
    return [int(w[np.flatnonzero(w >= 2)[0]]) - 2 + 21 - 60 for w in piece.arrays]


def rebuilt(sequence, representation):
    """The piece cut and, by a model that changes nothing, put together again."""
    piece = cut(sequence, representation)
    return join([representation.to_artifact(array) for array in piece.arrays], piece).notes


def columns(sequence):
    notes = sequence.notes
    order = np.lexsort((notes["pitch"], notes["start"]))
    return np.stack([notes["pitch"], notes["start"], notes["end"]], axis=1)[order]


@pytest.mark.parametrize("qpm", [120.0, 90.0, 61.7])
@pytest.mark.parametrize("bars", [2, 5, 8])
@pytest.mark.parametrize("silent", [(), (0,), (2,), (0, 2, 3)])
def test_a_melody_comes_back_whole_in_its_tempo(qpm, bars, silent):
    song = melody(bars, silent=silent, qpm=qpm)
    again = rebuilt(song, MELODY)
    np.testing.assert_allclose(columns(again), columns(song), atol=1e-9)
    assert again.total_time == pytest.approx(song.total_time)
    assert again.tempos.tolist() == song.tempos.tolist()


def test_windows_follow_each_other_and_the_last_one_reaches_back():
    assert firsts(cut(melody(8), MELODY)) == [0, 2, 4, 6]
    piece = cut(melody(7), MELODY)
    assert firsts(piece) == [0, 2, 4, 5]
    assert [place.start for place in piece.places] == [0.0, 4.0, 8.0, 10.0]
    assert [place.since for place in piece.places] == [0.0, 4.0, 8.0, 12.0]


def test_windows_start_anew_after_silence():
    assert firsts(cut(melody(7, silent=(0, 3, 4)), MELODY)) == [1, 5]


def test_repetitions_are_kept():
    """A set of different windows would lose them."""
    same_bars = melody(8)
    same_bars.notes["pitch"] = 64
    assert firsts(cut(same_bars, MELODY)) == [4] * 4


def test_one_instrument_is_followed():
    both = np.concatenate([melody(4).notes, melody(4, pitch=72).notes])
    both["instrument"][16:] = 1
    assert firsts(cut(NoteSequence(notes=both, total_time=8.0), MELODY)) == [0, 2]


def test_all_drummers_are_heard():
    beat = drums(4)
    beat.notes["instrument"][::2] = 10
    np.testing.assert_allclose(columns(rebuilt(beat, DRUMS))[:, :2], columns(beat)[:, :2])


@pytest.mark.parametrize("silent", [(), (1, 2), (0, 1, 2, 4)])
def test_drums_that_fill_no_window_are_filled_up(silent):
    beat = drums(5, silent)
    np.testing.assert_allclose(columns(rebuilt(beat, DRUMS))[:, :2], columns(beat)[:, :2])


@pytest.mark.parametrize("representation", [MELODY, dataclasses.replace(MELODY, bars=16)])
def test_a_short_melody_is_filled_up_with_silence(representation):
    song = melody(1)
    np.testing.assert_allclose(columns(rebuilt(song, representation)), columns(song))


def test_early_notes_belong_to_their_bar():
    early = melody(4)
    early.notes["start"][8] -= 0.02
    early.notes["end"][7] -= 0.02
    assert firsts(cut(early, MELODY)) == [0, 2]
    assert columns(rebuilt(early, MELODY))[8, 1] == pytest.approx(4.0)


def test_ties_of_the_grid_are_settled_once():
    """A note exactly between two steps, where rounding a shifted time could go either way."""
    song = melody(6, qpm=97.0)
    song.notes["start"] += 60.0 / 97.0 / 8
    again = columns(rebuilt(song, MELODY))
    np.testing.assert_allclose(again[:, 1], np.sort(song.notes["start"]) + 60.0 / 97.0 / 8, atol=1e-9)


def test_tempo_changes_and_other_meters():
    """Two tempos, between them a passage in three four, which stays silent."""
    first, last = melody(2, qpm=120.0), melody(4, pitch=70, qpm=60.0, start=7.0)
    waltz = make_notes(np.full(3, 50), 4.0 + np.arange(3.0), 5.0 + np.arange(3.0))
    song = NoteSequence(
        notes=np.concatenate([first.notes, waltz, last.notes]),
        tempos=np.array([[0.0, 120.0], [4.0, 60.0]]),
        time_signatures=np.array([[0.0, 4, 4], [4.0, 3, 4], [7.0, 4, 4]]),
        total_time=23.0,
    )
    again = rebuilt(song, MELODY)
    expected = columns(song)
    np.testing.assert_allclose(columns(again), expected[expected[:, 0] != 50], atol=1e-9)
    assert again.time_signatures.tolist() == song.time_signatures.tolist()
    assert [place.qpm for place in cut(song, MELODY).places] == pytest.approx([120.0, 60.0, 60.0])


def test_nothing_to_cut_says_why():
    with pytest.raises(KikiboubaError, match="drums"):
        cut(drums(4), MELODY)
    with pytest.raises(KikiboubaError):
        cut(NoteSequence(), MELODY)
    waltz = dataclasses.replace(melody(4), time_signatures=np.array([[0.0, 3, 4]]))
    with pytest.raises(KikiboubaError, match="3/4"):
        cut(waltz, MELODY)


class Picky:
    """Reads bars that begin with pitch 60 only."""

    kind, bars, steps, steps_per_quarter = "picky", 1, 4, 4

    def windows(self, item):
        if item.notes["pitch"][0] != 60:
            raise KikiboubaError("another pitch")
        return [np.array([60])]


def test_bars_that_cannot_be_read_are_counted():
    @dataclasses.dataclass(frozen=True)
    class Rule(Picky):
        pass

    with pytest.warns(UserWarning, match="3 bars hold nothing"):
        assert len(cut(melody(4), Rule()).arrays) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut(melody(1), Rule())


def test_joined_without_their_source_windows_keep_tempo_and_place():
    piece = cut(melody(6, silent=(0, 3), qpm=90.0), MELODY)
    again = join([MELODY.to_artifact(a) for a in piece.arrays], Piece(piece.arrays, piece.places)).notes
    np.testing.assert_allclose(columns(again), columns(melody(6, silent=(0, 3), qpm=90.0)), atol=1e-9)
    assert again.tempos.tolist() == [[0.0, pytest.approx(90.0)]]


def test_tunes_without_places_follow_one_another():
    tunes = [Tune(melody(1)), Tune(melody(1))]
    assert join(tunes, Piece([], []), 4.0).notes.notes["start"].max() == pytest.approx(5.5)
    places = [Place(0.0, 0.0, 1.0, 120.0), Place(1.0, 1.0, 2.0, 120.0)]
    assert join(tunes, Piece([], places), 4.0).notes.total_time == pytest.approx(8.0)


def square(side):
    return Drawing(from_lines([np.array([[0, 0], [side, 0], [side, side], [0, side], [0, 0]]) + 7.0]))


def test_drawings_lie_side_by_side():
    whole = join([square(100), square(1000), Drawing(np.zeros((0, 3))), square(10)] * 3, Piece([], []))
    lines = whole.lines
    assert len(lines) == 9
    middles = np.array([(line.min(axis=0) + line.max(axis=0)) / 2 for line in lines]) / CELL
    cells = [(0, 0), (1, 0), (3, 0), (4, 0), (5, 0), (7, 0), (0, 1), (1, 1), (3, 1)]
    np.testing.assert_allclose(middles, np.array(cells) + 0.5, atol=1e-4)
    sides = [np.ptp(line[:, 0]) for line in lines[:3]]
    np.testing.assert_allclose(sides, [100, 255, 10], atol=1e-3)


def test_a_single_drawing_stays_as_it_is():
    one = square(999)
    np.testing.assert_array_equal(bounds(sheet([one]).strokes), bounds(one.strokes))
