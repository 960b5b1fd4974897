"""The MidiMe network and how it learns, on made-up posteriors."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.distributions import Normal as TorchNormal
from torch.distributions import kl_divergence

from kikibouba.bridges.midime.config import PRESETS, ModelConfig
from kikibouba.bridges.midime.learning import LatentBatches, learn
from kikibouba.bridges.midime.model import build
from kikibouba.config import TrainConfig
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Normal
from kikibouba.train.checkpoint import build_module, load_checkpoint, save_checkpoint

TINY = ModelConfig(z_size=12, latent_size=3, encoder_layers=(32, 16), decoder_layers=(16, 32), max_beta=0.01)
FAST = TrainConfig(batch_size=1_000, num_steps=300, learning_rate=5e-3, decay_rate=1.0)


def posteriors(n=24, z_size=12, seed=0):
    """A curved sheet of two dimensions, of different extent, in z."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n, 2)) * [2.0, 0.5]
    directions = np.linalg.qr(rng.standard_normal((z_size, 3)))[0].T
    mu = np.column_stack([factors, 0.3 * factors[:, :1] ** 2]) @ directions
    return Normal(torch.tensor(mu, dtype=torch.float32), torch.full((n, z_size), 0.1))


def trained(config=TINY, seed=0, steps=300):
    torch.manual_seed(0)
    bridge = build(config)
    data = LatentBatches(posteriors(), None, FAST.batch_size)
    bridge.set_units(data.train.mu)
    log = learn(bridge, data, dataclasses.replace(FAST, num_steps=steps), seed)
    return bridge, log


@pytest.mark.parametrize(("name", "count"), [("midime", 1_085_064), ("ae-cat-mel_2bar_big", 1_609_608)])
def test_the_originals_sizes(name, count):
    """Counted by hand from the layers 1024-256-64, 4 latents and their mirror, for z of 256 and 512."""
    assert sum(p.numel() for p in build(PRESETS[name].model).parameters()) == count


def test_heads_start_near_zero_in_the_python_form():
    heads = build(PRESETS["ae-cat-mel_2bar_big"].model)
    assert heads.mu.weight.std().item() == pytest.approx(0.001, rel=0.2)
    assert build(PRESETS["midime"].model).mu.weight.std().item() > 0.1


def test_loss_is_half_the_squared_error_and_beta_times_kl():
    torch.manual_seed(0)
    bridge, q = build(dataclasses.replace(TINY, max_beta=0.3)), posteriors()
    parts = bridge.loss(q, 0, torch.Generator().manual_seed(1))
    own = bridge.encode(q)
    z = own.sample(torch.Generator().manual_seed(1))
    error = 0.5 * (q.mu - bridge.decode(z)) ** 2
    kl = kl_divergence(TorchNormal(own.mu, own.sigma), TorchNormal(0.0, 1.0))
    torch.testing.assert_close(parts["r_loss"], error.sum(-1).mean().detach())
    torch.testing.assert_close(parts["kl_loss"], kl.sum(-1).mean().detach())
    torch.testing.assert_close(parts["loss"].detach(), parts["r_loss"] + 0.3 * parts["kl_loss"])


def test_beta_of_the_python_form_rises_from_zero():
    config = dataclasses.replace(TINY, max_beta=0.5, beta_rate=0.99999)
    torch.manual_seed(0)
    bridge, q = build(config), posteriors()
    for step, beta in ((0, 0.0), (100, 5e-4), (1_000, 5e-3)):
        p = bridge.loss(q, step, torch.Generator().manual_seed(1))
        assert (p["loss"] - p["r_loss"]).item() == pytest.approx(
            beta * p["kl_loss"].item(), rel=0.01, abs=1e-6
        )


def test_learning_from_samples_sees_the_spread():
    """Samples differ from draw to draw where means do not."""
    torch.manual_seed(0)
    q = Normal(posteriors().mu, torch.full((24, 12), 3.0))
    for learn_from, same in (("means", True), ("samples", False)):
        bridge = build(dataclasses.replace(TINY, learn_from=learn_from))
        with torch.no_grad():
            bridge.sigma.bias.fill_(-40.0)  # no noise of its own
            losses = [bridge.loss(q, 0, torch.Generator().manual_seed(i))["r_loss"].item() for i in (1, 2)]
        assert (losses[0] == pytest.approx(losses[1], rel=1e-6)) is same


def test_it_learns_a_song_by_heart():
    bridge, log = trained()
    q = posteriors()
    rebuilt = bridge.decode(bridge.encode(q).mu)
    assert (rebuilt - q.mu).square().mean() < 0.02 * q.mu.var()
    assert log[-1].values["loss"] < 0.2 * log[0].values["loss"]
    assert log[-1].step == 300


@pytest.mark.parametrize("standardise", [False, True])
def test_equal_seeds_equal_bridges(standardise):
    config = dataclasses.replace(TINY, standardise=standardise)
    (a, _), (b, _), (c, _) = (trained(config, seed, steps=20) for seed in (0, 0, 1))
    z = torch.ones(1, 3)
    assert torch.equal(a.decode(z), b.decode(z))
    assert not torch.equal(a.decode(z), c.decode(z))


def test_standardising_is_undone():
    """Where z is scaled and moved, what is learnt and decoded is scaled and moved."""
    config = dataclasses.replace(TINY, standardise=True)
    near, far = posteriors(), Normal(posteriors().mu * 50 + 7, posteriors().sigma * 50)
    decoded = []
    for q in (near, far):
        torch.manual_seed(0)
        bridge = build(config)
        bridge.set_units(q.mu)
        learn(bridge, LatentBatches(q, None, 1_000), dataclasses.replace(FAST, num_steps=10))
        decoded.append(bridge.decode(torch.ones(1, 3)).detach())
    torch.testing.assert_close(decoded[0] * 50 + 7, decoded[1], rtol=1e-3, atol=1e-2)


def test_rearranging_changes_names_only():
    bridge, _ = trained(steps=20)
    q, z = posteriors(), torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    before, decoded = bridge.encode(q), bridge.decode(z)
    order, signs = torch.tensor([2, 0, 1]), torch.tensor([1.0, -1.0, -1.0])
    bridge.rearrange(order, signs)
    after = bridge.encode(q)
    torch.testing.assert_close(after.mu, before.mu[:, order] * signs)
    torch.testing.assert_close(after.sigma, before.sigma[:, order])
    torch.testing.assert_close(bridge.decode(z[:, order] * signs), decoded)


def test_effects_tell_the_latents_apart():
    """Of a decoder that makes most of its second latent, and nothing of its third."""
    bridge = build(dataclasses.replace(TINY, encoder_layers=(), decoder_layers=()))
    with torch.no_grad():
        bridge.mu.weight.copy_(torch.eye(3, 12))
        bridge.out.weight.zero_()
        bridge.out.weight[0, 0], bridge.out.weight[1, 1] = 1.0, 2.0
    mu = torch.randn(5_000, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(bridge.effects(mu), torch.tensor([0.2, 0.8, 0.0]), atol=0.02, rtol=0)
    bridge.rearrange(torch.tensor([1, 0, 2]), torch.ones(3))
    assert bridge.effects(mu).argmax() == 0


def test_truncation_puts_the_large_first():
    """Of two dimensions, one four times as wide, the first latent gets the wide one."""
    config = dataclasses.replace(TINY, latent_size=2, truncated=1.0)
    bridge, _ = trained(config)
    assert bridge.effects(posteriors().mu)[0] > 0.6


def test_saved_and_loaded_it_is_the_same_to_the_bit(tmp_path):
    preset = dataclasses.replace(PRESETS["personal"], model=dataclasses.replace(TINY, standardise=True))
    bridge = build_module(preset)
    bridge.set_units(posteriors().mu)
    save_checkpoint(tmp_path / "mine", bridge, preset, {}, "# mine\n")
    again, loaded = load_checkpoint(tmp_path / "mine")
    assert again == preset
    for name, value in bridge.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])


def test_batches_are_functions_of_the_step():
    q = posteriors(n=10)
    data = LatentBatches(q, q, batch_size=4, seed=3)
    for step in (0, 7):
        torch.testing.assert_close(data.batch(step), data.batch(step))
    assert not torch.equal(data.batch(0).mu, data.batch(1).mu)
    assert len({tuple(row) for row in data.batch(5).mu.tolist()}) == 4  # without replacement
    halves = [data.batch(2, rank, 2).mu for rank in (0, 1)]
    assert sorted(torch.cat(halves).tolist()) == sorted(data.batch(2).mu.tolist())
    assert len(LatentBatches(q, None, batch_size=100).batch(0).mu) == 10
    with pytest.raises(KikiboubaError, match="shared by 5"):
        data.batch(0, 0, 5)


def test_what_cannot_be_is_refused():
    with pytest.raises(KikiboubaError, match="1 or more"):
        build(dataclasses.replace(TINY, latent_size=0))
    bridge = build(TINY)
    broken = Normal(torch.full((4, 12), 1e30), torch.ones(4, 12))
    with pytest.raises(KikiboubaError, match="loss became"):
        learn(bridge, LatentBatches(broken), FAST)
