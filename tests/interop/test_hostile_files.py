"""Small files that ask for much: memory, time or recursion. All are refused, quickly, in bounded memory.

(`test_damage` imports files damaged by chance; these are made with intent.)
"""

import gzip
import io
import json
import tarfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from interop.checkpoints import field, index_table, varint, write_tf_checkpoint
from interop.small_models import music_model
from kikibouba.errors import KikiboubaError
from kikibouba.exporting import export
from kikibouba.importing import import_checkpoint
from kikibouba.interop.magenta_js import write_magenta_js

SECONDS = 20
GROWTH = 200e6
"""Bytes beside twice the size of the files."""
ATTACKS: dict[str, Callable[[Path], Path]] = {}


def attack(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Enter a function that writes a hostile checkpoint into a folder and returns its path."""
    ATTACKS[make.__name__] = make
    return make


def entry(*dims: int, offset: int = 0, size: int = 0) -> bytes:
    """A BundleEntryProto of float32."""
    shape = b"".join(field(2, field(1, dim)) for dim in dims)
    return field(1, 1) + field(2, shape) + field(4, offset) + field(5, size)


def bundle(folder: Path, block: bytes, data: bytes = b"") -> Path:
    """A TensorFlow checkpoint with one block of entries."""
    (folder / "model.ckpt.index").write_bytes(index_table([(b"\xff", block)]))
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(data)
    return folder / "model.ckpt"


@attack
def long_names_that_share_all_but_their_ends(folder: Path) -> Path:
    """Entries of six bytes each, whose names are 4 KB long."""
    start = b"\0" + varint(4000) + varint(0) + b"n" * 4000
    numbers = (n.to_bytes(3, "big") for n in range(1_000_000))
    ends = b"".join(varint(4000) + b"\x03\0" + n for n in numbers)
    return bundle(folder, start + ends)


@attack
def more_entries_than_any_model_has(folder: Path) -> Path:
    return bundle(folder, b"".join(b"\0\x03\0" + n.to_bytes(3, "big") for n in range(1_500_000)))


@attack
def a_size_that_no_array_can_have(folder: Path) -> Path:
    """Nothing times 2^63 is nothing, as the entry says."""
    name, value = b"decoder/output_projection/bias", entry(0, 1 << 63)
    return bundle(folder, b"\0" + varint(len(name)) + varint(len(value)) + name + value)


@attack
def a_product_of_sizes_that_wraps_round(folder: Path) -> Path:
    name, value = b"decoder/output_projection/bias", entry(1 << 32, 1 << 32, size=0)
    return bundle(folder, b"\0" + varint(len(name)) + varint(len(value)) + name + value)


@attack
def variables_that_share_their_data(folder: Path) -> Path:
    block, value = b"", entry(250_000, size=1_000_000)
    for n in range(500):
        name = f"decoder/layer_{n:03d}/bias".encode()
        block += b"\0" + varint(len(name)) + varint(len(value)) + name + value
    return bundle(folder, block, bytes(1_000_000))


@attack
def an_archive_of_nothing_but_long_names(folder: Path) -> Path:
    """Each header says that the name of the next follows; the next is one as well."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1
    (folder / "model.tar").write_bytes((header.tobuf(tarfile.GNU_FORMAT) + b"x" + bytes(511)) * 5000)
    return folder / "model.tar"


@attack
def an_archive_whose_member_leads_back_to_itself(folder: Path) -> Path:
    header = bytearray(tarfile.TarInfo("model.ckpt.index").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (-512 & (1 << 96) - 1).to_bytes(12, "big")  # its size, in base 256
    return archive(folder, bytes(header))


@attack
def an_archive_with_a_member_of_negative_size(folder: Path) -> Path:
    header = bytearray(tarfile.TarInfo("model.ckpt.index").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (-1024 & (1 << 96) - 1).to_bytes(12, "big")
    return archive(folder, bytes(512) + bytes(header))


@attack
def an_archive_with_a_member_larger_than_all_disks(folder: Path) -> Path:
    header = bytearray(tarfile.TarInfo("model.ckpt.index").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\x80" + (1 << 80).to_bytes(11, "big")
    return archive(folder, bytes(header))


def archive(folder: Path, header: bytes) -> Path:
    """A .tar with this header, its checksum mended."""
    last = bytearray(header[-512:])
    last[148:156] = b"        "
    last[148:156] = b"%06o\0 " % sum(last)
    (folder / "model.tar").write_bytes(header[:-512] + bytes(last) + bytes(1024))
    return folder / "model.tar"


@attack
def an_archive_with_a_slow_header(folder: Path) -> Path:
    """Digits without end where a length is looked for."""
    content = b"1" * 400_000
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(content)
    padding = bytes(-len(content) % 512)
    (folder / "model.tar").write_bytes(header.tobuf() + content + padding + bytes(1024))
    return folder / "model.tar"


@attack
def links_and_devices(folder: Path) -> Path:
    with tarfile.open(folder / "model.tar", "w") as tar:
        for name, kind, target in (
            ("model.ckpt.index", tarfile.SYMTYPE, "/etc/passwd"),
            ("model.ckpt.data-00000-of-00001", tarfile.LNKTYPE, "model.ckpt.index"),
            ("a.index", tarfile.CHRTYPE, ""),
            ("b.index", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    return folder / "model.tar"


@attack
def zeros_in_gzip(folder: Path) -> Path:
    with tarfile.open(folder / "model.tgz", "w:gz") as tar:
        info = tarfile.TarInfo("model.ckpt.index")
        info.size = 300_000_000
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    return folder / "model.tgz"


@attack
def gzip_in_gzip(folder: Path) -> Path:
    (folder / "model.tgz").write_bytes(gzip.compress(gzip.compress(bytes(100_000_000))))
    return folder / "model.tgz"


def js(folder: Path, manifest: object, config: object = None) -> Path:
    (folder / "weights_manifest.json").write_text(
        manifest if isinstance(manifest, str) else json.dumps(manifest)
    )
    (folder / "config.json").write_text(json.dumps(config or {"type": "MusicVAE"}))
    return folder


@attack
def a_manifest_of_empty_lists(folder: Path) -> Path:
    return js(folder, "[" + "[]," * 5_000_000 + "[]]")


@attack
def a_manifest_of_deep_lists(folder: Path) -> Path:
    return js(folder, "[" * 100_000 + "]" * 100_000)


@attack
def a_shape_of_deep_lists(folder: Path) -> Path:
    """Not too deep to be read, but to be shown."""
    shape = "[" * 940 + "]" * 940
    (folder / "a.bin").write_bytes(bytes(4))
    return js(folder, f'[{{"paths": ["a.bin"], "weights": [{{"name": "x", "shape": {shape}}}]}}]')


@attack
def one_file_for_many_groups(folder: Path) -> Path:
    (folder / "a.bin").write_bytes(bytes(4_000_000))
    groups = [
        {"paths": ["a.bin"], "weights": [{"name": f"decoder/{n}/bias", "shape": [1_000_000]}]}
        for n in range(400)
    ]
    return js(folder, groups)


@attack
def many_files_and_many_weights(folder: Path) -> Path:
    """Of many groups, of none of which a file is there."""
    groups = [
        {
            "paths": [f"{g:x}{n:x}" for n in range(4096)],
            "weights": [{"name": f"{g}/{n}", "shape": [1 << 22]} for n in range(4096)],
        }
        for g in range(20)
    ]
    return js(folder, groups)


@attack
def a_name_that_leads_elsewhere(folder: Path) -> Path:
    (folder.parent / "outside.bin").write_bytes(bytes(4))
    inside = folder / "js"
    inside.mkdir()
    return js(inside, [{"paths": ["../outside.bin"], "weights": [{"name": "x", "shape": [1]}]}])


@attack
def one_file_for_many_variables(folder: Path) -> Path:
    (folder / "a").write_bytes(bytes(4_000_000))
    manifest = {f"decoder/{n}/bias": {"filename": "a", "shape": [1_000_000]} for n in range(400)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def exported(folder: Path, name: str, **args: object) -> Path:
    """A good checkpoint, but for what its config.json says."""
    export(music_model(name), "magenta-js", folder / "js")
    spec = json.loads((folder / "js" / "config.json").read_text())
    spec["dataConverter"]["args"] |= args
    (folder / "js" / "config.json").write_text(json.dumps(spec))
    return folder / "js"


@attack
def pitches_without_end(folder: Path) -> Path:
    return exported(folder, "melody", minPitch=0, maxPitch=10_000)


@attack
def velocities_without_end(folder: Path) -> Path:
    return exported(folder, "multitrack", numVelocityBins=10_000)


@attack
def steps_without_end(folder: Path) -> Path:
    return exported(folder, "multitrack", stepsPerQuarter=10_000, totalSteps=40_000)


@attack
def units_without_weights(folder: Path) -> Path:
    """A kernel [0, 2^30] takes no bytes."""
    variables = {
        "decoder/z_to_initial_state/kernel": np.zeros((0, 1 << 30), np.float32),
        "decoder/z_to_initial_state/bias": np.zeros(4, np.float32),
        "decoder/multi_rnn_cell/cell_0/lstm_cell/kernel": np.zeros((0, 1 << 30), np.float32),
        "decoder/multi_rnn_cell/cell_0/lstm_cell/bias": np.zeros(4, np.float32),
        "decoder/output_projection/kernel": np.zeros((0, 90), np.float32),
        "decoder/output_projection/bias": np.zeros(90, np.float32),
    }
    spec = {"type": "MusicVAE", "dataConverter": {"type": "MelodyConverter", "args": {"numSteps": 32}}}
    write_magenta_js(folder / "js", variables, spec)
    return folder / "js"


@attack
def numbers_that_are_none(folder: Path) -> Path:
    """Quantised, and every weight infinite or nearly."""
    path = exported(folder, "melody")
    manifest = json.loads((path / "weights_manifest.json").read_text())
    (path / "group1-shard1of1.bin").write_bytes(
        np.full((path / "group1-shard1of1.bin").stat().st_size // 4, np.nan, "<f4").tobytes()
    )
    return js(path, manifest, json.loads((path / "config.json").read_text()))


@attack
def doubles_too_large_for_floats(folder: Path) -> Path:
    model = music_model("melody")
    from kikibouba.interop.magenta_tf import music_vae_to_tf

    variables = music_vae_to_tf(model.module.state_dict())
    variables["encoder/mu/bias"] = np.full(6, 1e300)
    return write_tf_checkpoint(folder / "model.ckpt", variables)


def gen(folder: Path, content: str) -> Path:
    (folder / "a.gen.json").write_text(content)
    return folder / "a.gen.json"


@attack
def spaces_after_a_script(folder: Path) -> Path:
    return gen(folder, "var a='[]'" + " " * 300_000 + "x")


@attack
def many_ends_of_a_script(folder: Path) -> Path:
    return gen(folder, "var a='[" + "]' " * 300_000 + "x")


@attack
def a_list_that_never_ends(folder: Path) -> Path:
    return gen(folder, "[" + "1," * 5_000_000)


@attack
def as_many_numbers_as_a_file_can_hold(folder: Path) -> Path:
    return gen(folder, '[{"mode": 2}, [[1], [1], [1], [1], [1]], [[' + "1," * 16_000_000 + "1]]]")


@attack
def lists_that_begin_again_and_again(folder: Path) -> Path:
    return gen(folder, "[1,1,1,1,1,1,1," * 500_000)


@attack
def spaces_between_numbers(folder: Path) -> Path:
    return gen(folder, "[" + ("1" + " " * 3000 + ",") * 1000 + "x]")


@attack
def a_number_of_a_million_digits(folder: Path) -> Path:
    return gen(folder, '[{"max_seq_len": ' + "9" * 1_000_000 + "}, [], []]")


@attack
def deep_info(folder: Path) -> Path:
    return gen(folder, '[{"name": ' + "[" * 9_000 + "]" * 9_000 + "}, [], []]")


@attack
def a_shape_far_beyond_its_numbers(folder: Path) -> Path:
    dims = [[2**30, 2**30]] + [[1]] * 4
    return gen(folder, json.dumps([{"mode": 2}, dims, ["AAA="] * 5]))


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory):
    """What the first import of all loads is not counted."""
    export(music_model("melody"), "magenta-js", tmp_path_factory.mktemp("good") / "js")
    import_checkpoint(tmp_path_factory.getbasetemp() / "good0" / "js")


@pytest.mark.parametrize("name", ATTACKS)
def test_refused_quickly_in_bounded_memory(name, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    path = ATTACKS[name](folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    begin = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(KikiboubaError) as refusal:
            import_checkpoint(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refusal.value)
    assert peak < 2 * size + GROWTH, f"{peak / 1e6:.0f} MB for {size / 1e6:.1f} MB"
    assert time.process_time() - begin < SECONDS
