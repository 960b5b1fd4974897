"""What only magenta.js has: bits said each by itself, and controls heard through an LSTM."""

import numpy as np
import pytest
import torch

from kikibouba.data.melody_outline import MelodyOutlineRepresentation
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch
from kikibouba.models.music_vae.config import ModelConfig
from kikibouba.models.music_vae.model import build

RHYTHM = MelodyOutlineRepresentation("rhythm", condition_on_key=True)
CONFIG = ModelConfig(
    z_size=4, enc_rnn_size=(6,), dec_rnn_size=(8,), decoder="bits", control_rnn_size=(5,), latent_init="clear"
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return build(CONFIG, RHYTHM)


def batch(keys: int = 12) -> Batch:
    rng = np.random.default_rng(0)
    rhythm = rng.integers(0, 2, (6, 32))
    key = np.repeat(rng.integers(0, keys, (6, 1)), 32, axis=1)
    return Batch(torch.from_numpy(np.stack([rhythm, key], -1)), torch.full((6,), 32))


def test_the_loss_is_the_cross_entropy_of_each_bit_and_goes_down(model):
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    losses = []
    for step in range(60):
        parts = model.loss(batch(), step, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        parts["loss"].backward()
        optimizer.step()
        losses.append(parts["r_loss"].item())
    assert abs(losses[0] - 32 * np.log(2)) < 2
    assert losses[-1] < 0.9 * losses[0]
    assert {"accuracy", "precision", "recall"} <= set(parts)
    assert all(p.grad is not None for p in model.parameters())


def test_bits_are_drawn_with_their_probability(model):
    z = torch.zeros(400, 4)
    said, _ = model.decode(z, 1.0, torch.Generator().manual_seed(1))
    logits, _ = model.teacher_forced(z, said.transpose(0, 1))
    expected = torch.sigmoid(logits[..., 0]).mean()
    assert abs(said[..., 0].float().mean() - expected) < 0.02
    greedy, _ = model.decode(z[:1], 0.0)
    assert torch.equal(greedy, model.decode(z[:1], 0.0)[0])


def test_the_decoder_hears_what_key_comes_later(model):
    """Through a bidirectional LSTM a change at the end reaches the first step."""
    z = torch.randn(1, 4, generator=torch.Generator().manual_seed(2))
    x = batch().x[:1].clone()
    before, _ = model.teacher_forced(z, x.transpose(0, 1))
    x[0, -1, 1] = (x[0, -1, 1] + 6) % 12
    after, _ = model.teacher_forced(z, x.transpose(0, 1))
    assert (before[0] != after[0]).all()


def test_only_a_flat_decoder_with_controls_can_listen():
    with pytest.raises(KikiboubaError, match="control_rnn_size"):
        build(CONFIG, MelodyOutlineRepresentation("rhythm"))
