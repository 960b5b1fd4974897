"""Drawings as arrays: three forms, the ways between them, and what keeps them short and of one size.

    lines     list of [n, 2]: the absolute (x, y) points of each pen stroke; y points down, as in SVG
    stroke-3  [N, 3]: dx, dy, pen. Offsets from the point before (the first from the origin); pen = 1 on the
              last point of a stroke, after which the pen lifts
    stroke-5  [N, 5]: dx, dy and one-hot (pen stays down, pen lifts after this point, drawing has ended)

Sources: Ha & Eck, A Neural Representation of Sketch Drawings (2017), and Sketch-RNN's utilities, whose
results are reproduced bit by bit where the tests say so.
"""

from collections.abc import Iterable, Sequence

import numpy as np

Rng = np.random.Generator | np.random.RandomState
"""Either of numpy's generators: both offer `.random(size)`, uniform in [0, 1)."""


def to_lines(strokes: np.ndarray) -> list[np.ndarray]:
    """stroke-3 [N, 3] → lines, each float64 [n, 2]. Points after the last pen lift form a line too.

    The original drops those trailing points silently.
    """
    points = np.cumsum(strokes[:, :2], axis=0, dtype=np.float64)
    ends = np.flatnonzero(strokes[:, 2] > 0.5) + 1
    return [line for line in np.split(points, ends) if len(line)]


def from_lines(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Lines → stroke-3 float32 [N, 3]. Lines without points vanish; no lines give [0, 3]."""
    lines = [np.asarray(line) for line in lines if len(line)]
    if not lines:
        return np.zeros((0, 3), np.float32)
    points = np.concatenate(lines)
    strokes = np.zeros((len(points), 3), np.float32)
    strokes[:, :2] = np.diff(points, axis=0, prepend=np.zeros((1, 2), points.dtype))
    strokes[np.cumsum([len(line) for line in lines]) - 1, 2] = 1
    return strokes


def to_stroke5(strokes: np.ndarray, length: int | None = None) -> np.ndarray:
    """stroke-3 [N, 3] → stroke-5 float32 [length or N, 5]; rows from N on are (0, 0, 0, 0, 1)."""
    rows = np.zeros((len(strokes) if length is None else length, 5), np.float32)
    n = len(strokes)
    rows[:n, :2] = strokes[:, :2]
    rows[:n, 3] = strokes[:, 2]
    rows[:n, 2] = 1 - rows[:n, 3]
    rows[n:, 4] = 1
    return rows


def to_stroke3(rows: np.ndarray) -> np.ndarray:
    """stroke-5 [N, 5] → stroke-3 float32, cut at the first row that ends the drawing.

    Departs from the original, which keeps all rows when the very first one is the end.
    """
    ended = np.flatnonzero(rows[:, 4] > 0)
    kept = rows[: ended[0]] if len(ended) else rows
    return kept[:, [0, 1, 3]].astype(np.float32)


def bounds(strokes: np.ndarray) -> np.ndarray:
    """(min x, min y, max x, max y) of the points of stroke-3 [N, 3], N ≥ 1. The origin is not a point."""
    points = np.cumsum(strokes[:, :2], axis=0, dtype=np.float64)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def larger_side(strokes: np.ndarray) -> float:
    """The larger of width and height of a drawing, in its own units; 0 for a dot."""
    box = bounds(strokes)
    return float(max(box[2] - box[0], box[3] - box[1]))


def fit_to_box(strokes: np.ndarray, side: float) -> np.ndarray:
    """Scale stroke-3 uniformly so that its larger side is `side`. A dot stays as it is."""
    size = larger_side(strokes)
    scaled = np.array(strokes, dtype=np.result_type(strokes, np.float32))
    if size > 0:
        scaled[:, :2] /= size / side
    return scaled


def simplify(strokes: np.ndarray, epsilon: float) -> np.ndarray:
    """Ramer-Douglas-Peucker on each pen stroke of stroke-3 [N, 3] → float32 [n ≤ N, 3].

    Every point left out lies within `epsilon` (drawing units) of the line that replaces it.
    """
    points = np.cumsum(strokes[:, :2], axis=0, dtype=np.float64)
    pen = strokes[:, 2] > 0.5
    kept = rdp_mask(points, pen, epsilon)
    simple = np.empty((int(kept.sum()), 3), np.float32)
    simple[:, :2] = np.diff(points[kept], axis=0, prepend=np.zeros((1, 2)))
    simple[:, 2] = pen[kept]
    return simple


def rdp_mask(points: np.ndarray, last: np.ndarray, epsilon: float) -> np.ndarray:
    """Which points Ramer-Douglas-Peucker keeps, for any number of lines at once.

    Instead of recursing, each round splits every segment of every line at its farthest point, if that is
    farther than epsilon from the segment; the outcome is the same because segments do not depend on each
    other.

    Args:
        points: [N, 2] float, the lines one after another.
        last: [N] bool, true on the last point of each line.
        epsilon: the tolerance, in the units of the points.

    Returns:
        [N] bool; first and last points of lines are always kept.
    """
    kept = np.array(last, dtype=bool)
    kept[1:] |= kept[:-1]
    kept[:1] = kept[-1:] = True
    inner = np.flatnonzero(~kept)
    while len(inner):
        anchors = np.flatnonzero(kept)
        segment = np.cumsum(kept)[inner] - 1
        start = anchors[segment]
        distance = distance_to_segment(points[inner], points[start], points[anchors[segment + 1]])
        is_first = _starts_run(segment)
        farthest = np.maximum.reduceat(distance, np.flatnonzero(is_first))[np.cumsum(is_first) - 1]
        splits = farthest > epsilon
        peaks = np.flatnonzero(splits & (distance == farthest))
        kept[inner[peaks[_starts_run(segment[peaks])]]] = True  # of equally far points the earliest
        inner = inner[splits]
        inner = inner[~kept[inner]]
    return kept


def _starts_run(ids: np.ndarray) -> np.ndarray:
    """Where in [n] sorted ids a new one begins. [n] bool"""
    starts = np.ones(len(ids), bool)
    np.not_equal(ids[1:], ids[:-1], out=starts[1:])
    return starts


def distance_to_segment(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """How far each point is from its segment; all arguments [n, 2], result [n]."""
    chord, offset = end - start, points - start
    squared_length = np.einsum("ij,ij->i", chord, chord)
    along = np.einsum("ij,ij->i", chord, offset) / np.where(squared_length > 0, squared_length, 1.0)
    beside = offset - np.minimum(np.maximum(along, 0), 1)[:, None] * chord
    return np.hypot(beside[:, 0], beside[:, 1])


def random_scale(strokes: np.ndarray, factor: float, rng: Rng) -> np.ndarray:
    """Scale dx and dy independently by 1 + U(-factor, factor); draws two uniforms, whatever the factor."""
    scale_x, scale_y = ((rng.random() - 0.5) * 2 * factor + 1 for _ in range(2))
    scaled = np.array(strokes)
    scaled[:, 0] *= scale_x
    scaled[:, 1] *= scale_y
    return scaled


def drop_points(strokes: np.ndarray, probability: float, rng: Rng) -> np.ndarray:
    """Leave out points inside strokes at random: a dropped point's offset is added to the last kept one.

    A point may go, with `probability`, if neither it nor the point before lifts the pen and it is at least
    the third after the one where the original's counter stands at 0: the first point of its stroke, or a
    later one after a lift. Draws one uniform a row, needed or not. The original loops over the rows; the
    result is the same because who may go depends on pen states alone.
    """
    lifts = strokes[:, 2] > 0.5
    rests = lifts | np.concatenate([[True], lifts[:-1]])  # where the counter returns to 0
    index = np.arange(len(strokes))
    count = index - np.maximum.accumulate(np.where(rests, index, 0))
    dropped = ~rests & (count > 2) & (rng.random(len(strokes)) < probability)
    thinned = strokes[~dropped]
    heir = np.cumsum(~dropped)[dropped] - 1  # the first point is always kept
    np.add.at(thinned[:, :2], heir, strokes[dropped, :2])  # one after the other, for equal rounding
    return thinned


def offset_std(drawings: Iterable[np.ndarray]) -> float:
    """Population standard deviation of all dx and dy of stroke-3 drawings: Sketch-RNN's scale factor."""
    offsets = np.concatenate([np.asarray(d[:, :2], np.float64).ravel() for d in drawings])
    return float(offsets.std())
