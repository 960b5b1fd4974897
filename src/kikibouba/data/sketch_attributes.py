"""How a drawing feels, in numbers: spiky or round, busy or bare, tall or wide.

All drawings are measured at once, after simplifying each to a tolerance of 1/128 of its larger side, which
makes the measures independent of how densely a line was sampled.
"""

import numpy as np

from kikibouba.data.strokes import rdp_mask

TOLERANCE = 1 / 128
"""Of the larger side. QuickDraw's own simplification uses 2/255."""
CORNER_HEIGHT = 4 * TOLERANCE
"""A smooth arc approximated to within the tolerance has vertices no higher than about four times that above
the line through their neighbours; what stands out higher is a corner."""
CORNER_ANGLE = np.pi / 6


def measure(drawings: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Attributes of stroke-3 drawings [N, 3], float64 [n] each, finite for every input.

    With S the larger side, and ink the total length of the strokes:
        angularity  sum of turning angles (rad) at corners / (ink / S). A corner is an inner vertex of a
                    stroke, simplified to S/128, that turns by more than 30° and stands out of the segment
                    between its two neighbours by more than S/32. 0 for circles and lines, 1.2 for a square, 2
                    for a five-pointed star, 9 for a zigzag of twelve; about 1 for a steep sine wave, whose
                    crests are as sharp as the tolerance can tell. The place where a closed stroke closes is
                    no inner vertex
        density     ink / S: 3.1 for a circle, 4 for a square
        aspect      (height - width) / (height + width): -1 flat, 0 square, 1 upright
        size        S, in the units of the drawings
        strokes     number of strokes
    """
    lengths = np.array([len(drawing) for drawing in drawings], np.int64)
    result = {
        name: np.zeros(len(drawings)) for name in ("angularity", "density", "aspect", "size", "strokes")
    }
    full = np.flatnonzero(lengths)
    if not len(full):
        return result
    rows = np.concatenate([drawings[i] for i in full]).astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(lengths[full])[:-1]])
    for name, values in _measure_rows(rows, starts).items():
        result[name][full] = values
    return result


def _measure_rows(rows: np.ndarray, starts: np.ndarray) -> dict[str, np.ndarray]:
    """The same for drawings end to end in `rows` [M, 3], beginning at `starts` [n], none of them empty."""
    owner = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
    points = np.cumsum(rows[:, :2], axis=0)
    points -= points[starts][owner]
    width, height = (np.maximum.reduceat(points, starts) - np.minimum.reduceat(points, starts)).T
    size = np.maximum(width, height)
    unit = np.where(size > 0, size, 1.0)

    last = rows[:, 2] > 0.5
    last[np.append(starts[1:], len(rows)) - 1] = True
    strokes = np.add.reduceat(last.astype(np.float64), starts)
    kept = rdp_mask(points / unit[owner][:, None], last, np.full(len(points), TOLERANCE))
    turning, ink = _corners_and_ink(
        points[kept] / unit[owner][kept][:, None], last[kept], owner[kept], len(starts)
    )
    return {
        "angularity": turning / np.where(ink > 0, ink, 1.0),
        "density": ink,
        "aspect": (height - width) / np.where(size > 0, height + width, 1.0),
        "size": size,
        "strokes": strokes,
    }


def _corners_and_ink(
    points: np.ndarray, last: np.ndarray, owner: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(turning at corners in radians [count], length of all strokes [count]) of simplified lines."""
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1) * ~last[:-1]
    ink = np.bincount(owner[:-1], lengths, count)
    before, after = steps[:-1], steps[1:]
    inner = (lengths[:-1] > 0) & (lengths[1:] > 0)
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    turn = np.abs(np.arctan2(cross, (before * after).sum(axis=1)))
    height = _height(before, after, lengths[:-1], lengths[1:], cross)
    corner = inner & (turn > CORNER_ANGLE) & (height > CORNER_HEIGHT)
    return np.bincount(owner[1:-1], turn * corner, count), ink


def _height(
    before: np.ndarray,
    after: np.ndarray,
    before_length: np.ndarray,
    after_length: np.ndarray,
    cross: np.ndarray,
) -> np.ndarray:
    """How far the vertex between two steps stands out of the segment between its neighbours."""
    base = before + after
    base_length = np.linalg.norm(base, axis=1)
    above = ((before * base).sum(axis=1) > 0) & ((after * base).sum(axis=1) > 0)
    over_line = np.abs(cross) / np.where(base_length > 0, base_length, 1.0)
    return np.where(above, over_line, np.minimum(before_length, after_length))
