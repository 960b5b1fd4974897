"""Of several ways of translating, the one that carries the attributes best."""

import numpy as np
import pytest
import torch
from toy_domains import ATTRIBUTES, SHAPES, SOUNDS

from kikibouba.bridges.latent_translation.choosing import best_way, translate_ways
from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.latent_translation.domain import Domain
from kikibouba.bridges.posterior_batches import assemble
from kikibouba.evaluate.rank_correlation import spearman

TRAIN = [SHAPES.posteriors(800, seed=1), SOUNDS.posteriors(800, seed=2)]
SMALL = ModelConfig(attributes=ATTRIBUTES, shared_size=12, width=16, layers=1)


def ways_of(bridge, count: int, attributes: np.ndarray | None = None, seed: int = 0):
    items = SHAPES.posteriors(100, seed=3)
    values = np.stack([items.attributes[name] for name in SHAPES.names], axis=1)
    return values, translate_ways(
        bridge,
        items.mu,
        values if attributes is None else attributes,
        "shapes",
        "sounds",
        count,
        decode=list,
        measure=lambda arrays: SOUNDS.attributes(np.stack(arrays)),
        seed=seed,
    )


def test_more_ways_carry_more() -> None:
    bridge, _ = assemble(SMALL, TRAIN, TRAIN)
    reached = []
    for count in (1, 4, 32):
        values, ways = ways_of(bridge, count)
        z, examples = best_way(ways)
        assert z.shape == (100, 40)
        np.testing.assert_array_equal(z, np.stack(examples))
        assert (ways.distance.min(axis=0) == ways.distance[ways.distance.argmin(0), np.arange(100)]).all()
        reached.append(spearman(values[:, 0], SOUNDS.attributes(z)["jagged"]))
    assert reached[0] < reached[1] < reached[2]
    assert reached[2] > 0.3  # an untrained bridge has nothing but luck


def test_the_first_way_is_the_mean_and_the_seed_decides_on_the_others() -> None:
    bridge, _ = assemble(SMALL, TRAIN, TRAIN)
    _, one = ways_of(bridge, 3)
    _, same = ways_of(bridge, 3)
    _, other = ways_of(bridge, 3, seed=1)
    mean = bridge.translate(torch.tensor(SHAPES.posteriors(100, seed=3).mu), "shapes", "sounds")
    np.testing.assert_allclose(one.z[0], mean.detach(), atol=1e-5)
    np.testing.assert_array_equal(one.z, same.z)
    assert not np.array_equal(one.z[1], other.z[1])


def test_a_bridge_without_attributes_takes_the_mean() -> None:
    plain = ModelConfig(shared_size=4, width=16, layers=1)
    bridge, _ = assemble(plain, TRAIN, TRAIN)
    _, ways = ways_of(bridge, 3, np.zeros((100, 0)))
    assert not ways.distance.any()
    np.testing.assert_array_equal(best_way(ways)[0], ways.z[0])


def test_ranks_among_the_training_items() -> None:
    door = Domain(4, 4, adapt=False, num_attributes=2)
    values = np.random.default_rng(0).standard_normal(10_000)
    door.set_quantiles(0, values)
    door.set_quantiles(1, np.append(np.repeat([0.0, 1.0], 500), np.nan))
    found = door.rank(np.array([[0.0, 0.0], [1.6449, 1.0], [-9.0, 0.5], [9.0, 0.5]]))
    np.testing.assert_allclose(found[:, 0], [0.5, 0.95, 0, 1], atol=0.02)
    np.testing.assert_allclose(found[:, 1], [0.25, 0.75, 0.5, 0.5], atol=0.01)
    again = Domain(4, 4, adapt=False, num_attributes=2)
    again.load_state_dict(door.state_dict())
    assert again.rank(np.array([[1.6449, 0.0]]))[0, 0] == pytest.approx(found[1, 0])
