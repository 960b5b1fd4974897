"""Sketch-RNN against arrays that the original programs computed, and against real published decoders.

`tests/golden/sketch_rnn_{lstm,layer_norm}.npz` travel with the repository: tiny models with random weights,
four real drawings, what the original makes of them (outputs of the first 24 rows), and its variables before
and after five training steps. The same in full, the unconditional and the hyper models, and the published
decoders are shared reference data.

Tolerances. Values of one pass: 1e-5. The variables after five training steps at learning rate 0.01: 1.2e-5, a
thousandth of a step. For the hyper cells such a bound would test rounding: Adam's first steps divide
gradients by their own size, so an element whose gradient is all rounding moves at random, and our own float64
and float32 runs end 3e-3 apart in places. There the bound is 2e-4 for 99 % of the elements, 1e-4 on losses.
"""

import base64
import json

import numpy as np
import pytest
import torch
from torch import Tensor

from kikibouba.interop.magenta_tf_sketch import config_from_tf, from_tf, to_tf
from kikibouba.interop.tf_checkpoint import read_tf_checkpoint
from kikibouba.models.base import Batch, Normal
from kikibouba.models.sketch_rnn.config import ModelConfig
from kikibouba.models.sketch_rnn.model import SketchRNN
from kikibouba.nn.mixture_density import split_output
from kikibouba.train.optimizer import TensorFlowAdam, clip_value

CASES = ["bundled-lstm", "bundled-layer_norm", "lstm", "lstm_uncond", "layer_norm", "hyper"]


class Case:
    """One model of the original: its settings, variables, and arrays, drawings sorted from long to short."""

    def __init__(self, settings: dict, before: dict, after: dict, arrays: dict) -> None:
        self.before, self.after, self.arrays = before, after, arrays
        names = (
            "conditional",
            "z_size",
            "enc_model",
            "enc_rnn_size",
            "dec_model",
            "dec_rnn_size",
            "num_mixture",
        )
        self.config = ModelConfig(
            **{name: settings[name] for name in names},
            kl_tolerance=settings["kl_tolerance"],
            recurrent_dropout_keep=1.0,
            pad_loss="all",
            max_length=settings["max_seq_len"],
        )
        lengths = torch.from_numpy(arrays["sequence_lengths"]).long()
        self.order = lengths.argsort(descending=True, stable=True)
        self.batch = Batch(self.array("input_data")[:, 1 : int(lengths.max()) + 1], lengths[self.order])
        self.eps = self.array("eps")
        self.z = self.array("batch_z") if self.config.conditional else torch.zeros(4, 0)

    def array(self, name: str) -> Tensor:
        """A reference array whose first axis is the drawings."""
        return torch.from_numpy(self.arrays[name])[self.order]

    def rows(self, name: str) -> Tensor:
        """A reference array of the decoder's outputs, [4, rows, …]."""
        array = self.arrays[name]
        return torch.from_numpy(array.reshape(4, -1, array.shape[-1]))[self.order]

    def model(self, **changes) -> SketchRNN:
        model = SketchRNN(ModelConfig(**(vars(self.config) | changes)))
        state = from_tf(self.before, self.config)
        model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
        return model


@pytest.fixture(params=CASES)
def case(request, golden_dir) -> Case:
    bundled, _, name = request.param.rpartition("-")
    if bundled:
        arrays = dict(np.load(golden_dir / f"sketch_rnn_{name}.npz"))
        before, after = (
            {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
            for prefix in ("variable|", "after|")
        )
        return Case(json.loads(str(arrays["hparams"])), before, after, arrays)
    folder = request.getfixturevalue("shared") / "golden" / "magenta_tf" / f"sketch_{name}"
    after = {k.replace("|", "/"): v for k, v in np.load(folder / "vars_after_5_steps.npz").items()}
    settings = json.loads((folder / "config.json").read_text())["hparams"]
    return Case(
        settings, read_tf_checkpoint(folder / "vector-0"), after, dict(np.load(folder / "golden.npz"))
    )


def near(found: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def test_posterior(case: Case) -> None:
    if not case.config.conditional:
        pytest.skip("no encoder")
    mu, log_variance = case.model()._posterior(*case.batch, None)
    near(mu, case.array("mu"))
    near(log_variance, case.array("presig"))
    near(case.model().encode(*case.batch).sigma, case.array("sigma"))
    kl_raw = case.model(kl_tolerance=0.0).loss(case.batch, 0)["kl_raw"]
    near(kl_raw, torch.tensor(case.arrays["kl_raw"]))


def test_initial_state(case: Case) -> None:
    if not case.config.conditional:
        pytest.skip("no z")
    h, c = case.model()._start(case.z)
    state = torch.cat([c, h] if case.config.dec_model == "lstm" else [h, c], 1)
    near(state, case.array("initial_state"))


def test_outputs(case: Case) -> None:
    model = case.model()
    inputs, _, rows = model._teacher_forcing(*case.batch)
    pen_logits, mixture = split_output(model._outputs(case.z, inputs, rows, None).transpose(0, 1))
    found = {
        "pen_logits": pen_logits,
        "pen": pen_logits.softmax(-1),
        "pi": mixture.log_pi.softmax(-1),
        "mu1": mixture.mu_x,
        "mu2": mixture.mu_y,
        "sigma1": mixture.log_sigma_x.exp(),
        "sigma2": mixture.log_sigma_y.exp(),
        "corr": mixture.correlation_logit.tanh(),
    }
    for name, values in found.items():
        wanted = case.rows(name)
        near(values[:, : wanted.shape[1]], wanted)


@pytest.mark.parametrize(("pad_loss", "name"), [("all", "r_cost_train"), ("real_rows", "r_cost_eval")])
def test_reconstruction_loss(case: Case, pad_loss: str, name: str) -> None:
    model = case.model(pad_loss=pad_loss)
    offset_loss, pen_loss = model._reconstruction(case.z, *case.batch, None)
    near(offset_loss + pen_loss, torch.tensor(case.arrays[name]))


def test_greedy_sample(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original draws on after the end row, and so must we to be compared."""
    monkeypatch.setattr("kikibouba.models.sketch_rnn.model._all_ended", lambda rows: False)
    model, wanted = case.model(), torch.from_numpy(case.arrays["sample_strokes_greedy"])
    z = torch.from_numpy(case.arrays["sample_z"]) if case.config.conditional else torch.zeros(1, 0)
    silence = torch.zeros(len(wanted), 1, 3 + case.config.num_mixture), torch.zeros(len(wanted), 1, 2)
    with torch.inference_mode():
        near(model._draw(z, *silence)[:, 0], wanted)


def test_five_training_steps(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Normal, "sample", lambda q, generator: q.mu + q.sigma * case.eps)
    model = case.model().train()
    optimiser = TensorFlowAdam(model.parameters())
    arrays, tolerance = case.arrays, 1e-4 if case.config.dec_model == "hyper" else 1e-5
    for step in range(5):
        parts = model.loss(case.batch, step)
        for ours, theirs in (
            ("loss", "cost"),
            ("r_loss", "r_cost"),
            ("kl_loss", "kl_cost"),
            ("kl_weight",) * 2,
        ):
            near(parts[ours].detach(), torch.tensor(arrays[f"train_{theirs}"][step]), tolerance)
        optimiser.zero_grad()
        parts["loss"].backward()
        clip_value(model.parameters(), 1.0)
        optimiser.param_groups[0]["lr"] = float(arrays["train_lr"][step])
        optimiser.step()
    variables = to_tf({name: tensor.numpy() for name, tensor in model.state_dict().items()}, case.config)
    assert variables.keys() == case.after.keys()
    distance = np.concatenate([np.abs(variables[name] - case.after[name]).ravel() for name in case.after])
    if case.config.dec_model == "hyper":
        assert np.quantile(distance, 0.99) < 2e-4
    else:
        assert distance.max() < 1.2e-5


def test_checkpoints_convert_both_ways(case: Case) -> None:
    variables = to_tf(from_tf(case.before, case.config), case.config)
    assert variables.keys() == case.after.keys()
    for name, array in variables.items():
        # The forget bias is added and subtracted again, which may cost the last bit.
        np.testing.assert_allclose(array, case.before[name], rtol=0, atol=2e-7, err_msg=name)


def test_configuration_is_read_off_the_variables(case: Case) -> None:
    found = config_from_tf(case.before)
    names = ("conditional", "dec_model", "dec_rnn_size", "num_mixture")
    if case.config.conditional:
        names += ("z_size", "enc_model", "enc_rnn_size")
    for name in names:
        assert getattr(found, name) == getattr(case.config, name), name


def test_a_checkpoint_of_the_original_trainer(shared) -> None:
    """At step 40 a run of the same command logged a validation cost (R with padding + 0.01 KL) of 1.1209."""
    from kikibouba.data.quickdraw import read_npz
    from kikibouba.data.strokes import offset_std, to_stroke5

    variables = read_tf_checkpoint(shared / "golden" / "magenta_tf" / "cli_run_sketch" / "vector-40")
    config = ModelConfig(**(vars(config_from_tf(variables)) | {"pad_loss": "all", "kl_weight": 0.01}))
    assert (config.z_size, config.enc_rnn_size, config.dec_rnn_size, config.num_mixture) == (32, 64, 128, 5)
    model = SketchRNN(config).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in from_tf(variables, config).items()})
    splits = read_npz(shared / "data" / "sketches" / "aaron_sheep" / "aaron_sheep.npz")
    scale = np.float32([offset_std(splits["train"])] * 2 + [1])
    valid = [(drawing / scale).astype(np.float32) for drawing in splits["valid"]]
    x = torch.from_numpy(np.stack([to_stroke5(drawing, 250) for drawing in valid])).float()
    with torch.no_grad():
        batch = Batch(x, torch.tensor([len(drawing) for drawing in valid]))
        cost = model.loss(batch, 0, torch.Generator().manual_seed(0))["loss"].item()
    assert cost == pytest.approx(1.1209, abs=0.02)


def published_decoder(blobs: list[str], shapes: list[list[int]]) -> dict[str, np.ndarray]:
    """sketch-rnn-js's weights: base64 of 16-bit integers, a thousandth of 10 / 32.767 each."""
    arrays = [
        np.frombuffer(base64.b64decode(blob), "<i2").reshape(shape).astype(np.float32)
        * np.float32(10 / 32767)
        for blob, shape in zip(blobs, shapes, strict=True)
    ]
    cell = ("W_xh", "W_hh", "bias")
    names = ["RNN/output_w", "RNN/output_b", *(f"RNN/LSTMCell/{name}" for name in cell)]
    return {f"vector_rnn/{name}": array for name, array in zip(names, arrays, strict=True)}


@pytest.mark.parametrize("name", ["bear", "bicycle", "dog", "trombone"])
def test_published_decoders(shared, name: str) -> None:
    """Raw outputs, row by row, within what float32 leaves of sums over 512 weights as large as 10."""
    folder = shared / "golden" / "sketchrnn_js"
    _, shapes, blobs = json.loads((folder / "models" / f"{name}.gen.json").read_text())
    scale = json.loads((folder / "magenta_sketch" / "summary.json").read_text())[name]["scaleFactor_pf2"]
    variables = published_decoder(blobs, shapes)
    config = config_from_tf(variables)
    model = SketchRNN(config).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in from_tf(variables, config).items()})
    arrays = np.load(folder / "magenta_sketch" / f"{name}.npz")
    for drawing in ("sheep", "hand"):
        inputs = torch.from_numpy(arrays[f"{drawing}/inputs"] / [scale, scale, 1, 1, 1]).float()[:, None]
        with torch.no_grad():
            y = model._outputs(torch.zeros(1, 0), inputs, torch.tensor([len(inputs)]), None)
        near(y[:, 0], torch.from_numpy(arrays[f"{drawing}/raw"]), 1e-4)
