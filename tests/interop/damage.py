"""Import hundreds of damaged copies of a checkpoint, within bounds of memory, and say what came of them.

    python -m interop.damage FORMAT FOLDER

writes a good checkpoint of FORMAT into FOLDER, then imports damaged copies of it. It runs as a process of its
own, whose address space may grow by 200 MB. Prints {"refused": n, "loaded": n, "changed": n, "wrong": [what,
…]}: refused with a KikiboubaError, loaded, loaded with other weights, anything else.
"""

import json
import random
import resource
import shutil
import sys
import tarfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import torch

from interop.checkpoints import write_deeplearn_js, write_pth, write_tf_checkpoint
from interop.small_models import music_model, sketch_model, translation_module
from kikibouba.data.crc32c import masked_crc32c
from kikibouba.errors import KikiboubaError
from kikibouba.exporting import export
from kikibouba.importing import import_checkpoint
from kikibouba.interop.magenta_tf import music_vae_to_tf
from kikibouba.interop.sketch_rnn_js import STEP, read_sketch_rnn_js
from kikibouba.interop.string_table import blocks_of, index_block

VARIANTS = 320
GROWTH = 200 << 20
"""Bytes by which the process may grow; the checkpoints are far smaller."""
SECONDS = 10
"""For one of them, on a busy machine; a good one takes a hundredth."""
FORMATS = (
    "tensorflow",
    "tar",
    "tgz",
    "magenta-js",
    "deeplearn-js",
    "gen-json",
    "vae-json",
    "full-json",
    "pth",
)
NUMBERS = (
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"4294967296",
    b"1073741824",
    b"99999999999999999999",
    b"null",
    b'"x"',
    b"[]",
)


def good(form: str, folder: Path) -> Path:
    """A checkpoint to begin with."""
    if form in ("gen-json", "vae-json", "full-json"):
        (path,) = export(sketch_model(form == "vae-json"), "sketch-rnn-js", folder)
        if form == "full-json":
            info, dims, _ = json.loads(path.read_text())
            arrays = sketch_arrays(path)
            path.write_text(json.dumps([info, dims, arrays]))
        return path
    if form == "pth":
        return write_pth(folder / "run", translation_module(2))
    model = music_model("drums_nade")
    variables = music_vae_to_tf(model.module.state_dict())
    if form == "magenta-js":
        export(model, "magenta-js", folder / "js", "uint16")
        return folder / "js"
    if form == "deeplearn-js":
        return write_deeplearn_js(
            folder / "old", variables, {"type": "DrumRollConverter", "args": {"numSteps": 32}}
        )
    prefix = write_tf_checkpoint(folder / "nade-drums_2bar_reduced", variables)
    if form == "tensorflow":
        return prefix
    path = folder / f"nade-drums_2bar_reduced.{form}"
    with tarfile.open(path, "w" if form == "tar" else "w:gz") as archive:
        for file in sorted(folder.glob("*.index")) + sorted(folder.glob("*.data-*")):
            archive.add(file, arcname=file.name)
    return path


def sketch_arrays(path: Path) -> list[list[int]]:
    values = read_sketch_rnn_js(path).variables.values()
    return [np.rint(value.ravel() / STEP).astype(int).tolist() for value in values]


def files_of(form: str, path: Path) -> list[Path]:
    """What can be damaged, the telling files more often."""
    if form == "tensorflow":
        return [path.with_name(path.name + ".index")] * 4 + [
            path.with_name(path.name + ".data-00000-of-00001")
        ]
    if path.is_file():
        return [path]
    tables = sorted(path.glob("*.json"))
    return tables * 8 + [file for file in sorted(path.iterdir()) if file not in tables]


def damaged(content: bytes, rng: random.Random, name: str) -> bytes:
    """A damaged copy of a file's bytes."""
    kinds = [truncate, flip, overwrite, cut, repeat, zero]
    if name.endswith("json"):
        kinds += [change_number] * 6
    if name.endswith(".index"):
        kinds += [change_block] * 8
    return rng.choice(kinds)(content, rng)


def span(content: bytes, rng: random.Random, most: int = 64) -> tuple[int, int]:
    start = rng.randrange(len(content))
    return start, min(len(content), start + rng.randint(1, most))


def truncate(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def flip(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]


def overwrite(content: bytes, rng: random.Random) -> bytes:
    a, b = span(content, rng)
    return content[:a] + rng.randbytes(b - a) + content[b:]


def cut(content: bytes, rng: random.Random) -> bytes:
    a, b = span(content, rng)
    return content[:a] + content[b:]


def repeat(content: bytes, rng: random.Random) -> bytes:
    a, b = span(content, rng, 4096)
    return content[:b] + content[a:b] * rng.randint(1, 3) + content[b:]


def zero(content: bytes, rng: random.Random) -> bytes:
    a, b = span(content, rng)
    return content[:a] + bytes(b - a) + content[b:]


def change_number(content: bytes, rng: random.Random) -> bytes:
    """Another value for one of the numbers of a JSON file (outside base64)."""
    import re

    found = list(re.finditer(rb"(?<=[\s\[:,])-?\d[\d.e+-]*(?=[\s\],}])", content[: 1 << 16]))
    if not found:
        return flip(content, rng)
    match = rng.choice(found)
    return content[: match.start()] + rng.choice(NUMBERS) + content[match.end() :]


def change_block(content: bytes, rng: random.Random) -> bytes:
    """Change an index within a block, or in the block of blocks, and mend the checksums."""
    start, length = rng.choice([*blocks_of(content), index_block(content), index_block(content)])
    block = bytearray(content[start : start + length])
    for _ in range(rng.randint(1, 3)):
        block[rng.randrange(length)] = rng.choice([0, 1, 2, 0x7F, 0x80, 0xFF, rng.randrange(256)])
    body = bytes(block) + content[start + length : start + length + 1]
    return content[:start] + body + masked_crc32c(body).to_bytes(4, "little") + content[start + length + 5 :]


def main() -> None:
    form, folder = sys.argv[1], Path(sys.argv[2])
    source = folder / "good"
    source.mkdir()
    path = good(form, source)
    weights = import_checkpoint(path).module.state_dict()
    rng = random.Random(form)
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[0])
    limit = pages * resource.getpagesize() + GROWTH
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    counts = {"refused": 0, "loaded": 0, "changed": 0, "wrong": []}
    for number in range(VARIANTS):
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source, copy)
        target = copy / path.relative_to(source)
        victim = rng.choice(files_of(form, target))
        victim.write_bytes(damaged(victim.read_bytes(), rng, victim.name))
        begin = time.monotonic()
        try:
            loaded = import_checkpoint(target).module.state_dict()
            counts["loaded"] += 1
            counts["changed"] += any(not torch.equal(loaded[key], value) for key, value in weights.items())
        except KikiboubaError:
            counts["refused"] += 1
        except BaseException:
            counts["wrong"].append(f"{number} {victim.name}: {traceback.format_exc()[-600:]}")
        if (seconds := time.monotonic() - begin) > SECONDS:
            counts["wrong"].append(f"{number} {victim.name}: took {seconds:.0f} s")
    print(json.dumps(counts))


if __name__ == "__main__":
    warnings.simplefilter("error", RuntimeWarning)
    main()
