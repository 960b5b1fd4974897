"""How a drawing feels, in numbers: spiky or round, busy or bare, tall or wide.

All drawings are measured at once, after simplifying each to a tolerance of 1/128 of its larger side, which
makes the measures independent of how densely a line was sampled.
"""

import numpy as np

from kikibouba.data.strokes import distance_to_segment, rdp_mask

NAMES = ("angularity", "density", "aspect", "size", "strokes")

TOLERANCE = 1 / 128
"""Of the larger side. QuickDraw's own simplification uses 2/255."""
ARM = 1 / 24
"""How far to both sides of a vertex to look at least: a trembling hand makes two vertices of one corner."""
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
                    turn: the angle (rad) by which the line changes direction there. cornerness: how far the
                    vertex juts out, seen from its neighbours or, where those are nearer, from the points of
                    the stroke S/24 away: a ramp from 0 to 1 of its height over the segment between the two,
                    from 3S/128 to 8S/128, times one of the angle there, from 30° to 60°.
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
    kept = rdp_mask(points, last, TOLERANCE)
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
    inner = 1 + np.flatnonzero((lengths[:-1] > 0) & (lengths[1:] > 0))
    from_point, to_point = _arms(points, lengths, last, inner)
    height = distance_to_segment(points[inner], from_point, to_point)
    bend = _turn(points[inner] - from_point, to_point - points[inner])
    cornerness = _ramp(height, *CORNER_HEIGHT) * _ramp(bend, *CORNER_ANGLE)
    turn = _turn(steps[inner - 1], steps[inner])
    return np.bincount(owner[inner], turn * cornerness, count), ink


def _arms(
    points: np.ndarray, lengths: np.ndarray, last: np.ndarray, inner: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The points [n, 2] on the line before and after each vertex `inner` [n]: its neighbours, or `ARM` away.

    No arm reaches beyond its stroke.
    """
    position = np.concatenate([[0.0], np.cumsum(lengths + last[:-1])])  # along the line; lifts count 1
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    stroke = np.searchsorted(ends, inner)
    here = position[inner]
    back = np.maximum(here - np.maximum(lengths[inner - 1], ARM), position[starts[stroke]])
    ahead = np.minimum(here + np.maximum(lengths[inner], ARM), position[ends[stroke]])
    x, y = points.T
    return (
        np.stack([np.interp(back, position, x), np.interp(back, position, y)], axis=1),
        np.stack([np.interp(ahead, position, x), np.interp(ahead, position, y)], axis=1),
    )


def _turn(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The angle [n] in radians, 0 to π, between two directions [n, 2]."""
    cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return np.abs(np.arctan2(cross, (before * after).sum(axis=1)))


def _ramp(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low), 0, 1)
