"""Pictures of tunes, drawings and sounds as PNG, alone or in rows. matplotlib is imported late."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kikibouba.data.artifacts import Artifact, Drawing, Sound, Tune
from kikibouba.data.audio_picture import draw_frames, draw_spectrogram, draw_waveform
from kikibouba.data.drums import REDUCED
from kikibouba.data.embedding_artifact import Embedding
from kikibouba.data.notes import DEFAULT_METER, DEFAULT_QPM, NoteSequence
from kikibouba.data.strokes import bounds, to_lines
from kikibouba.errors import KikiboubaError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, NOTE, GRID, SHADE = "#1b1b1b", "#2f6f9f", "#d8d8d8", "#f3f3f3"
COLORS = (NOTE, "#c2552d", "#4d8f4a", "#8a5aa8", "#b58a1f", "#3f9c9c", "#b04a78", "#6b6b6b")
"""Of instruments, in their order, over and over again."""
DPI = 144
OCTAVE_NAMES = ("C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B")
BLACK_KEYS = (1, 3, 6, 8, 10)
DRUM_NAMES = ("kick", "snare", "closed hat", "open hat", "low tom", "mid tom", "high tom", "crash", "ride")
"""Of the nine classes of `drums.REDUCED`, in their order."""
MAX_BEATS = 256
"""Beyond this many, beat lines would be a grey wall."""
OFF_GRID = 0.02
"""Sixteenths by which a hit is played early or late on purpose."""


def drawing_picture(strokes: np.ndarray) -> bytes:
    """PNG of a drawing, stroke-3 [N, 3], on a white square page."""
    figure = _figure(4, 4)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    many = max(1.0, len(to_lines(strokes)) / 20)  # a sheet of drawings: finer lines
    _draw_strokes(axes, strokes, width=2.2 / many**0.5)
    return _png(figure)


def tune_picture(notes: NoteSequence) -> bytes:
    """PNG of a tune: chords, piano roll, drum grid, what there is of them; seconds from left to right."""
    seconds = _seconds(notes)
    both = notes.notes["is_drum"].any() and not notes.notes["is_drum"].all()
    figure = _figure(float(np.clip(2.2 * seconds, 6, 24)), 4.6 if both else 3.2)
    axes = figure.add_subplot()
    _draw_notes(axes, notes)
    for time, symbol in notes.chords:
        if time < seconds:
            axes.text(time, 1.02, symbol, transform=axes.get_xaxis_transform(), fontsize=9, color=INK)
    axes.set_xlabel("seconds")
    figure.tight_layout()
    return _png(figure)


def sound_picture(sound: Sound) -> bytes:
    """PNG of a sound: its waveform, and below it its spectrogram; seconds from left to right."""
    figure = _figure(float(np.clip(2.2 * sound.seconds, 6, 24)), 4.2)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    draw_waveform(above, sound.wave, sound.rate, NOTE)
    draw_spectrogram(below, sound.wave, sound.rate)
    below.set_xlabel("seconds")
    below.set_ylabel("kHz")
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
    wide = any(isinstance(artifact, Tune | Sound | Embedding) for row in rows for artifact in row)
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


def pairs_picture(
    pairs: Sequence[tuple[Artifact, Artifact]], captions: Sequence[str], columns: int = 4
) -> bytes:
    """PNG of sources, each above what it became, in reading order.

    Args:
        pairs: at least one.
        captions: one a pair, written above it.
        columns: pairs side by side.
    """
    if not pairs:
        raise KikiboubaError("a picture of pairs needs at least one")
    lines = -(-len(pairs) // columns)
    figure = _figure(2.9 * columns, 3.1 * lines)
    grid = figure.subplots(2 * lines, columns, squeeze=False, height_ratios=[1.5, 1] * lines)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, (pair, caption) in enumerate(zip(pairs, captions, strict=True)):
        line, column = divmod(number, columns)
        for axes, artifact in zip(grid[2 * line : 2 * line + 2, column], pair, strict=True):
            axes.set_axis_on()
            _draw_small(axes, artifact)
        grid[2 * line, column].set_title(caption, fontsize=8)
    figure.tight_layout(h_pad=0.4)
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
    elif isinstance(artifact, Sound):
        draw_spectrogram(axes, artifact.wave, artifact.rate)
        axes.tick_params(labelsize=6)
    elif isinstance(artifact, Embedding):
        draw_frames(axes, artifact.frames, artifact.seconds_per_frame)
        axes.tick_params(labelsize=6)


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
    """A piano roll of what has a pitch, a drum grid of what is a drum, the one above the other."""
    drums = sequence.notes["is_drum"]
    _draw_beats(axes, sequence)
    if drums.all() and len(drums):
        low, ticks = -0.5, _draw_drum_grid(axes, sequence, range(len(REDUCED)), 0, 1)
        high = len(REDUCED) - 0.5
    else:
        low, high, ticks = _draw_piano_roll(axes, sequence.notes[~drums])
        rows = sorted(_classes(sequence.notes[drums]))
        if rows:
            height = max(1.0, (high - low) / 16)
            bottom = low - height * (len(rows) + 0.2)
            ticks = _draw_drum_grid(axes, sequence, rows, bottom + height / 2, height) | ticks
            low = bottom
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(low, high)
    axes.set_xlim(0, _seconds(sequence))
    axes.tick_params(length=0)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_color(GRID)


def _shades(notes: np.ndarray, color: str) -> list[tuple[str, float]]:
    """A colour for each note, paler if it is soft."""
    return [(color, 0.25 + 0.75 * velocity / 127) for velocity in notes["velocity"].tolist()]


def _draw_piano_roll(axes: "Axes", notes: np.ndarray) -> tuple[float, float, dict[float, str]]:
    """A bar a note, a colour an instrument, rows of black keys shaded; at least an octave high.

    Returns: the lowest and the highest y, and the names of some y.
    """
    pitches = notes["pitch"] if len(notes) else np.array([60])
    middle = (int(pitches.min()) + int(pitches.max())) / 2
    low = min(int(pitches.min()) - 1, int(middle - 7))
    high = max(int(pitches.max()) + 1, int(middle + 7))
    for pitch in range(low, high + 1):
        if pitch % 12 in BLACK_KEYS:
            axes.axhspan(pitch - 0.5, pitch + 0.5, color=SHADE, linewidth=0, zorder=0)
    for number, instrument in enumerate(np.unique(notes["instrument"]).tolist()):
        part = notes[notes["instrument"] == instrument]
        axes.barh(part["pitch"], part["end"] - part["start"], left=part["start"], height=0.84,
                  color=_shades(part, COLORS[number % len(COLORS)]), edgecolor="white", linewidth=0.6,
                  zorder=3)  # fmt: skip
    named = (0,) if high - low > 24 else (0, 4, 7)
    octaves = {
        float(pitch): f"{OCTAVE_NAMES[pitch % 12]}{pitch // 12 - 1}"
        for pitch in range(low, high + 1)
        if pitch % 12 in named
    }
    return low - 0.5, high + 0.5, octaves


def _classes(notes: np.ndarray) -> set[int]:
    """Drum classes that are hit."""
    return {row for row, pitches in enumerate(REDUCED) if np.isin(notes["pitch"], pitches).any()}


def _draw_drum_grid(
    axes: "Axes", sequence: NoteSequence, rows: Sequence[int], bottom: float, height: float
) -> dict[float, str]:
    """A box a hit, where it is played, paler if it is soft; a row for each of some drum classes, the lowest
    at y = `bottom`. A pitch of no class is left out. Where hits leave the grid of sixteenths, it shows.

    Returns: the y of each class and its name.
    """
    y_of = {pitch: bottom + y * height for y, row in enumerate(rows) for pitch in REDUCED[row]}
    drums = sequence.notes[sequence.notes["is_drum"]]
    notes = drums[np.isin(drums["pitch"], list(y_of))]
    step = 60 / _tempo(sequence) / 4
    y = np.array([y_of[pitch] for pitch in notes["pitch"].tolist()], float)
    axes.barh(y, np.full(len(notes), step * 0.9), left=notes["start"], height=0.76 * height,
              color=_shades(notes, NOTE) or NOTE, linewidth=0, zorder=3)  # fmt: skip
    for row in range(1, len(rows), 2):
        edge = bottom + (row - 0.5) * height
        axes.axhspan(edge, edge + height, color=SHADE, linewidth=0, zorder=0)
    steps = notes["start"] / step
    if len(notes) and np.abs(steps - np.rint(steps)).max() > OFF_GRID and steps.max() < 4 * MAX_BEATS:
        for index in range(int(_seconds(sequence) / step) + 1):
            axes.axvline(index * step, color=GRID, linewidth=0.5, linestyle=":", zorder=2)
    return {bottom + y * height: DRUM_NAMES[row] for y, row in enumerate(rows)}


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
