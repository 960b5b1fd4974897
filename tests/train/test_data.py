"""Batches are a pure function of the step, cover every example, and waste little on padding."""

import dataclasses
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from kikibouba.data.store import Dataset, DatasetWriter
from kikibouba.errors import KikiboubaError
from kikibouba.train.data import Prefetch, SplitBatches, adopt_representation
from toy_family.data import ToyRepresentation, ToySketches
from toy_family.make import toy_dataset, toy_preset


def numbered(folder: Path, lengths: np.ndarray) -> Dataset:
    """Examples that can be told apart: number i is `lengths[i]` times i."""
    with DatasetWriter(folder) as writer:
        writer.add("train", np.repeat(np.arange(len(lengths), dtype=np.int64), lengths), lengths)
        return writer.close({"representation": {"kind": "toy"}, "categories": [], "sources": []})


def epoch_of(batches: SplitBatches, epoch: int) -> list[list[int]]:
    """The examples of each batch of an epoch."""
    steps = range(epoch * batches.batches_per_epoch, (epoch + 1) * batches.batches_per_epoch)
    return [batches.batch(step).x[:, 0].tolist() for step in steps]


@pytest.mark.parametrize("ragged", [False, True])
def test_an_epoch_shows_every_example_once(tmp_path: Path, ragged: bool) -> None:
    lengths = np.random.default_rng(0).integers(1, 30, 200) if ragged else np.full(200, 4)
    batches = SplitBatches(numbered(tmp_path, lengths), batch_size=10)
    first, second = epoch_of(batches, 0), epoch_of(batches, 1)
    assert sorted(chain(*first)) == sorted(chain(*second)) == [i % 256 for i in range(200)]
    assert first != second


def test_batches_do_not_depend_on_what_was_asked_before(tmp_path: Path) -> None:
    dataset = toy_dataset(tmp_path)
    one, two = (SplitBatches(dataset, batch_size=8, seed=4, augment=True) for _ in range(2))
    in_order = [one.batch(step) for step in range(30)]
    for step in (29, 3, 17, 3):
        again = two.batch(step)
        assert torch.equal(again.x, in_order[step].x)
        assert torch.equal(again.lengths, in_order[step].lengths)
    other = SplitBatches(dataset, batch_size=8, seed=5, augment=True).batch(3)
    assert other.x.shape != in_order[3].x.shape or not torch.equal(other.x, in_order[3].x)


def test_examples_of_similar_length_meet(tmp_path: Path) -> None:
    lengths = np.random.default_rng(1).integers(1, 200, 2000)
    batches = SplitBatches(numbered(tmp_path, lengths), batch_size=20)
    made = [batches.batch(step) for step in range(batches.batches_per_epoch)]
    padded = sum(batch.x.numel() for batch in made)
    assert padded < 1.05 * lengths.sum()
    longest = [batch.x.shape[1] for batch in made]
    assert longest != sorted(longest)


@pytest.mark.parametrize("augment", [False, True])
def test_ranks_share_a_batch_out(tmp_path: Path, augment: bool) -> None:
    batches = SplitBatches(toy_dataset(tmp_path), batch_size=9, augment=augment)
    whole = batches.batch(5)
    shares = [batches.batch(5, rank, 2) for rank in range(2)]
    assert [len(share.x) for share in shares] == [5, 4]
    for rank, share in enumerate(shares):
        assert torch.equal(share.lengths, whole.lengths[rank::2])
        assert torch.equal(share.x, whole.x[rank::2, : share.x.shape[1]])
    with pytest.raises(KikiboubaError, match="9 examples cannot be shared by 10 processes"):
        batches.batch(5, 0, 10)


def test_augmentation_varies_training_only(tmp_path: Path) -> None:
    dataset = toy_dataset(tmp_path)
    batches = SplitBatches(dataset, batch_size=64, augment=True)
    starts = batches.batch(0).x[:, 0]
    assert set(starts.tolist()) == {0, 1, 2, 3}
    assert all((batch.x[:, 0] == 0).all() for batch in batches.eval_batches())
    assert sum(len(batch.x) for batch in batches.eval_batches()) == 16


def test_a_split_smaller_than_a_batch_trains_with_less(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="train has 5 examples only: batches of 5"):
        batches = SplitBatches(toy_dataset(tmp_path, train=5, valid=0), batch_size=512)
    assert len(batches.batch(3).x) == 5
    assert not list(batches.eval_batches())


def test_prefetch_changes_nothing(tmp_path: Path) -> None:
    batches = SplitBatches(toy_dataset(tmp_path), batch_size=8, augment=True)
    with Prefetch(batches, 0, 1) as prefetch:
        for step in (4, 5, 6, 2, 3):
            assert torch.equal(prefetch.batch(step).x, batches.batch(step).x)


def test_a_preset_adopts_the_representation_of_its_data(tmp_path: Path) -> None:
    dataset = toy_dataset(tmp_path)
    preset = toy_preset()
    louder = dataclasses.replace(preset, representation=ToyRepresentation(transpose_range=(0, 1)))
    assert adopt_representation(louder, dataset).representation == ToyRepresentation(transpose_range=(0, 1))
    longer = dataclasses.replace(preset, representation=ToyRepresentation(steps=16))
    with pytest.raises(KikiboubaError, match="prepared with steps 8, but toy expects 16"):
        adopt_representation(longer, dataset)
    roomier = dataclasses.replace(preset, representation=ToyRepresentation(max_length=9))
    assert adopt_representation(roomier, dataset).representation.max_length == 8
    tighter = dataclasses.replace(preset, representation=ToyRepresentation(max_length=7))
    with pytest.raises(KikiboubaError, match="prepared with max_length 8, but toy expects 7"):
        adopt_representation(tighter, dataset)
    with pytest.raises(KikiboubaError, match="holds toy examples, but toy learns toy_sketches"):
        adopt_representation(dataclasses.replace(preset, representation=ToySketches()), dataset)
