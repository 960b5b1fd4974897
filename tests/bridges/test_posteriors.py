"""Cached posteriors of frozen bases, and the batches made of them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toy_domains import ATTRIBUTES, SHAPES, SOUNDS

from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.posterior_batches import PosteriorBatches, assemble, check_base
from kikibouba.bridges.posteriors import Posteriors, encode_dataset, weights_hash
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Normal


class Sums(nn.Module):
    """A base that encodes a sequence as multiples of its sum, and counts how often it is asked."""

    z_size = 3

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        self.calls = 0

    def encode(self, x: Tensor, lengths: Tensor) -> Normal:
        self.calls += 1
        real = torch.arange(x.shape[1]) < lengths[:, None]
        mu = (x * real).sum(dim=1, keepdim=True) * self.factors
        return Normal(mu, torch.full_like(mu, 0.5))


class Sequences:
    """A representation of integer sequences, and a dataset of them, reduced to what encoding needs."""

    meta = {"format": 1}  # noqa: RUF012

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self.arrays = [rng.integers(0, 9, size=n).astype(np.uint8) for n in rng.integers(1, 6, size=count)]
        self.lengths = np.array([len(a) for a in self.arrays])

    kind = "sequence"
    representation = property(lambda self: self)

    def split(self, name: str) -> "Sequences":
        return self

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, i: int) -> np.ndarray:
        return self.arrays[i]

    def collate(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([len(a) for a in arrays])
        return np.stack([np.pad(a, (0, lengths.max() - len(a)), constant_values=9) for a in arrays]), lengths

    def attributes(self, arrays) -> dict[str, np.ndarray]:
        return {"total": np.array([float(a.sum()) for a in arrays])}


def test_every_item_is_encoded_once_and_in_order(tmp_path: Path) -> None:
    base, dataset = Sums(), Sequences(50)
    found = encode_dataset("sums", base, dataset, "train", tmp_path, batch_size=8)
    totals = np.array([a.sum() for a in dataset.arrays], dtype=np.float32)
    np.testing.assert_allclose(found.mu, totals[:, None] * [1, 2, 3])
    np.testing.assert_allclose(found.sigma, 0.5)
    np.testing.assert_allclose(found.attribute("total"), totals)
    calls = base.calls
    again = encode_dataset("sums", base, dataset, "train", tmp_path)
    assert base.calls == calls  # from the cache
    np.testing.assert_array_equal(again.mu, found.mu)
    with pytest.raises(KikiboubaError, match="did you mean 'total'"):
        found.attribute("totl")


def test_other_weights_are_encoded_anew(tmp_path: Path) -> None:
    base, dataset = Sums(), Sequences(5)
    first = encode_dataset("sums", base, dataset, "train", tmp_path)
    base.factors.data *= 2
    second = encode_dataset("sums", base, dataset, "train", tmp_path)
    np.testing.assert_allclose(second.mu, 2 * first.mu)
    assert first.base_hash != second.base_hash


def test_an_interrupted_encoding_leaves_nothing(tmp_path: Path) -> None:
    base = Sums()
    base.encode = lambda x, lengths: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        encode_dataset("sums", base, Sequences(5), "train", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_limit_takes_a_fixed_random_choice(tmp_path: Path) -> None:
    base, dataset = Sums(), Sequences(50)
    found = encode_dataset("sums", base, dataset, "train", tmp_path, limit=10)
    assert len(found) == len(found.attribute("total")) == 10
    np.testing.assert_allclose(found.mu[:, 0], found.attribute("total"))


def test_hash_survives_half_precision() -> None:
    base, stored = Sums(), Sums()
    base.factors.data = torch.randn(3)
    stored.factors.data = base.factors.data.half().float()
    assert weights_hash(base) == weights_hash(stored)
    stored.factors.data[0] += 0.1
    assert weights_hash(base) != weights_hash(stored)


def test_statistics_are_the_moments_of_samples() -> None:
    posteriors = SHAPES.posteriors(20_000, seed=0)
    z = posteriors.sample(np.arange(20_000), np.random.default_rng(0))
    mean, std, informativeness = posteriors.statistics()
    np.testing.assert_allclose(z.mean(axis=0), mean, atol=0.07)
    np.testing.assert_allclose(z.std(axis=0), std, rtol=0.03)
    np.testing.assert_allclose(
        informativeness[:12], 0.8, atol=0.06
    )  # noise 0.5: 1 / (1 + 0.25), bent a little
    np.testing.assert_allclose(informativeness[12:], 0.0)


def batches(seed: int = 0, **settings) -> PosteriorBatches:
    train = [SHAPES.posteriors(300, seed=1), SOUNDS.posteriors(200, seed=2)]
    valid = [SHAPES.posteriors(100, seed=3), SOUNDS.posteriors(100, seed=4)]
    config = ModelConfig(attributes=ATTRIBUTES, num_bins=4, **settings)
    return PosteriorBatches(train, valid, config, batch_size=60, seed=seed)


def test_a_step_always_gives_the_same_batch_shared_out_between_processes() -> None:
    whole = batches().batch(7)
    assert whole.z.shape == (60, 24 + 40)
    assert whole.z.dtype == torch.float32
    assert whole.labels.shape == (60, 2, 2)
    parts = [batches().batch(7, rank, 2) for rank in range(2)]
    assert torch.equal(whole.z[0::2], parts[0].z)
    assert torch.equal(whole.labels[1::2], parts[1].labels)
    assert not torch.equal(whole.z, batches().batch(8).z)
    assert not torch.equal(whole.z, batches(seed=1).batch(7).z)


def test_held_out_batches_repeat() -> None:
    data = batches()
    first, second = list(data.eval_batches()), list(data.eval_batches())
    assert all(torch.equal(a.z, b.z) for a, b in zip(first, second, strict=True))
    assert len(first) == 4


def test_labels_belong_to_their_items() -> None:
    batch = batches().batch(0)
    factors = SOUNDS.attributes(batch.z[:, 24:].numpy())["jagged"]  # noisy, but the end classes are far apart
    label = batch.labels[:, 1, 0].numpy()
    assert factors[label == 3].mean() - factors[label == 0].mean() > 1.5


@pytest.mark.parametrize("labelled", [0.1, 20])
def test_semi_supervision_tells_half_of_the_rows_a_few_labels_again_and_again(labelled: float) -> None:
    found = [batches(labelled=labelled).batch(step) for step in range(20)]
    shown = torch.cat([batch.labels for batch in found]) >= 0
    assert (shown.float().mean(dim=(0, 2)) == 0.5).all()  # as many in both domains
    told = torch.cat([batch.mu for batch in found])[shown[:, 0, 0], :24]
    assert len(told.unique(dim=0)) == (30 if labelled == 0.1 else 20)


def categorised(name: str, labels: list[str], count: int = 200, seed: int = 0) -> Posteriors:
    domain = SHAPES if name == "shapes" else SOUNDS
    categories = np.random.default_rng(seed).choice(labels, size=count)
    return dataclasses.replace(domain.posteriors(count, seed=seed), categories=categories)


ZOO = [categorised("shapes", ["sheep", "bat", "duck", ""]), categorised("sounds", ["folk", "techno"], seed=1)]
MATCH = (("sheep+duck", "folk"), ("bat", "techno"))


def test_rows_that_tell_a_category_hold_the_same_class_in_all_domains() -> None:
    config = ModelConfig(categories=MATCH, attributes=ATTRIBUTES, shared_size=4, width=8, layers=1)
    bridge, found = assemble(config, ZOO, ZOO, batch_size=40)
    assert bridge.config.classes == (8, 8, 2)
    for batch in [found.batch(0), *found.eval_batches()]:
        classes = batch.labels[..., 2]
        assert (classes >= 0).sum() == 40
        assert torch.equal(classes[:, 0], classes[:, 1])
        assert (batch.labels[..., :2] >= 0).all()  # attributes are known of all
        assert bridge.loss(batch, 0)["loss"].isfinite()
    sheep = np.isin(ZOO[0].categories, ["sheep", "duck"])
    assert (found.train_labels[0][sheep, 2] == 0).all()
    assert (found.train_labels[0][ZOO[0].categories == "", 2] == -1).all()


def test_held_out_categories_are_not_trained_on() -> None:
    config = ModelConfig(held_out=("duck",), shared_size=4, width=8, layers=1)
    _, found = assemble(config, ZOO, ZOO)
    assert set(found.train[0].categories) == set(found.valid[0].categories) == {"sheep", "bat", ""}
    assert len(found.train[1]) == 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"categories": (("sheap", "folk"), ("bat", "techno"))}, "shapes is labelled 'sheap'; did you mean"),
        ({"categories": (("sheep", "folk"),)}, "1 class is too few"),
        ({"categories": (("*",),)}, "0 class.*bat, duck, sheep; sounds: folk, techno"),
        ({"categories": (("sheep", "folk"), ("sheep", "techno"))}, "'sheep' of shapes stands in two"),
        ({"held_out": ("ducks",)}, "held_out names 'ducks'.*did you mean 'duck'"),
        ({"held_out": ("folk", "techno")}, "leaves no example of sounds"),
        ({"attributes": ATTRIBUTES, "labelled": 0.0}, "labelled = 0 leaves nothing of shapes"),
        ({"categories": MATCH, "labelled": 1.5}, "no training item of shapes is labelled"),
        ({"attributes": (("flat", "jagged"),)}, "flat of shapes is 2 for all"),
    ],
)
def test_labels_that_cannot_be_learnt_from_are_refused(settings: dict, message: str) -> None:
    flat = dataclasses.replace(ZOO[0], attributes=ZOO[0].attributes | {"flat": np.full(200, 2.0)})
    with pytest.raises(KikiboubaError, match=message):
        assemble(ModelConfig(shared_size=4, width=8, layers=1, **settings), [flat, ZOO[1]], [flat, ZOO[1]])


def test_assembling_records_the_bases_and_a_wrong_one_is_told() -> None:
    train = [SHAPES.posteriors(50, seed=1), SOUNDS.posteriors(50, seed=2)]
    bridge, _ = assemble(ModelConfig(shared_size=4, width=8, layers=1), train, train)
    config = bridge.config
    assert (config.domains, config.z_sizes) == (("shapes", "sounds"), (24, 40))
    statistics = train[0].statistics()
    door = bridge.domain("shapes")
    np.testing.assert_allclose(door.mean, statistics.mean)
    np.testing.assert_allclose(door.std, statistics.std)
    np.testing.assert_allclose(door.informativeness, statistics.informativeness)
    plain = dataclasses.replace(config, standardise=False, informativeness=False)
    door = assemble(plain, train, train)[0].domain("shapes")
    np.testing.assert_allclose(torch.stack([door.mean, door.std - 1, door.informativeness - 1]), 0)
    base = Sums()
    with pytest.raises(KikiboubaError, match="other weights of 'shapes'"):
        check_base(config, "shapes", base)
    with pytest.raises(KikiboubaError, match="did you mean 'shapes'"):
        check_base(config, "shape", base)
    check_base(dataclasses.replace(config, base_hashes=(weights_hash(base), "")), "shapes", base)
