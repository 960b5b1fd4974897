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
    keys, chords = np.divmod(_best_path(CONCENTRATION * np.dot(pitches, _chord_vectors().T)), len(SYMBOLS))
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
    """Log probabilities; 12 keys, 97 chords, G groups of chords, which differ from key to key."""

    group: np.ndarray
    """[12, 97] int: of each chord in each key"""
    by_group: np.ndarray
    """[1164] int: the states (key times 97 plus chord) sorted by key and group"""
    starts: np.ndarray
    """[12 G] int: where each group begins in `by_group`"""
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
    by_group = np.argsort(np.arange(12)[:, None] * len(counts) + group, axis=None, kind="stable")
    size = np.array([np.bincount(row, minlength=len(counts)) for row in group]).ravel()
    group_p = p.ravel()[by_group[np.cumsum(size) - size]].reshape(12, len(counts))
    new_chord = CHORD_CHANGE * (group_p[:, None, :] + group_p[:, :, None] / (len(SYMBOLS) - 1))
    return _Model(
        group=group,
        by_group=by_group,
        starts=np.cumsum(size) - size,
        chord_given_key=np.log(p),
        stay=float(np.log((1 - KEY_CHANGE) * (1 - CHORD_CHANGE))),
        new_chord=np.log((1 - KEY_CHANGE) * new_chord),
        new_key=np.log(KEY_CHANGE / 11 * group_p),
    )


def _best_path(emission: np.ndarray) -> np.ndarray:
    """Log likelihoods [F, 97] of the notes of each frame under each chord → the likeliest states [F] int.

    A chord that does not change is counted among those that do, and a key too: staying is always likelier, so
    the maximum is the same.
    """
    model = _model()
    emission = np.tile(emission, (1, 12))
    score = np.empty_like(emission)
    score[0] = -np.log(12) + model.chord_given_key.ravel() + emission[0]
    state_group = (np.arange(12)[:, None] * model.new_key.shape[1] + model.group).ravel()
    for frame in range(1, len(score)):
        before = score[frame - 1]
        best = np.maximum.reduceat(before[model.by_group], model.starts).reshape(12, -1, 1)
        moved = np.maximum((best + model.new_chord).max(axis=1), before.max() + model.new_key)
        score[frame] = np.maximum(before + model.stay, moved.ravel()[state_group]) + emission[frame]
    path = np.empty(len(score), np.int64)
    path[-1] = score[-1].argmax()
    for frame in range(len(score) - 1, 0, -1):
        path[frame - 1] = (score[frame - 1] + _arrivals(model, int(path[frame]))).argmax()
    return path


def _arrivals(model: _Model, state: int) -> np.ndarray:
    """Log probability [1164] of coming to a state from each."""
    key, chord = divmod(state, len(SYMBOLS))
    group = model.group[key, chord]
    arrivals = np.full(model.group.shape, model.new_key[key, group])
    arrivals[key] = model.new_chord[key, model.group[key], group]
    arrivals[key, chord] = model.stay
    return arrivals.ravel()
