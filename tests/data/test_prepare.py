"""`prepare` gives the same bytes however it runs, and no file can stop it."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import toy_family.make  # noqa: F401 (registers the toy representations)
from kikibouba.data import prepare as prepare_module
from kikibouba.data.prepare import prepare, report
from kikibouba.data.store import Dataset, DatasetWriter
from kikibouba.errors import KikiboubaError
from toy_family.data import ToyGrooves, ToyRepresentation, ToySketches


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for i in range(40):
        path = folder / f"album {i % 3}" / f"{i:02}=ü.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(str(1 + i * k % 8) for k in range(1, 6)))
    return folder


def content(folder: Path) -> dict[str, str]:
    """Every file in a dataset, as hashes."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()}


def lines_of(dataset: Dataset, name: str) -> dict[str, str]:
    """File → text of a list beside the arrays."""
    lines = (dataset.path / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines)


def test_any_number_of_workers_gives_the_same_bytes(files: Path, tmp_path: Path) -> None:
    one = prepare(ToyRepresentation(), files, tmp_path / "one", workers=1, progress=False)
    three = prepare(ToyRepresentation(), files, tmp_path / "three", workers=3, progress=False)
    assert content(one.path) == content(three.path)
    assert sum(one.meta["counts"].values()) == 200
    assert [source["file"] for source in one.sources()] == sorted(
        path.relative_to(files).as_posix() for path in files.rglob("*.txt")
    )


def test_splits_follow_from_names_alone(files: Path, tmp_path: Path) -> None:
    def splits(dataset: Dataset) -> dict[str, list[str]]:
        return {source["file"]: list(source["counts"]) for source in dataset.sources()}

    before = splits(
        prepare(ToyRepresentation(), files, tmp_path / "a", fractions=(0.5, 0.25, 0.25), progress=False)
    )
    (files / "00 new.txt").write_text("3 4")
    after = splits(
        prepare(ToyRepresentation(), files, tmp_path / "b", fractions=(0.5, 0.25, 0.25), progress=False)
    )
    assert {name: after[name] for name in before} == before
    assert {split for [split] in before.values()} == {"train", "valid", "test"}


def test_split_lists(files: Path, tmp_path: Path) -> None:
    (files / "split").mkdir()
    (files / "split" / "train.txt").write_text("album 0/00=ü.txt\nalbum 1/01=ü.txt\n")
    (files / "split" / "test.txt").write_text("album 2/02=ü.txt\nalbum 9/gone.txt\n")
    dataset = prepare(ToyRepresentation(), files, tmp_path / "out", progress=False)
    assert [s["counts"] for s in dataset.sources()] == [{"train": 5}, {"train": 5}, {"test": 5}]
    assert [[count, text] for count, _, text in dataset.meta["skipped"]] == [[37, "in no split list"]]
    assert "1 names in the split lists have no file" in report(dataset)
    (files / "split" / "train.txt").write_text("00=ü.txt\n")
    (files / "split" / "test.txt").unlink()
    with pytest.raises(KikiboubaError, match=r"name none of the 40 files, .* but 00=ü.txt"):
        prepare(ToyRepresentation(), files, tmp_path / "out", progress=False)
    (files / "split" / "valid.txt").write_text("album 0/00=ü.txt\n")
    (files / "split" / "train.txt").write_text("album 0/00=ü.txt\n")
    with pytest.raises(KikiboubaError, match="in two split lists"):
        prepare(ToyRepresentation(), files, tmp_path / "out", progress=False)


def test_several_inputs_with_their_own_lists(tmp_path: Path) -> None:
    for name, split in (("a", "train"), ("b", "valid")):
        (tmp_path / name / "split").mkdir(parents=True)
        (tmp_path / name / "1.txt").write_text("5")
        (tmp_path / name / "split" / f"{split}.txt").write_text("1.txt\n")
    lists = [tmp_path / "a" / "split", tmp_path / "b" / "split"]
    dataset = prepare(
        ToyRepresentation(), [tmp_path / "a", tmp_path / "b"], tmp_path / "out", splits=lists, progress=False
    )
    assert {s["file"]: s["counts"] for s in dataset.sources()} == {
        "a/1.txt": {"train": 1},
        "b/1.txt": {"valid": 1},
    }


def test_a_crash_costs_one_file(files: Path, tmp_path: Path) -> None:
    (files / "album 0" / "crash.txt").write_text("crash")
    (files / "album 1" / "bad.txt").write_text("bad: the toy rule rejects it")
    (files / "album 1" / "bug.txt").write_text("bug")
    (files / "album 1" / "empty.txt").write_text("")
    (files / "album 1" / "nine.txt").write_text("9")
    dataset = prepare(ToyRepresentation(), files, tmp_path / "out", workers=2, progress=False)
    reasons = lines_of(dataset, "skipped.txt")
    assert "crashed" in reasons.pop("album 0/crash.txt")
    assert reasons.pop("album 1/bad.txt") == "the toy rule rejects it"
    assert reasons.pop("album 1/bug.txt") == "unexpected IndexError: a parser's own mistake"
    assert reasons.pop("album 1/empty.txt") == "no examples in it"
    assert not reasons
    assert sum(dataset.meta["counts"].values()) == 201
    assert lines_of(dataset, "warnings.txt") == {"album 1/nine.txt": "off the grid"}
    assert dataset.meta["warnings"] == [[1, "album 1/nine.txt", "off the grid"]]
    assert "files skipped: 4 (listed in" in report(dataset)
    assert "1 x the toy rule rejects it, e.g. album 1/bad.txt" in report(dataset)
    assert not (dataset.path / "parts").exists()


def test_unique_keeps_test_out_of_train(files: Path, tmp_path: Path) -> None:
    fractions = (0.4, 0.3, 0.3)
    dataset = prepare(
        ToyRepresentation(), files, tmp_path / "out", fractions=fractions, unique=True, progress=False
    )
    examples = [array.tobytes() for name in dataset.splits for array in dataset.split(name)]
    assert len(set(examples)) == len(examples) == 8
    assert dataset.meta["duplicates"] == 192
    every = prepare(ToyRepresentation(), files, tmp_path / "every", fractions=fractions, progress=False)
    in_train = {array.tobytes() for array in every.split("train")}
    assert set(examples) - in_train == set(examples[len(in_train) :])


def test_what_is_in_no_split_is_no_first_of_equals(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "split").mkdir(parents=True)
    (folder / "a.txt").write_text("- - 5\ntest - 5\ntrain - 5\ntrain - 6\n")
    (folder / "b.txt").write_text("- - 6\n- - 7\n")
    (folder / "split" / "train.txt").write_text("")
    (folder / "split" / "test.txt").write_text("b.txt\n")
    dataset = prepare(ToySketches(scale_factor=2.0), folder, tmp_path / "out", unique=True, progress=False)
    assert {name: [len(array) for array in dataset.split(name)] for name in dataset.splits} == {
        "train": [5, 6],
        "test": [7],
    }
    assert dataset.meta["duplicates"] == 2


def test_formats_that_name_splits_and_categories(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("train owl 5\ntest owl 6\n- cat 7\nvalid - 30\n")
    (folder / "b.txt").write_text("- dog 3\n")
    (folder / "c.txt").write_text("- dog 4\n")
    (folder / "split").mkdir()
    (folder / "split" / "train.txt").write_text("b.txt\n")
    dataset = prepare(ToySketches(), folder, tmp_path / "out", progress=False)
    train, test = dataset.split("train"), dataset.split("test")
    assert dataset.categories == ["cat", "dog", "owl"]
    assert train.categories is not None
    assert [dataset.categories[c] for c in train.categories] == ["owl", "dog"]
    assert [len(array) for array in test] == [6]
    assert lines_of(dataset, "skipped.txt") == {
        "a.txt": "items left out: 1, e.g. line 3: too long",
        "c.txt": "in no split list",
    }
    assert dataset.meta["left_out"] == [[1, "a.txt line 3", "too long"]]


def test_examples_may_have_columns(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("1 2 2")
    (folder / "b.txt").write_text("2 3")
    dataset = prepare(ToyGrooves(), folder, tmp_path / "out", fractions=(1, 0, 0), progress=False)
    train = dataset.split("train")
    assert (train.rows.shape, train.rows.dtype) == ((5 * 32, 27), np.float32)
    assert [array.shape for array in train] == [(32, 27)] * 5
    assert [array.max() for array in train] == [array.min() for array in train] == [1, 2, 2, 2, 3]
    unique = prepare(ToyGrooves(), folder, tmp_path / "u", fractions=(1, 0, 0), unique=True, progress=False)
    assert [array.max() for array in unique.split("train")] == [1, 2, 3]
    assert unique.meta["duplicates"] == 2


def test_items_left_out_are_counted_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("- - 5\n- - ?\n- - 30\n- - 31\n")
    (folder / "b.txt").write_text("- - ?\n- - 40\n- - 41\n")
    dataset = prepare(ToySketches(scale_factor=2.0), folder, tmp_path / "out", progress=False)
    assert (dataset.path / "skipped.txt").read_text().splitlines() == [
        "a.txt\titems left out: 2, e.g. line 2: too long",
        "a.txt\titems left out: 1, e.g. line 1: not a number",
        "b.txt\tnone of its 3 items is usable: 2 x too long, e.g. line 1",
    ]
    lines = report(dataset).splitlines()
    assert lines[1].startswith("files skipped: 1 (listed")
    assert lines[3].startswith("items of other files left out: 3 (listed")
    assert lines[4] == "       2 x too long, e.g. a.txt line 2"


def test_reasons_that_differ_in_numbers_only_are_one_row(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("1")
    for i in range(20):
        (folder / f"b{i}.txt").write_text(f"bad: byte {i} is {i / 7}, it starts with b'{i}'")
    dataset = prepare(ToyRepresentation(), folder, tmp_path / "out", progress=False)
    assert dataset.meta["skipped"] == [[20, "b0.txt", "byte 0 is 0.0, it starts with b'0'"]]
    assert len(lines_of(dataset, "skipped.txt")) == 20


def test_what_cannot_even_be_opened_is_skipped(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("1")
    (folder / "gone.txt").symlink_to(tmp_path / "nowhere")
    dataset = prepare(ToyRepresentation(), folder, tmp_path / "out", progress=False)
    assert lines_of(dataset, "skipped.txt") == {"gone.txt": "cannot be read: No such file or directory"}


def test_names_need_not_be_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    try:
        for name, text in ((b"\xff1.txt", "1"), (b"\xff2.txt", "bad")):
            (folder / os.fsdecode(name)).write_text(text)
    except OSError:
        pytest.skip("this file system takes no such names")
    dataset = prepare(ToyRepresentation(), folder, tmp_path / "out", progress=False)
    assert [os.fsencode(source["file"]) for source in dataset.sources()] == [b"\xff1.txt"]
    assert "e.g. \N{REPLACEMENT CHARACTER}2.txt" in report(dataset)


def test_offsets_are_divided_by_their_deviation_in_training(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_text("train owl 5\ntrain owl 9\ntest owl 6\n")
    dataset = prepare(ToySketches(), folder, tmp_path / "out", progress=False)
    raw = [ToySketches().windows(n)[0] for n in (5, 9)]
    scale_factor = np.concatenate(raw)[:, :2].astype(np.float64).std()
    np.testing.assert_allclose(dataset.representation.scale_factor, scale_factor, rtol=1e-12)
    np.testing.assert_allclose(dataset.split("train")[1][:, :2], raw[1][:, :2] / scale_factor, rtol=1e-6)
    assert np.array_equal(dataset.split("train")[1][:, 2], raw[1][:, 2])
    given = prepare(ToySketches(scale_factor=2.0), folder, tmp_path / "given", progress=False)
    assert given.representation.scale_factor == 2.0
    assert np.array_equal(given.split("train")[1], raw[1])


def test_goes_on_after_ctrl_c(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(24):
        (folder / f"{i:02}.txt").write_text(f"{1 + i % 8} slow")
    program = (
        "import sys; from kikibouba.data.prepare import prepare\n"
        "from toy_family.data import ToyRepresentation\n"
        "try: prepare(ToyRepresentation(), sys.argv[1], sys.argv[2], workers=2, progress=False)\n"
        "except ValueError as error: sys.exit(str(error))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "out")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob("out/parts/*/*.part")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        message = process.communicate()[1]
    assert process.returncode == 1
    assert message.startswith("interrupted after")
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "parts"]
    resumed = prepare(ToyRepresentation(), folder, tmp_path / "out", workers=2, progress=False)
    whole = prepare(ToyRepresentation(), folder, tmp_path / "whole", workers=2, progress=False)
    assert content(resumed.path) == content(whole.path)


def test_a_full_disk_leaves_the_older_dataset(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(ToyRepresentation(), files, tmp_path / "out", progress=False)
    before = content(tmp_path / "out")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(DatasetWriter, "add", full)
    (files / "more.txt").write_text("1 2 3")
    with pytest.raises(KikiboubaError, match="No space left"):
        prepare(ToyRepresentation(), files, tmp_path / "out", progress=False)
    assert content(tmp_path / "out") == before


def test_goes_on_after_a_kill_without_reading_again(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(24):
        (folder / f"{i:02}.txt").write_text(f"{1 + i % 7} slow")
    whole = prepare(ToyRepresentation(), folder, tmp_path / "whole", workers=2, progress=False)
    program = (
        "import sys; from kikibouba.data.prepare import prepare\n"
        "from toy_family.data import ToyRepresentation\n"
        "prepare(ToyRepresentation(), sys.argv[1], sys.argv[2], workers=2, progress=False)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "out")]
    with subprocess.Popen(command, env=environment) as process:
        while len(list(tmp_path.glob("out/parts/*/*.part"))) < 4 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    # what was read is not looked at again: here a file whose size and time say that it is the same
    first = folder / "00.txt"
    times = first.stat()
    first.write_text("8 slow")
    os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))
    resumed = prepare(ToyRepresentation(), folder, tmp_path / "out", workers=2, progress=False)
    assert content(resumed.path) == content(whole.path)


def test_damaged_parts_are_read_again(files: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_module, "merge", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(KikiboubaError, match="full; what has been read is kept"):
            prepare(ToyRepresentation(), files, tmp_path / "out", progress=False)
    inside, cut, emptied, *_ = tmp_path.rglob("*.part")
    cut.write_bytes(cut.read_bytes()[:-1])
    emptied.write_bytes(b"")
    content_before_rows, _, rest = inside.read_bytes().rpartition(b"NUMPY")
    inside.write_bytes(content_before_rows + b"GARBL" + rest)
    with pytest.raises(KikiboubaError, match="damaged; the same command reads its files again"):
        prepare(ToyRepresentation(), files, tmp_path / "out", progress=False)
    mended = prepare(ToyRepresentation(), files, tmp_path / "out", progress=False)
    whole = prepare(ToyRepresentation(), files, tmp_path / "whole", progress=False)
    assert content(mended.path) == content(whole.path)


@pytest.mark.parametrize("largest_file", [600, 4000])
def test_goes_on_after_a_full_disk(files: Path, tmp_path: Path, largest_file: int) -> None:
    """At 600 bytes a part does not fit, at 4000 the finished dataset does not."""
    program = (
        "import resource, sys; from kikibouba.data.prepare import prepare\n"
        "from toy_family.data import ToyRepresentation\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file}, {largest_file}))\n"
        "try: prepare(ToyRepresentation(), sys.argv[1], sys.argv[2], workers=2, progress=False)\n"
        "except ValueError as error: sys.exit(str(error))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-B", "-c", program, str(files), str(tmp_path / "out")]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr.startswith(f"cannot write the dataset to {tmp_path / 'out'}: File too large")
    assert "the same command goes on from it" in process.stderr
    assert process.stderr.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "parts"]
    assert not list(tmp_path.rglob("*unfinished*"))
    assert (largest_file < 4000) != bool(list(tmp_path.rglob("*.part")))
    resumed = prepare(ToyRepresentation(), files, tmp_path / "out", workers=2, progress=False)
    whole = prepare(ToyRepresentation(), files, tmp_path / "whole", workers=2, progress=False)
    assert content(resumed.path) == content(whole.path)


def test_mistakes_are_one_line(files: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(KikiboubaError, match=r"no files to read \(\.txt\)"):
        prepare(ToyRepresentation(), tmp_path / "empty", tmp_path / "out")
    with pytest.raises(KikiboubaError, match="no such file or folder"):
        prepare(ToyRepresentation(), tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(KikiboubaError, match="cannot write the dataset"):
        prepare(ToyRepresentation(), files, tmp_path / "file" / "out")
    with pytest.raises(KikiboubaError, match="sum to 1"):
        prepare(ToyRepresentation(), files, tmp_path / "out", fractions=(0.5, 0.1, 0.1))
    (tmp_path / "empty" / "a.txt").write_text("bad: the toy rule rejects it")
    with pytest.raises(KikiboubaError, match=r"none of 1 files gave an example.*toy rule"):
        prepare(ToyRepresentation(), tmp_path / "empty", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
