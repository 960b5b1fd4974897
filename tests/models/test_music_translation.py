"""UMTN: its size, its names, its losses, and one step of training against a plain recomputation."""

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kikibouba.config import TrainConfig, find_preset, with_overrides
from kikibouba.data import mu_law
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import ClipBatch
from kikibouba.models.music_translation.config import ModelConfig
from kikibouba.models.music_translation.model import MusicTranslation
from kikibouba.nn.pitch_salience import PitchSalience
from kikibouba.train.parallel import Processes
from kikibouba.train.turns import RunInTurns

SIX = tuple("abcdef")
TINY = ModelConfig(
    domains=("piano", "strings"), latent=3, hop=16, encoder_channels=5, encoder_blocks=1, encoder_layers=3,
    channels=6, blocks=2, layers=3, classifier_channels=4, confusion=0.5, epoch_steps=2,
)  # fmt: skip


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("name", "decoder"), [("umtn", 6_540_288), ("umtn_4x10", 4_692_992)])
def test_size_of_the_original(name, decoder):
    with torch.device("meta"):
        config = with_overrides(find_preset(name), {"model.domains": '["a","b","c","d","e","f"]'}).model
        net = MusicTranslation(config)
    assert (count(net.encoder), count(net.classifier)) == (1_982_528, 27_306)
    assert [count(one) for one in net.decoders] == [decoder] * 6


def test_names_and_shapes_of_the_original():
    """So that published weights fit as they are."""
    with torch.device("meta"):
        net = MusicTranslation(ModelConfig(domains=SIX))
    conv = {"weight": 0, "bias": 0}
    encoder = {
        f"dilated_convs.{i}.{part}.{w}"
        for i in range(30)
        for part in ("dilated_conv", "conv_1x1")
        for w in conv
    }
    encoder |= {f"{name}.{w}" for name in ("start", "conv_1x1") for w in conv}
    parts = ("causal", "condition", "residual", "skip")
    decoder = {f"layers.{i}.{part}.{w}" for i in range(56) for part in parts for w in conv}
    decoder |= {
        f"{name}.{w}" for name in ("first_conv", "skip_conv", "condition", "fc", "logits") for w in conv
    }
    assert set(net.encoder.state_dict()) == encoder
    assert set(net.decoders[0].state_dict()) == decoder
    assert set(net.classifier.state_dict()) == {f"convs.{i}.{w}" for i in (0, 2, 4, 6) for w in conv}
    shapes = {name: list(value.shape) for name, value in net.state_dict().items()}
    assert shapes["encoder.start.weight"] == [128, 1, 3]
    assert shapes["encoder.dilated_convs.0.dilated_conv.weight"] == [128, 128, 3]
    assert shapes["encoder.conv_1x1.weight"] == [64, 128, 1]
    layer = [shapes[f"decoders.5.layers.55.{part}.weight"] for part in parts]
    assert layer == [[256, 128, 2], [256, 64, 1], [128, 128, 1], [128, 128, 1]]
    tail = [shapes[f"decoders.0.{name}.weight"] for name in ("first_conv", "condition", "fc", "logits")]
    assert tail == [[128, 1, 2], [128, 64, 1], [128, 128, 1], [256, 128, 1]]
    assert [shapes[f"classifier.convs.{i}.weight"] for i in (0, 6)] == [[100, 64, 1], [6, 100, 1]]


def test_classifier_follows_its_formulas():
    torch.manual_seed(0)
    net = MusicTranslation(TINY).classifier
    z = torch.randn(1, 3, 5)
    h = z[0].double().numpy()
    weights = {name: value.double().numpy() for name, value in net.state_dict().items()}
    for i in (0, 2, 4, 6):
        h = weights[f"convs.{i}.weight"][:, :, 0] @ h + weights[f"convs.{i}.bias"][:, None]
        h = h if i == 6 else np.where(h > 0, h, np.expm1(np.minimum(h, 0)))
    np.testing.assert_allclose(net(z)[0].detach().numpy(), h.mean(1), atol=1e-6)


def test_inputs_and_frames():
    net = MusicTranslation(TINY)
    codes = torch.tensor([[0, 127, 255] * 16])
    assert net.inputs(codes)[0, :3].tolist() == pytest.approx([-0.5, 127 / 255 - 0.5, 0.5])
    assert net.encode(codes).shape == (1, 3, 3)
    assert net.wavenet(1) is net.decoders[1]


def clips(seed=0, domains=(0, 1, 1, 0)):
    generator = torch.Generator().manual_seed(seed)
    x, heard = torch.randint(256, (2, len(domains), 48), generator=generator)
    return ClipBatch(x, heard, torch.tensor(domains))


def test_loss_judges_each_clip_by_its_own_decoder():
    torch.manual_seed(0)
    net = MusicTranslation(TINY)
    batch = clips()
    nats = net.reconstruction(batch, net.encode(batch.heard))
    for row, domain in enumerate(batch.domain.tolist()):
        x, z = batch.x[row : row + 1], net.encode(batch.heard[row : row + 1])
        assert nats[row].item() == pytest.approx(F.cross_entropy(net(x, z, domain), x).item(), rel=1e-5)
    parts = net.loss(batch, 0)
    confusion = F.cross_entropy(net.classifier(net.encode(batch.heard)), batch.domain)
    assert parts["loss"].item() == pytest.approx((nats.mean() + 0.5 * confusion).item(), rel=1e-5)
    assert parts["bits"].item() == pytest.approx(nats.mean().item() / math.log(2), rel=1e-5)


def run(net, tmp_path, **recipe):
    recipe = {"learning_rate": 1e-2, "decay_rate": 1.0, "min_learning_rate": 0.0} | recipe
    preset = find_preset("umtn_small")
    preset = type(preset)("tiny", "music_translation", preset.representation, TINY, TrainConfig(**recipe))
    return RunInTurns(net, None, preset, tmp_path, 0, torch.device("cpu"), Processes(0, 1, 0))


def reference_step(net, optimizers, batch, scale):
    """The original's step: two optimisers, no cutting of gradients, everything zeroed before each use."""
    classifier, others = optimizers
    learn_rate = scale
    confusion = net.config.confusion
    loss = confusion * F.cross_entropy(net.classifier(net.encode(batch.x)), batch.domain)
    classifier.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_(net.classifier.parameters(), 1.0)
    classifier.step()
    z = net.encode(batch.heard)
    nats = [
        F.cross_entropy(net(batch.x[i : i + 1], z[i : i + 1], k), batch.x[i : i + 1])
        for i, k in enumerate(batch.domain.tolist())
    ]
    loss = torch.stack(nats).mean() - confusion * F.cross_entropy(net.classifier(z), batch.domain)
    others.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_([*net.encoder.parameters(), *net.decoders.parameters()], 1.0)
    others.param_groups[0]["lr"] = learn_rate
    others.step()


def test_steps_are_those_of_two_optimizers(tmp_path):
    torch.manual_seed(0)
    net = MusicTranslation(TINY).double()
    reference = copy.deepcopy(net)
    others = [*reference.encoder.parameters(), *reference.decoders.parameters()]
    optimizers = (
        torch.optim.Adam(reference.classifier.parameters(), lr=1e-2),
        torch.optim.Adam(others, lr=1e-2),
    )
    training = run(net, tmp_path, clip_mode="value")
    net.inputs = reference.inputs = lambda codes: codes.double() / 255 - 0.5
    for step in range(3):
        values = training.update(clips(step), interrupted=False, late=False)
        rate = 1e-2 * 0.995 ** (step // 2 + 1)
        assert values["learning_rate"] == pytest.approx(rate)
        reference_step(reference, optimizers, clips(step), rate)
    for (name, ours), theirs in zip(net.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7, msg=name)
    assert values["translator_left_out"] == 0.0
    confused = 0.5 * values["classifier_loss"]
    assert values["loss"] == pytest.approx(values["r_loss"] - confused, rel=1e-5)


def test_learning_rates_of_the_original():
    classifier, translator = MusicTranslation(
        ModelConfig(domains=("a", "b"), encoder_layers=1, layers=1)
    ).turns()
    steps = (0, 999, 1000, 10_000)
    assert [translator.share(step) for step in steps] == pytest.approx([0.995, 0.995, 0.995**2, 0.995**11])
    assert {classifier.share(step) for step in steps} == {1.0}


def test_a_wild_step_is_left_out(tmp_path):
    torch.manual_seed(0)
    net = MusicTranslation(TINY)
    training = run(net, tmp_path, grad_norm_clip_to_zero=1e-6)
    before = copy.deepcopy(net.state_dict())
    values = training.update(clips(), interrupted=False, late=False)
    assert values["translator_left_out"] == values["classifier_left_out"] == 1.0
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_the_classifier_learns_and_the_encoder_confuses_it(tmp_path):
    """λ of the encoder's turn pushes the classifier's loss up, that of the classifier's down."""
    torch.manual_seed(0)
    net = MusicTranslation(TINY)
    batch = clips(domains=(0, 1) * 8)
    (classifier, translator) = net.turns()
    confused = F.cross_entropy(net.classifier(net.encode(batch.heard)), batch.domain)
    expected = torch.autograd.grad(confused, net.encoder.start.weight)[0]
    found = torch.autograd.grad(
        translator.loss(batch, 0)["loss"], net.encoder.start.weight, retain_graph=True
    )[0]
    r_loss = net.reconstruction(batch, net.encode(batch.heard)).mean()
    rest = torch.autograd.grad(r_loss, net.encoder.start.weight)[0]
    torch.testing.assert_close(found, rest - 0.5 * expected, rtol=1e-4, atol=1e-6)
    assert not any(p.grad is not None for p in net.parameters())
    assert classifier.loss(batch, 0)["loss"].item() > 0


def test_domains_differ():
    with pytest.raises(KikiboubaError, match="must differ"):
        ModelConfig(domains=("piano", "piano"))
    with pytest.raises(KikiboubaError, match=r"e\.g\. 12000"):
        with_overrides(find_preset("umtn"), {"representation.clip": "12345"})


def test_noise_reaches_the_decoders_in_training_only():
    torch.manual_seed(0)
    net = MusicTranslation(dataclasses.replace(TINY, input_noise=0.3))
    batch, draw = clips(), lambda: torch.Generator().manual_seed(1)
    z = net.encode(batch.heard)
    quiet = net.reconstruction(batch, z)
    assert not torch.equal(net.reconstruction(batch, z, draw()), quiet)
    assert torch.equal(net.reconstruction(batch, z, draw()), net.reconstruction(batch, z, draw()))
    assert net.loss(batch, 0, draw())["r_loss"].item() == pytest.approx(quiet.mean().item())
    expected = net.reconstruction(batch, z, draw()).mean().item()
    _, translator = net.turns()
    assert translator.loss(batch, 0, draw())["r_loss"].item() == pytest.approx(expected)


def test_z_learns_which_pitches_are_heard():
    """Its loss is the cross entropy with what is heard in tune, and its head learns with the encoder."""
    torch.manual_seed(0)
    net = MusicTranslation(dataclasses.replace(TINY, hop=400, pitch=2.0))
    t = np.arange(1600) / 16_000
    waves = [0.5 * np.sin(2 * np.pi * 440.0 * t), np.zeros(1600)]
    x = torch.from_numpy(np.stack([mu_law.encode(wave) for wave in waves]).astype(np.int64))
    batch = ClipBatch(x, x, torch.tensor([0, 1]))
    z = net.encode(x)
    parts = net.turns()[1].loss(batch, 0)
    rest = parts["r_loss"] - 0.5 * parts["classifier_loss"]
    assert parts["loss"].item() == pytest.approx((rest + 2.0 * parts["pitch_loss"]).item(), rel=1e-5)
    told = F.log_softmax(net.pitches(z)[0], 0)
    salience, heard = PitchSalience(400)(torch.from_numpy(waves[0]).float()[None])
    assert heard.all()
    assert parts["pitch_loss"].item() == pytest.approx(-(salience[0] * told).sum(0).mean().item(), rel=0.02)
    own = {id(p) for p in net.turns()[1].parameters}
    assert {id(p) for p in net.pitches.parameters()} <= own


def test_going_on_with_other_domains():
    """What is shared and the decoders of the same names are taken over; the rest begins anew."""
    torch.manual_seed(0)
    old = MusicTranslation(dataclasses.replace(TINY, domains=("a", "b", "c")))
    new = MusicTranslation(dataclasses.replace(TINY, domains=("c", "d")))
    fresh = copy.deepcopy(new)
    new.load_state_dict(new.weights_from(old))
    pairs = [(new.encoder, old.encoder), (new.decoders[0], old.decoders[2])]
    pairs += [(new.decoders[1], fresh.decoders[1]), (new.classifier, fresh.classifier)]
    for ours, theirs in pairs:
        for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, two)
    again = MusicTranslation(old.config)
    again.load_state_dict(again.weights_from(old))
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), old.parameters(), strict=True))
