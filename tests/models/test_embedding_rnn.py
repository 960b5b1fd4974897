"""Embedding RNN: sizes, the documented equations in numpy, overfitting, and what a user can get wrong."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from kikibouba.config import Preset, from_dict, load_preset, to_dict
from kikibouba.data.embedding import EmbeddingRepresentation
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch, LatentModel
from kikibouba.models.embedding_rnn.config import PRESETS, ModelConfig
from kikibouba.models.embedding_rnn.model import EmbeddingRNN, build
from kikibouba.train.checkpoint import load_checkpoint, save_checkpoint

FRAMES, WIDTH = 7, 5
REPRESENTATION = EmbeddingRepresentation(
    source="arrays", width=WIDTH, frames=FRAMES, instruments=("flute", "organ")
)
SEED = {"dec_model": "layer_norm", "num_layers": 2, "pca_dim_reduce": True, "no_sample_vae": True}
"""What makes the seed's configuration, but for its sizes."""


def tiny(**changes) -> ModelConfig:
    sizes = {"rnn_size": 12, "enc_rnn_size": 8, "z_size": 4, "num_mixture": 3, "n_pca_components": 3}
    return ModelConfig(**(sizes | changes))


def make(config: ModelConfig, seed: int = 0) -> EmbeddingRNN:
    """A model all of whose weights matter, fitted to the examples."""
    torch.manual_seed(seed)
    model = build(config, REPRESENTATION)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    model.fit_to(list(batch(20, 9).x.numpy()))
    return model.eval()


def batch(n: int = 4, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, FRAMES, WIDTH + 3, generator=generator)
    x[..., WIDTH:] = torch.tensor([60.0, 100.0, 1.0])
    return Batch(x, torch.full((n,), FRAMES))


def parameters(config: ModelConfig, width: int = 16) -> int:
    module = build(config, EmbeddingRepresentation(source="wavenet", width=width))
    return sum(p.numel() for p in module.parameters())


# ------------------------------------------------------------------------------------------- configuration


def test_parameter_counts_are_the_original_s(monkeypatch) -> None:
    monkeypatch.setattr(torch.nn.init, "orthogonal_", lambda weight: weight)  # only sizes matter here
    assert parameters(PRESETS["blog_13_unc0_nosam1_d1_pca1"].model) == 24_330_984
    assert parameters(ModelConfig()) == 6_316_400
    assert parameters(ModelConfig(unconditional=True)) == 4_509_936
    one_layer = replace(PRESETS["blog_11"].model, pca_dim_reduce=True, no_sample_vae=True)
    assert parameters(one_layer) == 8_692_456


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json_and_say_codes_or_mels(name: str) -> None:
    preset = PRESETS[name]
    assert from_dict(ModelConfig, to_dict(preset.model)) == preset.model
    assert preset.representation.width == (128 if name == "embedding_small" else 16)


def test_the_seed_s_output_layer_has_360_numbers() -> None:
    preset = PRESETS["blog_13_unc0_nosam1_d1_pca1"]
    small = replace(preset.model, rnn_size=8, enc_rnn_size=8)
    assert build(small, preset.representation).output.out_features == 6 * 20 * 3


@pytest.mark.parametrize("changes", [{"frame_keep": -0.1}, {"output_dropout_keep": 1.1}, {"num_layers": 0}])
def test_impossible_settings_are_refused(changes: dict) -> None:
    with pytest.raises(KikiboubaError, match=next(iter(changes))):
        tiny(**changes)


def test_an_unknown_context_is_refused() -> None:
    with pytest.raises(KikiboubaError, match="context"):
        load_preset("embedding_small", {"model.context": '["pitsch"]'})


def test_a_model_told_instruments_needs_to_know_some() -> None:
    with pytest.raises(KikiboubaError, match="file names"):
        build(tiny(context=("instrument",)), EmbeddingRepresentation(width=5))


# ------------------------------------------------------------------------------ the documented equations


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


class Reference:
    """The seed's model in numpy, from its description, a step and an example at a time, float64."""

    def __init__(self, model: EmbeddingRNN) -> None:
        self.w = {name: value.double().numpy() for name, value in model.state_dict().items()}
        self.config = model.config

    def sequence(self, frames: np.ndarray) -> np.ndarray:
        backwards = [np.zeros(WIDTH), *frames[::-1]]
        steps = np.array([after - before for before, after in pairwise(backwards)])
        return (steps - self.w["whiten_mean"]) @ self.w["whiten_components"].T / self.w["whiten_scale"]

    def lstm(self, prefix: str, rows: np.ndarray) -> np.ndarray:
        size = self.config.enc_rnn_size
        h = c = np.zeros(size)
        for x in rows:
            a = self.w[f"{prefix}.weight_x"] @ x + self.w[f"{prefix}.weight_h"] @ h + self.w[f"{prefix}.bias"]
            i, f, o, g = a.reshape(4, size)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        return h

    def layer(self, number: int, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple:
        def own(name: str) -> np.ndarray:
            return self.w[f"decoder.{number}.{name}"]

        def norm(a: np.ndarray) -> np.ndarray:
            return (a - a.mean()) / np.sqrt(a.var() + 1e-3)

        a = (own("weight_x") @ x + own("weight_h") @ h).reshape(4, -1)
        a = np.stack([norm(block) for block in a]).ravel() * own("norm.gamma") + own("norm.beta")
        i, f, o, g = a.reshape(4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(norm(c) * own("norm.gamma_c") + own("norm.beta_c")), c

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.w[f"{name}.weight"] @ x + self.w[f"{name}.bias"]

    def loss(self, x: np.ndarray, kl_weight: float) -> float:
        nats, kls, config = [], [], self.config
        for example in x:
            rows = self.sequence(example[:, :WIDTH])
            summary = np.concatenate([self.lstm("encoder.0", rows), self.lstm("encoder.1", rows[::-1])])
            mu, s = self.linear("mu", summary), self.linear("log_variance", summary)
            kls.append(-0.5 * (1 + s - mu**2 - np.exp(s)))
            y = np.concatenate([self.linear("deterministic", summary), np.eye(128)[int(example[0, WIDTH])]])
            states = [
                np.split(np.tanh(self.linear(f"initial_states.{k}", y)), 2) for k in range(config.num_layers)
            ]
            last = np.zeros(config.n_pca_components)
            for row in rows:
                hidden = np.concatenate([last, y])
                for k in range(config.num_layers):
                    states[k] = self.layer(k, hidden, *states[k])
                    hidden = states[k][0]
                nats.append(self.nats(self.linear("output", hidden), row))
                last = row
        return float(np.mean(nats) + kl_weight * max(np.mean(kls), config.kl_tolerance))

    def nats(self, output: np.ndarray, row: np.ndarray) -> np.ndarray:
        found = []
        for block, value in zip(output.reshape(len(row), -1), row, strict=True):
            pi, mu, log_sigma = block.reshape(3, self.config.num_mixture)
            density = np.exp(-0.5 * ((value - mu) / np.exp(log_sigma)) ** 2 - log_sigma) / np.sqrt(2 * np.pi)
            found.append(-np.log((np.exp(pi) / np.exp(pi).sum() * density).sum()))
        return np.array(found)


def test_the_loss_is_the_documented_one() -> None:
    model = make(tiny(**SEED))
    wanted = Reference(model).loss(batch().x.double().numpy(), model.config.kl_weight)
    assert model.loss(batch(), 10**9)["loss"].item() == pytest.approx(wanted, rel=2e-5)


@pytest.mark.parametrize("pca_first", [False, True])
@pytest.mark.parametrize("difference", [False, True])
def test_sequences_are_undone_exactly_at_full_rank(difference: bool, pca_first: bool) -> None:
    config = tiny(
        difference_input=difference, pca_dim_reduce=True, n_pca_components=WIDTH, pca_first=pca_first
    )
    model, frames = make(config), batch().x[..., :WIDTH]
    sequence = model.sequence_of(frames)
    torch.testing.assert_close(model.frames_of(sequence), frames, rtol=1e-5, atol=1e-5)
    assert (sequence - frames).abs().max() > 0.1


def test_differences_go_from_the_last_frame_to_the_first() -> None:
    frames = torch.tensor([[[1.0], [3.0], [10.0]]])
    model = build(tiny(pca_dim_reduce=False), EmbeddingRepresentation(source="arrays", width=1, frames=3))
    assert model.sequence_of(frames).flatten().tolist() == [10.0, -7.0, -2.0]
    assert model.frames_of(model.sequence_of(frames)).flatten().tolist() == [1.0, 3.0, 10.0]


@pytest.mark.parametrize("frame_keep", [0.0, 1.0])
def test_drawing_frame_by_frame_is_the_teacher_forced_network(frame_keep: float) -> None:
    """The likeliest frames, fed back as truth, are what the network says to them."""
    model = make(tiny(**SEED, frame_keep=frame_keep))
    z, told = torch.randn(3, 4), torch.tensor([60.0, 100, 0]).expand(3, 3)
    x, lengths = model.decode(z, 0.0, controls=told)
    assert lengths.tolist() == [FRAMES] * 3
    sequence = model.sequence_of(x[..., :WIDTH])
    beside = model._beside(z, told)
    with torch.no_grad():
        y = model._outputs(sequence, beside, lengths, None)
    pi, mu, _ = y.unflatten(-1, (3, 3, 3)).unbind(-2)
    likeliest = mu.gather(-1, pi.argmax(-1, keepdim=True)).squeeze(-1).transpose(0, 1)
    # Undoing and redoing the three components of five numbers is exact: the drawn frames lie in their plane.
    torch.testing.assert_close(sequence, likeliest, rtol=1e-3, atol=1e-3)


def test_noise_comes_with_the_variance_s_temperature_only() -> None:
    model, z = make(tiny()), torch.randn(2, 4)

    def drawn(seed: int, **settings) -> torch.Tensor:
        return model.decode(z, 0.5, torch.Generator().manual_seed(seed), **settings)[0]

    greedy = {"greedy": True, "variance_temperature": 0.0}
    assert torch.equal(drawn(0, **greedy), drawn(1, **greedy))
    assert torch.equal(drawn(0, **greedy), model.decode(z, 0.0)[0])
    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0, greedy=True), drawn(1, greedy=True))


# ------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "changes",
    [
        {},
        SEED,
        {"bidir": False, "enc_model": "layer_norm"},
        {"dec_model": "hyper", "hyper_num_units": 6, "hyper_embedding_size": 3},
        {"mixture": "frames", "difference_input": False, "context": ("pitch", "velocity", "instrument")},
        {"no_sample_vae": True, "deterministic_kl": False, "clip_z_with_tanh": True, "context": ()},
        {"input_dropout_keep": 0.9, "output_dropout_keep": 0.9, "recurrent_dropout_keep": 0.9},
        {"frame_keep": 0.5},
        {"frame_keep": 0.0},
        {"unconditional": True},
    ],
)
def test_every_option_trains_and_decodes(changes: dict) -> None:
    model = make(tiny(**changes)).train()
    assert isinstance(model, LatentModel)
    parts = model.loss(batch(), 0, torch.Generator().manual_seed(0))
    parts["loss"].backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    frames, _ = model.eval().decode(torch.zeros(2, model.z_size), 0.7, torch.Generator().manual_seed(0))
    assert frames.shape == (2, FRAMES, WIDTH + 3)
    assert torch.isfinite(frames).all()


def test_context_changes_what_is_decoded_and_the_unknown_does_not_fail() -> None:
    model, z = make(tiny(context=("pitch", "instrument"))), torch.zeros(1, 4)
    notes = [[60.0, 1, 0], [61.0, 1, 0], [60.0, 99, 0], [60.0, 1, 1], [-1.0, -1, -1]]
    said = [model.decode(z, 0.0, controls=torch.tensor([note]))[0][0, :, :WIDTH] for note in notes]
    assert torch.equal(said[0], said[2])  # it is not told the velocity
    for other in (said[1], said[3], said[4]):
        assert not torch.allclose(said[0], other)


def test_without_noise_z_is_certain_and_the_kl_can_be_left_out() -> None:
    model = make(tiny(no_sample_vae=True))
    assert model.encode(*batch()).sigma.max() < 1e-3
    assert model.loss(batch(), 0)["kl_loss"] > 0
    bare = make(tiny(no_sample_vae=True, deterministic_kl=False))
    assert bare.loss(batch(), 0)["kl_loss"] == 0
    assert not hasattr(bare, "mu")


def test_a_decoder_that_reads_nothing_says_the_same_whatever_the_noise_was() -> None:
    model, z = make(tiny(frame_keep=0.0)), torch.randn(1, 4)
    frames = [
        model.decode(z, 0.5, torch.Generator().manual_seed(seed), variance_temperature=variance, greedy=True)[
            0
        ]
        for seed, variance in ((0, 0.0), (1, 1.0))
    ]
    mean, noisy = (model.sequence_of(one[..., :WIDTH]) for one in frames)
    assert not torch.allclose(mean, noisy)
    sequence, lengths = model.sequence_of(batch().x[..., :WIDTH]), batch().lengths
    beside = model._beside(torch.randn(4, 4), batch().x[:, 0, WIDTH:])
    with torch.no_grad():
        y = [model._outputs(rows, beside, lengths, None) for rows in (sequence, 0 * sequence)]
    assert torch.equal(*y)


def test_tanh_keeps_what_the_decoder_is_told_within_1() -> None:
    model = make(tiny(clip_z_with_tanh=True))
    told = model._beside(torch.full((1, 4), 100.0), torch.full((1, 3), -1.0))
    assert told[0, :4].tolist() == [1, 1, 1, 1]


def test_wrong_batches_are_refused() -> None:
    model = make(tiny())
    for x, lengths, message in (
        (torch.zeros(2, FRAMES, WIDTH), [FRAMES] * 2, "frames of 5 numbers"),
        (torch.zeros(2, FRAMES, WIDTH + 3), [FRAMES, 3], "equally long"),
    ):
        with pytest.raises(KikiboubaError, match=message):
            model.loss(Batch(x, torch.tensor(lengths)), 0)
    with pytest.raises(KikiboubaError, match=r"decodes \[B, 4\]"):
        model.decode(torch.zeros(1, 5))
    with pytest.raises(KikiboubaError, match="no encoder"):
        make(tiny(unconditional=True)).encode(*batch())


def test_too_few_frames_for_the_components_are_refused() -> None:
    model = build(tiny(pca_dim_reduce=True, n_pca_components=5), REPRESENTATION)
    with pytest.raises(KikiboubaError, match="lower model"):
        model.fit_to([np.zeros((4, WIDTH + 3), np.float32)])


# ------------------------------------------------------------------------------------- learning and files


def test_one_batch_is_learnt_by_heart() -> None:
    torch.manual_seed(0)
    config = tiny(
        rnn_size=24, enc_rnn_size=12, latent_init="clear", kl_weight=0.0, kl_weight_start=0.0,
        no_sample_vae=True, difference_input=False, least_log_sigma=-3.0, mixture="frames",
    )  # fmt: skip
    model = build(config, REPRESENTATION).train()
    optimiser, own = torch.optim.Adam(model.parameters(), 0.03), batch(4)
    before = model.loss(own, 0)["r_loss"].item()
    for step in range(120):
        optimiser.zero_grad()
        parts = model.loss(own, step)
        parts["loss"].backward()
        optimiser.step()
    model.eval()
    x, _ = model.decode(model.encode(*own).mu, 0.0, controls=own.x[:, 0, WIDTH:])
    error = (x - own.x)[..., :WIDTH].square().mean().item()
    assert parts["r_loss"].item() < before - 1.5
    assert error < 0.05  # the frames have variance 1


def test_a_checkpoint_gives_the_same_bits(tmp_path) -> None:
    config = tiny(**SEED)
    model, preset = make(config), Preset("mine", "embedding_rnn", REPRESENTATION, config)
    save_checkpoint(tmp_path / "mine", model, preset, {}, "# mine\n")
    found, again = load_checkpoint(tmp_path / "mine")
    assert found == preset
    assert torch.equal(again.whiten_components, model.whiten_components)
    assert torch.equal(again.encode(*batch()).mu, model.encode(*batch()).mu)
    z = torch.randn(2, 4)
    assert torch.equal(again.decode(z, 0.0)[0], model.decode(z, 0.0)[0])
