"""Pictures of tunes and drawings as PNG, alone or in rows. matplotlib is imported when one is drawn."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kikibouba.data.artifacts import Artifact, Drawing, Tune
from kikibouba.data.drums import REDUCED
from kikibouba.data.notes import DEFAULT_METER, DEFAULT_QPM, NoteSequence
from kikibouba.data.strokes import bounds, to_lines
from kikibouba.errors import KikiboubaError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, NOTE, GRID, SHADE = "#1b1b1b", "#2f6f9f", "#d8d8d8", "#f3f3f3"
DPI = 144
OCTAVE_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
BLACK_KEYS = (1, 3, 6, 8, 10)
DRUM_NAMES = ("kick", "snare", "closed hat", "open hat", "low tom", "mid tom", "high tom", "crash", "ride")
"""Of the nine classes of `drums.REDUCED`, in their order."""
MAX_BEATS = 256
"""Beyond this many, beat lines would be a grey wall."""


def drawing_picture(strokes: np.ndarray) -> bytes:
    """PNG of a drawing, stroke-3 [N, 3], on a white square page."""
    figure = _figure(4, 4)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    _draw_strokes(axes, strokes, width=2.2)
    return _png(figure)


def tune_picture(notes: NoteSequence) -> bytes:
    """PNG of a tune: a drum grid where all notes are drums, else a piano roll; seconds from left to right."""
    seconds = _seconds(notes)
    figure = _figure(float(np.clip(2.2 * seconds, 6, 24)), 3.2)
    axes = figure.add_subplot()
    _draw_notes(axes, notes)
    axes.set_xlabel("seconds")
    figure.tight_layout()
    return _png(figure)


def rows_picture(
    rows: Sequence[Sequence[Artifact]],
    row_titles: Sequence[str] | None = None,
    column_titles: Sequence[str] | None = None,
) -> bytes:
    """PNG of tunes and drawings side by side: reconstructions above their originals, steps of an
    interpolation.

    Args:
        rows: at least one artifact; rows may differ in length.
        row_titles: one a row, written at its left.
        column_titles: one a column, written above it.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise KikiboubaError("a picture of rows needs at least one tune or drawing")
    wide = any(isinstance(artifact, Tune) for row in rows for artifact in row)
    figure = _figure(columns * (3.2 if wide else 1.6) + 0.6, len(rows) * 1.6 + 0.3)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, line in enumerate(grid):
        for column, axes in enumerate(line):
            if column < len(rows[row]):
                _draw_small(axes, rows[row][column])
            else:
                axes.set_axis_off()
    for axes, title in zip(grid[0], column_titles or (), strict=False):
        axes.set_title(title, fontsize=9)
    left = 0.25 / figure.get_figwidth() if row_titles else 0.0
    figure.tight_layout(rect=(left, 0, 1, 1))
    for line, title in zip(grid, row_titles or (), strict=False):
        box = line[0].get_position()
        figure.text(left / 2, (box.y0 + box.y1) / 2, title, rotation=90, ha="center", va="center", fontsize=9)
    return _png(figure)


def png_tag(png: bytes) -> str:
    """An HTML image with the picture in it, for notebooks."""
    return f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="white")


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})  # no version: the same bytes
    return buffer.getvalue()


def _draw_small(axes: "Axes", artifact: Artifact) -> None:
    if isinstance(artifact, Drawing):
        _draw_strokes(axes, artifact.strokes, width=1.3)
    elif isinstance(artifact, Tune):
        _draw_notes(axes, artifact.notes)
        axes.tick_params(labelsize=6)
        axes.set_xticklabels([])


def _draw_strokes(axes: "Axes", strokes: np.ndarray, width: float) -> None:
    """Lines in a square view with y downwards and a margin."""
    for line in to_lines(strokes):
        marker = "o" if len(line) == 1 else ""
        axes.plot(*line.T, color=INK, linewidth=width, marker=marker, markersize=width,
                  solid_capstyle="round", solid_joinstyle="round")  # fmt: skip
    left, top, right, bottom = bounds(strokes) if len(strokes) else np.zeros(4)
    half = 0.56 * max(right - left, bottom - top) or 1.0
    axes.set_xlim((left + right) / 2 - half, (left + right) / 2 + half)
    axes.set_ylim((top + bottom) / 2 + half, (top + bottom) / 2 - half)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _draw_notes(axes: "Axes", sequence: NoteSequence) -> None:
    notes = sequence.notes
    drums = len(notes) > 0 and bool(notes["is_drum"].all())
    _draw_beats(axes, sequence)
    if drums:
        _draw_drum_grid(axes, sequence)
    else:
        _draw_piano_roll(axes, notes)
    axes.set_xlim(0, _seconds(sequence))
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(GRID)


def _draw_piano_roll(axes: "Axes", notes: np.ndarray) -> None:
    """A bar a note, at least an octave high; the rows of black keys shaded, louder notes darker."""
    pitches = notes["pitch"] if len(notes) else np.array([60])
    middle = (int(pitches.min()) + int(pitches.max())) / 2
    low = min(int(pitches.min()) - 1, int(middle - 7))
    high = max(int(pitches.max()) + 1, int(middle + 7))
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=SHADE, linewidth=0, zorder=0)
    shades = [(NOTE, 0.45 + 0.55 * velocity / 127) for velocity in notes["velocity"].tolist()]
    axes.barh(notes["pitch"], notes["end"] - notes["start"], left=notes["start"], height=0.84,
              color=shades or NOTE, edgecolor="white", linewidth=0.6, zorder=3)  # fmt: skip
    ticks = [
        pitch for pitch in range(low, high + 1) if pitch % 12 in ((0,) if high - low > 24 else (0, 4, 7))
    ]
    axes.set_yticks(ticks, [f"{OCTAVE_NAMES[pitch % 12]}{pitch // 12 - 1}" for pitch in ticks])
    axes.set_ylim(low - 0.5, high + 0.5)


def _draw_drum_grid(axes: "Axes", sequence: NoteSequence) -> None:
    """A square a hit, a row a drum class; a pitch of no class counts with none and is left out."""
    row_of = {pitch: row for row, pitches in enumerate(REDUCED) for pitch in pitches}
    notes = sequence.notes[np.isin(sequence.notes["pitch"], list(row_of))]
    rows = np.array([row_of[pitch] for pitch in notes["pitch"].tolist()], float)
    width = 60 / _tempo(sequence) / 4
    shades = [(NOTE, 0.45 + 0.55 * velocity / 127) for velocity in notes["velocity"].tolist()]
    axes.barh(rows, np.full(len(notes), width * 0.9), left=notes["start"], height=0.76,
              color=shades or NOTE, linewidth=0, zorder=3)  # fmt: skip
    for row in range(1, len(REDUCED), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=SHADE, linewidth=0, zorder=0)
    axes.set_yticks(range(len(DRUM_NAMES)), DRUM_NAMES)
    axes.set_ylim(-0.5, len(REDUCED) - 0.5)


def _draw_beats(axes: "Axes", sequence: NoteSequence) -> None:
    """Thin lines at beats, stronger ones at bars, by the first tempo and meter."""
    meter = sequence.time_signatures[0, 1:] if len(sequence.time_signatures) else DEFAULT_METER
    beats_per_bar, beat = max(int(meter[0]), 1), 60 / _tempo(sequence) * 4 / max(float(meter[1]), 1)
    count = int(_seconds(sequence) / beat + 1e-6) + 1
    for index in range(count if count <= MAX_BEATS else 0):
        strong = index % beats_per_bar == 0
        axes.axvline(
            index * beat, color="#9a9a9a" if strong else GRID, linewidth=1.1 if strong else 0.6, zorder=1
        )


def _tempo(sequence: NoteSequence) -> float:
    return float(sequence.tempos[0, 1]) if len(sequence.tempos) else DEFAULT_QPM


def _seconds(sequence: NoteSequence) -> float:
    """How long the picture is: silence at the end counts, a drum hit needs a sixteenth; empty is a second."""
    notes = sequence.notes
    hits = notes["start"][notes["is_drum"]] + 60 / _tempo(sequence) / 4
    return float(max(notes["end"].max(initial=0), hits.max(initial=0), sequence.total_time)) or 1.0
