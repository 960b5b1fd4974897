"""Which instruments a sustain pedal in a MIDI file belongs to, by the rule of pretty_midi.

A pedal is a control change on a channel, an instrument is a track, a channel and a program. A change counts
for the instrument whose program is in force, if a note of it has ended by then. Otherwise it is *loose*. The
first loose change of a line (a track and a channel), of any controller or a pitch bend, opens a list which
all instruments of the line that come into being later share, and what counts for one of these counts for
all of them.
"""

import numpy as np

from kikibouba.data.midi_events import Events
from kikibouba.errors import KikiboubaError

CONTROL_CHANGE, PITCH_BEND = 0xB0, 0xE0
SUSTAIN_PEDAL = 64
MAX_CHANGES = 2**20


def controls_of_pedal_lines(events: Events, line: np.ndarray) -> np.ndarray:
    """Indices of the control changes and pitch bends of all lines on which there is a pedal.

    Args:
        events: of a file.
        line: [N] int, the line of each event.
    """
    kind = events.status & 0xF0
    pedal = (kind == CONTROL_CHANGE) & (events.data1 == SUSTAIN_PEDAL)
    if not pedal.any():
        return np.zeros(0, np.int64)
    has_pedal = np.zeros(int(line.max()) + 1, bool)
    has_pedal[line[pedal]] = True
    return np.flatnonzero(((kind == CONTROL_CHANGE) | (kind == PITCH_BEND)) & has_pedal[line])


def assign_pedals(
    events: Events,
    line: np.ndarray,
    controls: np.ndarray,
    program: np.ndarray,
    created: np.ndarray,
    created_program: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(event, instrument) [K] of every pedal change, by instrument and in the order of the file.

    Args:
        events: of a file.
        line: [N] the line of each event.
        controls: [C] from `controls_of_pedal_lines`.
        program: [C] the program in force at each of them.
        created: [I] the index of the event that ends the first note of each instrument.
        created_program: [I] the program of each instrument.
    """
    order = np.argsort(line[controls], kind="stable")
    controls, program = controls[order], program[order]
    lines, own_line = line[controls], line[created]
    first, last = (np.searchsorted(lines, own_line, side) for side in ("left", "right"))
    if (last - first).sum() > MAX_CHANGES:
        raise KikiboubaError(f"there are more than {MAX_CHANGES} pedal changes: the file is damaged")
    own = np.full(len(controls), -1)
    for i, (a, b) in enumerate(zip(first, last, strict=True)):
        own[a:b][(program[a:b] == created_program[i]) & (controls[a:b] > created[i])] = i
    loose = np.flatnonzero(own < 0)
    opened = np.full(int(line.max(initial=0)) + 1, len(line))
    np.minimum.at(opened, lines[loose], controls[loose])
    shares = np.append(created > opened[own_line], True)  # the last one stands for own = -1
    pedal = events.data1[controls] == SUSTAIN_PEDAL
    pedal &= events.status[controls] & 0xF0 == CONTROL_CHANGE
    found = []
    for i, (a, b) in enumerate(zip(first, last, strict=True)):
        mine = shares[own[a:b]] if shares[i] else own[a:b] == i
        found.append(controls[a:b][mine & pedal[a:b]])
    instrument = np.repeat(np.arange(len(created)), [len(changes) for changes in found])
    return np.concatenate([*found, np.zeros(0, np.int64)]), instrument
