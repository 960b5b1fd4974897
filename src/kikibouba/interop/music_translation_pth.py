"""Checkpoints of the Universal Music Translation Network: for each domain K one bestmodel_K.pth.

Each holds the encoder and the classifier, which all domains share, the decoder of domain K, and what only
training needs. torch unpickles them in its weights-only mode, which makes nothing but tensors and containers;
that no tensor is larger than the file is checked before any is used.
"""

import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kikibouba.errors import KikiboubaError
from kikibouba.interop.original import Original

FORMAT = "music-translation"
_PARTS = {"encoder": "encoder_state", "decoder": "decoder_state", "classifier": "discriminator_state"}
_FILE = re.compile(r"(.*)_(\d{1,4})\.pth")
_SLACK = 1 << 20
"""Bytes that a file's tables may say beyond its own size."""


def is_music_translation_pth(path: Path) -> bool:
    """Whether a path is such a file, a folder of them, or what precedes _K.pth."""
    return bool(_files(path))


def read_music_translation(path: Path | str) -> Original:
    """The weights by our names: encoder.…, decoders.K.… for each domain K that is there, classifier.….

    `spec` has "domains": how many the classifier tells apart.

    Args:
        path: a file, a folder (whose best models are taken, or else the last), or a prefix such as
            `checkpoints/run/bestmodel`.

    Raises:
        KikiboubaError: damaged, or no such checkpoint.
    """
    variables: dict[str, Any] = {}
    files = _files(Path(path))
    for number, file in files.items():
        state = _load(file)
        for part, key in _PARTS.items():
            if part == "decoder":
                variables |= _weights(state, key, f"decoders.{number}.", file)
            elif number == min(files):
                variables |= _weights(state, key, f"{part}.", file)
    last = variables.get("classifier.convs.6.weight")
    domains = len(last) if last is not None and last.ndim == 3 else 0
    if domains <= max(files):
        raise KikiboubaError(f"{path} holds a decoder {max(files)}, but a classifier of {domains} domains")
    known = next(iter(files.values())).name
    lost = [re.sub(r"_\d+\.pth$", f"_{k}.pth", known) for k in range(domains) if k not in files]
    notes = (f"of {domains} domains {len(lost)} are missing: {', '.join(lost)}",) if lost else ()
    return Original(FORMAT, variables, {}, {"domains": domains}, "float32", notes)


def _files(path: Path) -> dict[int, Path]:
    """Domain → file."""
    if path.is_file():
        match = _FILE.fullmatch(path.name)
        return {int(match[2]) if match else 0: path} if path.suffix == ".pth" else {}
    if not path.is_dir():
        return _numbered(path.parent, path.name) if path.parent.is_dir() else {}
    return _numbered(path, "bestmodel") or _numbered(path, "lastmodel")


def _numbered(folder: Path, stem: str) -> dict[int, Path]:
    found = ((_FILE.fullmatch(file.name), file) for file in folder.glob("*.pth"))
    return dict(sorted((int(match[2]), file) for match, file in found if match and match[1] == stem))


def _load(file: Path) -> Mapping[str, Any]:
    """What a file holds, as far as tensors, numbers and containers go."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as parts:
                said = sum(part.file_size for part in parts.infolist())
            if said > file.stat().st_size + _SLACK:
                raise KikiboubaError(f"{file} is damaged: its parts are larger than the file")
        state = torch.load(file, map_location="cpu", weights_only=True)
    except KikiboubaError:
        raise
    except Exception as error:  # a damaged pickle raises anything
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise KikiboubaError(f"{file} is damaged, or no checkpoint: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(state.get(key), dict) for key in _PARTS.values()):
        raise KikiboubaError(f"{file} is no music translation network: it lacks {', '.join(_PARTS.values())}")
    return state


def _weights(state: Mapping[str, Any], key: str, prefix: str, file: Path) -> Iterator[tuple[str, Any]]:
    """A part's weights, under our names."""
    left = file.stat().st_size
    for name, value in state[key].items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or not value.is_floating_point():
            raise KikiboubaError(f"{file} is damaged: {key} {str(name)[:60]!r} is no tensor of numbers")
        left -= value.numel() * value.element_size()
        if left < 0:
            raise KikiboubaError(f"{file} is damaged: its weights share their data")
        yield prefix + str(name).removeprefix("module."), value.float().contiguous().numpy()
