"""Artifacts from the JSON that their `to_json` writes: what a page or another program sends back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.notes import NOTE_DTYPE, NoteSequence
from kikibouba.data.quickdraw import drawing_to_strokes
from kikibouba.errors import KikiboubaError

DEFAULTS = {"velocity": 80, "instrument": 0, "program": 0, "is_drum": False}
"""Fields of a note that may be left out."""
RANGES = {"pitch": (0, 127), "velocity": (1, 127), "instrument": (0, 999), "program": (0, 127)}


def artifact_from_json(content: Mapping[str, Any]) -> Tune | Drawing:
    """The inverse of `to_json`: `{"drawing": [[[x, …], [y, …]], …]}` or `{"notes": [{"pitch": 60, "start":
    0.0, "end": 0.5}, …], "total_time": 4.0}`.

    Raises:
        KikiboubaError: neither, and what is wrong with it.
    """
    if "drawing" in content:
        return Drawing(drawing_to_strokes(content["drawing"]))
    if "notes" in content:
        return _tune(content)
    raise KikiboubaError("neither a drawing nor a tune: give strokes under 'drawing' or notes under 'notes'")


def _tune(content: Mapping[str, Any]) -> Tune:
    rows = content["notes"]
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise KikiboubaError("'notes' must be a list of notes such as {'pitch': 60, 'start': 0, 'end': 0.5}")
    notes = np.empty(len(rows), NOTE_DTYPE)
    try:
        for name in NOTE_DTYPE.names or ():
            values = [row.get(name, DEFAULTS.get(name)) for row in rows]
            notes[name] = _in_range(name, np.array(values, np.float64))
        total = float(content.get("total_time") or 0.0)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, KikiboubaError):
            raise
        raise KikiboubaError("a note needs numbers for pitch, start and end, in seconds") from None
    if (notes["end"] < notes["start"]).any() or not np.isfinite(total) or total < 0:
        raise KikiboubaError("a note ends before it starts, or total_time is no length of time")
    end = float(notes["end"].max(initial=0.0))
    return Tune(NoteSequence(notes=notes, total_time=max(total, end)))


def _in_range(name: str, values: np.ndarray) -> np.ndarray:
    """Raises KikiboubaError if a note's field is out of range or no number."""
    low, high = RANGES.get(name, (0, np.inf))
    if not np.isfinite(values).all() or ((values < low) | (values > high)).any():
        allowed = f"{low} to {high}" if high < np.inf else f"{low} or more"
        raise KikiboubaError(f"{name} of a note must be {allowed}")
    return values
