"""TensorFlow's checkpoints: what is found where, and that damage is noticed."""

import io
import json
import tarfile
import zlib
from contextlib import suppress

import numpy as np
import pytest

from interop.checkpoints import write_tf_checkpoint
from kikibouba.data.crc32c import crc32c
from kikibouba.errors import KikiboubaError
from kikibouba.interop.tf_checkpoint import (
    for_training_only,
    is_tf_checkpoint,
    read_tf_checkpoint,
    read_tf_original,
)

RNG = np.random.default_rng(1)
VARIABLES = {
    "decoder/multi_rnn_cell/cell_0/lstm_cell/kernel": RNG.standard_normal((7, 12), np.float32),
    "decoder/multi_rnn_cell/cell_0/lstm_cell/bias": RNG.standard_normal(12, np.float32),
    "decoder/multi_rnn_cell/cell_0/lstm_cell/bias/Adam": np.ones(12, np.float32),
    "encoder/opaque_kernel": np.ones(300, np.float32),
    "empty": np.zeros((0, 4), np.float32),
    "global_step": np.int64(400),
}


@pytest.fixture
def prefix(tmp_path):
    return write_tf_checkpoint(tmp_path / "model.ckpt-400", VARIABLES)


def same(found: dict, names=VARIABLES) -> bool:
    return set(found) == set(names) and all(np.array_equal(found[name], VARIABLES[name]) for name in names)


def bitwise_crc32c(data: bytes) -> int:
    """The definition, bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (register & 1) * 0x82F63B78
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize("size", [0, 1, 3, 4, 255, 256, 257, 1000, 5000])
def test_crc32c_of_large_data_is_that_of_the_definition(size, monkeypatch):
    monkeypatch.setattr("kikibouba.data.crc32c.LARGE", 0)
    data = RNG.integers(0, 256, size, np.uint8).tobytes()
    assert crc32c(data) == bitwise_crc32c(data)


def test_crc32c_joins_chunks(monkeypatch):
    data = RNG.integers(0, 256, 3000, np.uint8).tobytes()
    monkeypatch.setattr("kikibouba.data.crc32c.LARGE", 0)
    monkeypatch.setattr("kikibouba.data.crc32c.CHUNK", 700)
    assert crc32c(data) == bitwise_crc32c(data) != zlib.crc32(data)


def test_a_prefix_and_every_file_of_it(prefix):
    for suffix in ("", ".index", ".data-00000-of-00001", ".meta"):
        path = prefix.with_name(prefix.name + suffix)
        assert is_tf_checkpoint(path)
        assert same(read_tf_checkpoint(path))


def test_what_only_training_needs_is_left_unread(prefix):
    kept = [name for name in VARIABLES if name.startswith("decoder") and "Adam" not in name] + ["empty"]
    assert same(read_tf_original(prefix).variables, kept)


def test_of_several_checkpoints_the_newest_is_taken_unless_the_folder_says_which(prefix, tmp_path):
    write_tf_checkpoint(tmp_path / "model.ckpt-90", {"a": np.zeros(2, np.float32)})
    found = read_tf_original(tmp_path, training=True)
    assert same(found.variables)
    assert found.notes == (f"{tmp_path} holds 2 checkpoints; model.ckpt-400, the newest, is taken",)
    # the path of another machine, as training elsewhere leaves it
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/far/away/model.ckpt-90"\n')
    found = read_tf_original(tmp_path)
    assert set(found.variables) == {"a"}
    assert not found.notes


@pytest.mark.parametrize("says", ["model.ckpt-400", "train/model.ckpt-400", "./train/model.ckpt-400"])
def test_a_checkpoint_may_lie_in_a_folder_of_the_folder(says, prefix, tmp_path):
    run = tmp_path.parent / f"run_{says.replace('/', '_')}"
    run.mkdir()
    tmp_path.rename(run / "train")
    place = run / "train" if says.startswith("model") else run
    (place / "checkpoint").write_text(f'model_checkpoint_path: "{says}"\nall_model_checkpoint_paths: "x"\n')
    assert is_tf_checkpoint(run)
    assert same(read_tf_checkpoint(run))
    (place / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-500"\n')
    (note,) = read_tf_original(run).notes
    assert "speaks of a checkpoint model.ckpt-500, which is not there; train/model.ckpt-400 is taken" in note


def test_checkpoints_none_of_which_is_newer(tmp_path):
    for name in ("a", "b"):
        write_tf_checkpoint(tmp_path / name, {name: np.zeros(2, np.float32)})
    with pytest.raises(KikiboubaError, match="several checkpoints, none the newest: a, b; name one"):
        read_tf_checkpoint(tmp_path)


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".tar.gz"])
@pytest.mark.parametrize("inner", ["../../outside/", "./", "", "/root/a/b/"])
def test_an_archive_whatever_its_folders_are_called(prefix, tmp_path, suffix, inner):
    archive = tmp_path / f"a{suffix}"
    (tmp_path / "README").write_text("another in each folder")
    with tarfile.open(archive, "w" if suffix == ".tar" else "w:gz") as tar:
        for file in sorted(tmp_path.glob("model.ckpt-400.*")):
            tar.add(file, arcname=f"{inner}{file.name}")
        tar.add(prefix.with_name(prefix.name + ".index"), arcname="._model.ckpt-400.index")
        tar.add(tmp_path / "README", arcname="README")
        tar.add(tmp_path / "README", arcname=f"{inner}docs/README")
    before = sorted(tmp_path.rglob("*"))
    assert same(read_tf_checkpoint(archive))
    assert sorted(tmp_path.rglob("*")) == before
    assert not (tmp_path.parent / "outside").exists()


def test_an_archive_that_is_compressed_whatever_it_is_called(prefix, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as tar:
        for file in sorted(tmp_path.glob("model.ckpt-400.*")):
            tar.add(file, arcname=file.name)
    assert same(read_tf_checkpoint(tmp_path / "a.tar"))


def test_an_archive_of_several_checkpoints(prefix, tmp_path):
    """The one that its `checkpoint` names, as when a folder of training was packed."""
    write_tf_checkpoint(tmp_path / "model.ckpt-500", {"a": np.zeros(2, np.float32)})
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-400"\n')
    for names, wanted in ((["checkpoint"], set(VARIABLES)), ([], {"a"})):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            for name in [*names, *(file.name for file in tmp_path.glob("model.ckpt-*"))]:
                tar.add(tmp_path / name, arcname=f"train/{name}")
        found = read_tf_original(tmp_path / "a.tar", training=True)
        assert set(found.variables) == wanted
        assert bool(found.notes) != bool(names)


def test_an_archive_that_expands_without_end_is_refused(tmp_path):
    with tarfile.open(tmp_path / "bomb.tgz", "w:gz") as tar:
        info = tarfile.TarInfo("zeros.index")
        info.size = 40_000_000
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(KikiboubaError, match="expands to more than"):
        read_tf_checkpoint(tmp_path / "bomb.tgz")


def test_bfloat16(tmp_path):
    values = np.array([1.5, -2.0, 0.0], np.float32)
    path = write_tf_checkpoint(tmp_path / "b", {"a": (values.view("<u4") >> 16).astype(np.uint16)})
    assert np.array_equal(read_tf_checkpoint(path)["a"], values)


def test_every_damaged_byte_is_noticed(prefix):
    """All but those of the footer's padding and of the unused metaindex."""
    for suffix in (".index", ".data-00000-of-00001"):
        file = prefix.with_name(prefix.name + suffix)
        good = file.read_bytes()
        unnoticed = 0
        for i in range(0, len(good), 3):
            file.write_bytes(good[:i] + bytes([good[i] ^ 0x10]) + good[i + 1 :])
            with suppress(KikiboubaError):
                unnoticed += not same(read_tf_checkpoint(prefix))
        assert unnoticed == 0
        file.write_bytes(good)


def test_a_missing_shard_is_named(prefix):
    prefix.with_name(prefix.name + ".data-00000-of-00001").unlink()
    with pytest.raises(KikiboubaError, match=r"needs model\.ckpt-400\.data-00000-of-00001 beside"):
        read_tf_checkpoint(prefix)


def test_of_several_shards_one_may_be_missing(tmp_path):
    """What lies in the others is read, and what is missing is said by name."""
    prefix = write_tf_checkpoint(tmp_path / "model.ckpt", VARIABLES, shards=3)
    assert same(read_tf_checkpoint(prefix))
    lost = prefix.with_name("model.ckpt.data-00001-of-00003")
    lost.unlink()
    found = read_tf_original(prefix, training=True)
    assert found.missing
    assert set(found.missing.values()) == {f"needs {lost.name}"}
    assert same(found.variables, set(VARIABLES) - set(found.missing))


def test_slots_of_any_optimiser_are_for_training_only():
    names = ["encoder/mu/kernel", "decoder/nade/w_enc", "vector_rnn/RNN/output_w"]
    slots = [f"{names[0]}/Momentum", f"{names[1]}/RMSProp_1", f"vector_rnn/{names[2]}/Adam_1"]
    counters = ["global_step", "beta1_power", "training/beta2_power_1", "encoder/opaque_kernel"]
    slots += [f"{names[0]}/ExponentialMovingAverage", "encoder/opaque_kernel/Adam"]
    assert for_training_only([*names, *slots, *counters]) == {*slots, *counters}


def test_reference_checkpoints(shared):
    """Those that TensorFlow itself wrote hold what it says it wrote."""
    for folder in sorted((shared / "golden" / "magenta_tf").glob("*/golden.npz")):
        listed = json.loads((folder.parent / "config.json").read_text()).get("variables")
        if listed and (folder.parent / "checkpoint").is_file():
            found = read_tf_original(folder.parent).variables
            unwanted = for_training_only([name for name, _ in listed])
            wanted = {name: shape for name, shape in listed if name not in unwanted}
            assert {name: list(value.shape) for name, value in found.items()} == wanted
