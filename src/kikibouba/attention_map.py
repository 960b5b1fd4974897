"""Where a sequence-to-sequence model looked while it translated: a heat map, and how diagonal it is."""

from itertools import islice
from typing import Any

import numpy as np

from kikibouba.data.event_tokens import EventVocabulary, Kind
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.alignment import diagonality
from kikibouba.inputs import Source
from kikibouba.plot import figure_of, png_of
from kikibouba.sequence_translator import LIKELIEST, Choice, SequenceTranslator


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
    along = diagonality(vocabulary, window.source, window.said.symbols, window.said.looks)
    axes.set_xlabel("source")
    axes.set_ylabel("said")
    axes.set_title(
        f"{translator.name}: time said against time looked at, r = {along:.2f}",
        fontsize=10,
    )
    return png_of(figure)
