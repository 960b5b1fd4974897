"""Folders and datasets become latent vectors in the order in which they were named."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from kikibouba.cli import main
from kikibouba.data.prepare import prepare
from kikibouba.encoding import Encoder, gather, model_of, tasks_of
from kikibouba.errors import KikiboubaError
from kikibouba.hub import load_model
from kikibouba.latents import read_latents

EXAMPLES = Path(__file__).parents[1] / "examples"
WALK, LULLABY = EXAMPLES / "morning_walk.mid", EXAMPLES / "lullaby.mid"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two songs, and what is no song."""
    folder = tmp_path_factory.mktemp("songs")
    for song in (WALK, LULLABY):
        shutil.copy(song, folder)
    (folder / "broken.mid").write_bytes(b"MThd")
    (folder / "notes.txt").write_text("not music")
    return folder


@pytest.fixture(scope="module")
def dataset(folder, tmp_path_factory):
    return prepare("melody", folder, tmp_path_factory.mktemp("data"), fractions=(1, 0, 0), progress=False)


def test_a_dataset_keeps_its_order_whatever_the_batches(dataset):
    model, examples = load_model("mel_2bar"), dataset.split("train")
    whole = model.encode([examples[i] for i in range(len(examples))])
    tasks = tasks_of([dataset.path], batch_size=7)
    assert len(tasks) == -(-len(examples) // 7)
    found = gather("mel_2bar", tasks, list(map(Encoder(model), tasks)))
    np.testing.assert_allclose(found.mu, whole.mu, atol=1e-5)
    np.testing.assert_allclose(found.sigma, whole.sigma, atol=1e-5)
    counts = {source["file"]: source["counts"]["train"] for source in dataset.sources()}
    assert {name: found.sources.count(name) for name in counts} == counts
    assert list(found.sources) == sorted(found.sources)
    assert found.places is None
    assert model_of(tasks) == "mel_2bar"


def test_a_folder_is_its_files(folder, tmp_path, capsys):
    assert main(["encode", str(folder), "--whole", "-o", str(tmp_path / "folder.npz")]) == 1
    said = capsys.readouterr().err
    assert "broken.mid" in said
    assert "notes.txt" not in said
    songs = [str(folder / song.name) for song in (LULLABY, WALK)]
    assert main(["encode", *songs, "--whole", "-o", str(tmp_path / "files.npz")]) == 0
    one, other = read_latents(tmp_path / "folder.npz"), read_latents(tmp_path / "files.npz")
    np.testing.assert_array_equal(one.mu, other.mu)
    np.testing.assert_array_equal(one.places, other.places)
    assert one.sources == other.sources


def test_files_and_datasets_side_by_side(folder, dataset, tmp_path):
    out = tmp_path / "z.npz"
    assert main(["encode", str(WALK), str(dataset.path), str(LULLABY), "-o", str(out)]) == 0
    found = read_latents(out)
    assert (found.sources[0], found.sources[-1]) == (str(WALK), str(LULLABY))
    assert len(found.mu) == 2 + len(dataset.split("train"))


def test_what_cannot_be_encoded(folder, dataset, tmp_path):
    with pytest.raises(KikiboubaError, match=r"has no 'vald' examples"):
        tasks_of([dataset.path], split="vald")
    (tmp_path / "empty").mkdir()
    with pytest.raises(KikiboubaError, match="nothing to read in"):
        tasks_of([tmp_path / "empty"])
    [task] = tasks_of([folder / "broken.mid"])
    part = Encoder(load_model("mel_2bar"))(task)
    with pytest.raises(KikiboubaError) as one:
        gather("mel_2bar", [task], [part])
    assert str(one.value) == part.skipped
    with pytest.raises(KikiboubaError, match="none of the inputs could be encoded"):
        gather("mel_2bar", [task, task], [part, part])
    with pytest.raises(KikiboubaError, match="sketch"):
        Encoder(load_model("sketch"))(tasks_of([dataset.path])[0])
