"""The forms of a drawing and the ways between them; bit-equal to Sketch-RNN's utilities where those exist."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kikibouba.data.strokes import (
    bounds,
    drop_points,
    fit_to_box,
    from_lines,
    larger_side,
    offset_std,
    random_scale,
    rdp_mask,
    simplify,
    to_lines,
    to_stroke3,
    to_stroke5,
)

quick = settings(max_examples=40, deadline=None)
coordinates = st.integers(-200, 200)
lines = st.lists(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=coordinates),
    min_size=1,
    max_size=5,
)


@pytest.fixture(scope="module")
def golden(shared):
    """Sketch-RNN's own utilities applied to real sheep."""
    with np.load(shared / "golden/magenta_tf/sketch_data/golden.npz") as arrays:
        return dict(arrays)


# ---- forms


@quick
@given(lines)
def test_lines_there_and_back(drawn):
    again = to_lines(from_lines(drawn))
    assert len(again) == len(drawn)
    for line, expected in zip(again, drawn, strict=True):
        np.testing.assert_array_equal(line, expected)


def test_no_lines():
    assert from_lines([]).shape == (0, 3)
    assert to_lines(np.zeros((0, 3), np.float32)) == []
    assert len(from_lines([np.zeros((0, 2)), np.ones((2, 2))])) == 2


def test_points_after_the_last_lift_are_a_line():
    strokes = np.array([[0, 0, 0], [1, 0, 1], [5, 5, 0], [1, 1, 0]], np.float32)
    assert [line.tolist() for line in to_lines(strokes)] == [[[0, 0], [1, 0]], [[6, 5], [7, 6]]]


@quick
@given(lines)
def test_stroke5_there_and_back(drawn):
    strokes = from_lines(drawn)
    rows = to_stroke5(strokes, len(strokes) + 3)
    assert rows.shape == (len(strokes) + 3, 5)
    np.testing.assert_array_equal(rows[:, 2:].sum(axis=1), 1)
    np.testing.assert_array_equal(rows[-3:], [[0, 0, 0, 0, 1]] * 3)
    np.testing.assert_array_equal(to_stroke3(rows), strokes)
    np.testing.assert_array_equal(to_stroke3(to_stroke5(strokes)), strokes)


def test_ended_at_once():
    assert to_stroke3(np.array([[0, 0, 0, 0, 1.0]])).shape == (0, 3)


def test_forms_equal_the_original(golden):
    strokes = golden["test150_strokes"]
    big = to_stroke5(strokes, len(golden["big"]))
    assert np.array_equal(big, golden["big"])
    assert np.array_equal(to_stroke3(golden["big"]), golden["normal"])
    drawn = to_lines(strokes)
    assert [len(line) for line in drawn] == golden["line_lengths"].tolist()
    assert np.array_equal(np.concatenate(drawn).astype(np.float32), golden["lines_concat"])
    assert np.array_equal(from_lines(drawn), golden["lines_to_strokes"])


def test_bounds_equal_the_original(golden):
    from_origin = np.concatenate([np.zeros((1, 3), np.float32), golden["test150_strokes"]])
    left, top, right, bottom = bounds(from_origin) / 10
    np.testing.assert_allclose([left, right, top, bottom], golden["bounds_factor10"], rtol=1e-6)
    fitted = fit_to_box(from_origin, 10.0)[1:]
    np.testing.assert_allclose(fitted, golden["scale_bound10"], rtol=1e-5, atol=1e-6)


# ---- size


def test_bounds_leave_out_the_origin():
    strokes = from_lines([np.array([[10, 20], [13, 28]])])
    assert bounds(strokes).tolist() == [10, 20, 13, 28]
    assert larger_side(strokes) == 8


@quick
@given(lines)
def test_fit_to_box(drawn):
    strokes = from_lines(drawn)
    fitted = fit_to_box(strokes, 255.0)
    if larger_side(strokes):
        assert larger_side(fitted) == pytest.approx(255, rel=1e-4)
    else:
        assert np.array_equal(fitted, strokes)


def test_offset_std_pools_both_columns():
    drawings = [np.array([[1, 2, 0], [3, 4, 1]]), np.array([[-5, 6, 1]])]
    assert offset_std(drawings) == pytest.approx(np.std([1, 2, 3, 4, -5, 6]))


# ---- Ramer-Douglas-Peucker


def distance(point, start, end):
    """From a point to a segment, by ternary search: slow and obviously right."""
    low, high = 0.0, 1.0
    for _ in range(60):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        da, db = (np.hypot(*(start + t * (end - start) - point)) for t in (a, b))
        low, high = (low, b) if da <= db else (a, high)
    return np.hypot(*(start + low * (end - start) - point))


def recursive_rdp(points, epsilon):
    """The textbook form."""
    if len(points) < 3:
        return [True] * len(points)
    distances = [distance(p, points[0], points[-1]) for p in points[1:-1]]
    if max(distances) <= epsilon + 1e-6:
        return [True] + [False] * (len(points) - 2) + [True]
    # distances that the search cannot tell apart count as equal; the first is taken, as in the library
    split = 1 + next(i for i, d in enumerate(distances) if d > max(distances) - 1e-6)
    return recursive_rdp(points[: split + 1], epsilon)[:-1] + recursive_rdp(points[split:], epsilon)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("epsilon", [0.5, 5.0, 40.0])
def test_rdp_equals_the_recursive_form(seed, epsilon):
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(0, 20, (rng.integers(1, 25), 2)).cumsum(axis=0) for _ in range(4)]
    last = np.concatenate([np.arange(len(line)) == len(line) - 1 for line in drawn])
    mask = rdp_mask(np.concatenate(drawn), last, epsilon)
    assert mask.tolist() == [kept for line in drawn for kept in recursive_rdp(line, epsilon)]


@settings(max_examples=12, deadline=None)
@given(lines, st.floats(0.01, 50))
def test_rdp_stays_within_the_tolerance(drawn, epsilon):
    for line in drawn:
        last = np.arange(len(line)) == len(line) - 1
        mask = rdp_mask(line, last, epsilon)
        assert mask[0]
        assert mask[-1]
        kept = np.flatnonzero(mask)
        for start, end in pairwise(kept):
            assert all(distance(line[i], line[start], line[end]) <= epsilon + 1e-6 for i in range(start, end))


def test_rdp_keeps_a_closed_loop_open():
    angle = np.linspace(0, 2 * np.pi, 101)
    circle = from_lines([np.stack([100 * np.cos(angle), 100 * np.sin(angle)], axis=1)])
    simple = simplify(circle, 2.0)
    assert 10 < len(simple) < 40
    assert larger_side(simple) == pytest.approx(200, abs=4)
    np.testing.assert_allclose(simple[:, :2].sum(axis=0), [100, 0], atol=1e-3)


def test_simplify_keeps_strokes_and_dots():
    strokes = from_lines([np.array([[0, 0], [1, 0], [2, 0], [9, 0]]), np.array([[5.0, 5.0]])])
    assert simplify(strokes, 0.5).tolist() == [[0, 0, 0], [9, 0, 1], [-4, 5, 1]]


def test_simplify_js_reference(shared):
    """magenta.js thins lines likewise, after merging points nearer than the tolerance: about as many stay."""
    import json

    drawings = json.loads((shared / "golden/sketchrnn_js/drawings.json").read_text())
    for line, theirs in zip(drawings["hand_lines"], drawings["hand_simplified_tol2"], strict=True):
        ours = to_lines(simplify(from_lines([np.array(line)]), 2.0))[0]
        assert abs(len(ours) - len(theirs)) <= 2
        np.testing.assert_allclose(ours[[0, -1]], np.array(theirs)[[0, -1]], atol=1e-3)


# ---- augmentation


def original_drop(strokes, probability, rng):
    """Sketch-RNN's rule row by row, as its description has it."""
    kept, last, count = [], [0.0, 0.0, 1.0], 0
    for dx, dy, pen in strokes:
        count = 0 if pen == 1 or last[2] == 1 else count + 1
        u = rng.random()
        if pen == 0 and last[2] == 0 and count > 2 and u < probability:
            last[0] += dx
            last[1] += dy
        else:
            last = [dx, dy, pen]
            kept.append(last)
    return np.array(kept, np.float32)


@pytest.mark.parametrize("make_rng", [np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.6, 1.0])
def test_drop_points_follows_the_rule(make_rng, probability):
    data = np.random.default_rng(0)
    for seed in range(20):
        n = data.integers(1, 60)
        pen = data.random((n, 1)) < 0.15
        strokes = np.concatenate([data.normal(size=(n, 2)), pen], axis=1).astype(np.float32)
        before = strokes.copy()
        expected = original_drop(strokes, probability, make_rng(seed))
        assert np.array_equal(drop_points(strokes, probability, make_rng(seed)), expected)
        assert np.array_equal(strokes, before)


def test_augmentation_equals_the_original(golden):
    strokes = golden["test150_strokes"]
    assert np.array_equal(drop_points(strokes, 0.1, np.random.RandomState(0)), golden["augment_p0.1_seed0"])
    assert np.array_equal(random_scale(strokes, 0.15, np.random.RandomState(0)), golden["random_scale_seed0"])


def test_random_scale_range_and_draws():
    strokes = np.ones((1, 3), np.float32)
    rng = np.random.default_rng(0)
    scales = np.array([random_scale(strokes, 0.15, rng)[0] for _ in range(500)])
    assert np.all(scales[:, 2] == 1)
    assert 0.85 <= scales[:, :2].min() < 0.86
    assert 1.14 < scales[:, :2].max() <= 1.15
    assert abs(np.corrcoef(scales[:, 0], scales[:, 1])[0, 1]) < 0.15
    random_scale(strokes, 0.0, rng)
    other = np.random.default_rng(0)
    other.random(2 * 501)
    assert rng.random() == other.random()
