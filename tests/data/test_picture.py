"""Pictures show what is there, where it is: checked by looking at their pixels."""

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.picture import COLORS, DRUM_NAMES, drawing_picture, png_tag, rows_picture, tune_picture
from kikibouba.data.strokes import from_lines
from kikibouba.errors import KikiboubaError

BLUE = np.array([0x2F, 0x6F, 0x9F]) / 255


def pixels(png):
    return imread(io.BytesIO(png))[..., :3]


def sequence(pitches, starts, ends, is_drum=False, velocity=127):
    notes = make_notes(np.array(pitches), np.array(starts), np.array(ends), velocity, 0, 0, is_drum)
    return NoteSequence(notes=notes, total_time=float(max(ends, default=0)))


def dark(image):
    return np.argwhere(image.max(axis=2) < 0.4)


def note_boxes(image):
    """(left, right, middle row) of every blue run in its topmost row, in order of left."""
    blue = np.abs(image - BLUE).max(axis=2) < 0.08
    boxes = []
    for row in range(1, len(blue)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], blue[row].astype(int), [0]])))
        for left, right in zip(edges[::2], edges[1::2], strict=True):
            if right - left > 3 and not blue[row - 1, left:right].any():
                height = np.argmin(blue[row:, (left + right) // 2])
                boxes.append((left, right, row + height / 2))
    return sorted(boxes)


# ---- drawings


def test_a_circle_is_round_and_centred():
    angle = np.linspace(0, 2 * np.pi, 100)
    ink = dark(pixels(drawing_picture(from_lines([np.stack([np.cos(angle), np.sin(angle)], 1) * 50 + 1000]))))
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    assert abs((bottom - top) - (right - left)) <= 3
    assert abs((top + bottom) / 2 - 288) < 4
    assert abs((left + right) / 2 - 288) < 4
    assert 400 < bottom - top < 576


def test_y_points_down():
    image = pixels(drawing_picture(from_lines([np.array([[0, 0], [10, 0], [0, 10]])])))
    rows = dark(image)[:, 0]
    per_row = np.bincount(rows, minlength=len(image))
    assert per_row.argmax() < len(image) / 4  # the horizontal line, drawn at y = 0, is at the top


def test_strokes_are_not_connected():
    apart = from_lines([np.array([[0, 0], [0, 10]]), np.array([[10, 0], [10, 10]])])
    image = pixels(drawing_picture(apart))
    middle = image[:, len(image) // 3 : -len(image) // 3]
    assert len(dark(image)) > 500
    assert len(dark(middle)) == 0


def test_dots_show():
    assert len(dark(pixels(drawing_picture(np.array([[5.0, 5, 1]]))))) > 4
    assert len(dark(pixels(drawing_picture(np.zeros((0, 3)))))) == 0


# ---- tunes


def test_piano_roll_shows_time_and_pitch():
    image = pixels(tune_picture(sequence([60, 64, 67, 62], [0, 0.5, 1, 1.5], [0.5, 1, 1.5, 2])))
    boxes = note_boxes(image)
    assert len(boxes) == 4
    lefts, rights, rows = np.array(boxes).T
    step = np.diff(lefts).mean()
    np.testing.assert_allclose(np.diff(lefts), step, rtol=0.03)
    np.testing.assert_allclose(rights - lefts, step, rtol=0.06)
    height = np.polyfit([60, 64, 67, 62], rows, 1)
    np.testing.assert_allclose(np.polyval(height, [60, 64, 67, 62]), rows, atol=1.5)
    assert height[0] < 0  # higher notes are higher up


def test_soft_notes_are_paler():
    loud, soft = (pixels(tune_picture(sequence([60], [0], [1], velocity=v))) for v in (127, 30))
    assert len(note_boxes(loud)) == 1
    assert len(note_boxes(soft)) == 0
    assert soft.min() < 0.9


def test_drum_grid_has_a_row_a_class():
    first_pitches = [36, 38, 42, 46, 45, 48, 50, 49, 51]
    starts = np.arange(9) / 4
    boxes = note_boxes(pixels(tune_picture(sequence(first_pitches, starts, starts + 0.1, is_drum=True))))
    assert len(boxes) == len(DRUM_NAMES) == 9
    rows = np.array(boxes)[:, 2]
    np.testing.assert_allclose(np.diff(rows), np.diff(rows).mean(), atol=2)
    assert rows[0] > rows[-1]  # the kick at the bottom
    widths = np.array(boxes)[:, 1] - np.array(boxes)[:, 0]
    np.testing.assert_allclose(widths, widths[0], atol=1)  # a hit has no length


def colored(image, color):
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.argwhere(np.abs(image - rgb).max(axis=2) < 0.05)


def test_each_instrument_has_its_colour():
    trio = make_notes(np.array([72, 40, 36]), np.array([0, 0.5, 1.0]), np.array([0.5, 1.0, 1.1]), 127)
    trio["instrument"], trio["is_drum"] = [0, 1, 9], [False, False, True]
    image = pixels(tune_picture(NoteSequence(notes=trio, total_time=2.0)))
    (first, second), drum = (colored(image, color) for color in COLORS[:2]), note_boxes(image)[-1]
    assert len(first) > 100
    assert len(second) > 100
    top, bottom = first[:, 0].min(), second[:, 0].max()
    assert top < second[:, 0].min()  # the melody lies above the bass
    assert drum[2] > bottom  # and the drums below both
    assert len(note_boxes(image)) == 2


def test_drums_off_the_grid_show_where_they_are_played():
    """A late hit is drawn late, and sixteenths appear behind it."""
    straight = pixels(tune_picture(sequence([36, 36, 36], [0, 1, 2], [0.1, 1.1, 2.1], is_drum=True)))
    late = pixels(tune_picture(sequence([36, 36, 36], [0, 1.05, 2], [0.1, 1.15, 2.1], is_drum=True)))
    (a, b, _), (c, d, _) = note_boxes(straight), note_boxes(late)
    second = b[0] - a[0]
    assert d[0] - c[0] == pytest.approx(1.05 * second, abs=3)

    empty_rows = slice(len(late) // 2)
    assert (late[empty_rows].mean(axis=(0, 2)) < straight[empty_rows].mean(axis=(0, 2)) - 0.005).sum() > 5


def test_an_unknown_drum_is_left_out():
    image = pixels(tune_picture(sequence([36, 127], [0, 0.5], [0.1, 0.6], is_drum=True)))
    assert len(note_boxes(image)) == 1


def test_chords_are_written_above():
    plain = sequence([60, 67], [0, 1], [1, 2])
    named = replace(plain, chords=((0.0, "C"), (1.0, "Am"), (9.0, "G")))
    above = [image[: len(image) // 8] for image in (pixels(tune_picture(plain)), pixels(tune_picture(named)))]
    middle = above[0].shape[1] // 2
    assert not len(dark(above[0]))
    assert len(dark(above[1][:, :middle]))
    assert len(dark(above[1][:, middle:]))


def test_odd_tunes():
    widths = []
    for tune in (NoteSequence(), sequence([0, 127], [0, 1], [1, 2]), sequence([60], [0], [3600])):
        image = pixels(tune_picture(tune))
        widths.append(image.shape[1])
        assert image.std() > 0
    assert widths[0] < widths[2] < 4000


# ---- rows


def test_rows():
    drawing = Drawing(from_lines([np.array([[0, 0], [10, 10]])]))
    tune = Tune(sequence([60], [0], [1]))
    one = pixels(rows_picture([[drawing]]))
    many = pixels(rows_picture([[drawing] * 5, [drawing] * 3], ["original", "again"], list("12345")))
    assert many.shape[1] > 3 * one.shape[1]
    half = len(many) // 2
    inked = [len(np.unique(dark(rows)[:, 1] * 5 // many.shape[1])) for rows in (many[:half], many[half:])]
    assert inked == [5, 3]
    assert len(note_boxes(pixels(rows_picture([[drawing, tune], [tune, drawing]])))) == 2
    with pytest.raises(KikiboubaError, match="at least one"):
        rows_picture([[], []])


def test_same_bytes():
    tune = sequence([60], [0], [1])
    assert tune_picture(tune) == tune_picture(tune)
    assert png_tag(b"abc") == '<img src="data:image/png;base64,YWJj">'


def test_data_modules_import_nothing_heavy():
    code = """
import sys
import kikibouba.data.sketch, kikibouba.data.picture, kikibouba.data.render, kikibouba.data.svg
heavy = {"torch", "matplotlib", "svgelements", "midirenderer", "pretty_midi", "scipy"} & set(sys.modules)
sys.exit(", ".join(heavy) or 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
