"""SVG in: what a pen would draw, in any dialect, and nothing that explodes. SVG out: it reads back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kikibouba.data.sketch import SketchRepresentation
from kikibouba.data.strokes import bounds, from_lines, to_lines
from kikibouba.data.svg import MAX_BYTES, parse_svg, read_svg, write_svg
from kikibouba.errors import KikiboubaError

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.svg"))


def drawn(body, attributes=""):
    """The lines of an SVG with this content, rounded."""
    text = f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{body}</svg>'
    return [np.round(line, 3).tolist() for line in to_lines(parse_svg(text.encode()))]


PEN = 'fill="none" stroke="black"'


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ('<path d="M 1 2 L 5 2 5 8"/>', [[1, 2], [5, 2], [5, 8]]),
        ('<path d="m1,2h4v6"/>', [[1, 2], [5, 2], [5, 8]]),
        ('<path d="M1 2L5 2L5 8Z"/>', [[1, 2], [5, 2], [5, 8], [1, 2]]),
        ('<line x1="1" y1="2" x2="5" y2="8"/>', [[1, 2], [5, 8]]),
        ('<polyline points="1,2 5,2 5,8"/>', [[1, 2], [5, 2], [5, 8]]),
        ('<polygon points="1,2 5,2 5,8"/>', [[1, 2], [5, 2], [5, 8], [1, 2]]),
        ('<rect x="1" y="2" width="4" height="6"/>', [[1, 2], [5, 2], [5, 8], [1, 8], [1, 2]]),
        ('<g transform="translate(1 2)"><path d="M0 0 4 0" transform="scale(2)"/></g>', [[1, 2], [9, 2]]),
        ('<path d="M1 0 4 0" transform="rotate(90)"/>', [[0, 1], [0, 4]]),
    ],
)
def test_shapes(shape, expected):
    assert drawn(f"<g {PEN}>{shape}</g>") == [expected]


def test_subpaths_are_strokes_in_order():
    lines = drawn(f'<path {PEN} d="M0 0h5m5 0h5M0 9h2"/><path {PEN} d="M0 20h1"/>')
    assert lines == [[[0, 0], [5, 0]], [[10, 0], [15, 0]], [[0, 9], [2, 9]], [[0, 20], [1, 20]]]


@pytest.mark.parametrize(
    "shape",
    [
        '<circle cx="50" cy="60" r="40"/>',
        '<ellipse cx="50" cy="60" rx="40" ry="40"/>',
        '<path d="M10 60 A 40 40 0 0 1 90 60 A 40 40 0 0 1 10 60"/>',
        '<circle r="4" transform="translate(50 60) scale(10)"/>',
    ],
)
def test_round_shapes_are_round(shape):
    (line,) = drawn(f"<g {PEN}>{shape}</g>")
    radius = np.hypot(*(np.array(line) - (50, 60)).T)
    np.testing.assert_allclose(radius, 40, atol=0.1)
    middles = (np.array(line)[1:] + np.array(line)[:-1]) / 2
    assert np.hypot(*(middles - (50, 60)).T).min() > 39.9


def test_bezier_curves_follow_their_formula():
    (line,) = drawn(f'<path {PEN} d="M0 0 C 0 100 100 100 100 0"/>')
    t = np.linspace(0, 1, 20001)[:, None]
    curve = 3 * (1 - t) ** 2 * t * (0, 100) + 3 * (1 - t) * t**2 * (100, 100) + t**3 * (100, 0)
    distance = np.linalg.norm(curve[None] - np.array(line)[:, None], axis=2)
    assert distance.min(axis=1).max() < 0.01
    assert len(line) <= 65


def test_view_box_and_units_only_scale():
    plain, scaled = (drawn(f'<path {PEN} d="M0 0 30 0 30 40"/>', a) for a in ("", 'viewBox="0 0 100 100"'))
    ratio = np.array(scaled[0])[1:] / np.where(np.array(plain[0])[1:], plain[0][1:], 1)
    assert len(np.unique(np.round(ratio[ratio > 0], 3))) == 1


def test_use_style_and_class():
    body = """<style>.pen { stroke: red; fill: none }</style>
      <defs><path id="tick" d="M0 0 L3 4"/></defs>
      <g class="pen"><use href="#tick"/><use href="#tick" x="10"/></g>"""
    assert drawn(body) == [[[0, 0], [3, 4]], [[10, 0], [13, 4]]]


def test_symbols_show_only_where_used():
    symbol = '<symbol id="s"><path d="M0 0 5 5"/></symbol>'
    seen = f'<path {PEN} d="M9 9 19 9"/>'
    assert drawn(f"{symbol}<pattern><path {PEN} d='M0 0 1 1'/></pattern>{seen}") == [[[9, 9], [19, 9]]]
    assert len(drawn(f'<g {PEN}>{symbol}{seen}<use href="#s"/></g>')) == 2


def test_background_and_hidden_shapes_are_no_strokes():
    body = f"""<rect width="100%" height="100%" fill="white"/>
      <path d="M0 0 9 9" stroke="none"/> <path {PEN} d="M0 0 7 7" visibility="hidden"/>
      <path {PEN} d="M0 0 5 5" style="display:none"/> <path {PEN} d="M1 1 2 2"/>"""
    assert drawn(body) == [[[1, 1], [2, 2]]]


def test_filled_shapes_count_where_nothing_has_a_stroke():
    assert drawn('<path d="M0 0 10 0 10 10z"/>') == [[[0, 0], [10, 0], [10, 10], [0, 0]]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings_and_doctype(encoding):
    text = f"""<?xml version="1.0" encoding="{encoding}"?>
      <!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
      <svg xmlns="http://www.w3.org/2000/svg"><title>Größe</title><path {PEN} d="M0 0 5 5"/></svg>"""
    assert len(parse_svg(text.encode(encoding))) == 2


NESTED_USES = "".join(
    f'<g id="l{i}"><use href="#l{i - 1}"/><use href="#l{i - 1}"/></g>' for i in range(1, 30)
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no valid XML"),
        ("M 0 0 L 1 1", "no valid XML"),
        ("<svg><path", "no valid XML"),
        ('<?xml version="1.0" encoding="klingon"?><svg/>', "no valid XML"),
        ("<svg>&bomb;</svg>", "no valid XML"),
        ("<html><body/></html>", "no SVG"),
        ("<svg/>", "no strokes"),
        ("<svg><text>hello</text></svg>", "no strokes"),
        ('<svg><path d="M 5 5"/></svg>', "no strokes"),
        ('<svg><path d="sheep"/></svg>', "no strokes"),
        ('<svg><path d="M 5 5 L 5 5 5 5"/></svg>', "no strokes"),
        ('<svg style="display:none"><path d="M0 0 1 1"/></svg>', "no strokes"),
        ('<svg><path d="M0 0 1 1" transform="rotate(a)"/></svg>', "malformed"),
        ('<svg><path d="M0 0 L 1e300 1"/></svg>', "coordinates beyond"),
        ('<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "entity"),
        ('<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg><text>&a;</text></svg>', "entity"),
        ('<!DOCTYPE svg [<!ENTITY % a SYSTEM "http://example.org/"> %a;]><svg/>', "entity"),
        ('<svg><g id="a"><path d="M0 0 1 1"/><use href="#a"/></g></svg>', "more than"),
        (f'<svg><g id="l0"><path d="M0 0 1 1"/></g>{NESTED_USES}<use href="#l29"/></svg>', "more than"),
        ("<svg>" + "<g/>" * 20_001 + "</svg>", "more than"),
        ("<svg>" + "<g>" * 5000 + '<path d="M0 0 1 1"/>' + "</g>" * 5000 + "</svg>", "malformed"),
    ],
)
def test_bad_input_is_one_line(content, why):
    with pytest.raises(KikiboubaError, match=why) as caught:
        parse_svg(content.encode())
    assert "\n" not in str(caught.value)


def test_billion_laughs():
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
    with pytest.raises(KikiboubaError, match="entity"):
        parse_svg(f"<!DOCTYPE svg [{entities}]><svg><text>&a11;</text></svg>".encode())


def test_files(tmp_path):
    path = tmp_path / "big.svg"
    path.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(KikiboubaError, match="larger than the 5 MB"):
        read_svg(path)
    path.write_bytes(b"<svg/>")
    with pytest.raises(KikiboubaError, match=r"big\.svg: no strokes"):
        read_svg(path)
    with pytest.raises(KikiboubaError, match="No such file"):
        read_svg(tmp_path / "none.svg")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        hnp.arrays(np.float64, st.tuples(st.integers(2, 12), st.just(2)), elements=st.integers(-500, 500)),
        min_size=1,
        max_size=4,
    )
)
def test_written_drawings_read_back(lines):
    strokes = from_lines(lines)
    points = np.concatenate(lines)
    if np.ptp(points, axis=0).max() == 0:
        return
    again = to_lines(parse_svg(write_svg(strokes).encode()))
    scale = np.ptp(np.concatenate(again), axis=0).max() / np.ptp(points, axis=0).max()
    kept = [line for line in lines if np.ptp(line, axis=0).max() > 0 or len(line) > 1]
    assert len(again) == len(kept)
    shift = np.concatenate(again).min(axis=0) - scale * points.min(axis=0)
    for line, expected in zip(again, kept, strict=True):
        np.testing.assert_allclose(line[[0, -1]], scale * expected[[0, -1]] + shift, atol=0.01 * scale * 500)


def test_written_for_people():
    text = write_svg(from_lines([np.array([[0, 0], [100, 0], [100, 50]]), np.array([[5, 5]])]))
    assert text.count("<path") == 2
    assert 'd="M 8.0,8.0 L 108.0,8.0 108.0,58.0"' in text
    assert 'viewBox="0 0 116.0 66.0"' in text
    assert 'stroke-linecap="round"' in text
    assert max(map(len, text.splitlines())) < 120


@pytest.mark.parametrize("strokes", [np.zeros((0, 3)), np.array([[7.0, 7.0, 1]])])
def test_empty_and_dot(strokes):
    text = write_svg(strokes)
    assert text.count("<path") == len(strokes)
    assert "nan" not in text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path):
    """Every drawing we ship is one a model can take without thinning beyond its tolerance."""
    (item,) = SketchRepresentation().read(path)
    (array,) = SketchRepresentation(max_length=130).windows(item)
    assert 5 <= len(array) <= 130
    box = bounds(array)
    assert max(box[2] - box[0], box[3] - box[1]) == pytest.approx(255, abs=4)


def test_examples_include_the_promised_ones():
    assert {"sheep", "zigzag", "circle"} <= {path.stem for path in EXAMPLES}
