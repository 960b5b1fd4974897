"""Latent constraints on a latent space in three dimensions, where it can be seen what they do."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from kikibouba.bridges.latent_constraints.batches import assemble
from kikibouba.bridges.latent_constraints.classes import Classes, asked, classes_of, levels, named
from kikibouba.bridges.latent_constraints.config import PRESETS, ModelConfig
from kikibouba.bridges.latent_constraints.model import LatentConstraints
from kikibouba.bridges.latent_constraints.search import CLOSE, FREE, search
from kikibouba.bridges.posteriors import Posteriors
from kikibouba.config import Preset
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Normal
from kikibouba.train.checkpoint import load_checkpoint, save_checkpoint
from kikibouba.train.loop import fit


def sheet(count: int, seed: int) -> Posteriors:
    """Real latents lie on a thin sheet; how far right and up they are is their attributes."""
    mu = np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32) * np.float32(
        [1.5, 1.5, 0.1]
    )
    measured = {"right": mu[:, 0].astype(float), "up": mu[:, 1].astype(float), "flat": np.ones(count)}
    return Posteriors("toy", "sheet", "hash", mu, np.full_like(mu, 0.1), measured)


def halves(posteriors: Posteriors) -> dict[str, np.ndarray]:
    """Labels a user might give."""
    return {"side": np.where(posteriors.mu[:, 0] > 0, "east", "west")}


def recipe(**settings) -> Preset:
    """The small preset, smaller."""
    model = ModelConfig(
        width=32,
        layers=3,
        prior_share=0.5,
        actor_every=5,
        distance_weight=0.02,
        attribute_weight=1.0,
        judged=0,
        **settings,
    )
    train = dataclasses.replace(
        PRESETS["constraints"].train,
        num_steps=600,
        batch_size=64,
        learning_rate=3e-3,
        decay_rate=0.995,
        ema_decay=0.99,
        eval_every=300,
    )
    return dataclasses.replace(PRESETS["constraints"], model=model, train=train)


def made(preset: Preset, seed: int = 0):
    train, valid = ((part, halves(part)) for part in (sheet(4000, 1), sheet(500, 2)))
    module, batches = assemble(preset.model, train, valid, {}, preset.train.batch_size, seed)
    return module, batches, dataclasses.replace(preset, model=module.config)


def run(out: Path, seed: int = 0, num_steps: int | None = None, **settings) -> LatentConstraints:
    module, batches, preset = made(recipe(**settings), seed)
    fit(module, batches, preset.train, out, preset=preset, seed=seed, num_steps=num_steps)
    return module


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> LatentConstraints:
    folder = tmp_path_factory.mktemp("trained")
    run(folder)
    return load_checkpoint(folder)[1]


def wish(module: LatentConstraints, n: int, **values: str) -> torch.Tensor:
    return torch.from_numpy(np.tile(asked(module.config, values), (n, 1)))


def prior(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed))


def test_attributes_that_vary_and_labels_become_classes(trained):
    config = trained.config
    assert config.attributes == ("right", "up", "side")
    assert config.classes == (("low", "mid", "high"), ("low", "mid", "high"), ("east", "west"))
    assert [len(thresholds) for thresholds in config.thresholds] == [2, 2, 0]
    assert (config.base, config.base_hash, config.z_size) == ("toy", "hash", 3)
    torch.testing.assert_close(trained.sigma, torch.full((3,), 0.1))


def test_the_critic_knows_what_is_real_and_the_actor_makes_it_so(trained):
    real, z = torch.from_numpy(sheet(400, 7).mu), prior(400)
    with torch.no_grad():
        moved = trained.act(z, trained.free(400), close=False)
        of_real, of_prior, of_moved = (
            trained.realism(v, trained.free(400)).mean().item() for v in (real, z, moved)
        )
    assert of_real > of_prior + 0.03
    assert of_moved > of_prior + 0.03


@pytest.mark.parametrize(("name", "axis"), [("right", 0), ("up", 1)])
def test_the_actor_moves_to_what_is_asked_for(trained, name, axis):
    first, second = trained.config.thresholds[axis]
    with torch.no_grad():
        low, mid, high = (
            trained.act(prior(300), wish(trained, 300, **{name: level}), close=False)[:, axis]
            for level in ("low", "mid", "high")
        )
    assert (low < first).float().mean() > 0.75
    assert (high >= second).float().mean() > 0.75
    assert low.mean() < mid.mean() < high.mean()


def test_a_users_labels_and_several_wishes_at_once(trained):
    with torch.no_grad():
        west = trained.act(prior(300), wish(trained, 300, side="west"), close=False)
        corner = trained.act(prior(300), wish(trained, 300, side="west", up="high"), close=False)
    assert (west[:, 0] < 0).float().mean() > 0.9
    assert ((corner[:, 0] < 0.3) & (corner[:, 1] > 0.3)).float().mean() > 0.7


def test_staying_close_goes_less_far(trained):
    z = torch.from_numpy(sheet(300, 5).mu)
    labels = wish(trained, 300, right="high")
    with torch.no_grad():
        far, close = (trained.act(z, labels, close) for close in (False, True))
    assert (close - z).norm(dim=1).mean() < 0.9 * (far - z).norm(dim=1).mean()


@pytest.mark.parametrize("how", [FREE, CLOSE])
def test_the_search_finds_what_is_asked_for_row_by_row(trained, how):
    z = prior(60)
    labels = wish(trained, 60, right="high")
    how = dataclasses.replace(how, learning_rate=0.05, distance_weight=how.distance_weight / 50)
    found = search(trained, z, labels, how)
    assert (found[:, 0] >= trained.config.thresholds[0][1]).float().mean() > 0.7
    alone = search(trained, z[7:9], labels[7:9], how)
    torch.testing.assert_close(alone, found[7:9], atol=1e-3, rtol=0)
    near = torch.from_numpy(sheet(400, 6).mu)
    near = near[(near[:, 0] > 2) & (near[:, 2].abs() < 0.1)]
    stays = search(trained, near, wish(trained, len(near), right="high"), how)
    assert ((stays - near).norm(dim=1) == 0).float().mean() > 0.5  # good enough from the start


def test_as_a_model_it_is_the_base_with_realistic_latents(trained):
    q = Normal(prior(5), torch.ones(5, 3))
    assert trained.encode(q) is q
    with torch.no_grad():
        torch.testing.assert_close(trained.decode(q.mu), trained.act(q.mu, trained.free(5), close=True))


def test_the_judge_teaches_the_attribute_critic_what_fakes_really_are():
    """Where a base plays a trick (right is never high), the judged critic knows, and the other does not."""
    preset = recipe()
    beliefs = []
    for judged in (0, 64):
        model = dataclasses.replace(preset.model, judged=judged, judge_every=1)
        module, batches, _ = made(dataclasses.replace(preset, model=model))

        def judge(z):
            return torch.stack([torch.zeros(len(z), dtype=torch.int64), *[-torch.ones(len(z)).long()] * 2], 1)

        module.judge = judge
        optimiser = torch.optim.Adam(module.attribute_critic.parameters(), lr=1e-3)
        for step in range(80):
            optimiser.zero_grad()
            module.train().loss(batches.batch(step), step, torch.Generator().manual_seed(step))[
                "loss"
            ].backward()
            optimiser.step()
        middle = torch.zeros(1, 3)  # no real example is there
        beliefs.append(torch.sigmoid(module.attribute_critic(middle))[0, 0].item())
    assert beliefs[1] > beliefs[0] + 0.1


def test_save_and_load_are_bit_equal(tmp_path):
    module, _, preset = made(recipe())
    save_checkpoint(tmp_path / "a", module, preset, {}, "# card\n")
    loaded_preset, loaded = load_checkpoint(tmp_path / "a")
    assert loaded_preset == preset
    for name, value in module.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])


def test_a_run_that_was_stopped_goes_on_bit_by_bit(tmp_path):
    whole = run(tmp_path / "whole", num_steps=6)
    run(tmp_path / "parts", num_steps=3)
    parts = run(tmp_path / "parts", num_steps=6)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name


def test_the_seed_decides_everything(tmp_path):
    same, again, other = (run(tmp_path / name, seed, 3) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    key = "actor.delta_and_gate.weight"
    assert torch.equal(same.state_dict()[key], again.state_dict()[key])
    assert not torch.equal(same.state_dict()[key], other.state_dict()[key])


def test_without_labels_it_is_a_matter_of_realism_alone():
    module = LatentConstraints(ModelConfig(z_size=3, width=8))
    batch = made(recipe())[1].batch(0)._replace(labels=torch.zeros(64, 0, dtype=torch.int64))
    parts = module.train().loss(batch, 1, torch.Generator().manual_seed(0))
    assert torch.isfinite(parts["loss"])
    assert parts["attributes"] == parts["asked"] == 0


def test_levels_are_thirds_as_far_as_equal_values_allow():
    assert levels("a", np.arange(9.0)) == Classes(("low", "mid", "high"), (3.0, 6.0))
    half_zero = np.array([0.0] * 50 + list(range(1, 51)))
    assert levels("a", half_zero).thresholds == (1.0, 18.0)
    assert levels("a", np.array([0.0, 0, 0, 4])) == Classes(("low", "high"), (4.0,))
    found = levels("a", np.arange(9.0)).of(np.array([-1, 2.9, 3, 5.9, 6, np.nan]))
    assert found.tolist() == [0, 0, 1, 1, 2, -1]


def test_classes_of_labels_are_those_with_enough_examples():
    values = np.array(["b"] * 20 + ["a"] * 3 + ["rare"] * 2 + [""] * 5)
    assert named("mood", values).names == ("a", "b")
    assert named("mood", values, ("b", "x", "a")).names == ("b", "a")
    config = ModelConfig(attributes=("mood", "none"), classes=(("a", "b"), ("c", "d")), thresholds=((), ()))
    found = classes_of(config, {}, {"mood": np.array(["b", "rare", ""])})
    assert found.tolist() == [[1, -1], [-1, -1], [-1, -1]]


def test_what_cannot_be_learnt_is_told():
    train = sheet(100, 1)
    with pytest.raises(KikiboubaError, match=r"'flat' does not vary: it is 1 in all 100 examples"):
        made_of(train, {}, ("flat",))
    with pytest.raises(KikiboubaError, match="no attribute or label 'rigth'; did you mean 'right'"):
        made_of(train, {}, ("rigth",))
    with pytest.raises(KikiboubaError, match=r"'mood' need two classes or more.*there are: calm \(100\)"):
        made_of(train, {"mood": np.array(["calm"] * 100)}, ())
    with pytest.raises(KikiboubaError, match="there are: none"):
        made_of(train, {"mood": np.array([""] * 100)}, ())
    still = dataclasses.replace(train, attributes={"flat": train.attributes["flat"]})
    with pytest.raises(KikiboubaError, match="100 examples measure alike"):
        made_of(still, {}, ())


def made_of(posteriors, labels, attributes):
    part = posteriors, labels
    return assemble(ModelConfig(attributes=attributes, width=8), part, part, {}, 8)


def test_what_cannot_be_asked_for_is_told(trained):
    config = trained.config
    with pytest.raises(KikiboubaError, match="nothing was learnt about 'rigth'; did you mean 'right'"):
        asked(config, {"rigth": "low"})
    with pytest.raises(KikiboubaError, match="right cannot be 'hi'; allowed: low, mid, high, or a number"):
        asked(config, {"right": "hi"})
    with pytest.raises(KikiboubaError, match=r"side cannot be '3'; allowed: east, west$"):
        asked(config, {"side": "3"})
    with pytest.raises(KikiboubaError, match="right cannot be 'nan'"):
        asked(config, {"right": "nan"})
    assert asked(config, {"right": -9.0, "up": "99"}).tolist() == [0, 2, -1]
