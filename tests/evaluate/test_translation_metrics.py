"""Metrics of translators, on translators of which one knows what they do."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kikibouba.bridges.posteriors import Posteriors
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.translation import (
    cycle_consistency,
    distance_correlation,
    evaluate_translation,
    locality,
    realism,
)


class Fake(nn.Module):
    """A translator that is any function of z and the target's name."""

    def __init__(self, function) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.function = function
        self.config = type("Config", (), {"domains": ("a", "b"), "attributes": (("x", "y"),)})

    def translate(self, z: Tensor, source: str, target: str) -> Tensor:
        return self.function(z, target)


IDENTITY = Fake(lambda z, target: z)
NOISE = Fake(lambda z, target: torch.randn(z.shape, generator=torch.Generator().manual_seed(len(z))))


def cloud(name: str, seed: int, count: int = 400, dead: int = 3) -> Posteriors:
    """Five dimensions of N(0, 1) with little noise, then `dead` ones of noise alone."""
    rng = np.random.default_rng(seed)
    mu = np.concatenate([rng.standard_normal((count, 5)), np.zeros((count, dead))], axis=1).astype(np.float32)
    sigma = np.concatenate([np.full((count, 5), 0.1), np.ones((count, dead))], axis=1).astype(np.float32)
    return Posteriors(name, "toy", "", mu, sigma, {"x" if name == "a" else "y": mu[:, 0]})


A, B = cloud("a", 1), cloud("b", 2)


def test_cycle_is_one_for_the_identity_and_none_for_noise() -> None:
    assert cycle_consistency(IDENTITY, A, "b") == pytest.approx(1, abs=1e-5)
    assert abs(cycle_consistency(NOISE, A, "b")) < 0.1


def test_cycle_overlooks_dimensions_that_the_base_ignores() -> None:
    scrambled = Fake(lambda z, target: torch.cat([z[:, :5], torch.randn(len(z), 3) * 10], dim=1))
    assert cycle_consistency(scrambled, A, "b") == pytest.approx(1, abs=1e-3)


def test_realism_is_one_for_the_same_distribution_and_more_for_another() -> None:
    assert realism(IDENTITY, A, B) == pytest.approx(1, abs=0.5)
    assert realism(IDENTITY, A, B, means=True) == pytest.approx(1, abs=0.5)
    half = realism(Fake(lambda z, target: z / 2), A, B)
    assert half > 3
    assert realism(Fake(lambda z, target: z * 0), A, B) > half


def test_locality_is_one_for_a_rotation_and_chance_for_noise() -> None:
    assert locality(Fake(lambda z, target: torch.cat([z[:, :5].flip(1), z[:, 5:]], 1)), A, B) > 0.95
    assert locality(NOISE, A, B) == pytest.approx(10 / 399, abs=0.01)


def test_distances_correlate_fully_for_a_rotation_and_not_at_all_for_noise() -> None:
    turned = Fake(lambda z, target: torch.cat([3 * z[:, :5].flip(1), z[:, 5:]], 1))
    assert distance_correlation(turned, A, B) > 0.97
    assert abs(distance_correlation(NOISE, A, B)) < 0.05


class FirstColumn:
    """A base that decodes z to itself, and measures its first column."""

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))

        def decode(self, z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
            assert temperature == 0
            return z, torch.full((len(z),), z.shape[1])

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        return list(x)

    def attributes(self, arrays) -> dict[str, np.ndarray]:
        column = np.array([array[0] for array in arrays])
        return {"x": column, "y": column}


def test_all_figures_of_both_directions() -> None:
    opposite = Fake(lambda z, target: -z)
    bases = {name: Base(FirstColumn.Module(), FirstColumn()) for name in "ab"}
    figures = evaluate_translation(opposite, bases, {"a": A, "b": B})
    assert figures["a>b spearman x>y"] == pytest.approx(-1)
    assert figures["b>a spearman y>x"] == pytest.approx(-1)
    assert {name.split(maxsplit=1)[1] for name in figures if "spearman" not in name} == {
        "cycle",
        "realism",
        "realism of means",
        "locality",
        "distances",
    }
    blind = evaluate_translation(IDENTITY, {}, {"a": A, "b": B})
    assert not any("spearman" in name for name in blind)


def test_too_few_items_are_told() -> None:
    with pytest.raises(KikiboubaError, match="5 held-out examples of b are too few"):
        evaluate_translation(IDENTITY, {}, {"a": A, "b": cloud("b", 2, count=5)})


def test_the_floor_tells_how_far_held_out_files_lie_from_the_training_set() -> None:
    shifted = dataclasses.replace(B, mu=B.mu + 1)
    figures = evaluate_translation(IDENTITY, {}, {"a": A, "b": shifted}, training={"a": A, "b": B})
    assert figures["a>b realism"] > 3
    assert figures["a>b realism floor"] > 3
    assert figures["a>b realism in training"] == pytest.approx(1, abs=0.5)
    assert figures["b>a realism floor"] < 1.5
