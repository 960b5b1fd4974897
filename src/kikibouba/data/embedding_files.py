"""Embedding frames in .npy files, and what the names of files say about a note.

    train_z.npy                    [N, T, W] frames of N notes, as the original Embedding RNN has them
    train_pitch_one_hot.npy        [N, 128], beside it, if there is one
    train_vels_one_hot.npy         [N, 128 or fewer], likewise
    guitar_acoustic_001-082-050.npy    [T, W] frames of one note, as NSynth's program saves them, or [N, T, W]

A name such as guitar_acoustic_001-082-050, of a file of any kind, says instrument, pitch and velocity.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kikibouba.errors import KikiboubaError

_NAME = re.compile(r"(.+)-(\d{3})-(\d{3})$")

ONE_HOT = re.compile(r"_(pitch|vels|velocities|velocity)_one_hot\.npy$")
"""Files that lie beside frames and hold none."""


class Note(NamedTuple):
    """A sound, and what is known about it."""

    sound: np.ndarray
    """Samples [N] at 16 kHz, or frames [T, W]"""
    pitch: int = -1
    """MIDI pitch; -1 if unknown"""
    velocity: int = -1
    """0..127, likewise"""
    instrument: str | None = None
    number: int = -1
    """The instrument's, among those that a representation knows"""
    name: str | None = None
    """If it has one of its own"""


def note_of(sound: np.ndarray, name: str) -> Note:
    """A sound with what its name says."""
    found = _NAME.match(name)
    if not found or int(found[2]) > 127 or int(found[3]) > 127:
        return Note(sound, name=name)
    return Note(sound, int(found[2]), int(found[3]), found[1], name=name)


def instruments_in(paths: Sequence[Path]) -> tuple[str, ...]:
    """The instruments that the names of files say, sorted."""
    return tuple(sorted({found[1] for path in paths if (found := _NAME.match(path.stem))}))


def read_arrays(path: Path, width: int) -> Iterator[Note]:
    """The notes of an .npy file of frames.

    Raises:
        KikiboubaError: no .npy, or damaged; of another shape or width; pitches that are not as many.
    """
    if ONE_HOT.search(path.name):
        raise KikiboubaError("it holds labels of the notes in a file of frames beside it, and no frames")
    frames = _load(path)
    if frames.ndim not in (2, 3) or not np.issubdtype(frames.dtype, np.floating):
        raise KikiboubaError(
            f"{path} holds {frames.dtype} {list(frames.shape)}; frames are floats [T, W] or [N, T, W]"
        )
    if frames.shape[-1] != width:
        raise KikiboubaError(
            f"{path} has frames of {frames.shape[-1]} numbers, and {width} are expected: give it files "
            "of frames that one and the same network made"
        )
    if frames.ndim == 2:
        yield note_of(np.asarray(frames, np.float32), path.stem)
        return
    pitches = _labels(path, ("pitch",), len(frames))
    velocities = _labels(path, ("vels", "velocities", "velocity"), len(frames))
    for number, one in enumerate(frames):
        yield Note(np.asarray(one, np.float32), int(pitches[number]), int(velocities[number]))


def frames_in(path: Path) -> int | None:
    """The width of the frames in an .npy file, read from its header; None if it holds none."""
    if ONE_HOT.search(path.name):
        return None
    return _load(path).shape[-1]


def _labels(path: Path, names: Sequence[str], count: int) -> np.ndarray:
    """Int [N], from the one-hot rows of a file beside the frames; -1 where there is no file, or no one."""
    stem = path.stem.removesuffix("_z")
    for name in names:
        beside = path.with_name(f"{stem}_{name}_one_hot.npy")
        if beside.is_file():
            rows = _load(beside)
            if rows.ndim != 2 or len(rows) != count or rows.shape[1] > 128:
                raise KikiboubaError(
                    f"{beside} has shape {list(rows.shape)}; one-hot rows of {count} notes are [{count}, 128]"
                )
            return np.where(np.asarray(rows).max(axis=1) > 0, np.asarray(rows).argmax(axis=1), -1)
    return np.full(count, -1)


def _load(path: Path) -> np.ndarray:
    """The array of an .npy, memory-mapped."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise KikiboubaError(f"there is no file {path}") from None
    except Exception as error:  # numpy raises many kinds on damaged files
        raise KikiboubaError(f"{path} is no readable .npy: {' '.join(str(error).split())}") from None
    if not isinstance(found, np.ndarray) or found.ndim == 0 or not found.size:
        raise KikiboubaError(f"{path} is no readable .npy: it holds no array of frames")
    return found
