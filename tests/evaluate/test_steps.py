"""What counts as right, step by step, on examples that can be counted by hand."""

import numpy as np
import pytest

from kikibouba.data.layout import Layout, Part, one_hot
from kikibouba.evaluate.steps import step_figures


def test_padding_controls_and_missing_steps_do_not_count_as_right() -> None:
    layout = Layout((one_hot(0, 4),), (one_hot(0, 4),), (one_hot(1, 3),), padding=9)
    true = np.array([[1, 0], [2, 0], [3, 1], [9, 1]])
    said = np.array([[1, 2], [2, 2], [0, 1], [9, 1]])
    assert step_figures(layout, [said], [true]) == {"accuracy": pytest.approx(2 / 3)}
    assert step_figures(layout, [true[:1]], [true]) == {"accuracy": pytest.approx(1 / 3)}
    longer = np.concatenate([true, true])
    assert step_figures(layout, [longer], [true]) == {"accuracy": 1.0}


def test_several_outputs_have_a_share_each() -> None:
    parts = (one_hot(0, 9, "melody"), one_hot(1, 9, "bass"), one_hot(2, 9))
    true = np.arange(12).reshape(4, 3)
    said = true.copy()
    said[0, 0] = said[:3, 1] = 99
    found = step_figures(Layout(parts, parts), [said], [true])
    assert found == {
        "accuracy": pytest.approx(2 / 3),
        "accuracy, melody": 0.75,
        "accuracy, bass": 0.25,
        "accuracy, 2": 1.0,
    }


def bits_of(labels: np.ndarray) -> np.ndarray:
    return labels[:, None] >> np.arange(3) & 1


@pytest.mark.parametrize("as_labels", [True, False])
def test_bits_have_precision_and_recall(as_labels: bool) -> None:
    """Three steps: right; one of two hits missed; one hit too many."""
    said, true = np.array([5, 1, 7]), np.array([5, 3, 3])
    table = bits_of(np.arange(8)).astype(np.float32)
    part = Part(0, 1, table) if as_labels else Part(0, 3)
    said, true = (said, true) if as_labels else (bits_of(said), bits_of(true))
    found = step_figures(Layout((part,), (part,)), [said], [true])
    assert found == {"accuracy": pytest.approx(1 / 3), "precision": 5 / 6, "recall": 5 / 6}


def test_saying_nothing() -> None:
    part = Part(0, 3)
    found = step_figures(Layout((part,), (part,)), [np.zeros((2, 3))], [np.eye(3)[:2]])
    assert found == {"accuracy": 0.0, "precision": 0.0, "recall": 0.0}
