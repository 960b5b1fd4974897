"""A piece in C, so that a model need not learn everything in twelve keys.

The key is guessed from what is known when a piece is translated: its source, all of it. A wrong guess costs
little: it is made alike in training, and undone after translation.
"""

import numpy as np

from kikibouba.data.event_tokens import Steps
from kikibouba.data.melody_attributes import key


def shift_to_c(notes: Steps) -> int:
    """Semitones, -6 to 5, that bring notes into C major or A minor, as far as can be told (see
    `melody_attributes.key`); 0 for fewer than three notes.
    """
    tonic = int(key(notes.pitch[None])[0])
    return 0 if tonic < 0 else (6 - tonic) % 12 - 6


def shifted(notes: Steps, semitones: int) -> Steps:
    """Notes in another key; what leaves 0 … 127 moves to the next octave within."""
    pitch = notes.pitch + semitones
    return notes._replace(pitch=np.where(pitch < 0, pitch + 12, np.where(pitch > 127, pitch - 12, pitch)))
