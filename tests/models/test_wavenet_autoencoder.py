"""NSynth's autoencoder: its size, its names, its loss, its recipe."""

import math

import numpy as np
import pytest
import torch

from kikibouba.config import find_preset, with_overrides
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import ClipBatch
from kikibouba.models.wavenet_autoencoder.config import ModelConfig
from kikibouba.models.wavenet_autoencoder.model import WaveNetAutoencoder

TINY = ModelConfig(
    latent=3,
    hop=16,
    encoder_channels=5,
    encoder_blocks=1,
    encoder_layers=3,
    residual=6,
    skip=4,
    blocks=2,
    layers=3,
)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_size_of_the_original():
    with torch.device("meta"):
        net = WaveNetAutoencoder(find_preset("nsynth").model)
    assert (count(net.encoder), count(net.decoder)) == (1_976_336, 59_827_712)
    assert net.decoder.receptive_field == 6141


def test_shapes_of_the_original():
    with torch.device("meta"):
        net = WaveNetAutoencoder(find_preset("h512_bo16").model)
        z = net.encode(torch.zeros(1, 6144, dtype=torch.long))
        assert z.shape == (1, 16, 12)
        assert net(torch.zeros(1, 6144, dtype=torch.long), z).shape == (1, 256, 6144)
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert shapes["decoder.layers.29.causal.weight"] == (1024, 512, 3)
    assert shapes["decoder.layers.0.condition.weight"] == (1024, 16, 1)
    assert shapes["decoder.skip_conv.weight"] == (256, 512, 1)
    assert shapes["encoder.dilated_convs.29.dilated_conv.weight"] == (128, 128, 3)
    assert shapes["encoder.conv_1x1.weight"] == (16, 128, 1)


def test_loss_is_the_mean_cross_entropy():
    torch.manual_seed(0)
    net = WaveNetAutoencoder(TINY)
    x = torch.randint(256, (2, 64))
    parts = net.loss(ClipBatch(x, x, torch.zeros(2, dtype=torch.long)), 0)
    logits = net(x, net.encode(x)).detach().double().numpy()
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    chosen = np.take_along_axis(log_p, x.numpy()[:, None], 1)
    assert parts["loss"].item() == pytest.approx(-chosen.mean(), rel=1e-5)
    assert parts["bits"].item() == pytest.approx(parts["loss"].item() / math.log(2), rel=1e-6)


def test_a_sample_depends_on_those_before_it_only():
    torch.manual_seed(0)
    net = WaveNetAutoencoder(TINY)
    x, z = torch.randint(256, (1, 64)), torch.randn(1, 3, 4)
    other = x.clone()
    other[:, 40:] = 0
    same, changed = net(x, z), net(other, z)
    assert torch.equal(same[:, :, :41], changed[:, :, :41])
    assert not torch.equal(same[:, :, 41], changed[:, :, 41])


def test_first_weights_are_the_originals():
    net = WaveNetAutoencoder(TINY)
    bound = math.sqrt(3 / (3 * 6))
    weight = net.decoder.layers[0].causal.weight
    assert 0.9 * bound < weight.abs().max() <= bound
    assert all((p == 0).all() for name, p in net.named_parameters() if name.endswith("bias"))


def test_learning_rates_of_the_original():
    (turn,) = WaveNetAutoencoder(TINY).turns()
    rates = [
        2e-4 * turn.share(step) for step in (0, 89_999, 90_000, 120_000, 150_000, 180_000, 210_000, 240_000)
    ]
    assert rates == pytest.approx([2e-4, 2e-4, 4e-4 / 3, 6e-5, 4e-5, 2e-5, 6e-6, 2e-6])


def test_a_clip_is_whole_frames():
    with pytest.raises(KikiboubaError, match="multiple of"):
        with_overrides(find_preset("nsynth"), {"representation.clip": "6000"})
    with pytest.raises(KikiboubaError, match="coding"):
        with_overrides(find_preset("nsynth"), {"representation.coding": "umtn"})
