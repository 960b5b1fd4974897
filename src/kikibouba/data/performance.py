"""Notes as the events of a performance, and back: the vocabulary of multitrack models.

    0 … 127      a pitch starts                     352 … 359    the loudness of the notes to come
    128 … 255    a pitch ends                       360 … 487    the program of a track, 488: drums
    256 … 351    1 to 96 steps pass                 489, 490     end of a track; unused place after it

A track is a bar of one instrument, 96 steps long: its program, its events, the end. Loudness is one of
`bins`, velocities 1 to 16, 17 to 32, …, and is named where it changes; with another number of bins the
labels from 352 on lie elsewhere.

Follows the original code, which writes events, reads them back as notes and writes those again. What this
amounts to: notes that start on the bar's last line are dropped; at one step events come in the order of the
notes they belong to, and notes in the order of start and pitch; of notes of one pitch that overlap, the
first to start is the first to end.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kikibouba.data.notes import make_notes

NUM_PITCHES = 128
NUM_PROGRAMS = 128
MAX_VELOCITY = 127
DEFAULT_VELOCITY = 100
"""Of notes before which no loudness is named"""


@dataclass(frozen=True)
class PerformanceVocabulary:
    """Which label means what."""

    steps: int = 96
    """Length of a track, and the longest time that one label lets pass"""
    bins: int = 8
    """Degrees of loudness; 0: all notes are equally loud"""

    @property
    def note_off(self) -> int:
        """The label that ends pitch 0."""
        return NUM_PITCHES

    @property
    def shift(self) -> int:
        """The label of no time at all; it does not occur, the ones after it do."""
        return 2 * NUM_PITCHES - 1

    @property
    def loudness(self) -> int:
        """The label of loudness 0; it does not occur, the ones after it do."""
        return self.shift + self.steps

    @property
    def program(self) -> int:
        """The label of program 0."""
        return self.loudness + self.bins + 1

    @property
    def drums(self) -> int:
        """The label that stands in place of a program."""
        return self.program + NUM_PROGRAMS

    @property
    def end(self) -> int:
        """The label that ends a track."""
        return self.drums + 1

    @property
    def padding(self) -> int:
        """The label of places after the end."""
        return self.end + 1

    @property
    def bin_size(self) -> int:
        """How many velocities share a loudness."""
        return -(-MAX_VELOCITY // max(self.bins, 1))


class TrackNotes(NamedTuple):
    """Notes of many tracks, [N] int64 each."""

    track: np.ndarray
    """not decreasing"""
    start: np.ndarray
    """steps from the start of the track, not decreasing within a track"""
    end: np.ndarray
    pitch: np.ndarray
    velocity: np.ndarray


class TrackEvents(NamedTuple):
    """Events of many tracks, [M] int64 each, in order."""

    track: np.ndarray
    label: np.ndarray
    step: np.ndarray
    """when it happens; of passing time, when it begins"""


def to_events(notes: TrackNotes, num_tracks: int, vocabulary: PerformanceVocabulary) -> TrackEvents:
    """The events of tracks 0 … num_tracks - 1, which together last `vocabulary.steps` each."""
    track, start, end, pitch, velocity = _tidied(notes, vocabulary.steps)
    loudness = np.maximum((velocity - 1) // vocabulary.bin_size + 1, 1)
    # every note twice, as it starts and as it ends; last the end of every track, which is no note
    note = np.concatenate([np.arange(len(track))] * 2 + [np.full(num_tracks, len(track))])
    is_end = np.repeat([False, True, False], [len(track), len(track), num_tracks])
    track = np.concatenate([track, track, np.arange(num_tracks)])
    step = np.concatenate([start, end, np.full(num_tracks, vocabulary.steps)])
    order = np.lexsort((is_end, note, step, track))
    note, is_end, track, step = note[order], is_end[order], track[order], step[order]
    is_note = note < len(pitch)

    before = np.append(0, step[:-1]) * (np.diff(track, prepend=-1) == 0)
    labels = np.zeros((len(note), 3), np.int64)  # time passes, loudness changes, the note itself
    used = np.zeros(labels.shape, bool)
    labels[:, 0], used[:, 0] = vocabulary.shift + step - before, step > before
    starts = np.flatnonzero(is_note & ~is_end)
    if vocabulary.bins:
        now, where = loudness[note[starts]], track[starts]
        changes = (np.diff(now, prepend=0) != 0) | (np.diff(where, prepend=-1) != 0)
        labels[starts, 1], used[starts, 1] = vocabulary.loudness + now, changes
    some = np.flatnonzero(is_note)
    labels[some, 2] = pitch[note[some]] + vocabulary.note_off * is_end[some]
    used[some, 2] = True
    steps = np.stack([before, step, step], axis=1)
    return TrackEvents(np.repeat(track, used.sum(1)), labels[used], steps[used])


def _tidied(notes: TrackNotes, steps: int) -> TrackNotes:
    """Notes as they are after writing, reading and writing again; see the module's text."""
    notes = TrackNotes(*(column[notes.start < steps] for column in notes))
    end = np.minimum(notes.end, steps)
    by_start = np.lexsort((np.arange(len(end)), notes.pitch, notes.track))
    by_end = np.lexsort((end, notes.pitch, notes.track))
    end[by_start] = end[by_end]
    order = np.lexsort((notes.pitch, notes.start, notes.track))
    return TrackNotes(*(column[order] for column in notes._replace(end=end)))


def read_track(labels: np.ndarray, vocabulary: PerformanceVocabulary) -> tuple[np.ndarray, np.ndarray]:
    """One track → its notes [N] NOTE_DTYPE, times in steps, and the step of every label.

    Args:
        labels: [T] int, also such as a model makes up: what follows the first end is ignored, and so are
            further programs, ends of notes that have not begun, and all after the last step. A track without
            program is a piano.

    Returns:
        notes, in order of end; those that do not end last to the end of the track.
        [T] int64: the step at which each label stands; `steps` where it is none of the track's events.
    """
    length = np.append(np.flatnonzero(labels >= vocabulary.end), len(labels))[0]
    live = labels[:length].astype(np.int64)
    passed = np.where((live > vocabulary.shift) & (live <= vocabulary.loudness), live - vocabulary.shift, 0)
    after = np.cumsum(passed)
    heard = (live < vocabulary.program) & (after <= vocabulary.steps)
    step = np.full(len(labels), vocabulary.steps)
    step[:length][heard] = (after - passed)[heard]
    programs = live[live >= vocabulary.program]
    program = int(programs[0]) - vocabulary.program if len(programs) else 0
    is_drum = program == NUM_PROGRAMS

    rows, sounding = [], {}
    velocity = DEFAULT_VELOCITY
    for label, at in zip(live[heard].tolist(), step[:length][heard].tolist(), strict=True):
        if label < vocabulary.note_off:
            sounding.setdefault(label, []).append((at, velocity))
        elif label <= vocabulary.shift:
            if started := sounding.get(label - vocabulary.note_off):
                rows.append((label - vocabulary.note_off, *started.pop(0), at))
        elif label > vocabulary.loudness:
            velocity = 1 + vocabulary.bin_size * (label - vocabulary.loudness - 1)
    rows += [(pitch, *note, vocabulary.steps) for pitch, notes in sounding.items() for note in notes]
    rows = [row for row in rows if row[1] < row[3]]
    pitch, start, loudness, end = np.array(rows, np.int64).reshape(-1, 4).T
    notes = make_notes(pitch, start, end, loudness, 0, 0 if is_drum else program, is_drum)
    return notes, step
