"""The bridge, on made-up latent spaces where the right answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_domains import ATTRIBUTES, SHAPES, SOUNDS, ToyDomain

from kikibouba.bridges.latent_translation.config import PRESETS, ModelConfig
from kikibouba.bridges.latent_translation.model import LatentTranslation, TranslationBatch, build
from kikibouba.bridges.posterior_batches import assemble
from kikibouba.bridges.posteriors import Posteriors
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.evaluate.translation import cycle_consistency, locality, realism, translated
from kikibouba.train.checkpoint import load_checkpoint
from kikibouba.train.loop import fit

SMALL = ModelConfig(
    attributes=ATTRIBUTES,
    shared_size=32,
    width=64,
    layers=2,
    adaptor_size=40,
    kl_weight=0.005,
    num_projections=96,
    realism_weight=3.0,
)
TINY = replace(SMALL, domains=("shapes", "sounds"), z_sizes=(24, 40), shared_size=8, width=16, num_bins=4)
TRAIN = [SHAPES.posteriors(4000, seed=3), SOUNDS.posteriors(4000, seed=4)]
HELD_OUT = [SHAPES.posteriors(2000, seed=5), SOUNDS.posteriors(2000, seed=6)]
DOMAINS = [SHAPES, SOUNDS]


@pytest.fixture(scope="module")
def bridge() -> LatentTranslation:
    """A bridge trained for seconds."""
    bridge, batches = assemble(SMALL, TRAIN, HELD_OUT, batch_size=192)
    optimizer = torch.optim.Adam(bridge.parameters(), lr=2e-3)
    for step in range(250):
        loss = bridge.loss(batches.batch(step), step, torch.Generator().manual_seed(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return bridge.eval()


def transfer(bridge: LatentTranslation, source: Posteriors, target: ToyDomain) -> list[float]:
    """Rank correlations of the attributes of items and of their translations."""
    found = target.attributes(translated(bridge, source.mu, source.domain, target.name))
    return [
        spearman(source.attributes[a], found[b]) for a, b in zip(source.attributes, target.names, strict=True)
    ]


@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0)])
def test_reaches_the_targets_on_held_out_items(bridge: LatentTranslation, source: int, target: int) -> None:
    assert cycle_consistency(bridge, HELD_OUT[source], DOMAINS[target].name) >= 0.85
    assert realism(bridge, HELD_OUT[source], HELD_OUT[target]) <= 2.0
    assert min(transfer(bridge, HELD_OUT[source], DOMAINS[target])) >= 0.5
    assert locality(bridge, HELD_OUT[source], HELD_OUT[target]) >= 0.1  # chance: 0.01


def test_untrained_it_fails_the_same_targets() -> None:
    bridge, _ = assemble(SMALL, TRAIN, HELD_OUT)
    assert cycle_consistency(bridge, HELD_OUT[0], "sounds") < 0.5
    assert realism(bridge, HELD_OUT[0], HELD_OUT[1]) > 2.0
    assert max(transfer(bridge, HELD_OUT[0], SOUNDS)) < 0.5


def test_translation_is_encode_then_decode(bridge: LatentTranslation) -> None:
    z = torch.tensor(HELD_OUT[0].mu[:5])
    shared = bridge.encode(z, "shapes")
    assert shared.mu.shape == shared.sigma.shape == (5, 32)
    assert (shared.sigma > 0).all()
    out = bridge.translate(z, "shapes", "sounds")
    assert out.shape == (5, 40)
    torch.testing.assert_close(out, bridge.decode(shared.mu, "sounds"))
    draws = [
        bridge.translate(z, "shapes", "sounds", True, torch.Generator().manual_seed(i)) for i in (1, 1, 2)
    ]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_units_of_a_base_do_not_matter(bridge: LatentTranslation) -> None:
    """A base whose latents are scaled and shifted is translated to and from all the same."""
    z = torch.tensor(HELD_OUT[0].mu[:5])
    scaled = LatentTranslation(bridge.config)
    scaled.load_state_dict(bridge.state_dict())
    door = scaled.domain("shapes")
    door.set_units(door.mean * 10 + 3, door.std * 10)
    expected = bridge.translate(z, "shapes", "sounds")
    torch.testing.assert_close(scaled.translate(z * 10 + 3, "shapes", "sounds"), expected, atol=1e-4, rtol=0)
    there = bridge.decode(torch.zeros(1, 32), "shapes")
    torch.testing.assert_close(scaled.decode(torch.zeros(1, 32), "shapes"), there * 10 + 3, atol=1e-4, rtol=0)


def random_batch(config: ModelConfig, size: int = 16) -> TranslationBatch:
    generator = torch.Generator().manual_seed(0)
    shape = (size, len(config.domains), len(config.attributes))
    labels = torch.randint(config.num_bins, shape, generator=generator)
    mu = torch.randn(size, sum(config.z_sizes), generator=generator)
    return TranslationBatch(mu + 0.3 * torch.randn(mu.shape, generator=generator), mu, labels)


def parts(config: ModelConfig, batch: TranslationBatch | None = None, step: int = 0) -> dict[str, float]:
    torch.manual_seed(0)
    found = build(config).loss(batch or random_batch(config), step, torch.Generator().manual_seed(0))
    return {name: value.item() for name, value in found.items()}


def test_loss_is_the_weighted_sum_of_its_parts() -> None:
    weights = {"kl": 0.1, "swd": 2.0, "classifier": 0.3, "cycle": 0.5, "realism": 4.0, "transfer": 0.7}
    config = replace(TINY, **{f"{name}_weight": weight for name, weight in weights.items()})
    p = parts(config)
    total = p["rec"] + 0.1 * p["kl"] + 2 * p["swd"] + 0.3 * p["ce"] + 0.5 * p["cycle"] + 4 * p["realism"]
    total += 0.7 * (p["critic"] + p["transfer"])
    assert p["loss"] == pytest.approx(total, rel=1e-5)


def test_a_weight_of_zero_removes_its_term() -> None:
    bare = dict.fromkeys(
        ["kl_weight", "swd_weight", "classifier_weight", "cycle_weight", "realism_weight", "transfer_weight"],
        0.0,
    )
    assert set(parts(replace(TINY, **bare))) == {"loss", "rec"}
    assert set(parts(replace(TINY, **(bare | {"kl_weight": 0.1})))) == {"loss", "rec", "kl"}


def test_kl_is_that_of_torch() -> None:
    torch.manual_seed(0)
    bridge, batch = build(TINY), random_batch(TINY)
    expected = []
    for part, name in zip(batch.z.split([24, 40], dim=1), TINY.domains, strict=True):
        q = torch.distributions.Normal(*bridge.encode(part, name))
        expected.append(
            torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
        )
    assert parts(TINY)["kl"] == pytest.approx(torch.stack(expected).mean().item(), rel=1e-4)


def test_unlabelled_items_do_not_count_for_the_classifier() -> None:
    batch = random_batch(TINY)
    half = batch._replace(labels=torch.where(torch.arange(16)[:, None, None] < 8, batch.labels, -1))
    none = batch._replace(labels=torch.full_like(batch.labels, -1))
    assert parts(TINY, none)["ce"] == 0.0
    assert parts(TINY, half)["ce"] != pytest.approx(parts(TINY, batch)["ce"])
    assert parts(TINY, half)["rec"] == pytest.approx(parts(TINY, batch)["rec"])


def test_switches_of_the_original_code_and_of_ablations() -> None:
    """The author's classifier: never trained, and gated, hence not linear."""
    as_published = replace(
        TINY,
        train_classifier=False,
        linear_classifier=False,
        adaptor_size=0,
        z_sizes=(32, 32),
        label_share=0.0,
        cycle_weight=0.0,
        realism_weight=0.0,
        transfer_weight=0.0,
    )
    bridge = build(as_published)
    bridge.loss(random_batch(as_published), 0)["loss"].backward()
    assert all(p.grad is None for p in bridge.classifier.parameters())
    assert all(p.grad is not None for p in [*bridge.encoder.parameters(), *bridge.decoder.parameters()])
    trained = build(replace(as_published, train_classifier=True, linear_classifier=True))
    trained.loss(random_batch(as_published), 0)["loss"].backward()
    assert all(p.grad is not None for p in trained.classifier.parameters())
    for switch in ({"gated": False}, {"use_domain": False}):
        assert parts(replace(TINY, **switch))["loss"] != pytest.approx(parts(TINY)["loss"])


def test_three_domains_take_turns_as_partners() -> None:
    config = replace(TINY, domains=("a", "b", "c"), z_sizes=(4, 6, 8), attributes=(("x", "y", "z"),))
    cycles = [parts(config, step=step)["cycle"] for step in range(4)]
    assert cycles[0] == cycles[2] != cycles[1] == cycles[3]
    assert build(config).translate(torch.zeros(2, 8), "c", "a").shape == (2, 4)


def test_chosen_pairs_alone_are_partners() -> None:
    names = ("a", "b", "c")
    config = replace(TINY, domains=names, z_sizes=(4, 6, 8), attributes=(("x", "y", "z"),))
    assert build(config).partners == [[1, 2], [2, 0], [0, 1]]
    assert build(replace(config, pairs=(("a", "b"), ("c", "b")))).partners == [[1], [2, 0], [1]]
    for pairs, message in (
        ((("a", "b"),), "no pair leads from a to c"),
        ((("a", "a"), ("b", "c")), "two different"),
        ((("a", "b"), ("b", "cc")), "did you mean 'c'"),
    ):
        with pytest.raises(KikiboubaError, match=message):
            build(replace(config, pairs=pairs))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domains": ("a",), "z_sizes": (4,)}, "two or more"),
        ({"domains": ("a", "a")}, "two or more different"),
        ({"z_sizes": (4, 5, 6)}, "one per domain"),
        ({"adaptor_size": 0}, "adaptor_size > 0"),
        ({"attributes": (("x", "y", "z"),)}, "must name one for each"),
    ],
)
def test_parts_of_a_configuration_must_fit(change: dict, message: str) -> None:
    with pytest.raises(KikiboubaError, match=message):
        build(replace(TINY, **change))


def test_unknown_domains_are_named() -> None:
    with pytest.raises(KikiboubaError, match="did you mean 'shapes'"):
        build(TINY).translate(torch.zeros(1, 24), "shape", "sounds")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_train_with_the_loop_and_load_again(name: str, tmp_path: Path) -> None:
    preset = PRESETS[name]
    attributes = ATTRIBUTES if preset.model.attributes else ()
    config = replace(preset.model, attributes=attributes, width=32, shared_size=8, num_projections=16)
    train, valid = (
        [replace(p, categories=np.resize(["cat", "dog", ""], len(p))) for p in split]
        for split in (TRAIN, HELD_OUT)
    )
    bridge, batches = assemble(config, train, valid, batch_size=32)
    preset = replace(preset, model=bridge.config)
    recipe = replace(preset.train, num_steps=4, eval_every=2, save_every=2)
    metrics = fit(bridge, batches, recipe, tmp_path / "out", preset=preset)
    assert metrics["steps_done"] == 4
    loaded_preset, loaded = load_checkpoint(tmp_path / "out")
    assert loaded_preset.model == bridge.config
    z = torch.tensor(HELD_OUT[0].mu[:3])
    assert loaded.translate(z, "shapes", "sounds").isfinite().all()
    torch.testing.assert_close(loaded.domain("sounds").std, bridge.domain("sounds").std)
