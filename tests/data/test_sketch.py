"""Drawings of any origin become examples of one kind; their attributes say what people see."""

import dataclasses
import json
import lzma
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kikibouba.config import representation_from_dict, representation_to_dict
from kikibouba.data.artifacts import Drawing
from kikibouba.data.quickdraw import read_npz
from kikibouba.data.sketch import SketchRepresentation
from kikibouba.data.strokes import bounds, from_lines, larger_side, offset_std
from kikibouba.errors import KikiboubaError

SKETCH = SketchRepresentation()


def line(*points):
    return from_lines([np.array(points, float)])


def curve(x, y, n=200, turns=1.0):
    t = np.linspace(0, 2 * np.pi * turns, n)
    return from_lines([np.stack([x(t), y(t)], axis=1)])


def polyline(points, n):
    """The same path with n points, evenly spread, in addition to its corners."""
    points = np.array(points, float)
    at = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    t = np.union1d(np.linspace(0, at[-1], n), at)
    return from_lines([np.stack([np.interp(t, at, points[:, 0]), np.interp(t, at, points[:, 1])], axis=1)])


def zigzag(n=2, teeth=12):
    return polyline([(i, 3 * (i % 2)) for i in range(teeth + 1)], n)


def star(n=2):
    angle = 2 * np.pi * np.arange(6) * 2 / 5
    return polyline(np.stack([np.sin(angle), -np.cos(angle)], axis=1), n)


def square(n=2):
    return polyline([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)], n)


# ---- windows


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        hnp.arrays(np.float32, st.tuples(st.integers(1, 40), st.just(2)), elements=st.integers(-3000, 3000)),
        min_size=1,
        max_size=4,
    )
)
def test_windows_are_what_a_model_may_see(lines):
    representation = SketchRepresentation(max_length=30, scale_factor=25.0)
    with suppress(KikiboubaError):
        (array,) = representation.windows(from_lines(lines))
        assert array.dtype == np.float32
        assert 2 <= len(array) <= 30
        assert array[0, :2].tolist() == [0, 0]
        assert array[-1, 2] == 1
        assert set(array[:, 2]) <= {0, 1}
        assert np.abs(array[:, :2]).max() <= 1000 / 25
        assert larger_side(array) * 25 < 255.1


def test_size_and_place_do_not_matter():
    small = star(50)
    large = small * np.array([1000, 1000, 1], np.float32)
    large[0, :2] += (5000, -7000)
    np.testing.assert_allclose(SKETCH.windows(small)[0], SKETCH.windows(large)[0], atol=0.01)


def test_scale_factor_divides_offsets():
    (one,) = SKETCH.windows(star())
    (scaled,) = dataclasses.replace(SKETCH, scale_factor=40.0).windows(star())
    np.testing.assert_allclose(scaled[:, :2] * 40, one[:, :2], rtol=1e-6)
    np.testing.assert_array_equal(scaled[:, 2], one[:, 2])


def test_long_drawings_are_thinned_until_they_fit():
    spiral = curve(lambda t: t * np.cos(t), lambda t: t * np.sin(t), n=5000, turns=8)
    limits = (250, 100, 60)
    lengths = [len(dataclasses.replace(SKETCH, max_length=n).windows(spiral)[0]) for n in limits]
    assert lengths[0] > lengths[1] > lengths[2] > 40
    assert all(length <= limit for length, limit in zip(lengths, limits, strict=True))


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (np.zeros((0, 3)), "single dot"),
        (np.array([[3, 3, 1]]), "single dot"),
        (line((1, 1), (1, 1), (1, 1)), "single dot"),
        (from_lines([np.array([[0.0, 7 * i], [9, 7 * i + 1]]) for i in range(200)]), "400 points"),
    ],
)
def test_no_drawing_no_window(item, why):
    with pytest.raises(KikiboubaError, match=why):
        SKETCH.windows(item)


BROKEN = (np.zeros((4, 2)), np.zeros(4), np.full((4, 3), np.nan), np.full((4, 3), np.inf))


@pytest.mark.parametrize("item", BROKEN)
def test_no_strokes_at_all(item):
    with pytest.raises(KikiboubaError, match="dx, dy, pen"):
        SKETCH.windows(item)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_length": 0},
        {"min_length": 9, "max_length": 8},
        {"scale_factor": 0.0},
        {"box": -1.0},
        {"epsilon": -1.0},
    ],
)
def test_senseless_settings(fields):
    with pytest.raises(KikiboubaError):
        SketchRepresentation(**fields)


def test_settings_travel_as_json():
    representation = SketchRepresentation(max_length=99, box=None, scale_factor=12.5)
    text = json.dumps(representation_to_dict(representation))
    assert representation_from_dict(json.loads(text)) == representation


# ---- the original's arrays


def test_sheep_as_the_original_loads_them(shared):
    """No scaling, no thinning, first offset kept: clamped, divided by the factor, and otherwise untouched."""
    with np.load(shared / "golden/magenta_tf/sketch_data/golden.npz") as golden:
        lengths, expected = golden["train_lengths"], golden["test0_strokes"]
    splits = read_npz(shared / "data/sketches/aaron_sheep/aaron_sheep.npz")
    sheep = SketchRepresentation(
        box=None, epsilon=0.0, keep_first_offset=True, scale_factor=offset_std(splits["train"])
    )
    arrays = [array for item in splits["train"] for array in sheep.windows(item)]
    assert sorted(map(len, arrays)) == lengths.tolist()
    shortest = [
        array for item in splits["test"] for array in sheep.windows(item) if len(array) == len(expected)
    ]
    differences = [np.abs(array - expected).max() for array in shortest]
    assert not differences or min(differences) < 1e-6


def test_quickdraw_is_kept_as_it_is(shared):
    """Google thinned it with the same tolerance at the same scale: nearly every point stays."""
    items = read_npz(shared / "data/sketches/quickdraw/duck.npz")["test"]
    arrays = [array for item in items for array in SKETCH.windows(item)]
    assert len(arrays) == len(items)
    assert 0.95 < sum(map(len, arrays)) / sum(map(len, items)) <= 1


# ---- batches


def test_collate_and_back():
    arrays = [SKETCH.windows(item)[0] for item in (star(), zigzag(), square())]
    x, lengths = SKETCH.collate(arrays)
    assert x.shape == (3, 13, 5)
    assert x.dtype == np.float32
    assert lengths.tolist() == [6, 13, 5]
    assert lengths.dtype == np.int64
    np.testing.assert_array_equal(x[2, 5:], [[0, 0, 0, 0, 1]] * 8)
    for array, again in zip(arrays, SKETCH.split_batch(x, lengths), strict=True):
        np.testing.assert_array_equal(again, array)


def test_batches_equal_the_original(shared):
    """Sketch-RNN's batch is ours after its start row."""
    with np.load(shared / "golden/magenta_tf/sketch_lstm/golden.npz") as golden:
        expected, lengths = golden["input_data"], golden["sequence_lengths"]
    arrays = SKETCH.split_batch(expected[:, 1:], lengths)
    x, again = SKETCH.collate(arrays)
    assert np.array_equal(again, lengths)
    assert np.array_equal(x, expected[:, 1 : 1 + lengths.max()])


def test_a_decoded_batch_may_not_lift_the_pen():
    x = np.zeros((1, 4, 5), np.float32)
    x[0, :, 2] = 1
    assert SKETCH.split_batch(x, np.array([4]))[0][:, 2].tolist() == [0, 0, 0, 1]


def test_empty_batch():
    x, lengths = SKETCH.collate([])
    assert x.shape == (0, 0, 5)
    assert SKETCH.split_batch(x, lengths) == []


def test_augment_varies_and_keeps_the_form():
    (array,) = SKETCH.windows(curve(np.cos, np.sin, n=400))
    rng = np.random.default_rng(0)
    varied = [SKETCH.augment(array, rng) for _ in range(20)]
    assert len({len(v) for v in varied}) > 1
    for v in varied:
        left, top, right, bottom = bounds(v)
        assert 0.8 * 255 < right - left < 1.2 * 255
        assert 0.8 * 255 < bottom - top < 1.2 * 255
        assert v[-1, 2] == 1
    assert np.array_equal(
        SKETCH.augment(array, np.random.default_rng(1)), SKETCH.augment(array, np.random.default_rng(1))
    )


def test_artifact_is_in_drawing_units():
    representation = SketchRepresentation(scale_factor=20.0)
    drawing = representation.to_artifact(representation.windows(star())[0])
    assert larger_side(drawing.strokes) == pytest.approx(255, rel=1e-4)


# ---- files


def test_read_many_tells_split_and_category(tmp_path):
    drawings = np.stack([square()] * 2)
    np.savez(tmp_path / "ice_cream.full.npz", train=drawings, holdout=drawings[:1])
    found = [
        (split, category) for _, split, category, *_ in SKETCH.read_many(tmp_path / "ice_cream.full.npz", [])
    ]
    assert found == [("train", "ice cream")] * 2 + [("test", "ice cream")]

    record = json.dumps({"word": "ice cream", "drawing": [[[0, 1], [0, 1]]]})
    with lzma.open(tmp_path / "all.ndjson.xz", "wt") as file:
        file.write(record)
    assert [t[1:] for t in SKETCH.read_many(tmp_path / "all.ndjson.xz", [])] == [
        (None, "ice cream", "line 1", "line 1")
    ]

    Drawing(square()).save(tmp_path / "a.npz")
    assert [t[1:4] for t in SKETCH.read_many(tmp_path / "a.npz", [])] == [(None, None, "strokes[0]")]


@pytest.mark.parametrize("suffix", [".svg", ".npz", ".json"])
def test_read_what_a_drawing_saves(tmp_path, suffix):
    path = Drawing(zigzag()).save(tmp_path / f"a{suffix}")
    (item,) = SKETCH.read(path)
    np.testing.assert_allclose(SKETCH.windows(item)[0], SKETCH.windows(zigzag())[0], atol=0.3)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.jpg", "x", "allowed: .svg, .npz"),
        ("a.json", "[", "not valid JSON"),
        ("a.json", "[]", "no list of strokes"),
        ("a.json", "[" * 200_000, "not valid JSON"),
        ("a.json", '{"drawing": 3}', "no list of strokes"),
        ("a.json", "", "is empty"),
    ],
)
def test_unreadable_files(tmp_path, name, content, why):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(KikiboubaError, match=why) as caught:
        SKETCH.read(path)
    assert name in str(caught.value)


# ---- attributes


def angularity(strokes):
    return SKETCH.attributes(SKETCH.windows(strokes))["angularity"][0]


ROUND = {
    "circle": lambda n: curve(np.cos, np.sin, n),
    "ellipse": lambda n: curve(np.cos, lambda t: 2 * np.sin(t), n),
    "spiral": lambda n: curve(lambda t: t * np.cos(t), lambda t: t * np.sin(t), n, turns=3),
    "wave": lambda n: curve(lambda t: t, np.sin, n, turns=3),
    "line": lambda n: polyline([(0, 0), (3, 1)], n),
    "eight": lambda n: curve(np.sin, lambda t: np.sin(2 * t), n),
}
SPIKY = {"zigzag": zigzag, "star": star, "fine zigzag": lambda n: zigzag(n, 24), "square": square}


@pytest.mark.parametrize("n", [100, 300, 1500])
@pytest.mark.parametrize("factor", [0.01, 1.0, 1e4])
def test_spiky_is_spikier_than_round(n, factor):
    scale = np.array([factor, factor, 1], np.float32)
    spiky = {name: angularity(make(n) * scale) for name, make in SPIKY.items()}
    smooth = {name: angularity(make(n) * scale) for name, make in ROUND.items()}
    assert max(smooth.values()) < 0.4
    assert spiky["square"] == pytest.approx(3 * np.pi / 2 / 4, rel=0.02)
    assert spiky["star"] == pytest.approx(4 * 0.8 * np.pi / (5 * 1.0), rel=0.02)
    assert min(spiky.values()) > 2.5 * max(smooth.values())
    assert spiky["zigzag"] > 3 * spiky["star"]


@pytest.mark.parametrize("make", [*SPIKY.values(), *ROUND.values()])
def test_point_density_does_not_matter(make):
    values = [angularity(make(n)) for n in (120, 400, 2000)]
    assert np.ptp(values) <= max(0.05, 0.15 * max(values))


def test_a_shaky_hand_does_not_matter():
    rng = np.random.default_rng(0)
    for make, expected in ((SPIKY["star"], 2.0), (ROUND["circle"], 0.0)):
        strokes = make(100)
        side = larger_side(strokes)
        lines = np.cumsum(strokes[:, :2], axis=0) + rng.normal(0, 0.002 * side, (len(strokes), 2))
        assert angularity(from_lines([lines])) == pytest.approx(expected, abs=0.4)


def test_lifting_the_pen_is_no_corner():
    cross = from_lines([np.array([[0.0, 0], [1, 1]]), np.array([[1.0, 0], [0, 1]])])
    assert angularity(cross) == 0


def test_the_other_attributes():
    tall = from_lines([np.array([[0.0, 0], [0, 4]]), np.array([[0.0, 4], [2, 4]])])
    circle = curve(np.cos, np.sin, 500)
    found = SKETCH.attributes([tall, circle, np.array([[0, 0, 1.0]]), np.zeros((0, 3))])
    assert found["density"] == pytest.approx([6 / 4, np.pi, 0, 0], rel=0.01)
    assert found["aspect"] == pytest.approx([(4 - 2) / 6, 0, 0, 0], abs=0.01)
    assert found["size"] == pytest.approx([4, 2, 0, 0], abs=0.01)
    assert found["strokes"].tolist() == [2, 1, 1, 0]
    assert all(np.isfinite(values).all() and len(values) == 4 for values in found.values())
    assert all(len(values) == 0 for values in SKETCH.attributes([]).values())


def test_measured_together_or_alone_is_the_same():
    arrays = [SKETCH.windows(make(150))[0] for make in [*SPIKY.values(), *ROUND.values()]]
    together = SKETCH.attributes(iter(arrays))
    for i, array in enumerate(arrays):
        for name, values in SKETCH.attributes([array]).items():
            assert values[0] == pytest.approx(together[name][i])


def test_real_drawings_differ_in_angularity(shared):
    """A healthy spread: few at zero, and categories in the order people would put them."""
    folder = shared / "data/sketches/quickdraw"
    found = {}
    for name in ("campfire", "crab", "pineapple", "apple", "face", "cactus"):
        arrays = [
            array for item in read_npz(folder / f"{name}.npz")["test"] for array in SKETCH.windows(item)
        ]
        found[name] = SKETCH.attributes(arrays)["angularity"]
    everything = np.concatenate(list(found.values()))
    low, middle, high = np.quantile(everything, [0.1, 0.5, 0.9])
    assert (everything == 0).mean() < 0.05
    assert low < 0.25 * middle
    assert high > 2.5 * middle
    medians = {name: np.median(values) for name, values in found.items()}
    assert min(medians[n] for n in ("campfire", "crab", "pineapple")) > 2 * max(
        medians[n] for n in ("apple", "face", "cactus")
    )
