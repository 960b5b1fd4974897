"""Music as a sequence of events: bar, position, pitch, duration, velocity.

    bar  pos 0  C4 ♩ ff  E4 ♩ mf  pos 8  G4 ♪ f   bar  pos 4  …

Each bar begins with a bar line; a position says at which step of the bar the notes after it start; a note is
a pitch, a duration and, if velocities are written, a velocity. Time is a grid of steps: `steps_per_quarter`.
This is the order of REMI (Huang and Yang 2020). The vocabulary is our own, a few lines of numpy: a tokenizer
library would bring a compiled MIDI reader and a trainer of subwords along, and reads notes by other rules
than the rest of the package.

A piece has exactly one spelling: positions go forward, the pitches of a chord go up. So tokens → notes →
tokens is the identity, and notes → tokens → notes is one for notes on the grid that last up to
`longest` steps and whose velocities are those of the bins. Of two notes that start together on one pitch, the
longer is written.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple

import numpy as np

from kikibouba.data.event_grammar import Grammar

PAD, START, END, BAR = range(4)
"""The symbols there are one of. PAD fills up a batch."""

PITCHES = 128
PLAIN_VELOCITY = 80
"""Of notes written without."""


class Kind(IntEnum):
    """Kinds of tokens, in the order of their symbols."""

    PAD = 0
    START = 1
    END = 2
    BAR = 3
    POSITION = 4
    PITCH = 5
    DURATION = 6
    VELOCITY = 7
    STYLE = 8


class Steps(NamedTuple):
    """N notes on a grid, columns of int64."""

    start: np.ndarray
    """step of the onset, ≥ 0"""
    pitch: np.ndarray
    """0 … 127"""
    duration: np.ndarray
    """steps, ≥ 1"""
    velocity: np.ndarray
    """1 … 127"""

    def rows(self, chosen: np.ndarray) -> "Steps":
        """Some of the notes, by index or mask."""
        return Steps(*(column[chosen] for column in self))


@dataclass(frozen=True)
class EventVocabulary:
    """Symbols for music of four quarters a bar."""

    steps_per_quarter: int = 4
    longest: int = 64
    """steps; longer notes are cut to this"""
    velocity_bins: int = 32
    """At most 64; 0: velocities are not written."""
    styles: int = 0
    """How many symbols for styles there are."""

    @property
    def steps_per_bar(self) -> int:
        """16 sixteenths"""
        return 4 * self.steps_per_quarter

    @cached_property
    def first(self) -> np.ndarray:
        """[10] int64: the first symbol of each kind, and the size of the vocabulary at the end."""
        sizes = [1, 1, 1, 1, self.steps_per_bar, PITCHES, self.longest, self.velocity_bins, self.styles]
        return np.concatenate([[0], np.cumsum(sizes)])

    @property
    def size(self) -> int:
        """V, how many symbols there are."""
        return int(self.first[-1])

    @cached_property
    def kind(self) -> np.ndarray:
        """[V] int64: the `Kind` of each symbol."""
        return np.repeat(np.arange(len(Kind)), np.diff(self.first))

    def encode(self, notes: Steps, bars: int) -> np.ndarray:
        """Notes of a window → tokens [N] int64, without START and END.

        Args:
            notes: in any order; those that start outside the window's bars are left out.
            bars: how long the window is; so many bar lines there are, also where nothing sounds.
        """
        notes = self.canonical(notes)
        notes = notes.rows(notes.start < bars * self.steps_per_bar)
        at, number = np.unique(notes.start, return_inverse=True)
        columns = [
            self.first[Kind.PITCH] + notes.pitch,
            self.first[Kind.DURATION] + notes.duration - 1,
            self.first[Kind.VELOCITY] + notes.velocity * self.velocity_bins // 128,
        ][: 3 if self.velocity_bins else 2]
        tokens = np.concatenate(
            [
                np.full(bars, BAR),
                self.first[Kind.POSITION] + at % self.steps_per_bar,
                np.stack(columns, axis=1).reshape(-1) if len(at) else np.zeros(0, np.int64),
            ]
        )
        # By step; there the bar line, the position, then the notes as they stand.
        order = np.lexsort(
            (
                np.repeat([0, 1, 2], [bars, len(at), len(tokens) - bars - len(at)]),
                np.concatenate(
                    [np.arange(bars) * self.steps_per_bar, at, np.repeat(at[number], len(columns))]
                ),
            )
        )
        return tokens[order].astype(np.int64)

    def decode(self, tokens: np.ndarray) -> Steps:
        """The inverse of `encode`. Tokens that say no whole note, or say it nowhere, are passed over."""
        tokens = np.asarray(tokens, np.int64)
        kind = self.kind[tokens]
        bar = np.cumsum(kind == Kind.BAR) - 1
        place = _last_where((kind == Kind.POSITION) | (kind == Kind.BAR))
        position = np.where(kind[place] == Kind.POSITION, tokens[place] - self.first[Kind.POSITION], -1)
        words = 3 if self.velocity_bins else 2
        pitch = np.flatnonzero(kind == Kind.PITCH)
        pitch = pitch[pitch + words <= len(tokens)]
        whole = (kind[pitch + 1] == Kind.DURATION) & (bar[pitch] >= 0) & (position[pitch] >= 0)
        if words == 3:
            whole &= kind[pitch + 2] == Kind.VELOCITY
        pitch = pitch[whole]
        velocity = np.full(len(pitch), PLAIN_VELOCITY)
        if words == 3:
            velocity = self.velocity_of(tokens[pitch + 2] - self.first[Kind.VELOCITY])
        return Steps(
            bar[pitch] * self.steps_per_bar + position[pitch],
            tokens[pitch] - self.first[Kind.PITCH],
            tokens[pitch + 1] - self.first[Kind.DURATION] + 1,
            velocity,
        )

    def velocity_of(self, bins: np.ndarray) -> np.ndarray:
        """The velocity in the middle of each bin."""
        return np.clip((2 * bins + 1) * 64 // self.velocity_bins, 1, 127)

    def canonical(self, notes: Steps) -> Steps:
        """Notes by onset and pitch, none longer than `longest`, of those that start as one the longest."""
        notes = notes._replace(duration=np.clip(notes.duration, 1, self.longest))
        order = np.lexsort((-notes.velocity, -notes.duration, notes.pitch, notes.start))
        notes = notes.rows(order)
        new = np.ones(len(notes.start), bool)
        new[1:] = (notes.start[1:] != notes.start[:-1]) | (notes.pitch[1:] != notes.pitch[:-1])
        return notes.rows(new)

    def transposed(self, tokens: np.ndarray, semitones: int) -> np.ndarray:
        """All pitches moved; the caller sees to it that they stay within 0 … 127 (see `pitch_range`)."""
        tokens = np.asarray(tokens, np.int64)
        return np.where(self.kind[tokens] == Kind.PITCH, tokens + semitones, tokens)

    def pitch_range(self, tokens: np.ndarray) -> tuple[int, int]:
        """Lowest and highest pitch; (0, 127) without notes."""
        tokens = np.asarray(tokens, np.int64)
        pitches = tokens[self.kind[tokens] == Kind.PITCH] - self.first[Kind.PITCH]
        return (int(pitches.min()), int(pitches.max())) if len(pitches) else (0, PITCHES - 1)

    def style(self, number: int) -> int:
        """The symbol of a style."""
        return int(self.first[Kind.STYLE]) + number

    def grammar(self, bars: int) -> Grammar:
        """The rules of what `encode` writes for so many bars, END included."""
        k = Kind
        after_note = (k.PITCH, k.POSITION, k.BAR, k.END)
        allowed = {
            k.START: (k.BAR,),
            k.BAR: (k.POSITION, k.BAR, k.END),
            k.POSITION: (k.PITCH,),
            k.PITCH: (k.DURATION,),
            k.DURATION: (k.VELOCITY,) if self.velocity_bins else after_note,
            k.VELOCITY: after_note,
            k.END: (k.PAD,),
            k.PAD: (k.PAD,),
        }
        follows, resets = np.zeros((2, len(k), len(k)), bool)
        for before, after in allowed.items():
            follows[before, list(after)] = True
        resets[k.BAR, [k.POSITION, k.PITCH]] = True
        resets[k.POSITION, k.PITCH] = True
        rises = np.isin(np.arange(len(k)), (k.POSITION, k.PITCH))
        return Grammar(self.kind, follows, rises, resets, k.BAR, bars, START, END)


def _last_where(mask: np.ndarray) -> np.ndarray:
    """For each place the last one up to it where the mask [N] holds; 0 before the first."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), 0))
