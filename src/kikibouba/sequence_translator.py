"""Translate a piece with a sequence-to-sequence model: a tune gets an accompaniment, another style, dynamics.

    piece ─windows of bars→ sentences ─Seq2Seq→ sentences ─→ notes at their places in the piece

A model sees a few bars. A song is translated window by window, each of which begins in the middle of the one
before: what has been said of these bars is given to the decoder as the beginning of its sentence, so that it
goes on from there. Bars where the source is silent stay silent, and tempo changes are kept: the model counts
quarters.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kikibouba.config import Preset
from kikibouba.data.artifacts import Tune
from kikibouba.data.dynamics_roll import KEYS, LOWEST, DynamicsRepresentation
from kikibouba.data.event_tokens import BAR, Steps
from kikibouba.data.music_files import MUSIC_SUFFIXES, first_piece, is_music
from kikibouba.data.notes import NoteSequence
from kikibouba.data.pairs_key import shifted
from kikibouba.data.pairs_windows import placed_notes, window
from kikibouba.data.quarters import Section, sections, steps_in
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.generate import check_seed
from kikibouba.inputs import Source
from kikibouba.models.seq2seq.decoding import Said, say, search


@dataclass(frozen=True)
class Choice:
    """How a sentence is chosen."""

    beam: int = 1
    """Above 1: search for the likeliest sentence with so many beginnings at a time."""
    temperature: float = 0.0
    """0 takes the likeliest symbol each time; 1 draws from what the model learnt."""
    top_p: float = 0.9
    """Draws from the fewest symbols that together have this probability."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.beam < 1:
            raise KikiboubaError(f"a beam of {self.beam} must be 1 or more; 1 is greedy, 5 is usual")
        if self.beam > 1 and self.temperature > 0:
            raise KikiboubaError("a beam looks for what is likeliest: give either --beam or --temperature")
        if not 0 <= self.temperature < np.inf:
            raise KikiboubaError(f"temperature {self.temperature} must be 0 or more; 1 is what was learnt")
        if not 0 < self.top_p <= 1:
            raise KikiboubaError(f"top_p {self.top_p} must lie above 0, up to 1")


LIKELIEST = Choice()
"""The likeliest symbol each time."""


@dataclass(frozen=True, eq=False)
class Window:
    """A window as it was translated."""

    bar: int
    """its first bar, counted from the start of its section"""
    source: np.ndarray
    """int64 [S], symbols that were read"""
    said: Said


class SequenceTranslator:
    """A trained sequence-to-sequence model, and what its symbols mean."""

    def __init__(self, preset: Preset, module: Any, name: str, device: str = "cpu") -> None:
        """`module` is in eval mode on `device`; `name` is how the user knows it."""
        self.preset, self.module, self.name, self.device = preset, module, name, device
        self.representation = preset.representation

    @property
    def to(self) -> str:
        """What it makes: "piano-arrangement", "style", "dynamics", …"""
        return self.representation.to

    def __repr__(self) -> str:
        return f"SequenceTranslator({self.name!r}, to {self.to})"

    def translate(
        self, source: Source, to: str | None = None, *, style: str | None = None, choice: Choice = LIKELIEST
    ) -> Tune:
        """All of a piece, translated.

        Args:
            source: a file of music or a `Tune`; what of it is translated is up to the representation: its
                tracks of certain names, or else the first that plays pitches.
            to: `self.to`, or the name of a style; None: `self.to`.
            style: which of the model's styles is wanted, if it has some.
            choice: how the result is chosen.

        Raises:
            KikiboubaError: it is a drawing, has nothing to translate or is in no meter of four quarters; the
                model makes something else, or has no such style.
        """
        number = self._style(to, style)
        piece = _piece_of(source)
        if isinstance(self.representation, DynamicsRepresentation):
            return Tune(self._with_dynamics(piece, *self._lead(piece, source), number or 0))
        lead, stretches = self._lead(piece, source)
        generator = torch.Generator(self.device).manual_seed(choice.seed)
        parts, shift, read = [], self.representation.shift(lead), 0
        for section in stretches:
            notes, _ = steps_in(lead, section, self.representation.steps_per_quarter)
            said, read = _nothing(), read + len(notes.start)
            for _, found in self._windows(shifted(notes, shift), number, choice, generator):
                said = _together(said, found)
            parts.append(self._placed(shifted(said, -shift), section, lead))
        if read < len(lead.notes):
            warnings.warn(
                f"{len(lead.notes) - read} notes lie in bars that do not last four quarters: they are not "
                "translated",
                stacklevel=2,
            )
        return Tune(self._joined(lead, np.concatenate(parts)))

    def windows(
        self, source: Source, *, style: str | None = None, choice: Choice = LIKELIEST
    ) -> Iterator[Window]:
        """The windows of the first section of a piece one by one, as `translate` makes them."""
        if isinstance(self.representation, DynamicsRepresentation):
            raise KikiboubaError(f"{self.name} makes dynamics all at once: it says no sentences")
        lead, stretches = self._lead(_piece_of(source), source)
        notes, _ = steps_in(lead, stretches[0], self.representation.steps_per_quarter)
        generator = torch.Generator(self.device).manual_seed(choice.seed)
        moved = shifted(notes, self.representation.shift(lead))
        for found, _ in self._windows(moved, self._style(None, style), choice, generator):
            yield found

    def _lead(self, piece: NoteSequence, source: Source) -> tuple[NoteSequence, list[Section]]:
        """What of a piece is translated, and its stretches in bars of four quarters."""
        try:
            lead = self.representation.lead(piece)
            return lead, sections(lead)
        except KikiboubaError as error:
            where = source if isinstance(source, str | Path) else "this tune"
            raise KikiboubaError(f"{where} cannot be translated: {error}") from None

    def _style(self, to: str | None, style: str | None) -> int | None:
        """The number of the style that is asked for by either word; None if the model has none."""
        styles = self.representation.styles
        if to is not None and to != self.to:
            if to not in styles or style not in (None, to):
                known = did_you_mean(to, [self.to, *styles])
                raise KikiboubaError(f"{self.name} does not translate to {to!r}{known}")
            style = to
        if style is not None:
            if not styles:
                raise KikiboubaError(f"{self.name} has no styles: leave out --style")
            return self.representation.style_number(style)
        if styles:
            raise KikiboubaError(f"{self.name} has styles: say which, --style {' or '.join(styles)}")
        return None

    def _windows(
        self, notes: Steps, style: int | None, choice: Choice, generator: torch.Generator
    ) -> Iterator[tuple[Window, Steps]]:
        """Windows of a section, each with the notes it adds to what was said before."""
        vocabulary, bars = self.representation.vocabulary, self.representation.bars
        hop, size = max(bars - bars // 2, 1), vocabulary.steps_per_bar
        end = int(notes.start.max(initial=-1)) // size + 1
        before, carried = _nothing(), 0
        for bar in range(0, end, hop):
            if bar and bar + bars - hop >= end:
                return  # the window before has said all of it
            here = window(notes, bar, self.representation)
            if not len(here.start):
                before, carried = _nothing(), 0
                continue
            prefix = self._beginning(before._replace(start=before.start - bar * size), carried)
            source = self.representation.source(here, style)
            said = self._say(source, prefix, choice, generator)
            heard = vocabulary.decode(said.symbols)
            new = heard.rows(heard.start >= carried * size)
            new = new._replace(start=new.start + bar * size)
            new = new.rows(new.start < end * size)
            before, carried = _together(before, new), bars - hop
            yield Window(bar, source, said), new

    def _beginning(self, notes: Steps, bars: int) -> np.ndarray:
        """What has been said of a window's first bars, int64 [N]; nothing of no bars."""
        sentence = self.representation.vocabulary.encode(
            notes.rows(notes.start >= 0), self.representation.bars
        )
        return sentence[: int(np.flatnonzero(sentence == BAR)[bars])]

    def _say(
        self, source: np.ndarray, prefix: np.ndarray, choice: Choice, generator: torch.Generator
    ) -> Said:
        symbols, longest = torch.from_numpy(source).to(self.device), self.representation.max_tokens
        longest = max(longest, len(prefix) + longest // 2)
        if choice.beam > 1:
            return search(self.module, symbols, longest, beam=choice.beam, prefix=prefix)
        return say(
            self.module,
            symbols[None],
            symbols.new_tensor([len(source)]),
            longest,
            temperature=choice.temperature,
            top_p=choice.top_p,
            generator=generator,
            prefix=[prefix],
        )[0]

    def _placed(self, notes: Steps, section: Section, lead: NoteSequence) -> np.ndarray:
        """What was said of a section, in seconds, as an instrument after those of the lead."""
        representation = self.representation
        instrument = int(lead.notes["instrument"].max()) + 1 if representation.keeps_source else 0
        return placed_notes(
            notes,
            section.start,
            representation.steps_per_quarter,
            lead.tempos,
            instrument,
            representation.program if representation.keeps_source else int(lead.notes["program"][0]),
        )

    def _joined(self, lead: NoteSequence, notes: np.ndarray) -> NoteSequence:
        """The translated piece in the tempo of the source, perhaps with the source."""
        if not len(notes):
            warnings.warn(f"{self.name} said no notes; try --temperature 1 or another seed", stacklevel=3)
        names = [self.to]
        if self.representation.keeps_source:
            known = [*lead.instrument_names, *[""] * int(lead.notes["instrument"].max() + 1)]
            names = [*known[: int(lead.notes["instrument"].max()) + 1], self.to]
            notes = np.concatenate([lead.notes, notes])
        total = float(notes["end"].max(initial=0.0))
        return replace(lead, notes=notes, total_time=total, instrument_names=tuple(names))

    @torch.inference_mode()
    def _with_dynamics(
        self, piece: NoteSequence, played: NoteSequence, stretches: list[Section], style: int
    ) -> NoteSequence:
        """The piece with other velocities; every note keeps its time."""
        representation: DynamicsRepresentation = self.representation
        loudness = piece.notes["velocity"].copy()
        lead = np.isin(piece.notes["instrument"], np.unique(played.notes["instrument"]))
        changed = np.zeros(len(loudness), bool)
        for section in stretches:
            notes, _ = steps_in(played, section, representation.steps_per_quarter)
            grid = self.velocities(notes, style)
            here, index = steps_in(piece, section, representation.steps_per_quarter)
            fits = lead[index] & (here.start < len(grid)) & (np.abs(here.pitch - LOWEST - 43.5) < 44)
            index, here = index[fits], here.rows(fits)
            loudness[index] = grid[here.start, here.pitch - LOWEST]
            changed[index] = True
        if missed := int((lead & ~changed & ~piece.notes["is_drum"]).sum()):
            warnings.warn(
                f"{missed} notes keep their velocities: they lie beyond the keys of a piano, or in bars that "
                "do not last four quarters",
                stacklevel=3,
            )
        notes = piece.notes.copy()
        notes["velocity"] = loudness
        return replace(piece, notes=notes)

    @torch.inference_mode()
    def velocities(self, notes: Steps, style: int = 0) -> np.ndarray:
        """Velocities int64 [T, 88], 1 to 127, for the notes of a section; those of onsets mean something."""
        representation: DynamicsRepresentation = self.representation
        size = representation.bars * representation.steps_per_bar
        last = int(notes.start.max(initial=-1))
        grid = np.zeros((last // size * size + size, KEYS), np.int64)
        for first in range(0, last + 1, size):
            inside = (notes.start >= first) & (notes.start < first + size)
            part = notes.rows(inside)
            for rows in representation.rows(part._replace(start=part.start - first), style):
                x, lengths = (torch.from_numpy(a).to(self.device) for a in representation.collate([rows]))
                heard = self.module(x.long(), lengths).velocity[0].round().clamp(1, 127)
                grid[first : first + len(rows)] = heard.cpu().numpy()
        return grid


def _piece_of(source: Source) -> NoteSequence:
    """The first piece in a source."""
    if isinstance(source, Tune):
        return source.notes
    if not isinstance(source, str | Path) or not is_music(source):
        given = source if isinstance(source, str | Path) else f"this {type(source).__name__.lower()}"
        allowed = f"a tune, or a file ({', '.join(MUSIC_SUFFIXES)})"
        raise KikiboubaError(f"{given} is no music, which a sequence-to-sequence model takes: name {allowed}")
    return first_piece(source)


def _nothing() -> Steps:
    return Steps(*np.zeros((4, 0), np.int64))


def _together(a: Steps, b: Steps) -> Steps:
    return Steps(*(np.concatenate(pair) for pair in zip(a, b, strict=True)))
