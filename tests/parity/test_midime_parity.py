"""MidiMe against magenta.js: a network with its weights gives its numbers."""

import numpy as np
import pytest
import torch

from kikibouba.bridges.midime.config import ModelConfig
from kikibouba.bridges.midime.model import MidiMe
from kikibouba.models.base import Normal

TOLERANCE = 1e-5

LAYERS = {
    "encoder.0": "enc_dense0",
    "encoder.2": "enc_dense1",
    "mu": "mu_dense",
    "sigma": "sigma_dense",
    "decoder.0": "dec_dense0",
    "decoder.2": "dec_dense1",
    "out": "dec_out",
}
"""Our layer → the original's."""


@pytest.fixture(scope="module")
def golden(shared):
    return dict(np.load(shared / "golden/musicvae_js/midime/midime_synthetic.npz"))


@pytest.fixture(scope="module")
def bridge(golden):
    config = ModelConfig(
        z_size=32, latent_size=4, encoder_layers=(24, 16), decoder_layers=(16, 24), max_beta=0.7
    )
    bridge = MidiMe(config)
    state = {"mean": torch.zeros(32), "std": torch.ones(())}
    for ours, theirs in LAYERS.items():
        state[f"{ours}.weight"] = torch.from_numpy(golden[f"{theirs}/kernel"].T)
        state[f"{ours}.bias"] = torch.from_numpy(golden[f"{theirs}/bias"])
    bridge.load_state_dict(state)
    return bridge.eval()


def test_posterior_and_decoder(golden, bridge):
    x = torch.from_numpy(golden["x"])
    q = bridge.encode(Normal(x, torch.ones_like(x)))
    np.testing.assert_allclose(q.mu.detach(), golden["mu"], atol=TOLERANCE)
    np.testing.assert_allclose(q.sigma.detach(), golden["sigma"], atol=TOLERANCE)
    decoded = bridge.decode(torch.from_numpy(golden["z_sampled"])).detach()
    np.testing.assert_allclose(decoded, golden["decoded_from_z_sampled"], atol=TOLERANCE)


def test_losses(golden, bridge, monkeypatch):
    """With the original's draw of z', the loss and both of its terms."""
    monkeypatch.setattr(Normal, "sample", lambda self, generator=None: torch.from_numpy(golden["z_sampled"]))
    x = torch.from_numpy(golden["x"])
    parts = bridge.loss(Normal(x, torch.ones_like(x)), step=0)
    names = {"r_loss": "reconLoss", "kl_loss": "latentLoss", "loss": "totalLoss"}
    for ours, theirs in names.items():
        assert parts[ours].item() == pytest.approx(golden[f"loss/{theirs}"].item(), rel=TOLERANCE)
