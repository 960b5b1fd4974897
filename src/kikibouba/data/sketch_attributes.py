"""How a drawing feels, in numbers: spiky or round, busy or bare, tall or wide.

All drawings are measured at once, after simplifying each to a tolerance of 1/128 of its larger side, which
makes the measures independent of how densely a line was sampled.
"""

import numpy as np

from kikibouba.data.strokes import rdp_mask

NAMES = ("angularity", "density", "aspect", "size", "strokes")

TOLERANCE = 1 / 128
"""Of the larger side. QuickDraw's own simplification uses 2/255."""
CORNER_HEIGHT = (3 * TOLERANCE, 8 * TOLERANCE)
CORNER_ANGLE = (np.pi / 6, np.pi / 3)
"""A vertex is no corner below the first value, wholly one above the second, and partly one between.

A smooth arc drawn as a polyline to within the tolerance has vertices that stand out of the segment between
their neighbours by up to four times the tolerance, and on large arcs they turn by 20°.
"""


def measure(drawings: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Attributes of stroke-3 drawings [N, 3], float64 [n] each, finite for every input.

    With S the larger side, ink the total length of the strokes, and every stroke simplified to S/128:
        angularity  Σ turn · cornerness / (ink / S), over the inner vertices of the strokes.
                    turn: the angle (rad) by which the line changes direction there. cornerness: the product
                    of two ramps from 0 to 1: of the vertex's height over the segment between its neighbours,
                    from 3S/128 to 8S/128, and of its turn, from 30° to 60°.
                    0 for lines and circles, below 0.5 for waves, 1.2 for a square, 4 for a star, 5 and more
                    for a zigzag. The point where a closed stroke closes is no inner vertex
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
    points /= np.where(size > 0, size, 1.0)[owner][:, None]

    last = rows[:, 2] > 0.5
    last[np.append(starts[1:], len(rows)) - 1] = True
    kept = rdp_mask(points, last, np.full(len(points), TOLERANCE))
    turning, ink = _turning_and_ink(points[kept], last[kept], owner[kept], len(starts))
    return {
        "angularity": turning / np.where(ink > 0, ink, 1.0),
        "density": ink,
        "aspect": (height - width) / np.where(size > 0, height + width, 1.0),
        "size": size,
        "strokes": np.add.reduceat(last.astype(np.float64), starts),
    }


def _turning_and_ink(
    points: np.ndarray, last: np.ndarray, owner: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """(turning at corners in radians [count], length of all strokes [count]) of simplified lines."""
    steps = np.diff(points, axis=0)
    lengths = np.linalg.norm(steps, axis=1) * ~last[:-1]  # from stroke to stroke the pen is up
    ink = np.bincount(owner[:-1], lengths, count)
    before, after = steps[:-1], steps[1:]
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    turn = np.abs(np.arctan2(cross, (before * after).sum(axis=1)))
    inner = (lengths[:-1] > 0) & (lengths[1:] > 0)
    cornerness = inner * _ramp(_height(before, after, cross), *CORNER_HEIGHT) * _ramp(turn, *CORNER_ANGLE)
    return np.bincount(owner[1:-1], turn * cornerness, count), ink


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low), 0, 1)


def _height(before: np.ndarray, after: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """How far the vertex between two steps [n, 2] stands out of the segment between its neighbours. [n]"""
    base = before + after
    base_length = np.linalg.norm(base, axis=1)
    beside = ((before * base).sum(axis=1) > 0) & ((after * base).sum(axis=1) > 0)
    over_line = np.abs(cross) / np.where(base_length > 0, base_length, 1.0)
    nearer = np.minimum(np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1))
    return np.where(beside, over_line, nearer)
