"""The bridge, on made-up latent spaces where the right answer is known."""

import pytest
import torch
from toy_domains import ATTRIBUTES, SHAPES, SOUNDS

from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.latent_translation.model import LatentTranslation
from kikibouba.bridges.posterior_batches import assemble
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.evaluate.translation import cycle_consistency, locality, realism, translated

SMALL = ModelConfig(
    attributes=ATTRIBUTES,
    shared_size=32,
    width=96,
    layers=2,
    adaptor_size=40,
    kl_weight=0.005,
    num_projections=96,
)
TRAIN = [SHAPES.posteriors(4000, seed=3), SOUNDS.posteriors(4000, seed=4)]
HELD_OUT = [SHAPES.posteriors(2000, seed=5), SOUNDS.posteriors(2000, seed=6)]


def trained(config: ModelConfig, steps: int) -> LatentTranslation:
    bridge, batches = assemble(config, TRAIN, HELD_OUT, batch_size=256)
    optimizer = torch.optim.Adam(bridge.parameters(), lr=1e-3)
    for step in range(steps):
        loss = bridge.loss(batches.batch(step), step, torch.Generator().manual_seed(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return bridge.eval()


@pytest.fixture(scope="module")
def bridge() -> LatentTranslation:
    return trained(SMALL, steps=300)


def transfer(bridge: LatentTranslation, source, domain) -> list[float]:
    """Rank correlations of the attributes of source items and of their translations."""
    found = domain.attributes(translated(bridge, source.mu, source.domain, domain.name))
    return [
        spearman(source.attributes[a], found[b]) for a, b in zip(source.attributes, domain.names, strict=True)
    ]


@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0)])
def test_reaches_the_targets_on_held_out_items(bridge: LatentTranslation, source: int, target: int) -> None:
    domains = [SHAPES, SOUNDS]
    assert cycle_consistency(bridge, HELD_OUT[source], domains[target].name) >= 0.85
    assert realism(bridge, HELD_OUT[source], HELD_OUT[target]) <= 2.0
    assert min(transfer(bridge, HELD_OUT[source], domains[target])) >= 0.5
    assert locality(bridge, HELD_OUT[source], HELD_OUT[target]) >= 0.1  # chance: 0.01
