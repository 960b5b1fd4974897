"""Where a sequence-to-sequence model looked while it translated: a heat map, and how diagonal it is."""

from itertools import islice
from typing import Any

import numpy as np

from kikibouba.data.event_tokens import EventVocabulary, Kind
from kikibouba.errors import KikiboubaError
from kikibouba.inputs import Source
from kikibouba.plot import figure_of, png_of
from kikibouba.sequence_translator import LIKELIEST, Choice, SequenceTranslator, Window


def steps_of(vocabulary: EventVocabulary, symbols: np.ndarray) -> np.ndarray:
    """The step of the window that each symbol is about, [N] int64; a bar line is about its bar's first."""
    kind = vocabulary.kind[symbols]
    bar = np.maximum(np.cumsum(kind == Kind.BAR) - 1, 0)
    place = np.where(kind == Kind.POSITION, symbols - vocabulary.first[Kind.POSITION], 0)
    moves = (kind == Kind.POSITION) | (kind == Kind.BAR)
    last = np.maximum.accumulate(np.where(moves, np.arange(len(symbols)), 0))
    return bar * vocabulary.steps_per_bar + place[last]


def diagonality(vocabulary: EventVocabulary, window: Window) -> float:
    """Correlation, over what was said, of the step it is about with the mean step that was looked at: 1 where
    the model reads along in time. NaN if either does not vary.
    """
    said = steps_of(vocabulary, window.said.symbols).astype(float)
    looked = window.said.looks @ steps_of(vocabulary, window.source)
    if not len(said) or not said.std() or not looked.std():
        return float("nan")
    return float(np.corrcoef(said, looked)[0, 1])


def plot_attention(
    translator: SequenceTranslator,
    source: Source,
    *,
    style: str | None = None,
    choice: Choice = LIKELIEST,
    number: int = 0,
) -> bytes:
    """A window's attention as PNG: a column for each symbol of the source, a row for each that was said.

    Args:
        translator: with attention.
        source, style, choice: as for `SequenceTranslator.translate`.
        number: which window of the piece, from 0.

    Raises:
        KikiboubaError: there is no such window, or the model has no attention.
    """
    window = next(islice(translator.windows(source, style=style, choice=choice), number, None), None)
    if window is None:
        raise KikiboubaError(f"{source} has no window {number}: count from 0, and take a smaller number")
    if not window.said.looks.size:
        raise KikiboubaError(f"{translator.name} has no attention to draw")
    vocabulary: EventVocabulary = translator.representation.vocabulary
    figure = figure_of(8, 7)
    axes = figure.add_subplot()
    heat: Any = axes.imshow(window.said.looks, aspect="auto", cmap="magma", interpolation="nearest", vmin=0)
    figure.colorbar(heat, label="weight")
    for symbols, lines, ticks, labels in (
        (window.source, axes.axvline, axes.set_xticks, axes.set_xticklabels),
        (window.said.symbols, axes.axhline, axes.set_yticks, axes.set_yticklabels),
    ):
        bars = np.flatnonzero(vocabulary.kind[symbols] == Kind.BAR)
        for place in bars.tolist():
            lines(place - 0.5, color="white", linewidth=0.6, alpha=0.6)
        ticks(bars.tolist())
        labels([f"bar {window.bar + n + 1}" for n in range(len(bars))])
    axes.set_xlabel("source")
    axes.set_ylabel("said")
    axes.set_title(
        f"{translator.name}: time said against time looked at, r = {diagonality(vocabulary, window):.2f}",
        fontsize=10,
    )
    return png_of(figure)
