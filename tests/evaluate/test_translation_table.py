"""Translators beside baselines: what each does on latent spaces one knows, and what the judges say."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.posteriors import Posteriors
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.evaluate.classifiers import accuracy, frechet_distance, train_classifier
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.evaluate.translation import cycle_consistency, distance_correlation, translated
from kikibouba.evaluate.translation_baselines import Baseline, fit_baselines
from kikibouba.evaluate.translation_table import (
    best_or_tied,
    figures_of,
    figures_of_reality,
    prepare_domain,
)


def cloud(name: str, seed: int, count: int = 600) -> Posteriors:
    """Six dimensions of falling spread, the first of them the attribute; two more hold noise alone."""
    rng = np.random.default_rng(seed)
    spread = np.array([3.0, 2.5, 2.0, 1.5, 1.0, 0.5, 0.0, 0.0])
    mu = (rng.standard_normal((count, 8)) * spread).astype(np.float32)
    sigma = np.tile(np.array([0.3] * 6 + [1.0] * 2, np.float32), (count, 1))
    return Posteriors(name, "toy", "", mu, sigma, {f"{name}0": mu[:, 0].astype(float)})


A, B = cloud("a", 1), cloud("b", 2)
HELD_OUT = {"a": cloud("a", 3, 300), "b": cloud("b", 4, 300)}
BASELINES = fit_baselines([A, B], [("a0", "b0")])


def test_random_pairing_keeps_nothing_and_invents_nothing() -> None:
    found = translated(BASELINES["random"], HELD_OUT["a"].mu, "a", "b")
    assert all((B.mu == row).all(axis=1).any() for row in found)
    assert abs(spearman(HELD_OUT["a"].attributes["a0"], found[:, 0])) < 0.2
    assert abs(cycle_consistency(BASELINES["random"], HELD_OUT["a"], "b")) < 0.2


def test_nearest_keeps_the_neighbourhood() -> None:
    found = translated(BASELINES["nearest"], HELD_OUT["a"].mu, "a", "b")
    assert all((B.mu == row).all(axis=1).any() for row in found)
    assert cycle_consistency(BASELINES["nearest"], HELD_OUT["a"], "b") > 0.5


@pytest.mark.parametrize("name", ["attributes", "procrustes", "cca"])
def test_methods_that_know_attributes_keep_them(name: str) -> None:
    found = translated(BASELINES[name], HELD_OUT["a"].mu, "a", "b")
    assert found.shape == (300, 8)
    assert spearman(HELD_OUT["a"].attributes["a0"], found[:, 0]) > 0.9


def test_procrustes_is_a_rotation_that_can_be_undone_and_cca_leaves_all_but_the_attributes_out() -> None:
    assert cycle_consistency(BASELINES["procrustes"], HELD_OUT["a"], "b") > 0.5
    assert distance_correlation(BASELINES["procrustes"], HELD_OUT["a"], HELD_OUT["b"]) > 0.7
    along = translated(BASELINES["cca"], HELD_OUT["a"].mu, "a", "b")
    assert np.linalg.matrix_rank(along - along.mean(axis=0), tol=1e-2) == 1


def test_cyclegan_comes_home_and_looks_native() -> None:
    found = translated(BASELINES["cyclegan"], HELD_OUT["a"].mu, "a", "b")
    assert cycle_consistency(BASELINES["cyclegan"], HELD_OUT["a"], "b") > 0.9
    np.testing.assert_allclose(found.std(axis=0)[:4], B.mu.std(axis=0)[:4], rtol=0.4)
    assert BASELINES["cyclegan"].seconds > BASELINES["random"].seconds == 0


def test_frechet_distance_of_normal_clouds() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4000, 3))
    assert frechet_distance(a, rng.standard_normal((4000, 3))) < 0.02
    shifted = rng.standard_normal((4000, 3)) * [1, 1, 3] + [2, 0, 0]
    assert frechet_distance(a, shifted) == pytest.approx(2**2 + (3 - 1) ** 2, rel=0.1)


def melodies(count: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Two-bar melodies of few or of many notes, and which of the two."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    arrays = [(rng.random(32) < (0.6 if many else 0.2)) * rng.integers(30, 60, size=32) for many in labels]
    return [array.astype(np.uint8) for array in arrays], labels[:, None]


def test_a_classifier_learns_from_examples_and_is_cached(tmp_path) -> None:
    arrays, labels = melodies(400, seed=0)
    file = tmp_path / "judge.safetensors"
    judge = train_classifier(MelodyRepresentation(), arrays, labels, [2], file, steps=60)
    others, truth = melodies(200, seed=1)
    assert accuracy(judge.classify(others), truth) > 0.9
    again = train_classifier(MelodyRepresentation(), arrays[:1], labels[:1], [2], file)
    np.testing.assert_array_equal(again.features(others), judge.features(others))
    assert accuracy(np.array([[0, 1], [1, 1]]), np.array([[0, -1], [0, 1]])) == pytest.approx(2 / 3)
    assert np.isnan(accuracy(np.zeros((2, 1), int), np.full((2, 1), -1)))


class Spelled(nn.Module):
    """A base that decodes a vector to rows of it."""

    def decode(self, z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        return z[:, None, :].repeat(1, 3, 1), torch.full((len(z),), 3)

    def parameters(self, recurse: bool = True):
        return iter([torch.zeros(1)])


@dataclasses.dataclass(frozen=True)
class Rows:
    """Examples [3, 8] whose first column is the attribute."""

    name: str

    @property
    def layout(self):
        from kikibouba.data.layout import Layout, Part

        return Layout((Part(0, 8),), (Part(0, 8),))

    def collate(self, arrays) -> tuple[np.ndarray, np.ndarray]:
        return np.stack(arrays).astype(np.float32), np.full(len(arrays), 3)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        return list(x)

    def attributes(self, arrays) -> dict[str, np.ndarray]:
        return {f"{self.name}0": np.array([array[0, 0] for array in arrays], float)}


def test_the_table_tells_a_good_translation_from_a_bad_one() -> None:
    config = ModelConfig(domains=("a", "b"), z_sizes=(8, 8), attributes=(("a0", "b0"),))
    domains = []
    for k, training in enumerate((A, B)):
        held_out = HELD_OUT[training.domain]
        examples = [[np.tile(row, (3, 1)) for row in p.mu] for p in (training, held_out)]
        base = Base(Spelled(), Rows(training.domain))
        domains.append(prepare_domain(k, config, base, training, held_out, tuple(examples)))
    good = figures_of(Baseline(lambda z, s, t: z), *domains, [("a0", "b0")], 200)
    bad = figures_of(Baseline(lambda z, s, t: np.zeros_like(z)), *domains, [("a0", "b0")], 200)
    assert good["attributes"] == pytest.approx(1)
    assert good["transfer"] > 0.85 > 0.5 > bad["transfer"]
    assert good["frechet"] < bad["frechet"]
    assert good["diversity"] == pytest.approx(1, abs=0.1)
    assert bad["diversity"] == 0
    assert good["distinct"] == 1
    assert bad["distinct"] == pytest.approx(1 / 200)
    assert good["distances"] > 0.98
    assert good["neighbours"] > 0.9
    reality = figures_of_reality(domains[1], 200)
    assert reality["frechet"] < good["frechet"] < bad["frechet"] / 100
    shares = best_or_tied({"good": good | {"seconds": 9.0}, "bad": bad | {"seconds": 1.0}})
    assert shares["good"] == pytest.approx(13 / 14)
    assert shares["bad"] == pytest.approx(1 / 14)
