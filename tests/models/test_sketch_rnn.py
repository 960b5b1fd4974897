"""Sketch-RNN: sizes, loss, drawing, and what a user can get wrong."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from kikibouba.config import from_dict, to_dict
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch, LatentModel
from kikibouba.models.sketch_rnn.config import PRESETS, Cell, ModelConfig
from kikibouba.models.sketch_rnn.model import SketchRNN, build
from kikibouba.nn.mixture_density import log_density, split_output

CELLS: list[Cell] = ["lstm", "layer_norm", "hyper"]


def tiny(cell: Cell = "lstm", **changes) -> ModelConfig:
    sizes = {"z_size": 6, "enc_rnn_size": 10, "dec_rnn_size": 12, "num_mixture": 3, "max_length": 30}
    hyper = {"hyper_num_units": 8, "hyper_embedding_size": 4}
    return ModelConfig(**({"enc_model": cell, "dec_model": cell} | sizes | hyper | changes))


def make(config: ModelConfig, seed: int = 0) -> SketchRNN:
    """A model whose z matters: the layers around it get weights of ordinary size."""
    torch.manual_seed(seed)
    model = SketchRNN(config)
    if config.conditional:
        for layer in (model.mu, model.log_variance, model.initial_state):
            torch.nn.init.normal_(layer.weight, std=0.3)
    return model


def drawings(lengths: list[int], seed: int = 0, rows: int | None = None) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(len(lengths), rows or max(lengths), 5)
    x[..., 4] = 1
    for drawing, length in zip(x, lengths, strict=True):
        pen_up = torch.rand(length, generator=generator) < 0.2
        pen_up[-1] = True
        drawing[:length, :2] = torch.randn(length, 2, generator=generator)
        drawing[:length, 2:] = F.one_hot(pen_up.long(), 3)
    return Batch(x, torch.tensor(lengths))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({}, 2_186_107),
        ({"conditional": False}, 1_123_963),
        ({"enc_model": "layer_norm", "dec_model": "layer_norm"}, 2_192_251),
        ({"enc_model": "layer_norm", "dec_model": "hyper"}, 3_480_699),
        ({"enc_model": "hyper", "dec_model": "lstm"}, 3_648_891),
    ],
)
def test_parameter_counts_are_the_original_s(changes: dict, parameters: int) -> None:
    assert sum(p.numel() for p in SketchRNN(ModelConfig(**changes)).parameters()) == parameters


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build_and_survive_json(name: str) -> None:
    config = PRESETS[name].model
    assert from_dict(ModelConfig, to_dict(config)) == config
    model = build(config, PRESETS[name].representation)
    assert isinstance(model, LatentModel)
    assert PRESETS[name].representation.max_length == config.max_length


def test_the_bundled_preset_fits_into_eight_megabytes_of_half_precision() -> None:
    assert 2 * sum(p.numel() for p in build(PRESETS["sketch"].model).parameters()) < 8_000_000


def test_z256_keeps_the_objective_of_z128_in_total_nats() -> None:
    small, large = PRESETS["sketch_rnn"].model, PRESETS["sketch_rnn_z256"].model
    for total in (
        lambda c: c.kl_weight / c.z_size,
        lambda c: c.kl_weight_start / c.z_size,
        lambda c: c.kl_tolerance * c.z_size,
    ):
        assert total(large) == pytest.approx(total(small))


def test_config_needs_no_torch() -> None:
    code = "import sys, kikibouba.models.sketch_rnn.config; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_kl_weight_follows_the_schedule_in_training_only() -> None:
    config = tiny(kl_weight=0.5, kl_weight_start=0.01, kl_decay_rate=0.9)
    model, batch = SketchRNN(config), drawings([5, 3])
    assert model.loss(batch, 3)["kl_weight"].item() == pytest.approx(0.5 - 0.49 * 0.9**3)
    assert model.eval().loss(batch, 3)["kl_weight"].item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "changes",
    [{"recurrent_dropout_keep": 0.0}, {"output_dropout_keep": 1.1}, {"z_size": 0}, {"max_length": 0}],
)
def test_impossible_settings_are_refused(changes: dict) -> None:
    with pytest.raises(KikiboubaError, match=next(iter(changes))):
        ModelConfig(**changes)


# --------------------------------------------------------------------------------------------------- x → z


@pytest.mark.parametrize("cell", CELLS)
def test_posterior_depends_on_the_drawing_alone(cell: Cell) -> None:
    model = make(tiny(cell)).eval()
    together = drawings([4, 9, 1, 9])
    q = model.encode(*together)
    assert q.mu.shape == q.sigma.shape == (4, 6)
    assert (q.sigma > 0).all()
    for i, length in enumerate(together.lengths):
        alone = model.encode(together.x[i : i + 1, :length], together.lengths[i : i + 1])
        torch.testing.assert_close(alone.mu[0], q.mu[i])
        torch.testing.assert_close(alone.sigma[0], q.sigma[i])
    assert (q.mu[1] - q.mu[3]).abs().max() > 1e-3


def test_an_unconditional_model_has_no_encoder() -> None:
    with pytest.raises(KikiboubaError, match="no encoder"):
        make(tiny(conditional=False)).encode(*drawings([3]))


@pytest.mark.parametrize(
    ("x", "lengths"),
    [((2, 4, 3), [4, 4]), ((4, 5), [4, 4]), ((2, 4, 5), [4]), ((2, 4, 5), [4, 0]), ((2, 4, 5), [5, 1])],
)
def test_batches_of_another_shape_are_refused(x: tuple, lengths: list[int]) -> None:
    with pytest.raises(KikiboubaError, match=r"shape|lengths"):
        make(tiny()).loss(Batch(torch.zeros(x), torch.tensor(lengths)), 0)


# ---------------------------------------------------------------------------------------------------- loss


def row_losses(model: SketchRNN, batch: Batch, i: int) -> tuple[list[float], list[float]]:
    """Offset and pen loss of each row of drawing i and of the row that ends it, one at a time."""
    length = int(batch.lengths[i])
    target = torch.cat([batch.x[i, :length], torch.tensor([[0.0, 0, 0, 0, 1]])])
    step, (h, c) = model.decoder.stepper(torch.zeros(1, 0)), model._start(torch.zeros(1, 0))
    row, offset, pen = torch.tensor([[0.0, 0, 1, 0, 0]]), [], []
    for t in range(length + 1):
        h, c = step(row, h, c)
        pen_logits, mixture = split_output(model.output(h[:, : model.config.dec_rnn_size]))
        row = target[t : t + 1]
        offset.append(-log_density(mixture, row[:, :2]).item())
        pen.append(-torch.log_softmax(pen_logits, 1)[0, row[0, 2:].argmax()].item())
    return offset, pen


@pytest.mark.parametrize("cell", CELLS)
def test_loss_counts_the_rows_it_says(cell: Cell) -> None:
    batch = drawings([7, 3, 5])
    model = make(tiny(cell, conditional=False)).eval()
    with torch.no_grad():
        losses = [row_losses(model, batch, i) for i in range(3)]
    scale = 3 * model.config.max_length
    parts = model.loss(batch, 0)
    assert parts["offset_loss"].item() == pytest.approx(sum(sum(o[:-1]) for o, _ in losses) / scale, rel=1e-5)
    assert parts["pen_loss"].item() == pytest.approx(sum(sum(p) for _, p in losses) / scale, rel=1e-5)
    real = SketchRNN(tiny(cell, conditional=False, pad_loss="real_rows")).eval()
    real.load_state_dict(model.state_dict())
    assert real.loss(batch, 0)["pen_loss"].item() == pytest.approx(
        sum(sum(p[:-1]) for _, p in losses) / scale, rel=1e-5
    )


@pytest.mark.parametrize("pad_loss", ["end_row", "all", "real_rows"])
def test_padding_and_order_of_the_batch_change_nothing(pad_loss: str) -> None:
    model = make(tiny(conditional=False, pad_loss=pad_loss)).eval()
    batch = drawings([7, 3, 5])
    wider = drawings([7, 3, 5], rows=20)
    shuffled = Batch(batch.x[[2, 0, 1]], batch.lengths[[2, 0, 1]])
    for other in (wider, shuffled):
        torch.testing.assert_close(model.loss(other, 0)["loss"], model.loss(batch, 0)["loss"])


def test_pad_loss_all_refuses_drawings_longer_than_its_graph() -> None:
    with pytest.raises(KikiboubaError, match="more than max_length 30"):
        make(tiny(pad_loss="all")).loss(drawings([31]), 0)


def test_kl_is_the_divergence_from_the_prior_and_has_a_floor() -> None:
    batch = drawings([7, 3, 5])
    model = make(tiny(kl_tolerance=0.0)).eval()
    q = model.encode(*batch)
    wanted = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mu, q.sigma), torch.distributions.Normal(0.0, 1.0)
    ).mean()
    parts = model.loss(batch, 0, seeded())
    torch.testing.assert_close(parts["kl_loss"], wanted)
    torch.testing.assert_close(parts["loss"] - parts["r_loss"], 0.5 * wanted, rtol=1e-4, atol=1e-6)
    floored = SketchRNN(tiny(kl_tolerance=1e3)).eval()
    floored.load_state_dict(model.state_dict())
    parts = floored.loss(batch, 0, seeded())
    assert parts["kl_loss"].item() == 1e3
    torch.testing.assert_close(parts["kl_raw"], wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_loss_is_a_function_of_weights_batch_and_generator(cell: Cell) -> None:
    changes = {"input_dropout_keep": 0.8, "output_dropout_keep": 0.8}
    model, batch = make(tiny(cell, **changes)).train(), drawings([7, 3, 5])
    before = torch.random.get_rng_state()
    first, again, other = (model.loss(batch, 3, seeded(s))["loss"].item() for s in (0, 0, 1))
    assert first == again != other
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("keep", ["recurrent_dropout_keep", "input_dropout_keep", "output_dropout_keep"])
def test_each_dropout_acts_in_training_only(keep: str) -> None:
    off = {"recurrent_dropout_keep": 1.0}
    plain, dropped = (make(tiny(conditional=False, **changes)) for changes in (off, off | {keep: 0.5}))
    batch = drawings([7, 3, 5])
    assert plain.eval().loss(batch, 0)["loss"] == dropped.eval().loss(batch, 0)["loss"]
    assert plain.train().loss(batch, 0)["loss"] != dropped.train().loss(batch, 0, seeded())["loss"]


@pytest.mark.parametrize("cell", CELLS)
def test_training_learns_two_drawings_by_heart(cell: Cell) -> None:
    model, batch = make(tiny(cell, recurrent_dropout_keep=1.0, kl_weight=0.0)), drawings([8, 6])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    offset_losses = []
    for step in range(60):
        parts = model.loss(batch, step, seeded(step))
        optimiser.zero_grad()
        parts["loss"].backward()
        optimiser.step()
        offset_losses.append(parts["offset_loss"].item())
    # Independent offsets of deviation 1 cost 2.8 nats each, 14 of them spread over 2 * 30 rows: 0.66.
    assert offset_losses[0] > 0.5
    assert offset_losses[-1] < 0.3


@pytest.mark.parametrize("cell", CELLS)
def test_bf16_changes_the_loss_little(cell: Cell) -> None:
    model, batch = make(tiny(cell)).train(), drawings([7, 3, 5])
    exact = model.loss(batch, 0, seeded())["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model.loss(batch, 0, seeded())["loss"]
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), abs=0.02)


def test_clear_latent_starts_with_a_z_that_matters() -> None:
    torch.manual_seed(0)
    batch = drawings([7, 3, 5])
    plain, clear = (
        SketchRNN(tiny(latent_init=start)).eval().encode(*batch) for start in ("original", "clear")
    )
    assert plain.mu.abs().max() < 0.05
    assert clear.mu.abs().max() > 0.05
    torch.testing.assert_close(clear.sigma, torch.full_like(clear.sigma, 0.135), rtol=0.1, atol=0)


# --------------------------------------------------------------------------------------------------- z → x


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("conditional", [True, False])
def test_decoded_rows_are_stroke_5(cell: Cell, conditional: bool) -> None:
    model = make(tiny(cell, conditional=conditional)).eval()
    x, lengths = model.decode(torch.randn(7, model.z_size, generator=seeded(1)), 0.8, seeded())
    assert x.shape == (7, int(lengths.max()), 5)
    assert lengths.min() >= 1
    assert torch.equal(x[..., 2:].sum(-1), torch.ones(x.shape[:2]))
    ended = torch.arange(x.shape[1])[None] >= lengths[:, None]
    assert torch.equal(x[..., 4] == 1, ended)
    assert not x[ended][:, :2].any()
    assert len(lengths.unique()) > 1


def test_decode_repeats_with_the_seed_and_leaves_global_noise_alone() -> None:
    model = make(tiny()).eval()
    z = torch.randn(3, 6, generator=seeded(1))
    before = torch.random.get_rng_state()
    (a, la), (b, lb), (c, _) = (model.decode(z, 0.7, seeded(s)) for s in (5, 5, 6))
    assert torch.equal(a, b)
    assert torch.equal(la, lb)
    assert a.shape != c.shape or not torch.equal(a, c)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("cell", CELLS)
def test_greedy_decoding_follows_the_teacher_forced_outputs(cell: Cell) -> None:
    model = make(tiny(cell)).eval()
    model.output.bias.data[2] = -50.0
    z = torch.randn(3, 6, generator=seeded(1))
    x, lengths = model.decode(z, temperature=0)
    assert lengths.tolist() == [30, 30, 30]
    with torch.no_grad():
        inputs = torch.cat([torch.tensor([0.0, 0, 1, 0, 0]).expand(1, 3, 5), x.transpose(0, 1)[:-1]])
        pen_logits, mixture = split_output(model._outputs(z, inputs, lengths, None))
    best = mixture.log_pi.argmax(-1, keepdim=True)
    offsets = torch.cat([mixture.mu_x.gather(-1, best), mixture.mu_y.gather(-1, best)], -1)
    torch.testing.assert_close(x[..., :2], offsets.transpose(0, 1), rtol=1e-4, atol=1e-5)
    assert torch.equal(x[..., 2:].argmax(-1), pen_logits.argmax(-1).T)


@pytest.mark.parametrize("bias", [50.0, -50.0])
def test_decoding_stops_when_all_have_ended_or_at_the_limit(bias: float) -> None:
    model = make(tiny()).eval()
    model.output.bias.data[2] = bias
    x, lengths = model.decode(torch.zeros(4, 6), 1.0, seeded(), max_length=20)
    wanted = 1 if bias > 0 else 20
    assert x.shape == (4, wanted, 5)
    assert lengths.tolist() == [wanted] * 4


@pytest.mark.parametrize(("variance", "factor"), [("T", 0.25), ("T^2", 0.0625)])
def test_temperature_scales_the_variance(variance, factor: float) -> None:
    model = make(tiny(conditional=False, num_mixture=1)).eval()
    z = torch.zeros(20_000, 0)
    spreads = [
        model.decode(z, t, seeded(), max_length=1, variance=variance)[0][:, 0, :2].var(0) for t in (1.0, 0.25)
    ]
    torch.testing.assert_close(spreads[1] / spreads[0], torch.full((2,), factor), rtol=0.03, atol=0)


def test_temperature_sharpens_the_pen() -> None:
    model = make(tiny(conditional=False)).eval()
    with torch.no_grad():
        step, (h, c) = model.decoder.stepper(torch.zeros(1, 0)), model._start(torch.zeros(1, 0))
        h, _ = step(torch.tensor([[0.0, 0, 1, 0, 0]]), h, c)
        logits = model.output(h)[0, :2]
    for temperature in (0.2, 1.0):
        x, _ = model.decode(torch.zeros(20_000, 0), temperature, seeded(), max_length=1)
        wanted = torch.softmax(logits / temperature, 0)[0].item()
        assert x[:, 0, 2].mean().item() == pytest.approx(
            wanted, abs=5 * (wanted * (1 - wanted) / 20_000) ** 0.5
        )


@pytest.mark.parametrize(("shape", "temperature", "message"), [((2, 5), 1.0, "decodes"), ((2, 6), -1.0, "0")])
def test_impossible_decoding_is_refused(shape: tuple, temperature: float, message: str) -> None:
    with pytest.raises(KikiboubaError, match=message):
        make(tiny()).decode(torch.zeros(shape), temperature)
