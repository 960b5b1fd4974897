"""Several drawings on one sheet, in reading order: what a whole song becomes when it is drawn."""

from collections.abc import Sequence

import numpy as np

from kikibouba.data.artifacts import Drawing
from kikibouba.data.strokes import bounds, from_lines, to_lines

CELL, DRAWN = 320.0, 255.0
"""Side of a drawing's place, and of the drawing in it, which is that of the Quick, Draw! data."""

COLUMNS = 8


def sheet(drawings: Sequence[Drawing]) -> Drawing:
    """One drawing of many, in rows of eight, each centred in its place; one that is too large is shrunk.

    A single drawing stays as it is.
    """
    if len(drawings) == 1:
        return drawings[0]
    lines: list[np.ndarray] = []
    for number, drawing in enumerate(drawings):
        if not len(drawing.strokes):
            continue
        left, top, right, bottom = bounds(drawing.strokes)
        scale = min(1.0, DRAWN / max(right - left, bottom - top, 1e-9))
        middle = np.array([left + right, top + bottom]) / 2
        row, column = divmod(number, COLUMNS)
        place = (np.array([column, row]) + 0.5) * CELL
        lines += [(line - middle) * scale + place for line in to_lines(drawing.strokes)]
    return Drawing(from_lines(lines))
