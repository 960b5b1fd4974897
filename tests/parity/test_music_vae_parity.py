"""MusicVAE against arrays computed by the original TensorFlow code (and the real weights by magenta.js).

`tests/golden/music_vae_cat-mel_2bar.npz` travels with the repository: a tiny melody model with random
weights, four real melodies of lengths 32, 27, 16 and 31, everything the original computes from them, and five
of its training steps ("before:…", "after:…" are the variables). The other cases are shared reference data.

Tolerances. Values of one pass: 1e-5 relative, some ten times what float32 leaves between two orders of
summing. After five training steps: losses and gradient norms 1e-5 relative, variables 1e-5 absolute, a
thousandth of one step (0.01). The original is no closer to exact arithmetic than that: our own float64 run
ends as far from it (losses 2e-6, variables 4e-6) as our float32 run does.
"""

import numpy as np
import pytest
import torch

from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.interop.magenta_tf import music_vae_from_tf, music_vae_to_tf
from kikibouba.interop.tf_checkpoint import read_tf_checkpoint
from kikibouba.models.base import Batch
from kikibouba.models.music_vae.config import ModelConfig
from kikibouba.models.music_vae.model import MusicVAE, build, kl_from_standard_normal
from kikibouba.nn import schedules
from kikibouba.train.optimizer import TensorFlowAdam, clip_global_norm

SIZES = {"z_size": 8, "enc_rnn_size": (16,), "dec_rnn_size": (12, 24)}
CONFIGS = {
    "cat-mel_2bar": ModelConfig(**SIZES, beta_rate=0.99999),
    "cat-drums_2bar": ModelConfig(**SIZES, free_bits=2.0),
}


REPRESENTATIONS = {"cat-mel_2bar": MelodyRepresentation(), "cat-drums_2bar": DrumsRepresentation()}


@pytest.fixture(params=["bundled", "cat-mel_2bar", "cat-drums_2bar"])
def case(request, golden_dir):
    """(config name, variables before, variables after five steps, arrays)"""
    if request.param == "bundled":
        arrays = dict(np.load(golden_dir / "music_vae_cat-mel_2bar.npz"))
        before, after = (
            {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
            for prefix in ("before:", "after:")
        )
        return "cat-mel_2bar", before, after, arrays
    folder = request.getfixturevalue("shared") / "golden" / "magenta_tf" / request.param
    arrays = dict(np.load(folder / "golden.npz"))
    arrays["labels"], arrays["samples"] = arrays["outputs"].argmax(-1), arrays["samples"].argmax(-1)
    after = {name.replace("|", "/"): v for name, v in np.load(folder / "vars_after_5_steps.npz").items()}
    return request.param, read_tf_checkpoint(folder / "model.ckpt-0"), after, arrays


@pytest.fixture
def model(case) -> MusicVAE:
    model = build(CONFIGS[case[0]], REPRESENTATIONS[case[0]])
    model.load_state_dict(music_vae_from_tf(case[1]))
    return model


@pytest.fixture
def batch(case) -> Batch:
    return Batch(torch.tensor(case[3]["labels"]).long(), torch.tensor(case[3]["lengths"]).long())


def assert_near(got: torch.Tensor, expected: np.ndarray, rtol: float = 1e-5, atol: float = 2e-6) -> None:
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=rtol, atol=atol)


def test_posterior_and_kl(model, batch, case):
    arrays = case[3]
    q = model.encode(batch.x, batch.lengths)
    assert_near(q.mu, arrays["mu"])
    assert_near(q.sigma, arrays["sigma"])
    assert_near(kl_from_standard_normal(q), arrays["kl_div"])


def test_teacher_forced_logits(model, batch, case):
    arrays = case[3]
    targets = batch.x.t()
    logits = model.decoder(torch.tensor(arrays["z"]), model.decoder.shift_right(targets)).transpose(0, 1)
    real = torch.arange(32) < batch.lengths[:, None]
    assert_near(logits[real], arrays["rnn_output"][real.numpy()])


def test_losses_at_all_steps(model, batch, case):
    arrays = case[3]
    for step, beta, loss in zip(
        arrays["beta_steps"], arrays["beta_at_steps"], arrays["loss_at_steps"], strict=True
    ):
        parts = model.loss_from_noise(batch, int(step), torch.tensor(arrays["eps"]))
        assert_near(parts["beta"], beta, atol=1e-8)
        assert_near(parts["loss"], loss)
        assert_near(parts["r_loss"], arrays["r_loss"].mean())


def test_greedy_decoding(model, case):
    labels, lengths = model.decode(torch.tensor(case[3]["sample_z"]), temperature=0.0)
    np.testing.assert_array_equal(labels, case[3]["samples"])
    assert lengths.tolist() == [32] * 4


def test_five_training_steps(model, batch, case):
    _, _, after, arrays = case
    optimizer = TensorFlowAdam(model.parameters())
    for step in range(5):
        lr = schedules.learning_rate(step, 0.01, 0.0001, 0.9)
        assert lr == pytest.approx(arrays["train_lr"][step], rel=1e-6)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        parts = model.loss_from_noise(batch, step, torch.tensor(arrays["eps"]))
        parts["loss"].backward()
        norm = clip_global_norm(model.parameters(), max_norm=1.0, zero_at=10_000.0)
        optimizer.step()
        assert_near(parts["loss"], arrays["train_loss"][step])
        assert_near(parts["r_loss"], arrays["train_r_loss"][step])
        assert_near(parts["kl_loss"], arrays["train_kl_cost"][step])
        assert norm == pytest.approx(arrays["train_global_norm"][step], rel=1e-5)
    variables = music_vae_to_tf(model.state_dict())
    assert variables.keys() == after.keys()
    for name, value in after.items():
        np.testing.assert_allclose(variables[name], value, rtol=0, atol=1e-5, err_msg=name)


def test_gradient_of_each_variable(model, batch, case):
    """The norms per variable: a kernel's rows for x and for h lie apart here, together in the original."""
    arrays = case[3]
    model.loss_from_noise(batch, 0, torch.tensor(arrays["eps"]))["loss"].backward()
    gradients = music_vae_to_tf({name: p.grad for name, p in model.named_parameters()})
    for name, norm in zip(arrays["train_var_names"], arrays["train_grad_norms"], strict=True):
        assert np.linalg.norm(gradients[name]) == pytest.approx(norm, rel=1e-5), name


def test_variables_survive_the_round_trip(model, case):
    variables = music_vae_to_tf(model.state_dict())
    for name, value in variables.items():
        np.testing.assert_array_equal(value, case[1][name])


def test_checkpoint_written_by_the_original_trainer(shared):
    folder = shared / "golden" / "magenta_tf" / "trained_cat-mel_2bar"
    arrays = np.load(folder / "golden.npz")
    config = ModelConfig(z_size=64, enc_rnn_size=(128,), dec_rnn_size=(128, 128))
    model = build(config, MelodyRepresentation())
    model.load_state_dict(music_vae_from_tf(read_tf_checkpoint(folder / "model.ckpt-401")))
    labels = torch.tensor(arrays["labels"]).long()
    q = model.encode(labels, torch.full((32,), 32))
    assert_near(q.mu, arrays["mu"])
    assert_near(q.sigma, arrays["sigma"])
    np.testing.assert_array_equal(model.decode(q.mu, temperature=0.0)[0], arrays["recon_labels"])
    np.testing.assert_array_equal(
        model.decode(torch.tensor(arrays["sample_z"]), temperature=0.0)[0], arrays["sample_labels"]
    )


def test_decoder_of_the_published_mel_2bar_small(shared):
    """Google's trained weights, run by the original JavaScript."""
    folder = shared / "golden" / "musicvae_js"
    state = music_vae_from_tf(dict(np.load(folder / "mel_2bar_small_real_weights.npz")))
    decoder = build(ModelConfig(), MelodyRepresentation()).decoder
    decoder.load_state_dict(
        {k.removeprefix("decoder."): v for k, v in state.items() if k.startswith("decoder.")}
    )
    arrays = np.load(folder / "golden_mel_2bar_small.npz")
    z = torch.tensor(arrays["z"]).float()
    np.testing.assert_array_equal(decoder.generate(z, 32).t(), arrays["greedy/tokens"])
    forced = torch.tensor(arrays["forced/tokens"]).long()[:, None].expand(-1, 2)
    assert_near(
        decoder(z[:2], decoder.shift_right(forced)).transpose(0, 1), arrays["forced/logits"], atol=2e-5
    )
