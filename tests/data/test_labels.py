"""Labels of files, and of the examples that come from them."""

from pathlib import Path

import numpy as np
import pytest

from kikibouba.data.labels import labels_of, read_labels
from kikibouba.data.store import Dataset, DatasetWriter
from kikibouba.errors import KikiboubaError


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three files: two examples of train, one of valid; one of train; two of train with a category."""
    folder = tmp_path / "data"
    folder.mkdir()
    with DatasetWriter(folder) as writer:
        for name, counts, category in (
            ("pop/1.mid", {"train": 2, "valid": 1}, -1),
            ("folk/1.mid", {"train": 1}, -1),
            ("folk/2.mid", {"train": 2}, 0),
        ):
            for split, count in counts.items():
                writer.add(split, np.zeros(count, np.uint8), np.ones(count, int), np.full(count, category))
            writer.add_source(name, "00", counts)
        representation = {"kind": "sketch"}
        return writer.close({"representation": representation, "categories": ["cat"]})


def test_examples_have_the_label_of_their_file(dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text('file,label\nfolk/*,reel\nfolk/2.mid,"jig, slow"\n', encoding="utf-8-sig")
    table = read_labels(file)
    assert labels_of(dataset, "train", table).tolist() == ["", "", "reel", "jig, slow", "jig, slow"]
    assert labels_of(dataset, "valid", table).tolist() == [""]
    assert labels_of(dataset, "train").tolist() == ["", "", "", "cat", "cat"]
    assert labels_of(dataset, "valid").tolist() == [""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mid,folk\n", "must begin with the line file,label"),
        ("file,label\na.mid\n", "line 2: a file and its label"),
        ("file,label\na.mid,\n", "line 2"),
        ("file,label\na.mid,x\na.mid,y\n", "labels a.mid twice: x and y"),
        ('file,label\n"a.mid,x\n', "is not a CSV file"),
        ("", "is empty"),
    ],
)
def test_bad_files_are_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(KikiboubaError, match=message):
        read_labels(tmp_path / "labels.csv")


@pytest.mark.parametrize("name", ["pop/2.mid", "jazz/*"])
def test_names_that_fit_no_file_are_told(dataset: Dataset, name: str) -> None:
    with pytest.raises(KikiboubaError, match=r"1 of 2 labelled names fit no file.*e\.g\. 'pop/1\.mid'"):
        labels_of(dataset, "train", {"pop/*": "pop", name: "jazz"})
