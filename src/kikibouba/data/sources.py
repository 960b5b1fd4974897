"""Which files `prepare` reads, under which name, and to which split each belongs."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kikibouba.data.store import SPLITS
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True, slots=True)
class Source:
    """One input file."""

    name: str
    """Path relative to the input folder, with "/"; prefixed with that folder's name where there are
    several.
    """
    path: str
    split: str | None
    """From the split lists or the name's hash; None: in no list."""
    drawn: bool = False
    """There are no lists: the split is drawn from the name."""


def find_sources(
    representation: Any, inputs: list[Path], splits: Any, fractions: tuple[float, float, float], out: Path
) -> tuple[list[Source], int]:
    """Every input file sorted by name, and how many listed names have no file; arguments as of `prepare`."""
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise KikiboubaError(
            f"fractions {fractions} must be three numbers ≥ 0 that sum to 1 (train, valid, test)"
        )
    if isinstance(splits, str | Path) or splits is None:
        splits = [splits] * len(inputs)
    if len(splits) != len(inputs):
        raise KikiboubaError(
            f"{len(splits)} folders of split lists for {len(inputs)} inputs; give one, or one each"
        )
    labels = [path.name for path in inputs]
    if len(set(labels)) < len(labels):
        raise KikiboubaError(
            f"inputs must have different names, to tell their files apart: {', '.join(labels)}"
        )
    suffixes = tuple(getattr(representation, "suffixes", ()))
    sources, unused = [], set()
    for path, split_dir in zip(inputs, splits, strict=True):
        lists = _read_lists(path, split_dir)
        unused |= set(lists or ())
        prefix = f"{path.name}/" if len(inputs) > 1 else ""
        for relative, file in _files(path, suffixes, out):
            name = prefix + relative
            key = relative if lists and relative in lists else name
            split = draw_split(relative, fractions) if lists is None else lists.get(key)
            sources.append(Source(name, file, split, drawn=lists is None))
            unused.discard(key)
    if not sources:
        among = f" ({', '.join(suffixes)})" if suffixes else ""
        raise KikiboubaError(f"no files to read{among} in {', '.join(map(str, inputs))}")
    if not any(source.split for source in sources):
        raise KikiboubaError(
            f"the split lists name none of the {len(sources)} files, e.g. not {sources[0].name}"
            + (f", but {min(unused)}" if unused else "")
        )
    return sorted(sources, key=lambda source: source.name), len(unused)


def _files(path: Path, suffixes: tuple[str, ...], out: Path) -> Iterator[tuple[str, str]]:
    """(relative name, path) of an input's files; hidden ones, split lists and the output folder are none."""
    if path.is_file():
        yield path.name, os.path.abspath(path)
        return
    if not path.is_dir():
        raise KikiboubaError(f"no such file or folder: {path}")
    root = os.path.abspath(path)
    before = len(os.path.join(root, ""))
    excluded = (os.path.join(root, "split"), os.path.abspath(out))
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [s for s in subfolders if s[0] != "." and os.path.join(folder, s) not in excluded]
        for name in names:
            known = not suffixes or without_shard(name.lower()).endswith(suffixes)
            if name[0] != "." and known:
                file = os.path.join(folder, name)
                yield file[before:].replace(os.sep, "/"), file


def _read_lists(path: Path, split_dir: str | Path | None) -> dict[str, str] | None:
    """File name → split, or None where there are no lists."""
    if split_dir is None and (path / "split" / "train.txt").is_file():
        split_dir = path / "split"
    if split_dir is None:
        return None
    files = {split: Path(split_dir) / f"{split}.txt" for split in SPLITS}
    if not any(file.is_file() for file in files.values()):
        raise KikiboubaError(f"{split_dir} has none of the lists train.txt, valid.txt, test.txt")
    lists: dict[str, str] = {}
    for split, file in files.items():
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
            name = line.strip()
            if lists.get(name, split) != split:
                raise KikiboubaError(
                    f"{name} is in two split lists of {split_dir}: {lists[name]} and {split}"
                )
            if name:
                lists[name] = split
    return lists


def without_shard(name: str) -> str:
    """A file's name without the number by which large sets are split: x.tfrecord-00000-of-00010."""
    return re.sub(r"-\d{5}-of-\d{5}$", "", name)


def draw_split(name: str, fractions: Sequence[float]) -> str:
    """A split drawn from a name alone, so that it stays when others come and go."""
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    return SPLITS[int(np.searchsorted(np.cumsum(fractions[:2]), position, side="right"))]
