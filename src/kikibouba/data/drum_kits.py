"""Which MIDI pitches are which drum: the tables of the original, and the drum notes of a piece by table."""

from dataclasses import replace

import numpy as np

from kikibouba.data.notes import NoteSequence
from kikibouba.errors import KikiboubaError, did_you_mean

REDUCED = (
    (36, 35),  # kick
    (38, 27, 28, 31, 32, 33, 34, 37, 39, 40, 56, 65, 66, 75, 85),  # snare, and whatever clicks or claps
    (42, 44, 54, 68, 69, 70, 71, 73, 78, 80, 22),  # closed hi-hat
    (46, 67, 72, 74, 79, 81, 26),  # open hi-hat
    (45, 29, 41, 43, 61, 64, 84),  # low tom
    (48, 47, 60, 63, 77, 86, 87),  # mid tom
    (50, 30, 62, 76, 83),  # high tom
    (49, 52, 55, 57, 58),  # crash
    (51, 53, 59, 82),  # ride
)
"""Pitches of each of the nine classes; the first is the one a decoded hit gets."""

REDUCED_2018 = (
    REDUCED[0],
    REDUCED[1],
    REDUCED[2][:-1],
    REDUCED[3][:-1],
    (45, 29, 41, 61, 64, 84),
    REDUCED[5],
    (50, 30, 43, 62, 76, 83),
    (49, 55, 57, 58),
    (51, 52, 53, 59, 82),
)
"""The table until April 2019: what magenta.js uses, and what the drum models published in 2018 learned."""

ROLAND = (
    (36,),
    (38, 37, 40),
    (42, 22, 44),
    (46, 26),
    (43, 58),
    (47, 45),
    (50, 48),
    (49, 52, 55, 57),
    (51, 53, 59),
)
"""The pads of the electronic kit on which the Groove MIDI Dataset was played."""

FULL = tuple((pitch,) for pitches in REDUCED_2018 for pitch in pitches)
"""61 classes of one pitch each."""

PITCH_CLASSES = {"reduced": REDUCED, "reduced_2018": REDUCED_2018, "roland": ROLAND, "full": FULL}

NINE_OF_FULL = np.array([c for c, pitches in enumerate(REDUCED_2018) for _ in pitches])
"""[61]: which of the nine classes each of the 61 belongs to."""


def check_table(name: str) -> None:
    """Raise KikiboubaError unless a table of this name exists."""
    if name not in PITCH_CLASSES:
        raise KikiboubaError(f"unknown pitch_classes {name!r}{did_you_mean(name, PITCH_CLASSES)}")


def drums_by_class(piece: NoteSequence, table: str) -> tuple[NoteSequence, np.ndarray]:
    """The piece with only its drums that are in a table, and the class [N] int64 of each of them.

    Raises:
        KikiboubaError: there are none.
    """
    class_of_pitch = np.full(128, -1)
    for c, pitches in enumerate(PITCH_CLASSES[table]):
        class_of_pitch[list(pitches)] = c
    notes = piece.notes
    drums = notes[notes["is_drum"] & (notes["velocity"] > 0)]
    classes = class_of_pitch[np.clip(drums["pitch"], 0, 127)]
    if not len(drums):
        raise KikiboubaError("none of its notes are drums; put them on channel 10, or prepare it as melody")
    if (classes < 0).all():
        found = ", ".join(map(str, np.unique(drums["pitch"]).tolist()))
        raise KikiboubaError(
            f"none of its drums (pitches {found}) is in the table {table!r}; choose other pitch_classes"
        )
    return replace(piece, notes=drums[classes >= 0]), classes[classes >= 0]


def merge_classes(bits: np.ndarray) -> np.ndarray:
    """Bits [T, 61] of the full table → labels [T] int64 of nine classes."""
    nine = np.zeros((len(bits), len(REDUCED)), bool)
    for c in range(len(REDUCED)):
        nine[:, c] = bits[:, c == NINE_OF_FULL].any(1)
    return nine @ (1 << np.arange(len(REDUCED)))
