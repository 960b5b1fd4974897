"""SVG ↔ strokes: any hand-made file in, one editable path a pen stroke out.

svgelements does the geometry (path grammar, transforms, CSS, `<use>`). Everything it should not see is
refused or set aside before: entity declarations, `<use>` that multiplies without end, shapes that are only
definitions.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from kikibouba.data.files import read_bytes
from kikibouba.data.strokes import bounds, from_lines, larger_side, simplify, to_lines
from kikibouba.errors import KikiboubaError

MAX_BYTES = 5_000_000
MAX_ELEMENTS = 20_000
"""After the expansion of every `<use>`."""
MAX_POINTS = 2_000_000
MAX_COORDINATE = 1e6
"""In pixels; float32 offsets resolve a tenth of a pixel up to here."""
CURVE_POINTS = 64
"""On each curve or arc; even a full circle is then within 0.0003 of its diameter of the polyline."""
FLATNESS = 1 / 2000
"""Tolerance, relative to the larger side, to which the flattened lines are thinned."""

_DEFINITIONS = {"symbol", "pattern", "mask", "marker", "clipPath"}
"""Elements whose content shows only where something refers to them."""


def read_svg(path: str | Path) -> np.ndarray:
    """The drawing in an SVG file as stroke-3 float32 [N, 3], in pixels, y downwards.

    What has a visible stroke is drawn, each subpath one pen stroke; in a file without any, the outlines of
    the filled shapes are. So a background rectangle behind a line drawing does not count.

    Raises:
        KikiboubaError: unreadable, larger than 5 MB, no SVG, declaring entities, or without a single stroke.
    """
    path = Path(path)
    try:
        return parse_svg(read_bytes(path, MAX_BYTES))
    except KikiboubaError as error:
        message = str(error)
        raise KikiboubaError(message if str(path) in message else f"{path}: {message}") from None


def parse_svg(content: bytes) -> np.ndarray:
    """`read_svg` of a file's content."""
    root = _safe_tree(content)
    try:
        shapes = _visible_shapes(ElementTree.tostring(root))
        lines = [line for shape in shapes for line in _flatten(shape)]
    except KikiboubaError:
        raise
    except Exception as error:  # svgelements raises whatever it stumbles over in a malformed attribute
        raise KikiboubaError(f"malformed SVG: {' '.join(str(error).split())[:200]}") from None
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        raise KikiboubaError("no strokes: it needs a path, line or other shape that has a length")
    if not all(np.isfinite(line).all() and np.abs(line).max() <= MAX_COORDINATE for line in lines):
        raise KikiboubaError(f"coordinates beyond {MAX_COORDINATE:.0f} pixels; scale the drawing down")
    strokes = from_lines(lines)
    if (size := larger_side(strokes)) == 0:
        raise KikiboubaError("no strokes: all its shapes are single points")
    return simplify(strokes, size * FLATNESS)


def _safe_tree(content: bytes) -> ElementTree.Element:
    """The XML tree, definitions wrapped in `<defs>`, once it is known to expand to something finite."""
    parser = expat.ParserCreate()
    parser.EntityDeclHandler = _refuse_entity
    try:
        parser.Parse(content, True)
        root = ElementTree.fromstring(content)
    except KikiboubaError:
        raise
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise KikiboubaError(f"no valid XML: {error}") from None
    if _tag(root) != "svg":
        raise KikiboubaError(f"no SVG: the outermost element is <{_tag(root)}>")
    _refuse_explosion(root)
    for parent in list(root.iter()):
        for index, child in enumerate(parent):
            if _tag(child) in _DEFINITIONS:
                parent[index] = ElementTree.Element(child.tag[: -len(_tag(child))] + "defs")
                parent[index].append(child)
    return root


def _refuse_entity(name: str, *_: object) -> None:
    raise KikiboubaError(f"it declares an entity ({name}), which is not read; save it as plain SVG")


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _refuse_explosion(root: ElementTree.Element) -> None:
    """Walk the tree as it will be drawn, every `<use>` replaced by its target, until that gets too long."""
    targets = {element.get("id"): element for element in root.iter()}
    waiting, count = [root], 0
    while waiting:
        element = waiting.pop()
        count += 1
        if count > MAX_ELEMENTS:
            raise KikiboubaError(
                f"more than {MAX_ELEMENTS} elements (each <use> counts as what it stands for)"
            )
        waiting.extend(element)
        if _tag(element) == "use":
            links = [value for name, value in element.items() if name.rpartition("}")[2] == "href"]
            waiting.extend(targets[link[1:]] for link in links if link[1:] in targets)


def _visible_shapes(content: bytes) -> list[Any]:
    """The shapes that a pen would draw, as svgelements Paths with their transforms applied."""
    from svgelements import SVG, Path, Shape  # pyrefly: ignore

    svg = SVG.parse(io.BytesIO(content), reify=True)
    if svg is None:  # display="none" on the whole
        return []
    shapes = [e for e in svg.elements() if isinstance(e, Shape) and e.values.get("visibility") != "hidden"]
    stroked = [shape for shape in shapes if shape.stroke.value is not None and shape.stroke.alpha]
    return [abs(Path(shape)) for shape in stroked or shapes]


def _flatten(path: Any) -> Iterator[np.ndarray]:
    """The subpaths of an svgelements Path as lines [n, 2]."""
    from svgelements import Close, Line, Move  # pyrefly: ignore

    steps = np.linspace(0, 1, CURVE_POINTS + 1)
    line: list[np.ndarray] = []
    count = 0
    for segment in path:
        if isinstance(segment, Move):
            if line:
                yield np.concatenate(line)
            line = []
        if isinstance(segment, Move | Line | Close):
            if segment.end is not None:
                line.append(np.array([[segment.end.x, segment.end.y]]))
        else:
            line.append(np.asarray(segment.npoint(steps))[1:])
        count += len(line[-1]) if line else 0
        if count > MAX_POINTS:
            raise KikiboubaError(f"a path of more than {MAX_POINTS} points; simplify it in your editor")
    if line:
        yield np.concatenate(line)


def write_svg(strokes: np.ndarray) -> str:
    """An SVG of stroke-3 [N, 3]: one `<path>` a pen stroke in drawing units, moved to positive coordinates.

    An empty drawing gives an empty page.
    """
    left, top, right, bottom = bounds(strokes) if len(strokes) else np.zeros(4)
    side = max(right - left, bottom - top) or 1.0
    margin = 0.08 * side
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    decimals = max(0, 3 - int(np.floor(np.log10(side))))
    pixels = 400 / max(width, height)
    paths = [_path(line - (left - margin, top - margin), decimals) for line in to_lines(strokes)]
    page = f'width="{width * pixels:.0f}" height="{height * pixels:.0f}" style="background: white"'
    pen = 'fill="none" stroke="black" stroke-linecap="round" stroke-linejoin="round"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {page}',
            f'     viewBox="0 0 {width:.{decimals}f} {height:.{decimals}f}">',
            f'  <g {pen} stroke-width="{side / 80:.{decimals + 1}f}">',
            *(f'    <path d="{path}"/>' for path in paths),
            "  </g>",
            "</svg>\n",
        ]
    )


def _path(line: np.ndarray, decimals: int) -> str:
    """`M x,y L x,y x,y …`; a dot is a line to itself, which the round cap makes visible."""
    points = [f"{x:.{decimals}f},{y:.{decimals}f}" for x, y in line]
    return f"M {points[0]} L {' '.join(points[1:] or points)}"
