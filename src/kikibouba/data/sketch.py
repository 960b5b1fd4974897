"""The sketch representation: drawings of any size and origin as the short, even stroke-3 a model reads."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from kikibouba.data import sketch_attributes
from kikibouba.data.artifacts import Drawing
from kikibouba.data.files import read_bytes
from kikibouba.data.quickdraw import drawing_to_strokes, read_ndjson, read_npz_numbered
from kikibouba.data.representation import Item
from kikibouba.data.strokes import (
    Rng,
    drop_points,
    fit_to_box,
    larger_side,
    random_scale,
    simplify,
    to_stroke3,
    to_stroke5,
)
from kikibouba.data.svg import read_svg
from kikibouba.errors import KikiboubaError

OFFSET_LIMIT = 1000.0
"""Sketch-RNN's guard against wild offsets, in drawing units."""
RETRIES = 9
"""How often a drawing that is too long is simplified with a larger tolerance before it is given up."""


@dataclass(frozen=True)
class SketchRepresentation:
    """Items and arrays are stroke-3 [N, 3] float32; an array's offsets are divided by `scale_factor`."""

    kind: ClassVar[str] = "sketch"
    names_splits: ClassVar[bool] = True
    suffixes: ClassVar[tuple[str, ...]] = (".svg", ".npz", ".ndjson", ".ndjson.gz", ".ndjson.xz", ".json")
    """Of the files `read` understands."""

    max_length: int = 250
    """Most points of an example."""
    min_length: int = 2
    """Fewest points of an example."""
    scale_factor: float = 1.0
    """Standard deviation of the offsets in the training set, in drawing units (`strokes.offset_std`)."""
    box: float | None = 255.0
    """The larger side that every drawing is scaled to; None keeps the data's own scale."""
    epsilon: float = 2.0
    """Tolerance of the simplification at that scale; 0 simplifies only what is too long."""
    keep_first_offset: bool = False
    """Whether the first row says where the drawing starts (as in Sketch-RNN's sheep) or is zero."""
    random_scale_factor: float = 0.15
    augment_stroke_prob: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.min_length <= self.max_length:
            raise KikiboubaError(
                f"min_length {self.min_length} and max_length {self.max_length}: need 1 ≤ min ≤ max"
            )
        if self.scale_factor <= 0 or (self.box is not None and self.box <= 0) or self.epsilon < 0:
            raise KikiboubaError("scale_factor and box must be above 0, and epsilon at least 0")

    def read(self, path: Path) -> list[np.ndarray]:
        """The drawings of an .svg, .npz, .ndjson (.gz, .xz) or .json (a QuickDraw record) file.

        Raises:
            KikiboubaError: unknown suffix, unreadable, or no drawing in it.
        """
        return [item.content for item in self.read_many(Path(path), [])]

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """Every drawing in a file, and what the file says about it.

        An .npz names its splits, and its own name is the category; upstream's hold-out rows count as test. In
        an .ndjson each record names its category, and its key decides on its split. For each drawing that is
        none, a line "where: why" is added to `problems`. Raises as `read` does.
        """
        name = path.name.lower()
        if name.endswith(".npz"):
            category = path.name.partition(".")[0].replace("_", " ")
            for split, drawings in read_npz_numbered(path, problems).items():
                own = {"holdout": "test", "strokes": None}.get(split, split)
                for index, drawing in drawings.items():
                    yield Item(drawing, own, category if own else None, f"{split}[{index}]")
        elif name.endswith((".ndjson", ".ndjson.gz", ".ndjson.xz")):
            records = read_ndjson(path)
            problems += records.problems
            for drawing, word, key, line in zip(*records[:4], strict=True):
                yield Item(drawing, None, word or None, f"line {line}", key or f"line {line}")
        elif name.endswith(".svg"):
            yield Item(read_svg(path))
        elif name.endswith(".json"):
            yield Item(_read_json(path))
        else:
            raise KikiboubaError(f"cannot read {path} as a drawing; allowed: {', '.join(self.suffixes)}")

    def windows(self, item: np.ndarray) -> list[np.ndarray]:
        """The drawing as the model's one example [N, 3] float32.

        Scaled to `box`, simplified with `epsilon` and, while longer than `max_length`, with more and more, as
        Google's recipe for QuickDraw does; then clamped, and ended with a lifted pen.

        Raises:
            KikiboubaError: it is a dot (zero width and height), too short, too long however simplified, not
                [N, 3] or not finite.
        """
        strokes = np.array(item, np.float64)
        if strokes.ndim != 2 or strokes.shape[1] != 3 or not np.isfinite(strokes).all():
            raise KikiboubaError(f"shape {strokes.shape} where finite [N, 3] (dx, dy, pen) is expected")
        size = larger_side(strokes) if len(strokes) else 0.0
        if size == 0:
            raise KikiboubaError("the drawing is a single dot; it needs a width or a height")
        if self.box is not None:
            strokes, size = fit_to_box(strokes, self.box), self.box
        array = np.clip(self._shorten(strokes, size), -OFFSET_LIMIT, OFFSET_LIMIT).astype(np.float32)
        if not self.keep_first_offset:
            array[0, :2] = 0
        array[-1, 2] = 1
        array[:, :2] /= np.float32(self.scale_factor)
        return [array]

    def _shorten(self, strokes: np.ndarray, size: float) -> np.ndarray:
        for retry in range(RETRIES + 1):
            epsilon = self.epsilon + retry * size / 128
            short = simplify(strokes, epsilon) if epsilon > 0 else strokes
            if len(short) <= self.max_length:
                break
        if not self.min_length <= len(short) <= self.max_length:
            allowed = f"{self.min_length} to {self.max_length} are allowed"
            raise KikiboubaError(f"the drawing has {len(short)} points when simplified; {allowed}")
        return short

    def augment(self, array: np.ndarray, rng: Rng) -> np.ndarray:
        """A random variation: x and y stretched independently, then points left out, as Sketch-RNN does."""
        return drop_points(random_scale(array, self.random_scale_factor, rng), self.augment_stroke_prob, rng)

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """stroke-3 arrays → (stroke-5 [B, N, 5] float32, lengths [B] int64), N the longest.

        There is no start row; rows past an example's length are (0, 0, 0, 0, 1).
        """
        lengths = np.array([len(array) for array in arrays], np.int64)
        longest = int(lengths.max(initial=0))
        x = np.zeros((len(arrays), longest, 5), np.float32)
        for rows, array in zip(x, arrays, strict=True):
            rows[:] = to_stroke5(array, longest)
        return x, lengths

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The inverse of `collate`: stroke-5 [B, N, 5] → stroke-3 arrays, each ended with a lifted pen."""
        arrays = [to_stroke3(rows[:length]) for rows, length in zip(x, lengths, strict=True)]
        for array in arrays:
            array[-1:, 2] = 1
        return arrays

    def to_artifact(self, array: np.ndarray) -> Drawing:
        """An example in drawing units."""
        strokes = np.array(array, np.float32)
        strokes[:, :2] *= np.float32(self.scale_factor)
        return Drawing(strokes)

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """angularity, density, aspect, size and strokes of examples, float64 [n] each (`sketch_attributes`).

        `size` is in the model's units; the others do not depend on scale.
        """
        return sketch_attributes.measure(list(arrays))


def _read_json(path: Path) -> np.ndarray:
    try:
        record = json.loads(read_bytes(path, max_bytes=100_000_000))
        return drawing_to_strokes(record.get("drawing") if isinstance(record, dict) else None)
    except KikiboubaError as error:
        raise KikiboubaError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise KikiboubaError(f"{path} is not valid JSON: {error}") from None
