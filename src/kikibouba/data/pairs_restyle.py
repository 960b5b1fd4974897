"""The same tune in another style, learnt without pairs.

There are tunes of several styles, but none of them in two. So the model is trained to *repair*: its source is
a tune with notes missing, moved, shortened or out of tune, after the symbol of the tune's style; its target
is the tune. What it learns is to write, in a style, a tune that agrees with a vague sketch. To change the
style of a tune is then to sketch it and to name another style.

The sketch is drawn anew whenever an example is seen in training, and is always the same otherwise.
"""

import zlib
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
from kikibouba.data.pairs_files import lead, style_number, style_of
from kikibouba.data.pairs_windows import (
    Sentences,
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
class RestyleRepresentation:
    """What a tune with a style is. Arrays are [style] START bar … END, uint16: the sketch is drawn when it is
    needed.
    """

    kind: ClassVar[str] = "restyle"
    suffixes: ClassVar[tuple[str, ...]] = MUSIC_SUFFIXES

    styles: tuple[str, ...] = ("pop909", "fiddle")
    """Names of the styles, which are those of the folders that the files lie in."""
    tracks: tuple[str, ...] = ("MELODY",)
    """What to take of a file, see `PairsRepresentation`; where there is none of these, its first track."""
    corruption: float = 0.3
    """How much a sketch leaves open: 0 nothing, 1 everything."""
    bars: int = 4
    hop_bars: int = 2
    steps_per_quarter: int = 4
    velocity_bins: int = 0
    longest_quarters: int = 16
    max_tokens: int = 400
    to: str = "style"
    keeps_source: ClassVar[bool] = False
    program: int = 0
    transpose_range: tuple[int, ...] = (-5, 6)

    def __post_init__(self) -> None:
        check_settings(self)
        if len(self.styles) < 2 or len({style.casefold() for style in self.styles}) < len(self.styles):
            raise KikiboubaError(f"styles {self.styles} must be two or more different names of folders")
        if not 0 <= self.corruption <= 1:
            raise KikiboubaError(f"corruption = {self.corruption} must lie in [0, 1]")

    @cached_property
    def vocabulary(self) -> EventVocabulary:
        """The symbols of source and target."""
        longest = self.longest_quarters * self.steps_per_quarter
        return EventVocabulary(self.steps_per_quarter, longest, self.velocity_bins, len(self.styles))

    def read(self, path: Path) -> list[tuple[NoteSequence, str]]:
        """The tunes in a file, each with its style. Raises KikiboubaError if it is broken or has none."""
        return [item.content for item in self.read_many(path, [])]

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """Each tune in a file; `problems` gets a line for each that cannot be read."""
        style = style_of(path, self.styles)
        for item in each_piece_of(path, problems):
            yield item._replace(content=(item.content, style), category=style)

    def windows(self, item: tuple[NoteSequence, str]) -> list[np.ndarray]:
        """All examples of a tune, in order of time, without repetitions.

        Raises:
            KikiboubaError: there are none; says why.
        """
        sequence, style = item
        tune, found, full = self.lead(sequence), [], 0
        mark = np.array([self.vocabulary.style(self.style_number(style))])
        for section in sections(tune):
            notes, _ = steps_in(tune, section, self.steps_per_quarter)
            for first in window_starts(notes.start.max(initial=0), self):
                here = window(notes, first, self)
                full += len(here.start) > 0
                sentence = self.vocabulary.encode(here, self.bars)
                if len(here.start) and len(sentence) + 2 <= self.max_tokens:
                    found.append(join(mark, sentence))
        if not found:
            crowded = f"its windows all have more than {self.max_tokens} symbols; raise max_tokens"
            raise KikiboubaError(crowded if full else "it has no notes in bars of four quarters")
        return unique_arrays(found)

    def style_number(self, name: str) -> int:
        """The number of a style. Raises KikiboubaError if there is no such style; says the nearest."""
        return style_number(name, self.styles)

    def lead(self, sequence: NoteSequence) -> NoteSequence:
        """What of a user's piece is the tune."""
        return lead(sequence, self.tracks)

    def shift(self, source: NoteSequence) -> int:
        """Semitones by which a piece is moved before it is read: none."""
        return 0

    def source(self, notes: Steps, style: int | None = None) -> np.ndarray:
        """Notes of a window as the encoder reads them, int64 [S]: as a sketch, the same one each time."""
        rng = np.random.default_rng(zlib.crc32(np.stack(notes).tobytes()))
        sentence = self.vocabulary.encode(self.sketch(notes, rng), self.bars)
        return sentence if style is None else np.append(self.vocabulary.style(style), sentence)

    def sketch(self, notes: Steps, rng: np.random.Generator) -> Steps:
        """Notes with some left out, others moved by a step, or a tone, or of another length."""
        if len(notes.start) > 1:
            kept = rng.random(len(notes.start)) >= self.corruption / 2
            kept[int(rng.integers(len(kept)))] = True
            notes = notes.rows(kept)
        moved, out_of_tune, other_length = rng.random((3, len(notes.start))) < self.corruption
        last = self.bars * self.vocabulary.steps_per_bar - 1
        shift, interval, factor = rng.integers(-1, 2, (3, len(notes.start)))
        return Steps(
            np.clip(notes.start + moved * shift, 0, last),
            np.clip(notes.pitch + out_of_tune * 2 * interval, 0, 127),
            np.maximum(np.where(other_length, notes.duration * 2.0**factor, notes.duration).astype(int), 1),
            notes.velocity,
        )

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Transposed by a random interval, and with a new sketch of it as the source."""
        mark, target = split(transpose_at_random(array, self, rng))
        notes = self.sketch(self.vocabulary.decode(target), rng)
        return join(np.append(mark, self.vocabulary.encode(notes, self.bars)), target[1:-1])

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Examples → (x [B, S + T] uint16, sketches and then tunes; lengths [B, 2])."""
        return collate([self._sketched(array) for array in arrays])

    def _sketched(self, array: np.ndarray) -> Sentences:
        halves = split(array)
        if len(halves.source) > 1:
            return halves
        notes = self.vocabulary.decode(halves.target)
        return Sentences(np.append(halves.source, self.source(notes)), halves.target)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """What `collate` was given, but with the sketches that were drawn."""
        return uncollate(x, lengths)

    def to_artifact(self, array: np.ndarray) -> Tune:
        """Sketch and tune as two instruments, at 120 quarters a minute."""
        return two_instruments(array, self.vocabulary, self.program)

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """density: notes a quarter, [n]."""
        return {"density": densities(arrays, self.vocabulary, self.bars)["density"]}
