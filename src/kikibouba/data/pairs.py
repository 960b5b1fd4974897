"""Pairs of pieces as pairs of sentences: what a sequence-to-sequence model translates.

An example is a window of some bars: the source's events, START, the target's events, END, in one array of
`event_tokens`. Where there are styles, the source begins with the symbol of the one that is wanted.

    [style] bar pos 0 C4 ♩ … bar …   START   bar pos 0 C3 𝅗𝅥 E3 𝅗𝅥 … bar … END

Source and target lie on one line of bars, so a window means the same bars of both. Tempo plays no part.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from kikibouba.data.artifacts import Tune
from kikibouba.data.event_tokens import EventVocabulary, Steps
from kikibouba.data.music_files import MUSIC_SUFFIXES, each_piece_of
from kikibouba.data.notes import NoteSequence
from kikibouba.data.pairs_files import TABLE, PiecePair, lead, read_pairs, style_number, style_of, tracks_pair
from kikibouba.data.pairs_key import shift_to_c, shifted
from kikibouba.data.pairs_windows import (
    check_settings,
    collate,
    densities,
    join,
    split,
    transpose_at_random,
    two_instruments,
    uncollate,
    unique_arrays,
    window,
    window_starts,
)
from kikibouba.data.quarters import sections, steps_in
from kikibouba.data.representation import Item
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class PairsRepresentation:
    """What a pair is. Arrays are symbols uint16 [S + T]; see `pairs_windows.Sentences`."""

    kind: ClassVar[str] = "pairs"
    suffixes: ClassVar[tuple[str, ...]] = (*MUSIC_SUFFIXES, TABLE)

    bars: int = 4
    hop_bars: int = 2
    """From one example to the next."""
    steps_per_quarter: int = 4
    velocity_bins: int = 0
    """How finely velocities are written; 0: not at all."""
    longest_quarters: int = 16
    """Longer notes are cut to this."""
    max_tokens: int = 400
    """Examples whose target has more symbols are left out, so that a few do not slow down all."""
    source_tracks: tuple[str, ...] = ("MELODY",)
    """Names of tracks (case does not matter), or their numbers from 1, or "rest": all but the others."""
    target_tracks: tuple[str, ...] = ("PIANO",)
    styles: tuple[str, ...] = ()
    """Names of styles, which folders, or the third column of a table, give to files."""
    to: str = "translation"
    """What the target is called after --to."""
    keeps_source: bool = True
    """A translated piece contains the source too: an accompaniment is heard under its tune."""
    program: int = 0
    """General MIDI program of the target."""
    in_c: bool = False
    """Bring all pieces into C major or A minor, by what the source sounds like; what is translated goes back
    into its own key.
    """
    transpose_range: tuple[int, ...] = (0, 0)
    """Semitones, both ends included, by which training examples are shifted at random."""

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.source_tracks or not self.target_tracks:
            raise KikiboubaError('source_tracks and target_tracks must name a track each, e.g. ["MELODY"]')

    @cached_property
    def vocabulary(self) -> EventVocabulary:
        """The symbols of source and target."""
        longest = self.longest_quarters * self.steps_per_quarter
        return EventVocabulary(self.steps_per_quarter, longest, self.velocity_bins, len(self.styles))

    def read(self, path: Path) -> list[PiecePair]:
        """The pairs in a file. Raises KikiboubaError if it is broken or has none."""
        problems: list[str] = []
        found = [item.content for item in self.read_many(path, problems)]
        if not found:
            raise KikiboubaError(f"{path}: {problems[0] if problems else 'it has no pairs'}")
        return found

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """Each pair in a table, or in a file of music; `problems` gets a line for each that is none."""
        if path.suffix.lower() == TABLE:
            yield from read_pairs(path, problems)
            return
        for item in each_piece_of(path, problems):
            try:
                pair = tracks_pair(item.content, self.source_tracks, self.target_tracks)
            except KikiboubaError as error:
                problems.append(f"{item.where}: {error}")
                continue
            style = style_of(path, self.styles) if self.styles else ""
            yield item._replace(content=pair._replace(style=style))

    def windows(self, item: PiecePair) -> list[np.ndarray]:
        """All examples of a pair, in order of time, without repetitions.

        Raises:
            KikiboubaError: there are none; says why.
        """
        style = None if not self.styles else self.style_number(item.style)
        found, full = [], 0
        shift = self.shift(item.source)
        for source, target in ((shifted(a, shift), shifted(b, shift)) for a, b in self._sections(item)):
            for first in window_starts(max(source.start.max(initial=0), target.start.max(initial=0)), self):
                here, there = (window(notes, first, self) for notes in (source, target))
                if not len(here.start) or not len(there.start):
                    continue
                full += 1
                sentence = self.vocabulary.encode(there, self.bars)
                if len(sentence) + 2 <= self.max_tokens:
                    found.append(join(self.source(here, style), sentence))
        if not found:
            crowded = f"its windows all have more than {self.max_tokens} symbols; raise max_tokens"
            raise KikiboubaError(crowded if full else "source and target never play in one window")
        return unique_arrays(found)

    def _sections(self, pair: PiecePair) -> Iterator[tuple[Steps, Steps]]:
        """Source and target, section by section."""
        ours, theirs = (
            [steps_in(piece, section, self.steps_per_quarter)[0] for section in sections(piece)]
            for piece in pair[:2]
        )
        if len(ours) != len(theirs):
            raise KikiboubaError(
                f"the pair does not align: changes of meter cut the source into {len(ours)} parts and the "
                f"target into {len(theirs)}"
            )
        return zip(ours, theirs, strict=True)

    def shift(self, source: NoteSequence) -> int:
        """Semitones by which a piece is moved before it is read; 0 unless `in_c`."""
        if not self.in_c:
            return 0
        parts = [steps_in(source, section, self.steps_per_quarter)[0] for section in sections(source)]
        return shift_to_c(Steps(*map(np.concatenate, zip(*parts, strict=True))))

    def style_number(self, name: str) -> int:
        """The number of a style. Raises KikiboubaError if there is no such style; says the nearest."""
        return style_number(name, self.styles)

    def lead(self, sequence: NoteSequence) -> NoteSequence:
        """What of a user's piece is the source: the source's tracks, or else the first that plays pitches."""
        return lead(sequence, self.source_tracks)

    def source(self, notes: Steps, style: int | None = None) -> np.ndarray:
        """Notes of a window as the encoder reads them, int64 [S]."""
        sentence = self.vocabulary.encode(notes, self.bars)
        return sentence if style is None else np.append(self.vocabulary.style(style), sentence)

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Both transposed by one random interval, as far as the range of pitches allows."""
        return transpose_at_random(array, self, rng)

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Examples → (x [B, S + T] uint16, sources and then targets; lengths [B, 2])."""
        return collate([split(array) for array in arrays])

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The inverse of `collate`."""
        return uncollate(x, lengths)

    def to_artifact(self, array: np.ndarray) -> Tune:
        """Source and target as two instruments, at 120 quarters a minute."""
        return two_instruments(array, self.vocabulary, self.program)

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """density, source_density: notes a quarter of target and source, [n]."""
        return densities(arrays, self.vocabulary, self.bars)
