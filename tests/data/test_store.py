"""Datasets on disk read back what was written, and an unfinished one is never seen."""

import json
from pathlib import Path

import numpy as np
import pytest

import toy_family.make  # noqa: F401 (registers the toy representations)
from kikibouba.data.store import Dataset, DatasetWriter
from kikibouba.errors import KikiboubaError

META = {"representation": {"kind": "toy"}, "categories": ["a", "b"]}


def test_round_trip_of_ragged_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(n, 3)).astype(np.float32) for n in (3, 1, 7, 2, 5)]
    with DatasetWriter(tmp_path) as writer:
        for array, category in zip(arrays, (0, 1, -1, 1, 0), strict=True):
            writer.add("train", array, np.array([len(array)]), np.array([category]))
        writer.add("test", np.concatenate(arrays[:2]), np.array([3, 1]))
        dataset = writer.close(META)
    train, test = dataset.split("train"), Dataset.open(tmp_path).split("test")
    assert [len(train), len(test)] == [5, 2]
    assert all(np.array_equal(a, b) for a, b in zip(train, arrays, strict=True))
    assert np.array_equal(train[-1], arrays[-1])
    assert np.array_equal(test[1], arrays[1])
    assert train.lengths.tolist() == [3, 1, 7, 2, 5]
    assert train.categories is not None
    assert train.categories.tolist() == [0, 1, -1, 1, 0]
    assert test.categories is None
    assert dataset.splits == ("train", "test")
    assert isinstance(train.rows, np.memmap)
    with pytest.raises(IndexError):
        train[5]


def test_an_unfinished_dataset_leaves_the_older_one(tmp_path: Path) -> None:
    def write(value: int) -> None:
        with DatasetWriter(tmp_path) as writer:
            writer.add("train", np.full(4, value, np.uint8), np.array([4]))
            if value == 2:
                raise OSError(28, "No space left on device")
            writer.close(META)

    write(1)
    with pytest.raises(OSError, match="No space"):
        write(2)
    assert Dataset(tmp_path).split("train")[0].tolist() == [1, 1, 1, 1]
    write(3)
    assert Dataset(tmp_path).split("train")[0].tolist() == [3, 3, 3, 3]
    assert not list(tmp_path.glob(".unfinished*"))


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-x").mkdir()
    (tmp_path / ".unfinished-x" / "train.rows.npy").write_bytes(b"half")
    with DatasetWriter(tmp_path) as writer:
        writer.add("train", np.zeros(4, np.uint8), np.array([4]))
        writer.close(META)
    assert not list(tmp_path.glob(".unfinished*"))


def test_sources_and_fingerprint(tmp_path: Path) -> None:
    fingerprints = []
    for digest in ("aa", "ab", "aa"):
        with DatasetWriter(tmp_path) as writer:
            writer.add("train", np.zeros(4, np.uint8), np.array([4]))
            writer.add_source("ü.txt", digest, {"train": 1})
            dataset = writer.close(META)
        assert list(dataset.sources()) == [{"file": "ü.txt", "sha256": digest, "counts": {"train": 1}}]
        fingerprints.append(dataset.meta["fingerprint"])
    assert fingerprints[0] == fingerprints[2] != fingerprints[1]


def test_a_dataset_of_format_1_still_opens(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path) as writer:
        writer.add("train", np.zeros(4, np.uint8), np.array([4]))
        writer.add_source("a", "aa", {"train": 1})
        dataset = writer.close(META)
    meta = json.loads((tmp_path / "meta.json").read_text())
    old = {"format": 1, "sources": [{"file": "a", "sha256": "aa"}]}
    (tmp_path / "meta.json").write_text(json.dumps({**META, "counts": meta["counts"], **old}))
    again = Dataset(tmp_path)
    assert {name: again.meta[name] for name in ("files", "fingerprint", "counts")} == {
        name: dataset.meta[name] for name in ("files", "fingerprint", "counts")
    }


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(KikiboubaError, match="no prepared dataset"):
        Dataset(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(KikiboubaError, match="dataset format"):
        Dataset(tmp_path)
    with DatasetWriter(tmp_path) as writer:
        writer.add("train", np.zeros(4, np.uint8), np.array([4]))
        dataset = writer.close(META)
    with pytest.raises(KikiboubaError, match=r"no 'trian' examples; did you mean 'train'"):
        dataset.split("trian")
    rows = tmp_path / "train.rows.npy"
    rows.write_bytes(rows.read_bytes()[:-2])
    with pytest.raises(KikiboubaError, match="prepare the dataset again"):
        dataset.split("train")
