"""Figures of an Embedding RNN: errors that can be worked out by hand, and baselines."""

import numpy as np
import pytest
import torch

from kikibouba.data.embedding import EmbeddingRepresentation
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.embedding import baselines, evaluate_embedding, rebuild, squared_errors
from kikibouba.models.embedding_rnn.config import ModelConfig
from kikibouba.models.embedding_rnn.model import build

REPRESENTATION = EmbeddingRepresentation(source="arrays", width=2, frames=3)


def base(**changes) -> Base:
    sizes = {"rnn_size": 6, "enc_rnn_size": 4, "z_size": 2, "num_mixture": 2, "n_pca_components": 1}
    torch.manual_seed(0)
    return Base(build(ModelConfig(**(sizes | changes)), REPRESENTATION).eval(), REPRESENTATION)


def note(values: list, pitch: float) -> np.ndarray:
    frames = np.array(values, np.float32)
    return np.concatenate([frames, np.tile([pitch, 100, -1], (3, 1)).astype(np.float32)], 1)


RISING = note([[0, 0], [1, 1], [2, 2]], 60)
FLAT = note([[3, 3], [3, 3], [3, 3]], 60)
LOW = note([[0, 0], [0, 0], [0, 0]], 40)


class Dataset:
    def __init__(self, **splits) -> None:
        self.splits = splits

    def split(self, name: str) -> list[np.ndarray]:
        return self.splits[name]


def test_baselines_are_what_they_say() -> None:
    found = baselines(base(), [RISING], [FLAT, LOW])
    assert found["mean frame"] == [pytest.approx(np.mean([1.5**2, 0.5**2, 0.5**2]))]
    assert found["mean note"] == found["mean frame"]  # both training notes are constant
    assert found["first frame"] == [pytest.approx(np.mean([0, 1, 4]))]
    assert found["pitch"] == [pytest.approx(np.mean([9, 4, 1]))]  # FLAT alone has its pitch
    assert "components only" not in found


def test_a_note_of_a_pitch_nobody_knows_has_no_mean_of_its_pitch() -> None:
    assert "pitch" not in baselines(base(), [note([[0, 0]] * 3, 99)], [FLAT, LOW])


def test_what_components_leave_out_is_told() -> None:
    wide = note([[0, 5], [1, -5], [2, 5]], 60)
    model = base(pca_dim_reduce=True, difference_input=False)
    model.module.fit_to([RISING, FLAT])  # only along (1, 1)
    found = baselines(model, [wide], [RISING, FLAT])
    along = wide[:, :2].mean(1, keepdims=True)
    assert found["components only"] == [pytest.approx(np.mean((wide[:, :2] - along) ** 2), rel=1e-4)]


def test_errors_are_those_of_the_reconstructions() -> None:
    model = base()
    (again,) = rebuild(model, [RISING])
    assert again.shape == (3, 2)
    assert squared_errors(model, [RISING, FLAT])[0] == pytest.approx(np.mean((again - RISING[:, :2]) ** 2))


def test_every_figure_is_there() -> None:
    model = base()
    figures = evaluate_embedding(model, Dataset(train=[FLAT, LOW], test=[RISING, FLAT, LOW]))
    assert figures["examples"] == 3
    for name in (
        "mse",
        "mse median",
        "mse, mean frame",
        "mse, first frame",
        "mse, pitch",
        "r_loss",
        "kl_raw",
    ):
        assert np.isfinite(figures[name])
    own = squared_errors(model, [RISING, FLAT, LOW])
    assert figures["mse"] == pytest.approx(own.mean())
    assert evaluate_embedding(model, Dataset(train=[FLAT], test=[RISING] * 5), limit=2)["examples"] == 2


def test_an_unconditional_model_rebuilds_nothing() -> None:
    figures = evaluate_embedding(base(unconditional=True), Dataset(train=[FLAT], test=[RISING]))
    assert "mse" not in figures
    assert "mse, mean frame" in figures
    assert figures["loss"] == figures["r_loss"]
