"""Other people's drawings: read exactly from good files, one clear line on bad ones, no code ever run."""

import gzip
import io
import json
import lzma
import os
import pickle
import zipfile
from contextlib import suppress

import numpy as np
import pytest

from kikibouba.data import quickdraw
from kikibouba.data.quickdraw import read_ndjson, read_npz
from kikibouba.data.sketch import SketchRepresentation
from kikibouba.data.strokes import offset_std
from kikibouba.errors import KikiboubaError

SQUARE = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [-10, 0, 0], [0, -10, 1]], np.int16)
APPLE = [[[0, 10, 10], [0, 0, 10]], [[3, 4], [5, 6]]]


def object_array(drawings):
    array = np.empty(len(drawings), object)
    array[:] = drawings
    return array


def npy(shape, pickled=b"", dtype="|O"):
    """The bytes of an .npy with any content."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + pickled


def npz(path, **entries):
    """An .npz whose entries are given as bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)
    return path


def ndjson(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


# ---- npz


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<i8", "<f4", "<f8", "<f2", "<i1"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_object_arrays(tmp_path, dtype, protocol):
    drawings = [SQUARE.astype(dtype), SQUARE[:3].astype(dtype)]
    content = npy((2,), pickle.dumps(object_array(drawings), protocol))
    read = read_npz(npz(tmp_path / "a.npz", train=content, valid=content))
    assert list(read) == ["train", "valid"]
    for split in read.values():
        assert [d.dtype for d in split] == [np.float32] * 2
        assert np.array_equal(split[0], SQUARE)
        assert split[1].tolist() == [[0, 0, 0], [10, 0, 0], [0, 10, 1]]  # the last point lifts the pen


def test_as_numpy_writes_it(tmp_path):
    np.savez_compressed(
        tmp_path / "a.npz", train=object_array([SQUARE, SQUARE[2:]]), test=np.stack([SQUARE] * 3)
    )
    read = read_npz(tmp_path / "a.npz")
    assert [len(d) for d in read["train"]] == [5, 3]
    assert [len(d) for d in read["test"]] == [5, 5, 5]


def test_equally_long_drawings_make_a_dense_object_array(tmp_path):
    array = np.array([SQUARE, SQUARE], dtype=object)
    assert array.shape == (2, 5, 3)
    np.savez(tmp_path / "a.npz", train=array)
    assert np.array_equal(read_npz(tmp_path / "a.npz")["train"][1], SQUARE)


def test_column_major(tmp_path):
    np.savez(tmp_path / "a.npz", train=object_array([np.asfortranarray(SQUARE), SQUARE[1:]]))
    assert np.array_equal(read_npz(tmp_path / "a.npz")["train"][0], SQUARE)


def test_pickled_by_python_2(tmp_path):
    """Bytes are plain strings there, and the modules have their old names."""
    values = np.array([[1, -2, 0], [300, 4, 1]], "<i2")
    escaped = "".join(f"\\x{byte:02x}" for byte in values.tobytes())
    dtype = "cnumpy\ndtype\n(S'%s'\nI0\nI1\ntR(I3\nS'%s'\nNNNI-1\nI-1\nI%d\ntb"
    new = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    inner = f"{new}(I1\n(I2\nI3\nt{dtype % ('i2', '<', 0)}I00\nS'{escaped}'\ntb"
    outer = f"{new}(I1\n(I1\nt{dtype % ('O8', '|', 63)}I00\n(l{inner}atb."
    read = read_npz(npz(tmp_path / "a.npz", train=npy((1,), outer.encode())))
    assert np.array_equal(read["train"][0], values)


class Bomb:
    """What an attacker would pickle."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "function",
    [os.mkdir, eval, getattr, np.fromfile, np.load, io.open, pickle.loads, np.dtype("i2").newbyteorder],
)
def test_no_code_is_run(tmp_path, function):
    victim = tmp_path / "victim"
    bomb = Bomb(function, str(victim))
    path = npz(tmp_path / "a.npz", train=npy((1,), pickle.dumps(object_array([bomb]), 4)))
    with pytest.raises(KikiboubaError, match="cannot be read"):
        read_npz(path)
    assert not victim.exists()


def test_the_reader_cannot_be_tampered_with(tmp_path):
    for name in (b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n"):
        for state in (b"}S'build'\nNs", b"(N}S'build'\nNst"):
            with pytest.raises(KikiboubaError, match="cannot be read"):
                read_npz(npz(tmp_path / "a.npz", train=npy((1,), name + state + b"b.")))
    test_as_numpy_writes_it(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        npy((10**12, 3), b"\0" * 6, "<i2"),  # claims more than it holds
        npy((-1, 3), b"", "<i2"),
        npy((2, 3), b"\0" * 12, "<U4"),
        npy((1,), pickle.dumps(np.zeros((2, 3)))[:-20]),
        npy((1,), b""),
        npy((1,), pickle.dumps(["no array"])),
        npy((1,), pickle.dumps({"a": 1})),
        npy((1,), b"Pname\n."),  # refers to something outside the pickle
        b"\x93NUMPY\x09\x00",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': open()",
        b"",
    ],
)
def test_damaged_arrays(tmp_path, content):
    with pytest.raises(KikiboubaError, match="cannot be read") as caught:
        read_npz(npz(tmp_path / "a.npz", train=content))
    assert "\n" not in str(caught.value)


def test_any_damage_is_one_line(tmp_path):
    """Random bytes changed in the array: read, or refused in one line; nothing else may happen."""
    rng = np.random.default_rng(0)
    good = npy((2,), pickle.dumps(object_array([SQUARE, SQUARE[1:]]), 4))
    messages = []
    for _ in range(300):
        content = bytearray(good)
        content[rng.integers(118, len(good))] = rng.integers(256)
        try:
            read_npz(npz(tmp_path / "a.npz", train=bytes(content)))
        except KikiboubaError as error:
            messages.append(str(error))
    assert 50 < len(messages) < 300
    assert not any("\n" in message for message in messages)


def test_one_array_named_a_million_times(tmp_path, monkeypatch):
    monkeypatch.setattr(quickdraw, "MAX_TOTAL", 1000)
    path = npz(tmp_path / "a.npz", train=npy((1000,), pickle.dumps(object_array([SQUARE] * 1000), 4)))
    with pytest.raises(KikiboubaError, match="more than 1000 points"):
        read_npz(path)


def test_unpacking_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(quickdraw, "MAX_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.npy", b"\0" * 1_000_000)
    with pytest.raises(KikiboubaError, match="unpacks to more"):
        read_npz(tmp_path / "a.npz")
    with lzma.open(tmp_path / "a.ndjson.xz", "wb") as file:
        file.write(b" " * 1_000_000)
    with pytest.raises(KikiboubaError, match="unpacks to more"):
        read_ndjson(tmp_path / "a.ndjson.xz")


@pytest.mark.parametrize(
    ("drawing", "why"),
    [
        (SQUARE[:, :2], "shape"),
        (np.zeros((4, 5), np.int16), "stroke-5"),
        (SQUARE[:0], "0 points"),
        (SQUARE.astype(np.uint8), "uint8"),
        (np.where(SQUARE == 10, np.nan, SQUARE), "NaN"),
        (SQUARE * [1, 1, 2], "pen"),
        (SQUARE.tolist(), "list"),
        ("sheep", "str"),
    ],
)
def test_a_bad_drawing_is_left_out_with_its_reason(tmp_path, drawing, why):
    np.savez(tmp_path / "a.npz", train=object_array([SQUARE, drawing]))
    problems: list[str] = []
    assert len(read_npz(tmp_path / "a.npz", problems)["train"]) == 1
    assert len(problems) == 1
    assert problems[0].startswith("train[1]: ")
    assert why in problems[0]


def test_no_drawings_at_all(tmp_path):
    np.savez(tmp_path / "a.npz", train=object_array([]))
    with pytest.raises(KikiboubaError, match="no usable drawing"):
        read_npz(tmp_path / "a.npz")
    with pytest.raises(KikiboubaError, match="No such file"):
        read_npz(tmp_path / "b.npz")


# ---- ndjson


def test_ndjson(tmp_path):
    path = ndjson(
        tmp_path / "a.ndjson",
        {"word": "apple", "key_id": "7", "recognized": True, "drawing": APPLE},
        {"word": "pear", "recognized": False, "drawing": APPLE},
        {"word": "raw", "drawing": [[[0.5, 1.5], [0, 1], [0, 33]]]},
    )
    records = read_ndjson(path)
    assert records.categories == ["apple", "raw"]
    assert records.key_ids == ["7", ""]
    assert records.problems == ["line 2: not recognized"]
    assert records.drawings[0].tolist() == [[0, 0, 0], [10, 0, 0], [0, 10, 1], [-7, -5, 0], [1, 1, 1]]
    assert records.drawings[1].tolist() == [[0.5, 0, 0], [1, 1, 1]]
    assert len(read_ndjson(path, recognized_only=False).drawings) == 3


@pytest.mark.parametrize(("suffix", "opener"), [(".gz", gzip.open), (".xz", lzma.open)])
def test_packed_ndjson(tmp_path, suffix, opener):
    path = tmp_path / f"a.ndjson{suffix}"
    with opener(path, "wt") as file:
        file.write(json.dumps({"drawing": APPLE}))
    assert len(read_ndjson(path).drawings) == 1
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(KikiboubaError):
        read_ndjson(path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 200_000, "not valid JSON"),
        ("{}", "no list of strokes"),
        ('{"drawing": "[[1]]"}', "no list of strokes"),
        ('{"drawing": []}', "0 points"),
        ('{"drawing": [[]]}', "a stroke that is not"),
        ('{"drawing": [[[1, 2], [3]]]}', "not equally many numbers"),
        ('{"drawing": [[[1, null], [3, 4]]]}', "not equally many numbers"),
        ('{"drawing": [[["a", "b"], [3, 4]]]}', "not equally many numbers"),
        ('{"drawing": [[[1, 1e999], [3, 4]]]}', "not equally many numbers"),
        ('{"drawing": [[1, 2]]}', "not equally many numbers"),
        ('{"drawing": [[[[1]], [[2]]]]}', "not equally many numbers"),
    ],
)
def test_a_bad_line_is_left_out_with_its_reason(tmp_path, line, why):
    path = tmp_path / "a.ndjson"
    path.write_text(line + "\n\n" + json.dumps({"drawing": APPLE}))
    records = read_ndjson(path)
    assert len(records.drawings) == 1
    assert len(records.problems) == 1
    assert records.problems[0].startswith("line 1: ")
    assert why in records.problems[0]
    path.write_text(line)
    with pytest.raises(KikiboubaError, match="no usable drawing: 1 × "):
        read_ndjson(path)


# ---- other people's files

USABLE = {
    # drawings read, drawings left out with a reason
    "columns_2.npz": (12, 6), "dense_not_object.npz": (18, 0), "empty_train.npz": (12, 0),
    "inf_float64.npz": (17, 1), "int64.npz": (18, 0), "lists_not_arrays.npz": (12, 6),
    "missing_train_key.npz": (12, 0), "nan_float32.npz": (17, 1), "no_pen_up.npz": (16, 0),
    "ok_reference.npz": (18, 0), "pen_values_2_and_minus1.npz": (12, 4),
    "single_point_drawings.npz": (16, 0), "too_long_6000_points.npz": (18, 0), "transposed.npz": (12, 6),
    "uint8_wrapped.npz": (12, 6), "zero_point_drawings.npz": (15, 3), "qd_bad_json_line.ndjson": (1, 2),
    "qd_blank_lines.ndjson": (1, 1), "qd_bom.ndjson": (5, 1), "qd_ok.ndjson": (5, 1),
    "qd_raw_with_time.ndjson": (1, 1), "qd_truncated_last_line.ndjson": (4, 2),
}  # fmt: skip


def test_malformed_files(shared):
    folder = shared / "data/malformed/sketch"
    representation = SketchRepresentation()
    seen, refusals = {}, []
    for path in sorted(folder.glob("*.n*")):
        problems: list[str] = []
        try:
            items = representation.read(path)
            if path.suffix == ".npz":
                read_npz(path, problems)
            else:
                problems = read_ndjson(path).problems
            seen[path.name] = (len(items), len(problems))
        except KikiboubaError as error:
            refusals.append((path.name, str(error)))
            continue
        for item in items:
            with suppress(KikiboubaError):
                (array,) = representation.windows(item)
                assert 2 <= len(array) <= 250
                assert np.isfinite(array).all()
                assert array[-1, 2] == 1
    assert all(name in message and "\n" not in message for name, message in refusals)
    present = [path.name for path in folder.glob("*.n*")]
    expected = {name: counts for name, counts in USABLE.items() if name in present}
    assert expected
    assert {name: counts for name, counts in seen.items() if name in USABLE} == expected


@pytest.mark.parametrize(
    ("name", "counts", "std"),
    [
        ("aaron_sheep/aaron_sheep", (7400, 300), 18.519827),
        ("kanji/short_kanji", (10000, 600), 99.712456),
        ("omniglot/omniglot", (30000, 1000), 53.437046),
    ],
)
def test_real_data_sets(shared, name, counts, std):
    """Counts and normalising factors as the original's loader has them."""
    splits = read_npz(shared / "data/sketches" / f"{name}.npz")
    assert (len(splits["train"]), len(splits["valid"])) == counts
    assert offset_std(splits["train"]) == pytest.approx(std, rel=2e-7)


def test_quickdraw_of_all_categories(shared):
    records = read_ndjson(shared / "data/sketches/quickdraw345/quickdraw345_simplified.ndjson.xz")
    assert len(records.drawings) == 7512
    assert len(records.problems) == 639
    assert len(set(records.categories)) == 344
    assert len(set(records.key_ids)) == len(records.key_ids)
