"""Chords and keys of a piece that names none, guessed from its notes.

A hidden Markov model: the piece is cut into frames of half a bar (in 4/4), each of which has a key and a
chord; the likeliest course of both explains the notes (Viterbi). 12 keys times 97 chords: none, and on each
root the triads and sevenths of `CHORD_SHAPES`. With p the share of time a frame gives each pitch class, as a
unit vector, and c that of a chord:

    log P(notes | chord)       100 p · c; 0 for no chord
    P(chord | key)             ∝ 0.99^(pitches in the key) 0.01^(pitches out of it)
    P(key changes)             0.001, to each other key alike; the chord then depends on the new key only
    P(chord changes | key)     0.5; what the old chord leaves is shared out among the others

Constants, order of float operations and choice among equals are the original's, so the result is the same to
the last symbol. Where the original tries all 1164² steps from frame to frame, this uses that a chord's
probability depends only on its numbers of pitches in and out of the key: the chords of a key form ten groups,
and the best of each is enough. Only the values are found so; the way back looks at all 1164 predecessors of
the few states it passes.
"""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from kikibouba.data.chords import NO_CHORD, ROOT_NAMES
from kikibouba.data.notes import DEFAULT_METER, DEFAULT_QPM, NoteSequence
from kikibouba.errors import KikiboubaError

CHORD_SHAPES = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "+": (0, 4, 8),
    "dim": (0, 3, 6),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "m7b5": (0, 3, 6, 10),
}
"""Kind of chord → semitones above its root."""

SYMBOLS = (NO_CHORD, *(root + kind for root in ROOT_NAMES for kind in CHORD_SHAPES))
"""The 97 chords."""

FRAMES_PER_BAR = {(2, 2): 1, (2, 4): 1, (3, 4): 1, (4, 4): 2, (6, 8): 2}
"""Meter → chords a bar."""
MAX_FRAMES = 1000
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
UNPITCHED_PROGRAMS = (*range(96, 104), *range(112, 128))
"""Sound effects and percussion"""

KEY_CHANGE, CHORD_CHANGE, OUT_OF_KEY, CONCENTRATION = 0.001, 0.5, 0.01, 100.0


def infer_chords(piece: NoteSequence, steps_per_quarter: int = 4) -> NoteSequence:
    """The piece with chords and keys guessed from its notes, in place of any it has.

    Args:
        piece: of one tempo and one meter (see `split_on_time_changes`). Drums and sound effects do not count.
        steps_per_quarter: of the grid on which frames begin.

    Returns:
        `chords` are symbols of `SYMBOLS` where the chord changes, the first at 0; `key_signatures` are rows
        (time, key, 0), where A minor counts as C major.

    Raises:
        KikiboubaError: the piece is in a meter without frames, or longer than `MAX_FRAMES` of them, or empty.
    """
    seconds = _seconds_per_frame(piece, steps_per_quarter)
    pitches = _pitch_vectors(piece, seconds)
    keys, chords = _best_path(CONCENTRATION * np.dot(pitches, _chord_vectors().T))
    new_chord = np.flatnonzero(np.diff(chords, prepend=-1))
    new_key = np.flatnonzero(np.diff(keys, prepend=-1))
    return replace(
        piece,
        chords=tuple((frame * seconds, SYMBOLS[chords[frame]]) for frame in new_chord.tolist()),
        key_signatures=np.column_stack([new_key * seconds, keys[new_key], np.zeros(len(new_key))]),
    )


def _seconds_per_frame(piece: NoteSequence, steps_per_quarter: int) -> float:
    meter = tuple(piece.time_signatures[0, 1:].astype(int).tolist()) if len(piece.time_signatures) else ()
    numerator, denominator = meter or DEFAULT_METER
    frames_per_bar = FRAMES_PER_BAR.get((numerator, denominator))
    if frames_per_bar is None:
        allowed = ", ".join(f"{n}/{d}" for n, d in FRAMES_PER_BAR)
        raise KikiboubaError(
            f"chords cannot be guessed in the meter {numerator}/{denominator}, only in {allowed}; "
            "write chord symbols into the file"
        )
    steps = steps_per_quarter * (4.0 / denominator * numerator) / frames_per_bar
    if steps % 1:
        raise KikiboubaError(f"chords cannot be guessed: half a bar has {steps} steps, no whole number")
    qpm = piece.tempos[0, 1] if len(piece.tempos) else DEFAULT_QPM
    return float(int(steps) / (steps_per_quarter * qpm / 60.0))


def _pitch_vectors(piece: NoteSequence, seconds: float) -> np.ndarray:
    """[F, 12] float64: how long each pitch class sounds in each frame, as unit vectors (or zeros)."""
    num_frames = int(np.ceil(piece.total_time / seconds))
    if not 1 <= num_frames <= MAX_FRAMES:
        raise KikiboubaError(
            f"chords cannot be guessed in {num_frames} frames of half a bar, only in 1 to {MAX_FRAMES}; "
            "cut the piece or write chord symbols into it"
        )
    notes = piece.notes[~piece.notes["is_drum"] & ~np.isin(piece.notes["program"], UNPITCHED_PROGRAMS)]
    notes = notes[np.argsort(notes["start"], kind="stable")]
    bounds = seconds * np.arange(num_frames + 1)
    bounds[0], bounds[-1] = -np.inf, np.inf
    first = np.searchsorted(bounds, notes["start"], "right") - 1
    last = np.searchsorted(bounds, notes["end"], "left") - 1
    count = np.maximum(last - first, 0) + 1
    note = np.repeat(np.arange(len(notes)), count)
    frame = first[note] + np.arange(len(note)) - np.repeat(np.cumsum(count) - count, count)
    start, end = notes["start"][note], notes["end"][note]
    sounding = np.minimum(end, bounds[frame + 1]) - np.maximum(start, bounds[frame])
    vectors = np.zeros((num_frames, 12))
    np.add.at(vectors, (frame, notes["pitch"][note] % 12), sounding)
    norm = np.linalg.norm(vectors, axis=1)
    vectors[norm > 0] /= norm[norm > 0, None]
    return vectors


@cache
def _chord_vectors() -> np.ndarray:
    """[97, 12] float64: the pitch classes of each chord as a unit vector; zeros for no chord."""
    shapes = [[(root + step) % 12 for step in shape] for root in range(12) for shape in CHORD_SHAPES.values()]
    vectors = np.zeros((len(SYMBOLS), 12))
    for row, shape in zip(vectors[1:], shapes, strict=True):
        row[shape] = 1
    vectors[1:] /= np.linalg.norm(vectors[1:], axis=1)[:, None]
    return vectors


class _Model(NamedTuple):
    """Log probabilities; 12 keys, 97 chords, G groups of chords, which differ from key to key.

    A state is a key and a chord; the states of a key are in order of their chords' groups.
    """

    chord: np.ndarray
    """[12, 97] int: of each state"""
    group: np.ndarray
    """[12, 97] int: of each state, not decreasing in a row"""
    starts: np.ndarray
    """[12 G] int: the first state of each group, counting all states from 0 to 1163"""
    chord_given_key: np.ndarray
    """[12, 97]"""
    stay: float
    """the same key, the same chord"""
    new_chord: np.ndarray
    """[12, G, G]: the same key, from a chord of one group to another chord, of another group or the same"""
    new_key: np.ndarray
    """[12, G]: another key → this key, a chord of this group"""


@cache
def _model() -> _Model:
    in_key = np.array([[(pitch - key) % 12 in MAJOR_SCALE for pitch in range(12)] for key in range(12)])
    in_chord = _chord_vectors() > 0
    inside = in_key.astype(int) @ in_chord.T
    outside = (~in_key).astype(int) @ in_chord.T
    p = (1 - OUT_OF_KEY) ** inside * OUT_OF_KEY**outside
    p /= p.sum(axis=1)[:, None]

    counts, group = np.unique(inside * 13 + outside, return_inverse=True)
    group = group.reshape(inside.shape)
    chord = np.argsort(group, axis=1, kind="stable")
    p, group = np.take_along_axis(p, chord, 1), np.take_along_axis(group, chord, 1)
    size = np.stack([np.bincount(row, minlength=len(counts)) for row in group]).ravel()
    starts = np.cumsum(size) - size
    group_p = p.ravel()[starts].reshape(12, len(counts))
    new_chord = CHORD_CHANGE * (group_p[:, None, :] + group_p[:, :, None] / (len(SYMBOLS) - 1))
    return _Model(
        chord=chord,
        group=group,
        starts=starts,
        chord_given_key=np.log(p),
        stay=float(np.log((1 - KEY_CHANGE) * (1 - CHORD_CHANGE))),
        new_chord=np.log((1 - KEY_CHANGE) * new_chord),
        new_key=np.log(KEY_CHANGE / 11 * group_p),
    )


def _best_path(emission: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest keys and chords [F] int, given log P(notes | chord) [F, 97].

    A chord that does not change is counted among those that do, and a key too: staying is always likelier, so
    the maximum is the same.
    """
    model = _model()
    chord_of_state = model.chord.ravel()
    score = np.empty((len(emission), len(chord_of_state)))
    score[0] = -np.log(12) + model.chord_given_key.ravel() + emission[0].take(chord_of_state)
    num_groups = model.new_key.shape[1]
    group_of_state = (np.arange(12)[:, None] * num_groups + model.group).ravel()
    from_group = np.ascontiguousarray(model.new_chord.transpose(1, 0, 2))
    for frame in range(1, len(score)):
        before = score[frame - 1]
        best = np.maximum.reduceat(before, model.starts)
        moved = (best.reshape(12, num_groups).T[:, :, None] + from_group).max(axis=0)
        np.maximum(moved, best.max() + model.new_key, out=moved)
        now = moved.take(group_of_state)
        np.maximum(now, before + model.stay, out=now)
        np.add(now, emission[frame].take(chord_of_state), out=score[frame])
    return _way_back(model, score.reshape(-1, *model.chord.shape))


def _way_back(model: _Model, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The course [F] of keys and chords, given the log likelihood [F, 12, 97] of the best one to each state.

    Of equals the first is taken, keys and chords in their own order.
    """
    place = np.argsort(model.chord, axis=1)  # of each chord among the states of a key
    group = np.take_along_axis(model.group, place, 1)
    keys, chords = np.empty((2, len(score)), np.int64)
    key, chord = divmod(int(np.take_along_axis(score[-1], place, 1).argmax()), len(SYMBOLS))
    keys[-1], chords[-1] = key, chord
    best = score.max(axis=(1, 2)).tolist()
    for frame in range(len(score) - 2, -1, -1):
        to = group[key, chord]
        reached = model.new_chord[key, group[key], to]
        reached[chord] = model.stay
        reached += score[frame, key, place[key]]
        new_key = model.new_key[key, to]
        if reached.max() > best[frame] + new_key:
            chord = int(reached.argmax())
        else:
            anywhere = np.take_along_axis(score[frame], place, 1) + new_key
            anywhere[key] = reached
            key, chord = divmod(int(anywhere.argmax()), len(SYMBOLS))
        keys[frame], chords[frame] = key, chord
    return keys, chords
