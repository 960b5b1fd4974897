"""How loud is each note? A score without dynamics goes in, velocities come out.

The roll of StyleNet and ToneNet (arXiv:1708.03535 and the rework of it by Jayakumar, Ramesh and Thalasta):
per step and per key of a piano, 88 of them from MIDI pitch 21 on, two numbers say what happens,

    (1, 1)  a note starts        (0, 1)  a note sounds on        (0, 0)  silence

and a second array has the velocity of what sounds. Ours can be turned back into notes exactly: a note sounds
until its last step, and a key that is struck again ends the note before, as it does on a piano. The original
lets a note sound one step longer (so that a repeated note and a long one can look the same), takes one step a
quarter, and rounds lengths; `roll(…, original=True)` and `original_steps` do as it does.

Notes keep their own times: when velocities have been found for a piece, only these are changed in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from kikibouba.data.artifacts import Tune
from kikibouba.data.event_tokens import Steps
from kikibouba.data.music_files import MUSIC_SUFFIXES, each_piece_of
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence
from kikibouba.data.pairs_files import instruments, pitched, style_number, style_of
from kikibouba.data.pairs_windows import placed_notes
from kikibouba.data.quarters import sections, steps_in
from kikibouba.data.representation import Item
from kikibouba.errors import KikiboubaError

LOWEST, KEYS = 21, 88
ROLL = 2 * KEYS
"""Columns of what is known; KEYS columns of velocities follow, and one with the number of the style."""
COLUMNS = ROLL + KEYS + 1


def roll(notes: Steps, steps: int, original: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Notes on a grid → (roll uint8 [T, 176] of onset and sounding by key, velocities uint8 [T, 88]).

    Args:
        notes: in any order; what starts outside the T steps, or on no key, is left out.
        steps: T.
        original: as ToneNet does: notes sound one step longer, and a key struck again does not end what
            sounded; the later onset wins.
    """
    notes = notes if original else canonical(notes)
    on_keys = (notes.pitch >= LOWEST) & (notes.pitch < LOWEST + KEYS)
    notes = notes.rows(on_keys & (notes.start >= 0) & (notes.start < steps))
    notes = notes.rows(np.lexsort((notes.duration, notes.start)))
    known, velocity = np.zeros((steps, KEYS, 2), np.uint8), np.zeros((steps, KEYS), np.uint8)
    for start, pitch, duration, loudness in zip(*(column.tolist() for column in notes), strict=True):
        end = start + duration + original
        known[start:end, pitch - LOWEST, 1] = 1
        velocity[start:end, pitch - LOWEST] = loudness
    key = notes.pitch - LOWEST
    known[notes.start, key] = 1
    velocity[notes.start, key] = notes.velocity
    return known.reshape(steps, ROLL), velocity


def notes_of(known: np.ndarray, velocity: np.ndarray) -> Steps:
    """The inverse of `roll`: a note starts at an onset, or where sound begins without one, and ends before
    the next onset or silence of its key. Its velocity is that of its first step, at least 1.
    """
    onset, sounding = known.reshape(len(known), KEYS, 2).astype(bool).transpose(2, 1, 0)  # [88, T]
    sounding = np.pad(sounding | onset, ((0, 0), (1, 1)))
    begins = np.pad(onset, ((0, 0), (1, 1))) | (sounding & ~np.roll(sounding, 1, axis=1))
    key, start = np.nonzero(begins[:, 1:-1])
    # A note ends at the next step of its key that is silent or begins a note; there is one, by the padding.
    stops = np.flatnonzero((begins | ~sounding)[:, 1:].reshape(-1))
    width = sounding.shape[1] - 1
    flat = key * width + start
    end = stops[np.searchsorted(stops, flat, side="right")] - key * width
    loudness = np.maximum(velocity.T[key, start].astype(np.int64), 1)
    found = Steps(start, key + LOWEST, end - start, loudness)
    return found.rows(np.lexsort((found.pitch, found.start)))


def canonical(notes: Steps) -> Steps:
    """The notes that a piano can play, by onset and pitch: a key that is struck again ends the note before;
    of notes that start together on one key, the longest is kept.
    """
    order = np.lexsort((-notes.velocity, -notes.duration, notes.start, notes.pitch))
    notes = notes.rows(order)
    new = np.ones(len(order), bool)
    new[1:] = (notes.pitch[1:] != notes.pitch[:-1]) | (notes.start[1:] != notes.start[:-1])
    notes = notes.rows(new)
    following = np.append(notes.start, 0)[1:]
    again = np.append(notes.pitch, -1)[1:] == notes.pitch
    longest = np.where(again, following - notes.start, notes.duration)
    notes = notes._replace(duration=np.minimum(notes.duration, longest))
    return notes.rows(np.lexsort((notes.pitch, notes.start)))


def original_steps(steps: int) -> int:
    """ToneNet's length of a piece: the nearest of 2^k and 1.5 · 2^k, the smaller of two that are as near."""
    near = [round(factor * 2.0**k) for k in range(31) for factor in (1.0, 1.5) if factor * 2.0**k >= 1]
    return min(sorted(set(near)), key=lambda size: abs(size - steps))


@dataclass(frozen=True)
class DynamicsRepresentation:
    """What a performance is. Arrays are rows [T, 265] uint8: roll, velocities, and the style's number."""

    kind: ClassVar[str] = "dynamics"
    suffixes: ClassVar[tuple[str, ...]] = MUSIC_SUFFIXES
    to: ClassVar[str] = "dynamics"

    bars: int = 8
    """An example is so long, or shorter at the end of a piece."""
    steps_per_quarter: int = 4
    tracks: tuple[str, ...] = ("PIANO",)
    """Names of tracks, or their numbers from 1; where a file has none of them, all that play pitches."""
    styles: tuple[str, ...] = ()
    """Names of styles, which folders give to files."""
    min_velocities: int = 8
    """Examples with fewer different velocities are left out: nobody played them."""

    def __post_init__(self) -> None:
        for name in ("bars", "steps_per_quarter", "min_velocities"):
            if getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must be at least 1")

    @property
    def steps_per_bar(self) -> int:
        """16 sixteenths"""
        return 4 * self.steps_per_quarter

    def read(self, path: Path) -> list[tuple[NoteSequence, str]]:
        """The pieces in a file, each with its style. Raises KikiboubaError if it is broken."""
        return [item.content for item in self.read_many(path, [])]

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """Each piece in a file; `problems` gets a line for each that cannot be read."""
        style = style_of(path, self.styles) if self.styles else ""
        for item in each_piece_of(path, problems):
            yield item._replace(content=(item.content, style), category=style or None)

    def style_number(self, name: str) -> int:
        """The number of a style. Raises KikiboubaError if there is no such style; says the nearest."""
        return style_number(name, self.styles)

    def windows(self, item: tuple[NoteSequence, str]) -> list[np.ndarray]:
        """The examples of a piece, one after the other.

        Raises:
            KikiboubaError: there are none; says why.
        """
        sequence, style = item
        number = self.style_number(style) if style else 0
        piece, found, notes = self.lead(sequence), [], 0
        for section in sections(piece):
            played, _ = steps_in(piece, section, self.steps_per_quarter)
            for rows in self.rows(played, number):
                notes += 1
                if len(np.unique(rows[:, ROLL:-1][rows[:, 0:ROLL:2] > 0])) >= self.min_velocities:
                    found.append(rows)
        if not found:
            few = f"none of its windows has {self.min_velocities} different velocities: nobody played it"
            raise KikiboubaError(few if notes else "it has no notes on the keys of a piano")
        return found

    def lead(self, sequence: NoteSequence) -> NoteSequence:
        """The tracks of a piece that are played, its sustain pedals turned into lengths of notes."""
        piece = pitched(sequence)
        chosen = instruments(sequence, self.tracks) & set(piece.notes["instrument"].tolist())
        if chosen:
            piece = replace(piece, notes=piece.notes[np.isin(piece.notes["instrument"], sorted(chosen))])
        return piece

    def rows(self, notes: Steps, style: int = 0) -> list[np.ndarray]:
        """Notes counted from a bar line → windows [T, 265] from there to the last onset, each with an onset
        (T is that of whole bars).
        """
        if not len(notes.start):
            return []
        bars = int(notes.start.max()) // self.steps_per_bar + 1
        known, velocity = roll(notes, bars * self.steps_per_bar)
        column = np.full((len(known), 1), style, np.uint8)
        everything, size = np.concatenate([known, velocity, column], axis=1), self.bars * self.steps_per_bar
        windows = [everything[first : first + size] for first in range(0, len(everything), size)]
        return [rows for rows in windows if rows[:, 0:ROLL:2].any()]

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As it is: how loud a note is depends on how high it is."""
        return array

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Examples → (x [B, T, 265] uint8, zeros beyond the end; lengths [B])."""
        lengths = np.array([len(array) for array in arrays], np.int64)
        x = np.zeros((len(arrays), int(lengths.max(initial=0)), COLUMNS), np.uint8)
        for row, array in zip(x, arrays, strict=True):
            row[: len(array)] = array
        return x, lengths

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The inverse of `collate`."""
        return [row[:length].astype(np.uint8) for row, length in zip(x, lengths, strict=True)]

    def to_artifact(self, array: np.ndarray) -> Tune:
        """The performance at 120 quarters a minute."""
        tempos = np.array([[0.0, DEFAULT_QPM]])
        notes = notes_of(array[:, :ROLL], array[:, ROLL : ROLL + KEYS])
        played = placed_notes(notes, 0.0, self.steps_per_quarter, tempos, 0, 0)
        return Tune(NoteSequence(played, tempos, total_time=float(played["end"].max(initial=0.0))))

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """loudness, and contrast (its standard deviation), of the onsets, 0 to 1; density, onsets a step."""
        rows = []
        for array in arrays:
            loudness = array[:, ROLL : ROLL + KEYS][array[:, 0:ROLL:2] > 0] / 127.0
            some = len(loudness) > 0
            mean, spread = (loudness.mean(), loudness.std()) if some else (0.0, 0.0)
            rows.append((mean, spread, len(loudness) / len(array)))
        loudness, contrast, density = np.array(rows, np.float64).reshape(-1, 3).T
        return {"loudness": loudness, "contrast": contrast, "density": density}
