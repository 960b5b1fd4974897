"""The network for dynamics: it looks at no velocities, not beyond an example's end, and learns an accent."""

import numpy as np
import pytest
import torch

from kikibouba.data.dynamics_roll import COLUMNS, KEYS, ROLL, DynamicsRepresentation, roll
from kikibouba.data.event_tokens import Steps
from kikibouba.models.base import Batch
from kikibouba.models.seq2seq.config import ModelConfig
from kikibouba.models.seq2seq.dynamics import DynamicsModel
from kikibouba.models.seq2seq.model import build

SMALL = {"embedding_size": 4, "units": 12, "dropout": 0.0}


def example(rng, steps=32, style=0):
    """Single notes at random steps, loud on every half bar, soft elsewhere."""
    start = np.flatnonzero(rng.random(steps) < 0.4)
    loudness = np.where(start % 8 == 0, 120, 40)
    notes = Steps(start, rng.integers(60, 63, len(start)), np.ones_like(start), loudness)
    known, velocity = roll(notes, steps)
    return np.concatenate([known, velocity, np.full((steps, 1), style, np.uint8)], axis=1)


def batch_of(arrays):
    x, lengths = DynamicsRepresentation().collate(arrays)
    return Batch(torch.from_numpy(x.astype(np.int64)), torch.from_numpy(lengths))


@pytest.mark.parametrize("attention", ["general", "none"])
def test_only_the_roll_within_its_length_is_looked_at(attention):
    torch.manual_seed(0)
    model = DynamicsModel(
        ModelConfig(**SMALL, attention=attention, encoder_layers=2, decoder_layers=2), 16, 2
    ).eval()
    rng = np.random.default_rng(0)
    arrays = [example(rng, 32), example(rng, 16, style=1)]
    batch = batch_of(arrays)
    heard = model(batch.x, batch.lengths)
    assert heard.velocity.shape == (2, 32, KEYS)
    assert heard.looks.shape == (2, 32, 32 if attention == "general" else 0)
    louder = batch.x.clone()
    louder[:, :, ROLL : ROLL + KEYS] = 99
    torch.testing.assert_close(model(louder, batch.lengths).velocity, heard.velocity)
    alone = batch_of(arrays[1:])
    torch.testing.assert_close(
        model(alone.x, alone.lengths).velocity[0], heard.velocity[1, :16], atol=1e-4, rtol=1e-4
    )
    other = alone.x.clone()
    other[:, :, -1] = 0
    assert not torch.allclose(model(other, alone.lengths).velocity[0], heard.velocity[1, :16])


def test_the_loss_counts_onsets_only():
    torch.manual_seed(0)
    model = DynamicsModel(ModelConfig(**SMALL), 16, 1).eval()
    array = np.zeros((16, COLUMNS), np.uint8)
    array[3, 2 * 40], array[3, 2 * 40 + 1], array[3, ROLL + 40] = 1, 1, 100
    array[4, 2 * 40 + 1], array[4, ROLL + 40] = 1, 100  # it sounds on
    batch = batch_of([array])
    parts = model.loss(batch, 0)
    said = model(batch.x, batch.lengths).velocity[0, 3, 40]
    torch.testing.assert_close(parts["loss"], (said - 100).abs())
    torch.testing.assert_close(parts["rmse"], (said - 100).abs())


def test_it_learns_an_accent():
    torch.manual_seed(0)
    model = build(ModelConfig(**SMALL), DynamicsRepresentation())
    assert isinstance(model, DynamicsModel)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    rng = np.random.default_rng(0)
    for step in range(70):
        optimizer.zero_grad()
        model.loss(batch_of([example(rng) for _ in range(8)]), step)["loss"].backward()
        optimizer.step()
    held_out = batch_of([example(rng) for _ in range(20)])
    assert model.eval().loss(held_out, 0)["loss"] < 4  # the median, 40, is wrong by 10 on average
