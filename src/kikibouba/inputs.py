"""What a user names as input (a file, `Tune`, `Drawing`, array) as the examples a model reads. No torch."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kikibouba.data.artifacts import Drawing, Sound, Tune
from kikibouba.data.audio_files import AUDIO_SUFFIXES, SAMPLE_RATE, read_sound
from kikibouba.data.audio_resampling import resample
from kikibouba.data.music_files import MUSIC_SUFFIXES, first_piece, is_music
from kikibouba.data.notes import NoteSequence, concatenate
from kikibouba.data.pieces import Piece, cut
from kikibouba.data.representation import Representation
from kikibouba.data.sketch import SketchRepresentation
from kikibouba.errors import KikiboubaError

T = TypeVar("T")

Source = str | Path | Tune | Drawing | Sound | np.ndarray
"""A file, something a model made, or an example of a representation."""

SKETCH_SUFFIXES = (".svg", ".npz", ".ndjson", ".ndjson.gz", ".ndjson.xz", ".json")


def is_readable(name: str) -> bool:
    """Whether a file of that name can be a drawing, music or sound."""
    return is_music(name) or name.lower().endswith((*SKETCH_SUFFIXES, *AUDIO_SUFFIXES))


def kind_of(source: Source) -> str:
    """ "melody", "drums", "sketch" or "audio". A tune whose notes are all drums is drums, any other is a
    melody.

    Raises:
        KikiboubaError: neither a drawing nor a tune nor a sound, or an unreadable file.
    """
    if isinstance(source, Drawing):
        return "sketch"
    if isinstance(source, Sound):
        return "audio"
    if isinstance(source, Tune):
        return _kind_of_notes(source.notes)
    if isinstance(source, np.ndarray):
        raise KikiboubaError(
            "an array does not say what it is; give the kind (melody, drums or sketch) with it"
        )
    name = _existing(Path(source)).name.lower()
    if name.endswith(SKETCH_SUFFIXES):
        return "sketch"
    if is_music(name):
        return _kind_of_notes(first_piece(Path(source)))
    if name.endswith(AUDIO_SUFFIXES):
        return "audio"
    allowed = SKETCH_SUFFIXES + MUSIC_SUFFIXES + AUDIO_SUFFIXES
    raise KikiboubaError(f"cannot read {source}; allowed: {', '.join(allowed)}")


def _kind_of_notes(sequence: NoteSequence) -> str:
    return "drums" if len(sequence.notes) and sequence.notes["is_drum"].all() else "melody"


def read_anything(path: str | Path) -> Tune | Drawing | Sound:
    """`read_artifact`, or a recording as it is, at 16 kHz."""
    return Sound(read_sound(path)) if kind_of(path) == "audio" else read_artifact(path)


def read_artifact(path: str | Path) -> Tune | Drawing:
    """The first piece of a file of music as a tune, or the first drawing of a file, as it is.

    Raises:
        KikiboubaError: unreadable, or neither.
    """
    if (kind := kind_of(path)) == "audio":
        raise KikiboubaError(f"{path} is a recording; here a drawing or a tune is wanted")
    if kind != "sketch":
        return Tune(first_piece(Path(path)))
    return Drawing(np.asarray(SketchRepresentation().read(_existing(Path(path)))[0], np.float32))


def read_examples(source: Source, representation: Representation, whole: bool = False) -> list[np.ndarray]:
    """The examples in a source.

    Args:
        source: what to read; an array is taken as one example.
        representation: of the model that will see them.
        whole: True: all drawings of a file, all windows of a piece (see `read_piece`). False: only the first.

    Returns:
        At least one array.

    Raises:
        KikiboubaError: unreadable, of another kind, or nothing usable in it (says which rule rejected it).
    """
    if whole:
        return read_piece(source, representation).arrays
    if isinstance(source, np.ndarray):
        return [source]
    items, where = _items(source, representation)
    rejections: list[KikiboubaError] = []
    for windows in _usable(items, representation.windows, rejections):
        if windows:
            return windows[:1]
    raise _nothing(where, representation, rejections)


def read_windows(source: Source, representation: Representation) -> list[np.ndarray]:
    """All examples that a source gives a dataset: windows from bar to bar, of all instruments; all drawings.

    Raises:
        KikiboubaError: as `read_examples`.
    """
    if isinstance(source, np.ndarray):
        return [source]
    return _all_windows(*_items(source, representation), representation)


def read_piece(source: Source, representation: Representation) -> Piece:
    """All of a source: every drawing of a file, every bar of a piece; several tunes follow one another.

    Raises:
        KikiboubaError: as `read_examples`.
    """
    if isinstance(source, np.ndarray):
        return Piece([source], [])
    items, where = _items(source, representation)
    if not isinstance(items[0], NoteSequence):
        return Piece(_all_windows(items, where, representation), [])
    rejections: list[KikiboubaError] = []
    pieces = list(_usable(items, lambda item: cut(item, representation), rejections))
    if not pieces:
        raise _nothing(where, representation, rejections)
    return pieces[0] if len(pieces) == 1 else _one_after_the_other(pieces)


def _all_windows(items: list[Any], where: str, representation: Representation) -> list[np.ndarray]:
    """The windows of every item, at least one."""
    rejections: list[KikiboubaError] = []
    found = list(chain.from_iterable(_usable(items, representation.windows, rejections)))
    if not found:
        raise _nothing(where, representation, rejections)
    return found


def _items(
    source: str | Path | Tune | Drawing | Sound, representation: Representation
) -> tuple[list[Any], str]:
    """What a source holds, at least one item, and how to call it in a message."""
    if isinstance(source, Tune | Drawing | Sound):
        where = f"this {type(source).__name__.lower()}"
        own = {"sketch": Drawing, "audio": Sound}.get(representation.kind, Tune)
        if not isinstance(source, own):
            raise KikiboubaError(f"{where} cannot be read as {representation.kind}")
        if isinstance(source, Sound):
            return [resample(source.wave, source.rate, SAMPLE_RATE)], where
        return [source.notes if isinstance(source, Tune) else source.strokes], where
    return representation.read(_existing(Path(source))), str(source)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise KikiboubaError(f"there is no file {path}")
    if path.is_dir():
        raise KikiboubaError(f"{path} is a folder; name a file in it")
    return path


def _usable(items: list[Any], extract: Callable[[Any], T], rejections: list[KikiboubaError]) -> Iterator[T]:
    """What `extract` finds in each item; why it rejects one is appended to `rejections`."""
    for item in items:
        try:
            yield extract(item)
        except KikiboubaError as error:
            rejections.append(error)


def _nothing(where: str, representation: Representation, rejections: list[KikiboubaError]) -> KikiboubaError:
    reason = f": {rejections[0]}" if rejections else ""
    return KikiboubaError(f"{where} holds no usable {representation.kind}{reason}")


def _one_after_the_other(pieces: list[Piece]) -> Piece:
    """Several pieces as one."""
    sources = [piece.source for piece in pieces if piece.source is not None]
    begins = np.cumsum([0.0, *(source.total_time for source in sources)])
    places = [
        place._replace(start=place.start + begin, since=place.since + begin, end=place.end + begin)
        for piece, begin in zip(pieces, begins.tolist(), strict=False)
        for place in piece.places
    ]
    return Piece([array for piece in pieces for array in piece.arrays], places, concatenate(sources))
