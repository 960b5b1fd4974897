import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from kikibouba.config import load_preset, preset_from_dict, preset_to_dict
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch, LatentModel
from kikibouba.models.music_vae.config import PRESETS, ModelConfig
from kikibouba.models.music_vae.decoders import Draw
from kikibouba.models.music_vae.heads import gumbel
from kikibouba.models.music_vae.model import build, kl_from_standard_normal, time_first
from kikibouba.models.music_vae.stack import Noise

TINY = ModelConfig(
    z_size=8,
    enc_rnn_size=(16,),
    dec_rnn_size=(12, 16),
    free_bits=2.0,
    sampling_schedule="inverse_sigmoid",
    sampling_rate=10.0,
)


NO_CONTROLS = torch.zeros(32, 6, 0)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = build(TINY, MelodyRepresentation())
    with torch.no_grad():  # fresh weights of 0.001 about z would hide mistakes
        for param in model.parameters():
            param.normal_(std=0.3)
    return model


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(1)
    return Batch(torch.randint(90, (6, 32), generator=g), torch.tensor([32, 32, 32, 20, 7, 1]))


def generator(seed):
    return torch.Generator().manual_seed(seed)


PARAMETERS = {
    "cat-mel_2bar_small": 4_423_770,
    "cat-mel_2bar_big": 134_571_098,
    "cat-mel_2bar_med_chords": 17_478_234,
    "cat-drums_2bar_small": 4_636_672,
    "cat-drums_2bar_big": 137_582_080,
    "nade-drums_2bar_reduced": 13_819_273,
    "nade-drums_2bar_full": 14_391_741,
    "flat-trio_16bar": 251_279_028,
    "hierdec-trio_16bar": 230_975_156,
    "hier-trio_16bar": 122_529_460,
    "flat-mel_16bar": 235_250_778,
    "hierdec-mel_16bar": 176_061_530,
    "hier-mel_16bar": 72_547_418,
    "hier-multiperf_vel_1bar_med": 55_638_506,
    "hier-multiperf_vel_1bar_big": 204_598_762,
    "hier-multiperf_vel_1bar_med_chords": 56_140_266,
    "hier-multiperf_vel_1bar_big_chords": 205_602_282,
    "groovae_4bar": 4_085_019,
    "groovae_2bar_humanize": 4_085_019,
    "groovae_2bar_tap_fixed_velocity": 4_085_019,
    "groovae_2bar_tap_fixed_velocity_note_dropout": 4_085_019,
    "groovae_2bar_add_closed_hh": 4_085_019,
    "groovae_2bar_hits_control_tfds": 4_131_099,
    "hier-drums_4bar_small": 5_689_344,
}
"""Of the original's models: its 23 configurations, and one that a user of it wrote."""


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameter_counts_are_the_originals(name, count):
    preset = PRESETS[name]
    with torch.device("meta"):
        model = build(preset.model, preset.representation)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("name", ["mel_2bar", "drums_2bar", "groove_humanize_2bar"])
def test_presets_to_ship_fit_in_8_megabytes_of_float16(name):
    with torch.device("meta"):
        model = build(PRESETS[name].model, PRESETS[name].representation)
    assert 2 * sum(p.numel() for p in model.parameters()) < 8_000_000


def test_presets_survive_json_and_overrides():
    for name, preset in PRESETS.items():
        assert preset.name == name
        assert preset_from_dict(preset_to_dict(preset)) == preset
    assert load_preset("mel_2bar_small", {"model.z_size": "64"}).model.z_size == 64


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("hier-drums_4bar_small", {"model.decoder_level_lengths": "[4, 8]"}, "multiply to 32.*64 steps"),
        ("hier-drums_4bar_small", {"representation.bars": "2"}, "multiply to 64.*32 steps"),
        ("hier-mel_16bar", {"model.encoder_level_lengths": "[256]"}, "one level"),
        ("cat-mel_2bar_small", {"model.decoder": "groove"}, "cannot say melody.*categorical, split"),
        ("groovae_4bar", {"model.decoder": "categorical"}, "cannot say groove examples; allowed: groove"),
        ("hier-drums_4bar_small", {"model.free_bits_per_dimension": "0.1"}, "the other to 0"),
        ("hier-drums_4bar_small", {"model.dropout_keep_prob": "0"}, "above 0 and at most 1"),
    ],
)
def test_what_does_not_fit_together_is_told_when_the_preset_is_loaded(name, overrides, words):
    with pytest.raises(KikiboubaError, match=words):
        load_preset(name, overrides)


def test_config_loads_no_torch():
    code = "import sys, kikibouba.models.music_vae.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_is_a_latent_model_and_reports_named_scalars(model, batch):
    assert isinstance(model, LatentModel)
    parts = model.loss(batch, 5, generator(0))
    assert set(parts) == {
        "loss",
        "r_loss",
        "kl_loss",
        "kl_bits",
        "beta",
        "accuracy",
        "sampling_probability",
    }
    assert all(part.ndim == 0 for part in parts.values())
    assert [name for name, part in parts.items() if part.requires_grad] == ["loss"]
    torch.testing.assert_close(parts["loss"], parts["r_loss"] + parts["beta"] * parts["kl_loss"])


def test_labels_beyond_the_length_change_nothing(model, batch):
    padded = torch.arange(32) >= batch.lengths[:, None]
    other = Batch(batch.x.masked_fill(padded, 17), batch.lengths)
    eps = torch.zeros(6, 8)
    for parts in zip(
        model.loss_from_noise(batch, 1, eps).values(),
        model.loss_from_noise(other, 1, eps).values(),
        strict=True,
    ):
        torch.testing.assert_close(*parts)


def test_deep_encoder_reads_only_the_real_part_too(batch):
    model = build(ModelConfig(z_size=4, enc_rnn_size=(8, 6), dec_rnn_size=(8,)), MelodyRepresentation())
    torch.nn.init.normal_(model.encoder.mu.weight)
    short = model.encode(batch.x[3:4, :20], batch.lengths[3:4])
    torch.testing.assert_close(model.encode(batch.x, batch.lengths).mu[3:4], short.mu)


def test_equal_generators_give_equal_samples_and_others_do_not(model):
    z = torch.randn(3, 8, generator=generator(5))
    labels, lengths = model.decode(z, 1.0, generator(7))
    assert labels.shape == (3, 32)
    assert labels.dtype == torch.int64
    assert lengths.tolist() == [32, 32, 32]
    torch.manual_seed(99)
    assert torch.equal(labels, model.decode(z, 1.0, generator(7))[0])
    assert not torch.equal(labels, model.decode(z, 1.0, generator(8))[0])


def test_greedy_decoding_is_the_limit_of_low_temperature(model):
    z = torch.randn(16, 8, generator=generator(5))
    greedy = model.decode(z, 0.0)[0]
    assert torch.equal(greedy, model.decode(z, 1e-6, generator(1))[0])
    assert torch.equal(model.teacher_forced(z, time_first(greedy))[0].argmax(-1), greedy.t())


def test_gumbel_noise_draws_from_the_softmax():
    logits = torch.tensor([0.0, 1.0, 2.0])
    draws = (logits + gumbel((20_000, 3), generator(0), torch.device("cpu"))).argmax(-1)
    shares = draws.bincount(minlength=3) / len(draws)
    torch.testing.assert_close(shares, logits.softmax(0), rtol=0, atol=0.015)


def test_scheduled_sampling_replaces_the_chosen_share_but_never_the_start(model, batch):
    z = torch.randn(6, 8, generator=generator(5))
    inputs = model.decoder.shift_right(time_first(batch.x))
    for probability in (0.2, 1.0):
        noise = Noise(sampling_probability=probability, generator=generator(3))
        replaced = model.decoder.scheduled_inputs(z, inputs, NO_CONTROLS, noise)
        assert (replaced[0] == 90).all()
        changed = (replaced != inputs)[1:].float().mean()
        assert abs(changed - probability) < 0.12  # a draw may happen to be the true symbol
    noise = Noise(sampling_probability=1e-9, generator=generator(3))
    assert torch.equal(model.decoder.scheduled_inputs(z, inputs, NO_CONTROLS, noise), inputs)


def test_scheduled_sampling_feeds_back_what_was_drawn(model, batch):
    """At probability 1 and logits far apart a draw is the argmax: the inputs are the free-running output."""
    with torch.no_grad():
        model.decoder.output.weight.mul_(1e4)
    z = torch.randn(6, 8, generator=generator(5))
    inputs = model.decoder.shift_right(time_first(batch.x))
    noise = Noise(sampling_probability=1.0, generator=generator(3))
    replaced = model.decoder.scheduled_inputs(z, inputs, NO_CONTROLS, noise)
    said, _ = model.decoder.generate(z, NO_CONTROLS, Draw())
    assert torch.equal(replaced, model.decoder.shift_right(said))


def test_training_follows_the_schedule_and_evaluation_is_teacher_forced(model, batch):
    assert model.loss(batch, 10**6, generator(0))["sampling_probability"] == pytest.approx(1.0)
    model.eval()
    assert model.loss(batch, 10**6, generator(0))["sampling_probability"] == 0.0


def test_loss_is_a_function_of_step_and_generator(model, batch):
    losses = [model.loss(batch, 20, generator(seed))["loss"] for seed in (4, 4, 5)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize("free_bits", [0.0, 1.0, 2.0])
def test_free_bits_cost_nothing(batch, free_bits):
    model = build(replace(TINY, free_bits=free_bits), MelodyRepresentation())
    parts = model.loss_from_noise(
        batch, 1, torch.zeros(6, 8)
    )  # fresh: all examples have the same KL, 1.2 bits
    assert parts["kl_bits"] == pytest.approx(1.23, abs=0.01)
    assert parts["kl_loss"] == pytest.approx(max(1.23 - free_bits, 0) * 0.693, abs=0.01)


def test_free_bits_of_each_dimension_are_met_on_average(model, batch):
    """A budget of 0 is the whole KL; a dimension below its budget costs nothing and has no gradient."""
    eps = torch.zeros(6, 8)
    q = model.encode(*batch)
    kl = kl_from_standard_normal(q).mean(0)
    assert model.loss_from_noise(batch, 1, eps)["kl_bits"] == pytest.approx(kl.sum().item() / math.log(2))
    budget = kl.median().item() / math.log(2)
    model.config = replace(TINY, free_bits=0.0, free_bits_per_dimension=budget)
    expected = (kl - kl.median()).clamp(min=0).sum()
    torch.testing.assert_close(model.loss_from_noise(batch, 1, eps)["kl_loss"], expected.detach())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_learns_to_tell_four_patterns_apart_by_their_z(precision):
    torch.manual_seed(0)
    config = ModelConfig(z_size=8, enc_rnn_size=(32,), dec_rnn_size=(32,), max_beta=0.0, latent_init="clear")
    model = build(config, DrumsRepresentation())
    x = torch.tensor([5, 100, 300, 511])[:, None].repeat(1, 32)
    batch = Batch(x, torch.full((4,), 32))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(200):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            parts = model.loss(batch, step, generator(step))
        parts["loss"].backward()
        optimizer.step()
    assert parts["accuracy"] == 1.0
    assert torch.equal(model.decode(model.encode(*batch).mu, 0.0)[0], x)
