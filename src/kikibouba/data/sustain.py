"""The sustain pedal as lengths of notes, for models that know no pedal.

A pedal is down from a value of 64 on. A note that ends while it is down sounds on, until the pedal is
released or the same pitch is struck again, also one that the finger still holds; drums know no pedal. Follows
the original code: of pedal changes at one time the release comes last, and both come before the notes of that
time; of two notes struck together on one pitch, with the pedal down, the later in the list remains; a note
under a pedal that is never released lasts to the last event of the piece, and so does then the piece.
"""

from dataclasses import replace

import numpy as np

from kikibouba.data.notes import NoteSequence

DOWN = 64


def apply_sustain(sequence: NoteSequence) -> NoteSequence:
    """The piece with the notes that its pedals lengthen, and without pedals."""
    if not (sequence.pedals[:, 2] >= DOWN).any():
        return replace(sequence, pedals=sequence.pedals[:0])
    notes = sequence.notes.copy()
    pitched = notes[~notes["is_drum"]]
    last_event = max(
        pitched["start"].max(initial=0), pitched["end"].max(initial=0), sequence.pedals[:, 0].max()
    )
    total_time, never_ended = sequence.total_time, False
    kept = np.ones(len(notes), bool)
    for instrument in np.unique(sequence.pedals[:, 1]):
        own = np.flatnonzero((notes["instrument"] == instrument) & ~notes["is_drum"])
        pedal = sequence.pedals[sequence.pedals[:, 1] == instrument]
        end, by_release, kept[own] = _ends(notes[own], pedal)
        total_time = max(total_time, end[by_release & np.isfinite(end)].max(initial=0.0))
        never_ended |= bool(np.isinf(end).any())
        notes["end"][own] = np.where(np.isinf(end), last_event, end)
    return replace(
        sequence,
        notes=notes[kept],
        total_time=float(last_event if never_ended else total_time),
        pedals=sequence.pedals[:0],
    )


def _ends(notes: np.ndarray, pedal: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the notes [N] of an instrument under its pedal: new ends (infinity for never), whether a release
    is what ends them, and whether they remain, [N] each.
    """
    releases = np.sort(pedal[pedal[:, 2] < DOWN, 0])
    # the pedal's position after the changes of each time: where one of them is a release, up
    times = np.unique(pedal[:, 0])
    down = ~np.isin(times, releases)

    def is_down(at: np.ndarray) -> np.ndarray:
        return np.append(False, down)[np.searchsorted(times, at, "right")]

    held = is_down(notes["end"])
    next_release = np.append(releases, np.inf)[np.searchsorted(releases, notes["end"], "right")]
    end = np.where(held, next_release, notes["end"])
    again = _next_struck(notes, is_down(notes["start"]))
    by_release = held & (next_release <= again)
    end = np.minimum(end, again)
    return end, by_release, again > notes["start"]


def _next_struck(notes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """For each note [N] the start of the next note of its pitch, among those that count; infinity if none."""
    order = np.lexsort((notes["start"], notes["pitch"]))
    pitch, start = notes["pitch"][order], notes["start"][order]
    place = np.where(counts[order], np.arange(len(order)), len(order))
    following = np.append(np.minimum.accumulate(place[::-1])[::-1], len(order))[1:]
    same = np.append(pitch, -1)[following] == pitch
    struck = np.empty(len(order))
    struck[order] = np.where(same, np.append(start, np.inf)[following], np.inf)
    return struck
