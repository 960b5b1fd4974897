"""What a model is told at every step beside the notes: the chord and the key, as columns of labels.

    chord   a class of `chords` (0 … 48, or 0 … 24 for "majmin"), 0 where there is none
    key     tonic 0 … 11 from C: of the key signature, whatever its mode; where keys are guessed, of the major
            scale with the same pitches

Follows the original code: before the first chord there is none, before the first key signature it holds
already. Where a piece has no chord symbols, chords and keys are both guessed from its notes (see
`chord_inference`); where it lacks key signatures only, the original gives up and here they alone are guessed.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from kikibouba.data.chord_inference import infer_chords
from kikibouba.data.chords import (
    NO_CHORD,
    NUM_CLASSES,
    chord_class,
    chord_name,
    chord_pitches,
    read_key,
    transpose_classes,
)
from kikibouba.data.layout import Part, one_hot
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, pieces_with_starts
from kikibouba.errors import KikiboubaError

ChordVocabulary = Literal["none", "triad", "majmin", "pitches"]


@dataclass(frozen=True)
class ChordControls:
    """The C columns that tell chord (unless `chords` is "none") and key (if `key`), in this order."""

    chords: ChordVocabulary
    key: bool
    steps_per_quarter: int

    @property
    def has_chords(self) -> bool:
        """Whether there is a column of chords."""
        return self.chords != "none"

    @property
    def num_columns(self) -> int:
        """C"""
        return self.has_chords + self.key

    def parts(self, first: int) -> tuple[Part, ...]:
        """The columns from column `first` on, for a `Layout`."""
        parts = []
        if self.chords == "pitches":
            parts.append(Part(first, first + 1, chord_pitches()))
        elif self.chords != "none":
            parts.append(one_hot(first, NUM_CLASSES[self.chords]))
        if self.key:
            parts.append(one_hot(first + self.has_chords, 12))
        return tuple(parts)

    def of_piece(self, piece: NoteSequence, num_steps: int) -> tuple[np.ndarray, tuple[str, ...]]:
        """What holds at each step of a piece, by symbols: C and Cmaj7 still differ.

        Args:
            piece: of one tempo and one meter, with those of its notes from which to guess.
            num_steps: at least 1.

        Returns:
            [num_steps, C] uint16; and the symbols that its chord column counts. `encode` makes them classes.

        Raises:
            KikiboubaError: two chords on a step, or nothing from which to guess.
        """
        named = self._named_piece(piece)
        qpm = float(piece.tempos[0, 1]) if len(piece.tempos) else DEFAULT_QPM
        steps_per_second = self.steps_per_quarter * qpm / 60.0
        columns, symbols = [], ()
        if self.has_chords:
            index, symbols = symbols_by_step(named.chords, steps_per_second, num_steps)
            columns.append(index)
        if self.key:
            columns.append(keys_by_step(named.key_signatures, steps_per_second, num_steps))
        return np.stack(columns, axis=1).astype(np.uint16), symbols

    def _named_piece(self, piece: NoteSequence) -> NoteSequence:
        """A piece of one tempo and meter with the chords and keys that are told, guessed where necessary."""
        lacks_chords = self.has_chords and not piece.chords
        if not lacks_chords and (not self.key or len(piece.key_signatures)):
            return piece
        guessed = infer_chords(piece, self.steps_per_quarter)
        return replace(
            piece,
            chords=guessed.chords if lacks_chords else piece.chords,
            key_signatures=guessed.key_signatures if self.key else piece.key_signatures,
        )

    def named(self, sequence: NoteSequence, usable: Callable[[NoteSequence], NoteSequence]) -> NoteSequence:
        """A sequence with the chords and keys that `of_piece` finds in it: so its parts are told the same.

        Args:
            sequence: of any tempos and meters; a piece from which nothing can be guessed stays as it is.
            usable: those notes of a piece from which to guess.
        """
        if not self.num_columns:
            return sequence
        chords: list[tuple[float, str]] = []
        keys = [np.zeros((0, 3))]
        for start, piece in pieces_with_starts(sequence):
            with suppress(KikiboubaError):
                piece = self._named_piece(usable(piece))
            chords += [(time + start, symbol) for time, symbol in piece.chords]
            keys.append(piece.key_signatures + np.array([start, 0, 0]))
        return replace(sequence, chords=tuple(chords), key_signatures=np.concatenate(keys))

    def encode(self, columns: np.ndarray, symbols: tuple[str, ...]) -> np.ndarray:
        """Columns [..., C] as of `of_piece` → labels [..., C] uint8.

        Raises:
            KikiboubaError: a chord among them has no class; names it.
        """
        labels = columns.astype(np.uint8)
        if self.has_chords:
            classes = np.zeros(len(symbols), np.uint8)
            for i in np.unique(columns[..., 0]).tolist():
                classes[i] = chord_class(symbols[i], self.chords)
            labels[..., 0] = classes[columns[..., 0]]
        return labels

    def transpose(self, labels: np.ndarray, semitones: int) -> np.ndarray:
        """Labels [T, C] shifted."""
        shifted = labels.copy()
        if self.has_chords:
            shifted[:, 0] = transpose_classes(labels[:, 0], semitones)
        if self.key:
            shifted[:, -1] = (labels[:, -1].astype(np.int64) + semitones) % 12
        return shifted

    def to_events(
        self, labels: np.ndarray, seconds_per_step: float
    ) -> tuple[tuple[tuple[float, str], ...], np.ndarray]:
        """Labels [T, C] → `NoteSequence.chords` and `.key_signatures`, at 0 and wherever they change."""
        chords: tuple[tuple[float, str], ...] = ()
        keys = np.zeros((0, 3))
        if self.has_chords:
            steps = np.flatnonzero(np.diff(labels[:, 0].astype(np.int64), prepend=-1)).tolist()
            chords = tuple((step * seconds_per_step, chord_name(int(labels[step, 0]))) for step in steps)
        if self.key:
            at = np.flatnonzero(np.diff(labels[:, -1].astype(np.int64), prepend=-1))
            keys = np.column_stack([at * seconds_per_step, labels[at, -1], np.zeros(len(at))])
        return chords, keys

    def from_text(self, chords: str, key: str, num_quarters: int) -> np.ndarray:
        """What a user writes → labels [num_quarters * steps_per_quarter, C] int64.

        Args:
            chords: symbols such as "C G Am F" (commas and bar lines may stand between), spread evenly; "" is
                no chord.
            key: such as "C" or "F#m"; "" if there is no column for it.
            num_quarters: how long the example is.

        Raises:
            KikiboubaError: unreadable, more chords than quarters, or what there is no column for.
        """
        symbols = re.split(r"[\s,|]+", chords.strip(" \t\n,|")) if chords.strip(" \t\n,|") else []
        self._check_text(symbols, key, num_quarters)
        columns = []
        if self.has_chords:
            classes = np.array([chord_class(symbol, self.chords) for symbol in symbols or [NO_CHORD]])
            columns.append(classes[np.arange(num_quarters) * len(classes) // num_quarters])
        if self.key:
            columns.append(np.full(num_quarters, read_key(key)))
        return np.repeat(np.stack(columns, axis=1), self.steps_per_quarter, axis=0)

    def _check_text(self, symbols: list[str], key: str, num_quarters: int) -> None:
        if symbols and not self.has_chords:
            raise KikiboubaError(
                "this model is not told chords; leave them out, or use one that is (chords = triad)"
            )
        if bool(key) != self.key:
            allowed = "needs a key, e.g. C or F#m" if self.key else "is not told a key; leave it out"
            raise KikiboubaError(f"this model {allowed}")
        if not self.num_columns:
            raise KikiboubaError("this model is told neither chords nor a key")
        if len(symbols) > num_quarters:
            raise KikiboubaError(
                f"{len(symbols)} chords are more than the {num_quarters} quarters of an example; name fewer"
            )


def symbols_by_step(
    chords: tuple[tuple[float, str], ...], steps_per_second: float, num_steps: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The chord in force at each step: an index [num_steps] int64 into the symbols, which begin with "N.C.".

    Raises:
        KikiboubaError: two different chords on one step; names them.
    """
    steps = [int(time * steps_per_second + 0.5) for time, _ in chords]
    order = sorted((i for i, step in enumerate(steps) if step < num_steps), key=lambda i: steps[i])
    for i, following in pairwise(order):
        if steps[i] == steps[following] and chords[i][1] != chords[following][1]:
            raise KikiboubaError(
                f"the chords {chords[i][1]} and {chords[following][1]} fall on the same step, at "
                f"{chords[i][0]:.2f} s; remove one or move it"
            )
    symbols = tuple(dict.fromkeys([NO_CHORD, *(chords[i][1] for i in order)]))
    index = np.array([0, *(symbols.index(chords[i][1]) for i in order)])
    starts = np.array([steps[i] for i in order], np.int64)
    return index[np.searchsorted(starts, np.arange(num_steps), "right")], symbols


def keys_by_step(key_signatures: np.ndarray, steps_per_second: float, num_steps: int) -> np.ndarray:
    """The key [num_steps] int64 in force at each step, of at least one row (seconds, key, mode).

    As in the original a key begins at the first whole step after it, a chord at the nearest.
    """
    starts, keys = steps_per_second * key_signatures[:, 0], key_signatures[:, 1].astype(np.int64)
    order = np.lexsort((keys, starts))
    last = np.searchsorted(starts[order], np.arange(num_steps), "right") - 1
    return keys[order][np.maximum(last, 0)]
