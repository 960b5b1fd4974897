"""Recordings, or frames in files, → a dataset of embedding frames: what `kikibouba prepare embedding` calls.

Log-mel frames are made while the dataset is; those of a WaveNet first, one .npy for each recording,
in a folder `frames` of the dataset, where they stay, so that an interrupted run goes on.
"""

import dataclasses
import io
import json
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from kikibouba.bridges.posteriors import weights_hash
from kikibouba.data.audio_files import AUDIO_SUFFIXES
from kikibouba.data.embedding import EmbeddingRepresentation
from kikibouba.data.embedding_files import frames_in, instruments_in
from kikibouba.data.files import write_bytes, write_text
from kikibouba.data.prepare import prepare
from kikibouba.data.store import Dataset
from kikibouba.embeddings import wavenet_frames
from kikibouba.errors import KikiboubaError
from kikibouba.sounds import SoundModel

if TYPE_CHECKING:
    from kikibouba.data.prepare import ReadAll

FRAMES = "frames"
"""The folder of a WaveNet's frames in that of a dataset."""


def prepare_embeddings(
    representation: EmbeddingRepresentation,
    inputs: Sequence[str | Path],
    out: str | Path,
    model: str | Path | None = None,
    *,
    splits: Any = None,
    fractions: tuple[float, float, float] = (0.9, 0.05, 0.05),
    unique: bool = False,
    limit: int | None = None,
    workers: int | None = None,
    device: str = "cpu",
    read_all: "ReadAll | None" = None,
) -> Dataset:
    """Build a dataset of embedding frames.

    Args:
        representation: how long examples are, and, without a model, how frames are made of sound. Files of
            frames (.npy) say themselves how wide they are.
        inputs: recordings, or .npy files of frames, or folders of either.
        out: the dataset's folder.
        model: a WaveNet autoencoder, whose frames are taken; of .npy files, the one that made them.
        splits, fractions, unique, limit, workers, read_all: as of `data.prepare.prepare`.
        device: of the model.

    Raises:
        KikiboubaError: recordings and frames together; a model of another kind, or of frames of another
            width; whatever `prepare` raises.
    """
    paths = [Path(path) for path in inputs]
    found = [file for path in paths for file in _files(path)]
    arrays = [file for file in found if file.suffix.lower() == ".npy"]
    if arrays and len(arrays) < len(found):
        raise KikiboubaError(
            f"{paths[0]} holds recordings and .npy files of frames: prepare them one after the other"
        )
    representation = dataclasses.replace(representation, instruments=instruments_in(found))
    if arrays:
        representation = _as_in_files(representation, arrays)
    if model is not None:
        representation, vocoder = _as_of(representation, model, bool(arrays), device)
        if not arrays:
            paths, splits = _encoded(vocoder, paths, Path(out), splits, limit, representation.frames)
    return prepare(
        representation,
        paths,
        out,
        splits=splits,
        fractions=fractions,
        unique=unique,
        limit=limit,
        workers=workers,
        read_all=read_all,
    )


def _files(path: Path) -> list[Path]:
    """Recordings and .npy files in a folder, or the file itself."""
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.name.lower().endswith((*AUDIO_SUFFIXES, ".npy")))
    return [path]


def _as_in_files(representation: EmbeddingRepresentation, arrays: list[Path]) -> EmbeddingRepresentation:
    """The representation of .npy files, as wide as the first of them."""
    widths = (frames_in(file) for file in arrays)
    width = next((width for width in widths if width is not None), representation.width)
    return dataclasses.replace(representation, source="arrays", width=width)


def _as_of(
    representation: EmbeddingRepresentation, model: str | Path, from_files: bool, device: str
) -> tuple[EmbeddingRepresentation, SoundModel]:
    """The representation of the frames of a WaveNet, and the WaveNet."""
    from kikibouba.hub import load_model

    vocoder = load_model(model, device)
    if not isinstance(vocoder, SoundModel) or vocoder.domains:
        raise KikiboubaError(
            f"{model} is no WaveNet autoencoder, whose frames are wanted: name one that was trained from the "
            "preset nsynth or nsynth_small"
        )
    if from_files and representation.width != vocoder.z_size:
        raise KikiboubaError(
            f"the files hold frames of {representation.width} numbers, and {model} makes {vocoder.z_size}"
        )
    known = dataclasses.replace(
        representation,
        source="wavenet",
        width=vocoder.z_size,
        hop=vocoder.hop,
        vocoder=vocoder.source,
        vocoder_hash=weights_hash(vocoder.module),
    )
    return known, vocoder


def _encoded(
    vocoder: SoundModel, inputs: list[Path], out: Path, splits: Any, limit: int | None, frames: int
) -> tuple[list[Path], Any]:
    """Frames of all recordings of the one input as .npy files, and their split lists."""
    if len(inputs) != 1:
        raise KikiboubaError("with --model, prepare takes one folder of recordings at a time")
    source, target = inputs[0], out / FRAMES
    try:
        _begin(target, weights_hash(vocoder.module))
        for file in tqdm(_files(source)[:limit], unit="file", disable=None, leave=False):
            relative = file.relative_to(source) if source.is_dir() else Path(file.name)
            place = (target / relative).with_suffix(".npy")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.is_file():
                _encode(vocoder, file, place, frames)
        lists = splits or (source / "split" if (source / "split").is_dir() else None)
        return [target], None if lists is None else _renamed(Path(lists), out)
    except OSError as error:
        raise KikiboubaError(f"cannot write frames to {target}: {error.strerror}") from None


def _begin(target: Path, hash_of_weights: str) -> None:
    """An empty folder, or one of frames of the same weights; those of others are removed."""
    note = target / "made_by.json"
    made_by = json.dumps({"weights": hash_of_weights}) + "\n"
    if target.is_dir() and not note.is_file():
        raise KikiboubaError(f"{target} is not of an earlier run: choose another folder for the dataset")
    if target.is_dir() and note.read_text(encoding="utf-8") != made_by:
        shutil.rmtree(target)
    target.mkdir(parents=True, exist_ok=True)
    write_text(note, made_by)


def _encode(vocoder: SoundModel, file: Path, place: Path, frames: int) -> None:
    """One recording's frames, `frames` at least; one that cannot be read is told and left out."""
    try:
        found = wavenet_frames(vocoder, file, frames)
    except KikiboubaError as error:
        warnings.warn(f"{file} is left out: {error}", stacklevel=2)
        return
    buffer = io.BytesIO()
    np.save(buffer, found)
    write_bytes(place, buffer.getvalue())


def _renamed(lists: Path, out: Path) -> Path:
    """Split lists of recordings as such of their frames."""
    folder = out / FRAMES / "split"
    folder.mkdir(exist_ok=True)
    for file in sorted(lists.glob("*.txt")):
        names = [
            Path(line).with_suffix(".npy").as_posix() for line in file.read_text("utf-8").split("\n") if line
        ]
        write_text(folder / file.name, "".join(f"{name}\n" for name in names))
    return folder
