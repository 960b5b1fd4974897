"""A short tune as one example just as it stands, silence included: what was played on a roll of two bars.

Reading a piece looks for phrases, and a phrase begins and ends with a note. Here the bars are given.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from kikibouba.data.artifacts import Tune
from kikibouba.data.melody import NOTE_OFF
from kikibouba.data.notes import DEFAULT_QPM, make_notes
from kikibouba.data.windows import QUARTERS_PER_BAR
from kikibouba.errors import KikiboubaError
from kikibouba.inputs import read_examples

MARKS = {"melody": 60, "drums": 36}
"""Pitch of the notes that mark both ends of the bars while these are read; of the kinds that are labels."""


def is_loop(tune: Tune, representation: Any) -> bool:
    """Whether a tune at 120 quarter notes a minute fits into one example of a melody or a drum pattern."""
    if representation.kind not in MARKS or len(tune.notes.tempos) or not len(tune.notes.notes):
        return False
    return bool(tune.notes.notes["end"].max() <= _seconds(representation) + 1e-6)


def loop_example(tune: Tune, representation: Any) -> np.ndarray:
    """A tune that `is_loop` → its example, labels [steps].

    Raises:
        KikiboubaError: no usable note in it, or a representation whose examples are no plain labels.
    """
    seconds = _seconds(representation)
    steps = round(representation.bars * QUARTERS_PER_BAR * representation.steps_per_quarter)
    step = seconds / steps
    drums = representation.kind == "drums"
    notes = tune.notes.notes[tune.notes.notes["is_drum"] == drums].copy()
    if not len(notes):
        raise KikiboubaError(f"there is no {representation.kind} in this tune")
    notes["instrument"] = notes["program"] = 0
    notes["end"] = np.minimum(notes["end"], seconds)
    onsets, ends = (np.floor(notes[name] / step + 0.5).astype(int) for name in ("start", "end"))
    marks = np.setdiff1d([0, steps - 1], onsets)
    pitch = np.full(len(marks), MARKS[representation.kind])
    marked = np.concatenate([notes, make_notes(pitch, marks * step, (marks + 1) * step, is_drum=drums)])
    whole = Tune(replace(tune.notes, notes=marked, total_time=seconds))
    (example,) = read_examples(whole, replace(representation, gap_bars=0.0))
    if example.shape != (steps,):
        raise KikiboubaError(f"examples of shape {example.shape} cannot be read as a loop of {steps} steps")
    return _without(example, marks, ends, drums)


def _without(example: np.ndarray, marks: np.ndarray, ends: np.ndarray, drums: bool) -> np.ndarray:
    """The labels [steps] without the marks, and without the end of the first one."""
    example = example.copy()
    for mark in marks.tolist():
        example[mark] = NOTE_OFF if not drums and mark in ends else 0
        if not drums and mark == 0 and example[1] == NOTE_OFF:
            example[1] = 0
    return example


def _seconds(representation: Any) -> float:
    return representation.bars * QUARTERS_PER_BAR * 60.0 / DEFAULT_QPM
