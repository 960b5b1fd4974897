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
from kikibouba.bridges.posteriors import encode_dataset, weights_hash
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


def batches(**options) -> PosteriorBatches:
    train = [SHAPES.posteriors(300, seed=1), SOUNDS.posteriors(200, seed=2)]
    valid = [SHAPES.posteriors(100, seed=3), SOUNDS.posteriors(100, seed=4)]
    return PosteriorBatches(train, valid, ATTRIBUTES, 4, batch_size=60, **options)


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


def test_semi_supervision_hides_most_labels() -> None:
    labels = torch.cat([batches(num_labelled=20).batch(step).labels for step in range(20)])
    shown = (labels >= 0).all(dim=-1).float().mean(dim=0)
    np.testing.assert_allclose(shown, [20 / 300, 20 / 200], atol=0.03)


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
