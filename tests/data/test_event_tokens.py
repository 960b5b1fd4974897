"""Event tokens: a golden sequence, exact round trips, and a grammar that knows its own language."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikibouba.data.event_tokens import BAR, END, PLAIN_VELOCITY, EventVocabulary, Kind, Steps
from kikibouba.data.midi import from_midi_bytes
from kikibouba.data.midi_writer import midi_bytes
from kikibouba.data.notes import NoteSequence
from kikibouba.data.pairs_files import pitched
from kikibouba.data.pairs_windows import placed_notes
from kikibouba.data.quarters import sections, steps_in

BARS = 3


def steps(rows):
    return Steps(*np.array(rows, np.int64).reshape(-1, 4).T)


def spelled(vocabulary, tokens):
    """Tokens as text, for goldens: `pitch60`, `duration4`, …"""
    kinds = vocabulary.kind[tokens]
    return " ".join(
        Kind(kind).name.lower() + (str(token - vocabulary.first[kind]) if kind > Kind.BAR else "")
        for token, kind in zip(tokens.tolist(), kinds.tolist(), strict=True)
    )


def test_golden():
    vocabulary = EventVocabulary(velocity_bins=32)
    notes = steps([[24, 67, 8, 100], [0, 64, 4, 80], [0, 60, 4, 80], [4, 60, 70, 1]])
    tokens = vocabulary.encode(notes, 3)
    assert spelled(vocabulary, tokens) == (
        "bar position0 pitch60 duration3 velocity20 pitch64 duration3 velocity20 "
        "position4 pitch60 duration63 velocity0 bar position8 pitch67 duration7 velocity25 bar"
    )
    assert vocabulary.size == 4 + 16 + 128 + 64 + 32


def test_without_velocities_and_with_styles():
    vocabulary = EventVocabulary(velocity_bins=0, styles=2)
    tokens = vocabulary.encode(steps([[1, 60, 2, 33]]), 1)
    assert spelled(vocabulary, tokens) == "bar position1 pitch60 duration1"
    assert vocabulary.decode(tokens).velocity.tolist() == [PLAIN_VELOCITY]
    assert vocabulary.style(1) == vocabulary.size - 1
    assert vocabulary.encode(steps([]), 2).tolist() == [BAR, BAR]


@pytest.mark.parametrize("bins", [1, 2, 8, 31, 32, 64])
def test_the_middle_of_a_velocity_bin_lies_in_it(bins):
    velocities = EventVocabulary(velocity_bins=bins).velocity_of(np.arange(bins))
    assert (velocities * bins // 128 == np.arange(bins)).all()
    assert velocities.min() >= 1


def vocabularies():
    return st.builds(
        EventVocabulary,
        steps_per_quarter=st.sampled_from([1, 4, 6, 12]),
        longest=st.sampled_from([4, 64]),
        velocity_bins=st.sampled_from([0, 4, 32]),
    )


@st.composite
def quantized(draw):
    """A vocabulary and notes that it can write exactly, overlaps and re-strikes of a pitch among them."""
    vocabulary = draw(vocabularies())
    length = BARS * vocabulary.steps_per_bar
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, length - 1), st.integers(0, 3) | st.integers(0, 127)),
            unique=True,
            max_size=30,
        )
    )
    bins = vocabulary.velocity_bins
    rows = [
        (
            start,
            pitch,
            draw(st.integers(1, vocabulary.longest)),
            PLAIN_VELOCITY
            if not bins
            else int(vocabulary.velocity_of(np.array(draw(st.integers(0, bins - 1))))),
        )
        for start, pitch in sorted(pairs)
    ]
    return vocabulary, steps(rows)


@given(quantized())
@settings(max_examples=150, deadline=None)
def test_notes_on_the_grid_come_back_exactly(case):
    vocabulary, notes = case
    tokens = vocabulary.encode(notes, BARS)
    for column, expected in zip(vocabulary.decode(tokens), notes, strict=True):
        np.testing.assert_array_equal(column, expected)
    shuffled = notes.rows(np.random.default_rng(0).permutation(len(notes.start)))
    np.testing.assert_array_equal(vocabulary.encode(shuffled, BARS), tokens)
    assert vocabulary.grammar(BARS).violation(np.append(tokens, END)) is None


def test_of_notes_that_start_as_one_the_longest_is_written():
    vocabulary = EventVocabulary(velocity_bins=0)
    notes = vocabulary.decode(vocabulary.encode(steps([[0, 60, 2, 80], [0, 60, 9, 80], [0, 60, 3, 80]]), 1))
    assert notes.duration.tolist() == [9]


def test_the_grammar_refuses_what_is_never_written():
    vocabulary = EventVocabulary(velocity_bins=0)
    grammar = vocabulary.grammar(2)
    position, pitch, duration = (int(vocabulary.first[k]) for k in (Kind.POSITION, Kind.PITCH, Kind.DURATION))
    note = [pitch + 60, duration]
    assert grammar.violation(np.array([BAR, position, *note, BAR, END])) is None
    for wrong in (
        [BAR, END],  # a bar too few
        [BAR, BAR, BAR, END],  # one too many
        [BAR, BAR],  # no end
        [position, *note, BAR, BAR, END],  # no bar line
        [BAR, *note, BAR, END],  # no position
        [BAR, position + 3, *note, position + 3, *note, BAR, END],  # the same position twice
        [BAR, position, *note, *note, BAR, END],  # the same pitch twice
        [BAR, position, pitch + 60, BAR, END],  # no duration
        [BAR, BAR, position, END],  # nothing there
    ):
        assert grammar.violation(np.array(wrong)) is not None, spelled(vocabulary, np.array(wrong))


@given(vocabularies(), st.lists(st.integers(0, 10**6), max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_tokens_can_be_read(vocabulary, numbers):
    tokens = np.array(numbers, np.int64) % vocabulary.size
    notes = vocabulary.decode(tokens)
    assert (notes.start >= 0).all()
    assert (notes.duration >= 1).all()
    assert np.isin(notes.pitch, np.arange(128)).all()


def test_transposition_moves_pitches_only():
    vocabulary = EventVocabulary()
    tokens = vocabulary.encode(steps([[0, 60, 4, 64], [3, 72, 4, 64]]), 2)
    assert vocabulary.pitch_range(tokens) == (60, 72)
    moved = vocabulary.decode(vocabulary.transposed(tokens, -5))
    assert moved.pitch.tolist() == [55, 67]
    assert moved.start.tolist() == [0, 3]


@given(quantized(), st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=5))
@settings(max_examples=40, deadline=None)
def test_midi_to_tokens_to_midi_is_exact(case, pedal):
    """Files on the grid, with sustain: what the file plays is what comes back."""
    vocabulary, notes = case
    step = 0.5 / vocabulary.steps_per_quarter
    pedals = np.array([[at * step, 0, 127 * down] for at, down in sorted(pedal)]).reshape(-1, 3)
    song = placed(notes, vocabulary, pedals)
    read = pitched(from_midi_bytes(midi_bytes(song)))
    if not len(read.notes):
        return
    played, _ = steps_in(read, sections(read)[0], vocabulary.steps_per_quarter)
    bars = int(played.start.max()) // vocabulary.steps_per_bar + 1
    tokens = vocabulary.encode(played, bars)
    back = from_midi_bytes(midi_bytes(placed(vocabulary.decode(tokens), vocabulary)))
    found, _ = steps_in(back, sections(back)[0], vocabulary.steps_per_quarter)
    for column, wanted in zip(vocabulary.canonical(found), vocabulary.canonical(played), strict=True):
        np.testing.assert_array_equal(column, wanted)


def placed(notes, vocabulary, pedals=None):
    """Notes as a piece at 120 quarters a minute."""
    rows = placed_notes(notes, 0.0, vocabulary.steps_per_quarter, np.array([[0.0, 120.0]]), 0, 0)
    pedals = np.zeros((0, 3)) if pedals is None else pedals
    return NoteSequence(
        rows, pedals=pedals, total_time=float(rows["end"].max(initial=0.0)), ticks_per_quarter=480
    )
