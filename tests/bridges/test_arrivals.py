"""What translations decode to, and what critics learn from it, with a base whose decoder one knows."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from toy_domains import ATTRIBUTES, SHAPES, SOUNDS, ToyDomain

from kikibouba.bridges.arrivals import LATEST, Arrivals, Scale
from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.latent_translation.model import LatentTranslation
from kikibouba.bridges.posterior_batches import assemble


class Toy(nn.Module):
    """Decodes z [n, Z] to itself, one step long, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.asked = 0

    def decode(self, z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        assert temperature == 0
        assert not self.training
        self.asked += 1
        return z, torch.ones(len(z))


class Measured:
    """Reads a toy domain's attributes off what was decoded, `gain` times what they are."""

    def __init__(self, domain: ToyDomain, gain: float = 1.0) -> None:
        self.domain, self.gain = domain, gain

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        return list(x)

    def attributes(self, arrays) -> dict[str, np.ndarray]:
        found = self.domain.attributes(np.stack(arrays))
        return {name: self.gain * values for name, values in found.items()}


def scale(domain: ToyDomain, gain: float = 1.0, num_labels: int = 2) -> Scale:
    items = domain.posteriors(2000, seed=1)
    return Scale(Toy(), Measured(domain, gain), items, domain.names, 4, num_labels)


def test_latents_are_labelled_by_what_they_decode_to() -> None:
    z, labels = scale(SHAPES, num_labels=3).known(torch.tensor(SHAPES.posteriors(300, seed=2).mu), seed=0)
    assert z.shape == (300, 24)
    spiky = SHAPES.attributes(z.numpy())["spiky"]
    assert spiky[labels[:, 0] == 0].max() < spiky[labels[:, 0] == 1].min()
    assert (labels[:, 2] == -1).all()  # a category cannot be measured
    assert np.bincount(labels[:, 0]).min() > 40


def test_classes_are_those_of_a_base_that_exaggerates_nothing() -> None:
    """Halving what is decoded changes no class: the classes are quantiles of what is decoded."""
    z = torch.tensor(SHAPES.posteriors(200, seed=3).mu)
    assert torch.equal(*(scale(SHAPES, gain).known(z, seed=0).labels for gain in (1.0, 0.5)))


def test_natives_and_the_latest_translations_are_drawn_in_equal_parts() -> None:
    arrivals = Arrivals([scale(SHAPES)])
    natives = arrivals.draw(0, 50)
    assert natives.z.shape == (50, 24)
    for value in range(3):
        arrivals.add(0, torch.full((LATEST // 2, 24), float(value)), seed=value)
    z, labels = arrivals.draw(0, 400, torch.Generator().manual_seed(0))
    assert len(z) == len(labels) == 800
    assert set(z[400:].unique().tolist()) == {1.0, 2.0}  # the first half is forgotten
    assert len(z[:400].unique(dim=0)) > 300


def test_critics_learn_what_is_decoded_while_training_and_only_then() -> None:
    config = ModelConfig(attributes=ATTRIBUTES, num_bins=4, shared_size=8, width=16, layers=1, decode_every=4)
    train = [SHAPES.posteriors(500, seed=4), SOUNDS.posteriors(500, seed=5)]
    bridge, batches = assemble(config, train, train, batch_size=64)
    plain = loss(bridge, batches.batch(0), 0)
    bridge.arrivals = Arrivals([scale(SHAPES), scale(SOUNDS)])
    asked = [s.module.asked for s in bridge.arrivals.scales]
    judged = loss(bridge.eval(), batches.batch(0), 0)
    assert judged == plain | {"loss": judged["loss"]}
    assert judged["loss"] < plain["loss"]  # without what the critics have still to learn
    bridge.train()
    heard = [loss(bridge, batches.batch(step), step) for step in range(6)]
    assert [s.module.asked - n for s, n in zip(bridge.arrivals.scales, asked, strict=True)] == [2, 2]
    assert heard[0]["critic"] != plain["critic"]
    assert heard[0]["rec"] == plain["rec"]
    assert not any("arrivals" in name for name in bridge.state_dict())
    never, _ = assemble(replace(config, decode_every=0), train, train, batch_size=64)
    assert loss(never, batches.batch(0), 0)["rec"] == plain["rec"]


def loss(bridge: LatentTranslation, batch, step: int) -> dict[str, float]:
    found = bridge.loss(batch, step, torch.Generator().manual_seed(step))
    return {name: value.item() for name, value in found.items()}
