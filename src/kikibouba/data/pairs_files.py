"""Where pairs of pieces come from: tracks of one file, or two files that a table names side by side.

    source,target,style
    tunes/ode.mid,arranged/ode.mid,hymn

A table is a .csv with that header; the third column may be left out. Names are relative to the table.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kikibouba.data.files import read_bytes
from kikibouba.data.music_files import first_piece
from kikibouba.data.notes import NoteSequence
from kikibouba.data.quarters import to_quarters
from kikibouba.data.representation import Item
from kikibouba.data.sustain import apply_sustain
from kikibouba.errors import KikiboubaError, did_you_mean

TABLE = ".csv"
HEADER = ("source", "target", "style")
MAX_BYTES = 100_000_000
REST = "rest"
"""As a track: all that are not among the others."""


class PiecePair(NamedTuple):
    """Two pieces that say the same, each with its own part of a file in `notes`."""

    source: NoteSequence
    target: NoteSequence
    style: str = ""


def read_pairs(path: Path, problems: list[str]) -> Iterator[Item]:
    """The pairs of a table, one by one; `problems` gets a line for each that cannot be read.

    Raises:
        KikiboubaError: the table itself cannot be read.
    """
    for number, row in _rows(path):
        where = f"line {number}"
        try:
            if len(row) not in (2, 3) or not all(row[:2]):
                raise KikiboubaError(f"a source and a target are expected, not {row}")
            source, target = (pitched(first_piece(path.parent / name)) for name in row[:2])
            check_aligned(source, target)
        except KikiboubaError as error:
            problems.append(f"{where}: {error}")
            continue
        yield Item(PiecePair(source, target, row[2] if len(row) == 3 else ""), where=where, key=row[0])


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8-sig")
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), strict=True)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise KikiboubaError(f"{path} is not a CSV file in UTF-8: {error}") from None
    if not rows or tuple(rows[0]) not in (HEADER, HEADER[:2]):
        raise KikiboubaError(
            f"{path} must begin with the line source,target (or source,target,style), then a line a pair"
        )
    yield from ((number, row) for number, row in enumerate(rows[1:], 2) if row)


def check_aligned(source: NoteSequence, target: NoteSequence) -> None:
    """Two bars, or a tenth, is what a pair may differ in length; more, and it is no pair bar by bar.

    Raises:
        KikiboubaError: it differs by more, or one has no notes.
    """
    bars = []
    for piece in (source, target):
        if not len(piece.notes):
            raise KikiboubaError("a piece of the pair has no notes (drums do not count)")
        bars.append(float(to_quarters(np.array([piece.notes["end"].max()]), piece.tempos)[0]) / 4)
    if abs(bars[0] - bars[1]) > max(2.0, 0.1 * max(bars)):
        raise KikiboubaError(
            f"the pair does not align: the source lasts {bars[0]:.0f} bars and the target {bars[1]:.0f}"
        )


def tracks_pair(sequence: NoteSequence, source: Sequence[str], target: Sequence[str]) -> PiecePair:
    """Two groups of tracks of one piece as a pair.

    Raises:
        KikiboubaError: a group has no notes; names the tracks there are.
    """
    played = pitched(sequence)
    parts = []
    for words, others in ((source, target), (target, source)):
        chosen = instruments(sequence, words)
        if REST in words:
            chosen |= set(np.unique(played.notes["instrument"]).tolist()) - instruments(sequence, others)
        part = played.notes[np.isin(played.notes["instrument"], sorted(chosen))]
        if not len(part):
            names = [name or f"number {n + 1}" for n, name in enumerate(sequence.instrument_names)]
            hint = did_you_mean(words[0], names) if names else ""
            raise KikiboubaError(f"it has no track {' or '.join(words)}{hint}")
        parts.append(replace(played, notes=part))
    return PiecePair(parts[0], parts[1])


def instruments(sequence: NoteSequence, words: Sequence[str]) -> set[int]:
    """The instruments with one of these names (case does not matter) or numbers (from 1)."""
    wanted = {word.casefold() for word in words}
    named = {n for n, name in enumerate(sequence.instrument_names) if name.strip().casefold() in wanted}
    return named | {int(word) - 1 for word in words if word.isdecimal()}


def lead(sequence: NoteSequence, words: Sequence[str]) -> NoteSequence:
    """The tracks of these names, or if there are none, the first instrument that plays pitches.

    Raises:
        KikiboubaError: nothing plays pitches.
    """
    played = pitched(sequence)
    if not len(played.notes):
        raise KikiboubaError("it has no notes" + " but drums" * bool(len(sequence.notes)))
    chosen = instruments(sequence, words) & set(played.notes["instrument"].tolist())
    chosen = chosen or {int(played.notes["instrument"].min())}
    return replace(played, notes=played.notes[np.isin(played.notes["instrument"], sorted(chosen))])


def style_of(path: Path, styles: Sequence[str]) -> str:
    """The style of a file: the nearest folder on its path that is called like one.

    Raises:
        KikiboubaError: there is no such folder.
    """
    for part in reversed(path.parts[:-1]):
        if part.casefold() in (style.casefold() for style in styles):
            return part.casefold()
    raise KikiboubaError(f"no folder on its path is called like a style: {', '.join(styles)}")


def style_number(name: str, styles: Sequence[str]) -> int:
    """The position of a style. Raises KikiboubaError if there is no such style; says the nearest."""
    names = [style.casefold() for style in styles]
    if name.casefold() not in names:
        raise KikiboubaError(f"unknown style {name!r}{did_you_mean(name, styles)}")
    return names.index(name.casefold())


def pitched(sequence: NoteSequence) -> NoteSequence:
    """The piece without drums, its sustain pedals turned into lengths of notes."""
    sustained = apply_sustain(sequence)
    return replace(sustained, notes=sustained.notes[~sustained.notes["is_drum"]])
