"""What a user names as input (a file, `Tune`, `Drawing`, array) as the examples a model reads. No torch."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.midi import read_midi
from kikibouba.data.notes import NoteSequence, quantize, split_on_time_changes
from kikibouba.data.representation import Representation
from kikibouba.data.sketch import SketchRepresentation
from kikibouba.errors import KikiboubaError

Source = str | Path | Tune | Drawing | np.ndarray
"""A file, something a model made, or an example of a representation."""

SKETCH_SUFFIXES = (".svg", ".npz", ".ndjson", ".ndjson.gz", ".ndjson.xz", ".json")
MIDI_SUFFIXES = (".mid", ".midi")


def kind_of(source: Source) -> str:
    """ "melody", "drums" or "sketch". A tune whose notes are all drums is drums, any other is a melody.

    Raises:
        KikiboubaError: neither a drawing nor a tune, or an unreadable file.
    """
    if isinstance(source, Drawing):
        return "sketch"
    if isinstance(source, Tune):
        return _kind_of_notes(source.notes)
    if isinstance(source, np.ndarray):
        raise KikiboubaError(
            "an array does not say what it is; give the kind (melody, drums or sketch) with it"
        )
    name = _existing(Path(source)).name.lower()
    if name.endswith(SKETCH_SUFFIXES):
        return "sketch"
    if name.endswith(MIDI_SUFFIXES):
        return _kind_of_notes(read_midi(Path(source)))
    raise KikiboubaError(f"cannot read {source}; allowed: {', '.join(SKETCH_SUFFIXES + MIDI_SUFFIXES)}")


def _kind_of_notes(sequence: NoteSequence) -> str:
    return "drums" if len(sequence.notes) and sequence.notes["is_drum"].all() else "melody"


def read_artifact(path: str | Path) -> Tune | Drawing:
    """A whole MIDI file as a tune, or the first drawing of a file, as it is.

    Raises:
        KikiboubaError: unreadable, or neither.
    """
    if kind_of(path) != "sketch":
        return Tune(read_midi(Path(path)))
    return Drawing(np.asarray(SketchRepresentation().read(_existing(Path(path)))[0], np.float32))


def read_examples(source: Source, representation: Representation, every: bool = False) -> list[np.ndarray]:
    """The examples in a source.

    Args:
        source: what to read; an array is taken as one example.
        representation: of the model that will see them.
        every: True: all drawings of a file; all windows of a tune that do not overlap. False: only the first.

    Returns:
        At least one array.

    Raises:
        KikiboubaError: unreadable, of another kind, or nothing usable in it (says which rule rejected it).
    """
    if isinstance(source, np.ndarray):
        return [source]
    if isinstance(source, Tune | Drawing):
        items: list[Any] = [source.notes if isinstance(source, Tune) else source.strokes]
        where = f"this {type(source).__name__.lower()}"
        if isinstance(source, Drawing) != (representation.kind == "sketch"):
            raise KikiboubaError(f"{where} cannot be read as {representation.kind}")
    else:
        items, where = representation.read(_existing(Path(source))), str(source)
    rejections: list[KikiboubaError] = []
    windows = _windows(items, representation, every, rejections)
    found = list(windows if every else islice(windows, 1))
    if not found:
        reason = f": {rejections[0]}" if rejections else ""
        raise KikiboubaError(f"{where} holds no usable {representation.kind}{reason}")
    return found


def _existing(path: Path) -> Path:
    if not path.exists():
        raise KikiboubaError(f"there is no file {path}")
    if path.is_dir():
        raise KikiboubaError(f"{path} is a folder; name a file in it")
    return path


def _windows(
    items: list[Any], representation: Representation, every: bool, rejections: list[KikiboubaError]
) -> Iterator[np.ndarray]:
    """First windows of all items, or (`every`, of music) windows that follow each other without overlap.

    Why an item has none is appended to `rejections`.
    """
    for item in items:
        try:
            windows = representation.windows(item)
        except KikiboubaError as error:
            rejections.append(error)
            continue
        if every and isinstance(item, NoteSequence):
            yield from consecutive_windows(item, representation)
        else:
            yield from windows[:1]


def _windows_or_none(item: Any, representation: Representation) -> list[np.ndarray]:
    """The windows of an item; an empty list where it has none."""
    try:
        return representation.windows(item)
    except KikiboubaError:
        return []


def consecutive_windows(sequence: NoteSequence, representation: Any) -> list[np.ndarray]:
    """Windows of a piece one after the other, from bar to bar, of the first instrument that has any.

    Args:
        sequence: at least one window of it must be usable.
        representation: a melody or drums representation with `bars` and `steps_per_quarter`.

    Returns:
        In order of time; a bar at which no window starts (silence, the last half of a phrase) is left out.
    """
    line = _first_part(sequence, representation)
    found = []
    for piece in split_on_time_changes(line):
        if not _windows_or_none(piece, representation):
            continue
        grid = quantize(piece, representation.steps_per_quarter)
        bar, num_bars = 0, -(-grid.total_steps // representation.steps_per_bar)
        while bar < num_bars:
            cut = _cut(piece, grid.q_start, grid.q_end, bar, representation)
            window = _windows_or_none(cut, representation)[:1]
            found += window
            bar += representation.bars if window else 1
    return found


def _first_part(sequence: NoteSequence, representation: Any) -> NoteSequence:
    """The notes of the first instrument with a usable window; all notes if none has one alone."""
    for instrument in np.unique(sequence.notes["instrument"]):
        part = replace(sequence, notes=sequence.notes[sequence.notes["instrument"] == instrument])
        if _windows_or_none(part, representation):
            return part
    return sequence


def _cut(
    piece: NoteSequence, q_start: np.ndarray, q_end: np.ndarray, bar: int, representation: Any
) -> NoteSequence:
    """The notes that start within a window from a bar on, snapped to the grid, the bar moved to time 0."""
    first, length = bar * representation.steps_per_bar, representation.bars * representation.steps_per_bar
    inside = (q_start >= first) & (q_start < first + length)
    qpm = piece.tempos[0, 1] if len(piece.tempos) else 120.0
    seconds = 60.0 / qpm / representation.steps_per_quarter
    notes = piece.notes[inside].copy()
    notes["start"] = (q_start[inside] - first) * seconds
    notes["end"] = np.minimum(q_end[inside] - first, length) * seconds
    return replace(piece, notes=notes, total_time=length * seconds)
