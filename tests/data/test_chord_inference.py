"""Chords guessed from notes: against a Viterbi search that tries everything, and on music with one answer."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from music import STEP, tune

from kikibouba.data.chord_inference import CHORD_SHAPES, SYMBOLS, infer_chords
from kikibouba.data.notes import NoteSequence, transpose
from kikibouba.errors import KikiboubaError

CHORDS = [
    [],
    *([(root + step) % 12 for step in shape] for root in range(12) for shape in CHORD_SHAPES.values()),
]
"""Pitch classes of the 97 chords"""


def harmony(*chords: tuple[int, ...], steps: int = 8) -> NoteSequence:
    """Chords of pitches, half a bar each."""
    return tune(*((pitch, steps * i, steps * i + steps) for i, chord in enumerate(chords) for pitch in chord))


C, F, G, AM = (60, 64, 67), (60, 65, 69), (62, 67, 71), (60, 64, 69)


@cache
def transitions() -> tuple[np.ndarray, np.ndarray]:
    """log P(key, chord) [1164] at first, and from each to each [1164, 1164]."""
    prior = np.zeros((12, 97))
    for key in range(12):
        for c, pitches in enumerate(CHORDS):
            inside = sum((pitch - key) % 12 in (0, 2, 4, 5, 7, 9, 11) for pitch in pitches)
            prior[key, c] = 0.99**inside * 0.01 ** (len(pitches) - inside)
    prior /= prior.sum(1, keepdims=True)
    step = np.empty((12, 97, 12, 97))
    step[:] = 0.001 / 11 * prior
    for key in range(12):
        step[key, :, key] = 0.999 * 0.5 * (prior[key] + prior[key][:, None] / 96)
        step[key, range(97), key, range(97)] = 0.999 * 0.5
    return np.log(prior / 12).ravel(), np.log(step).reshape(1164, 1164)


def emissions(sequence: NoteSequence) -> np.ndarray:
    """Log likelihood [F, 1164] of the notes of each second under each key and chord."""
    frames = int(np.ceil(sequence.total_time))
    heard = np.zeros((frames, 12))
    for note in sequence.notes:
        for frame in range(frames):
            heard[frame, note["pitch"] % 12] += max(
                min(note["end"], frame + 1) - max(note["start"], frame), 0
            )
    likelihood = np.zeros((frames, 97))
    for frame, c in product(range(frames), range(1, 97)):
        if heard[frame].any():
            cosine = heard[frame, CHORDS[c]].sum() / np.sqrt(len(CHORDS[c])) / np.linalg.norm(heard[frame])
            likelihood[frame, c] = 100 * cosine
    return np.tile(likelihood, (1, 12))


def best_score(emission: np.ndarray) -> float:
    """Log likelihood of the best course, from the whole table of transitions."""
    first, step = transitions()
    score = first + emission[0]
    for frame in emission[1:]:
        score = (score[:, None] + step).max(0) + frame
    return float(score.max())


def score_of(states: np.ndarray, emission: np.ndarray) -> float:
    first, step = transitions()
    moves = step[states[:-1], states[1:]].sum()
    return float(first[states[0]] + moves + emission[np.arange(len(states)), states].sum())


def guessed_states(sequence: NoteSequence) -> np.ndarray:
    """The state [F] of each second."""
    guessed = infer_chords(sequence)
    times = np.arange(int(np.ceil(sequence.total_time))) + 1e-6
    chord_at = np.searchsorted([time for time, _ in guessed.chords], times) - 1
    key_at = np.searchsorted(guessed.key_signatures[:, 0], times) - 1
    chords = np.array([SYMBOLS.index(symbol) for _, symbol in guessed.chords])[chord_at]
    return guessed.key_signatures[key_at, 1].astype(int) * 97 + chords


@given(
    st.lists(
        st.tuples(st.integers(36, 84), st.integers(0, 60), st.sampled_from([1, 2, 3, 5, 8, 13])),
        min_size=1,
        max_size=30,
        unique_by=lambda note: note[:2],
    )
)
@settings(max_examples=15, deadline=None)
def test_no_course_is_likelier_than_the_one_found(notes: list[tuple[int, int, int]]) -> None:
    sequence = tune(*((pitch, start, start + length) for pitch, start, length in notes))
    emission = emissions(sequence)
    assert score_of(guessed_states(sequence), emission) == pytest.approx(best_score(emission), abs=1e-6)


def test_a_cadence() -> None:
    guessed = infer_chords(harmony(C, F, G, C))
    assert guessed.chords == ((0.0, "C"), (1.0, "F"), (2.0, "G"), (3.0, "C"))
    assert guessed.key_signatures.tolist() == [[0.0, 0.0, 0.0]]


def test_chords_that_go_on_are_named_once() -> None:
    guessed = infer_chords(harmony(C, C, AM, AM, F, G))
    assert guessed.chords == ((0.0, "C"), (2.0, "Am"), (4.0, "F"), (5.0, "G"))


@given(st.integers(-11, 11))
@settings(deadline=None)
def test_transposed_music_has_transposed_chords(semitones: int) -> None:
    music = harmony(C, AM, F, (62, 65, 67, 71), C, C)
    there = infer_chords(transpose(music, semitones))
    back_and_forth = transpose(infer_chords(music), semitones)
    assert there.chords == back_and_forth.chords
    assert np.array_equal(there.key_signatures, back_and_forth.key_signatures)


def test_a_long_modulation_changes_the_key() -> None:
    up = [tuple(pitch + 6 for pitch in chord) for chord in (C, F, G, C)]
    guessed = infer_chords(harmony(*[C, F, G, C] * 3, *up * 3))
    assert guessed.key_signatures.tolist() == [[0.0, 0.0, 0.0], [12.0, 6.0, 0.0]]


def test_drums_and_sound_effects_are_not_heard() -> None:
    noise = tune(*((61 + i, i, 32, 1, 127) for i in range(10)), *((54, i, 32, 2, 96) for i in range(3)))
    drums = tune(*((36 + i, i, 32, 3, 0) for i in range(10)), is_drum=True)
    music = harmony(C, F, G, C)
    mixed = replace(music, notes=np.concatenate([drums.notes, noise.notes, music.notes]))
    assert infer_chords(mixed).chords == infer_chords(music).chords


def test_silence_has_no_chord() -> None:
    late = replace(harmony(C, C), notes=np.zeros(0, harmony(C).notes.dtype))
    assert infer_chords(late).chords == ((0.0, "N.C."),)


@pytest.mark.parametrize(
    ("meter", "seconds"),
    [((4, 4), 1.0), ((2, 2), 2.0), ((3, 4), 1.5), ((2, 4), 1.0), ((6, 8), 0.75)],
)
def test_frames_follow_the_meter(meter: tuple[int, int], seconds: float) -> None:
    steps = round(seconds / STEP)
    music = replace(harmony(C, F, steps=steps), time_signatures=np.array([[0.0, *meter]]))
    assert infer_chords(music).chords == ((0.0, "C"), (seconds, "F"))
    assert infer_chords(music, steps_per_quarter=24).chords == ((0.0, "C"), (seconds, "F"))


@pytest.mark.parametrize(
    ("sequence", "rule"),
    [
        (tune((60, 0, 8), meter=(5, 4)), "cannot be guessed in the meter 5/4, only in 2/2, 2/4"),
        (tune((60, 0, 8), meter=(8, 8)), "cannot be guessed in the meter 8/8"),
        (tune((60, 0, 8 * 1001)), "in 1001 frames"),
        (NoteSequence(), "in 0 frames"),
    ],
)
def test_where_nothing_can_be_guessed(sequence: NoteSequence, rule: str) -> None:
    with pytest.raises(KikiboubaError, match=rule):
        infer_chords(sequence)
