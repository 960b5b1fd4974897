"""Reconstruction figures, on tiny models whose answers can be worked out otherwise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.groove import GrooveRepresentation
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.sketch import SketchRepresentation
from kikibouba.data.trio import TrioRepresentation
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.reconstruction import evaluate_model, free_running, losses, sketch_losses
from kikibouba.models.base import Normal
from kikibouba.models.music_vae import config as music_config
from kikibouba.models.music_vae import model as music_model
from kikibouba.models.sketch_rnn import config as sketch_config
from kikibouba.models.sketch_rnn import model as sketch_model


def melody_base() -> Base:
    torch.manual_seed(0)
    representation = MelodyRepresentation()
    config = music_config.ModelConfig(z_size=4, enc_rnn_size=(8,), dec_rnn_size=(8,))
    return Base(music_model.build(config, representation).eval(), representation)


def sketch_base(pad_loss: str = "end_row") -> Base:
    torch.manual_seed(0)
    config = sketch_config.ModelConfig(
        z_size=4, enc_rnn_size=8, dec_rnn_size=8, num_mixture=2, max_length=20, pad_loss=pad_loss
    )
    return Base(sketch_model.build(config).eval(), SketchRepresentation(max_length=20))


HOW = ("greedy", "free-running", "teacher-forced")
MELODY = MelodyRepresentation(bars=1)


class Examples(list):
    """A dataset and its only split."""

    lengths = property(lambda self: np.array([len(a) for a in self]))

    def split(self, name: str) -> "Examples":
        assert name == "test"
        return self


def groove_base(**fields: bool) -> Base:
    torch.manual_seed(0)
    representation = GrooveRepresentation(**fields)
    config = music_config.ModelConfig(z_size=4, enc_rnn_size=(8,), dec_rnn_size=(8,), decoder="groove")
    return Base(music_model.build(config, representation).eval(), representation)


def grooves(count: int) -> Examples:
    rng = np.random.default_rng(0)
    hits = rng.random((count, 32, 9)) < 0.2
    velocities, offsets = rng.random(hits.shape), rng.uniform(-1, 1, hits.shape)
    return Examples(np.concatenate([hits, hits * velocities, hits * offsets], axis=-1).astype(np.float32))


def music_base(representation: object, **fields: object) -> Base:
    torch.manual_seed(0)
    config = music_config.ModelConfig(enc_rnn_size=(8,), dec_rnn_size=(8,), **({"z_size": 4} | fields))
    return Base(music_model.build(config, representation).eval(), representation)


def labels(representation: object, count: int) -> Examples:
    """Random examples of what the outputs of a layout may be, told nothing."""
    rng, layout = np.random.default_rng(0), representation.layout
    columns = []
    for part in layout.outputs:
        depth, width = (2 if part.table is None else len(part.table)), part.stop - part.start
        columns.append(rng.integers(0, depth, size=(count, representation.steps, width)))
    columns += [np.zeros((count, representation.steps, p.stop - p.start), int) for p in layout.controls]
    return Examples(np.concatenate(columns, axis=-1).squeeze().astype(np.uint16))


def melodies(count: int) -> Examples:
    rng = np.random.default_rng(0)
    return Examples(rng.integers(0, 90, size=(count, 32)).astype(np.uint8))


def drawings(count: int) -> Examples:
    rng = np.random.default_rng(0)
    found = Examples()
    for n in rng.integers(3, 20, size=count):
        drawing = rng.standard_normal((n, 3)).astype(np.float32)
        drawing[:, 2] = 0
        drawing[-1, 2] = 1
        found.append(drawing)
    return found


def test_a_model_is_right_about_what_it_says_itself() -> None:
    base = melody_base()
    constant = base.decode(np.zeros((1, 4), np.float32))
    base.module.decoder.initial_state.weight.data.zero_()  # z no longer matters: it always says the same
    base.module.decoder.layers[0].w_x.data[90:] = 0
    own = base.decode(np.zeros((3, 4), np.float32))
    assert free_running(base, own, base.rebuild(own))["greedy accuracy"] == 1.0
    other = [np.where(constant[0] == 5, 6, 5).astype(np.uint8)]
    found = free_running(base, other, base.rebuild(other))
    assert found["greedy accuracy"] < 1.0
    assert found == free_running(base, other, base.rebuild(other))
    assert found["free-running accuracy"] != free_running(base, own, own)["free-running accuracy"]


def test_losses_are_means_over_examples_whatever_the_batches() -> None:
    base, examples = melody_base(), melodies(300)  # two batches of unequal size
    base.module.encoder.sigma.bias.data.fill_(-50.0)  # no noise in z
    whole = losses(base, examples)
    first, rest = losses(base, examples[:100]), losses(base, examples[100:])
    assert whole["r_loss"] == pytest.approx((first["r_loss"] + 2 * rest["r_loss"]) / 3, rel=1e-5)


def test_sketch_totals_follow_from_the_means() -> None:
    found = sketch_losses(sketch_base(), drawings(30))
    assert found["R nats"] == pytest.approx(20 * found["R"])
    assert found["KL nats"] == pytest.approx(4 * found["KL"])
    assert found["ELBO nats"] == pytest.approx(found["R nats"] + found["KL nats"])


def test_sketch_losses_count_real_rows_only_and_leave_the_model_alone() -> None:
    as_trained, examples = sketch_base("all"), drawings(30)
    assert sketch_losses(as_trained, examples) == pytest.approx(sketch_losses(sketch_base(), examples))
    assert as_trained.module.config == replace(sketch_base().module.config, pad_loss="all")


@pytest.mark.parametrize(
    ("base", "examples"),
    [
        (melody_base(), melodies(40)),
        (sketch_base(), drawings(40)),
        (groove_base(humanize=True), grooves(40)),
        (groove_base(hits_as_controls=True, split_instruments=True), grooves(40)),
    ],
)
def test_every_kind_gets_its_figures_and_its_attributes(base: Base, examples: Examples) -> None:
    figures = evaluate_model(base, examples, limit=25)
    assert figures["examples"] == 25
    assert figures == evaluate_model(base, examples, limit=25)
    assert all(np.isfinite(value) for value in figures.values())
    kept = {name for name in figures if name.endswith(" kept")}
    assert kept == {f"{name} kept" for name in base.representation.attributes(examples[:1])}
    expected = {"melody": "greedy accuracy", "sketch": "ELBO nats", "groove": "offset MAE ms"}
    assert expected[base.representation.kind] in figures


TRIO = TrioRepresentation(bars=1, chords="triad")
BITS = DrumsRepresentation(bars=1, roll_output=True)


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (
            music_base(TRIO, decoder="split"),
            [f"{how} accuracy{part}" for how in HOW for part in ("", ", melody", ", bass", ", drums")],
        ),
        (
            music_base(BITS, decoder="nade"),
            [f"{how} {what}" for how in HOW for what in ("accuracy", "precision", "recall")],
        ),
        (
            music_base(DrumsRepresentation(bars=1, pitch_classes="full"), decoder="nade"),
            [f"{how} {what}" for how in HOW for what in ("accuracy", "precision", "recall")],
        ),
        (music_base(MelodyRepresentation(bars=1, chords="triad")), [f"{how} accuracy" for how in HOW]),
    ],
)
def test_figures_follow_from_what_is_said(base: Base, expected: list[str]) -> None:
    figures = evaluate_model(base, labels(base.representation, 20))
    assert set(expected) | {"reconstruction nats", "KL bits", "examples"} == {
        name for name in figures if not name.endswith(" kept")
    }
    assert all(np.isfinite(value) for value in figures.values())


def test_a_language_model_rebuilds_nothing() -> None:
    figures = evaluate_model(music_base(MelodyRepresentation(bars=1), z_size=0), labels(MELODY, 20))
    assert set(figures) == {"examples", "reconstruction nats", "KL bits", "teacher-forced accuracy"}


class Foreign(torch.nn.Linear):
    """A model of some other family, whose representation has no layout."""

    z_size = 0

    def loss(self, batch: object, step: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"loss": torch.tensor(2.0), "charm": torch.tensor(0.5)}


def test_an_unknown_model_is_measured_by_its_own_terms() -> None:
    base = Base(Foreign(1, 1), SketchRepresentation())
    assert evaluate_model(base, drawings(5)) == {"examples": 5, "loss": 2.0, "charm": 0.5}


class Echo(torch.nn.Linear):
    """A model that says the hits it is told."""

    def encode(self, x: torch.Tensor, lengths: torch.Tensor) -> Normal:
        return Normal(torch.zeros(len(x), 4), torch.ones(len(x), 4))

    def decode(
        self, z: torch.Tensor, temperature: float, generator: torch.Generator, controls: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        said = torch.nn.functional.pad(controls, (0, 18))
        return torch.cat([said, controls], -1), torch.full((len(z),), 32)


def test_a_model_is_told_the_hits_of_what_it_rebuilds() -> None:
    performances = grooves(300)
    rebuilt = Base(Echo(1, 1), GrooveRepresentation(hits_as_controls=True)).rebuild(performances)
    assert np.array_equal([a[:, :9] for a in rebuilt], [a[:, :9] for a in performances])
