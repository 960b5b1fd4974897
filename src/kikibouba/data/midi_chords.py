"""Chord symbols in the texts of a MIDI file: MIDI has no event for chords.

Read are texts, lyrics and markers of any track. The texts of one kind in one track are taken for chords if
most of them are built like chord symbols: neither words among chords ("Refrain") nor words like chords in
lyrics ("A", "Am") do harm. Markers A, B, C … in this order are rehearsal marks. Where several tracks or kinds
qualify, the one with most chords counts. This package writes chords as texts of the first track.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import islice

from kikibouba.data.chords import looks_like_symbol
from kikibouba.data.midi_events import LYRIC, MARKER, TEXT, Meta


def chords_in(metas: Iterable[Meta]) -> list[tuple[int, str]]:
    """(tick, symbol) of each chord among meta events, in order of time; whether it can be read or not."""
    groups: dict[tuple[int, int], list[tuple[int, str]]] = defaultdict(list)
    for meta in metas:
        if meta.kind in (TEXT, LYRIC, MARKER) and (text := _decoded(meta.payload)):
            groups[meta.track, meta.kind].append((meta.tick, text))
    found = [_chords_of(texts, kind) for (_, kind), texts in sorted(groups.items())]
    return sorted(max(found, key=len, default=[]), key=lambda chord: chord[0])


def _decoded(payload: bytes) -> str:
    try:
        return payload.decode("utf-8").strip()
    except UnicodeDecodeError:
        return payload.decode("latin1").strip()


def _chords_of(texts: list[tuple[int, str]], kind: int) -> list[tuple[int, str]]:
    chords = [(tick, text) for tick, text in texts if looks_like_symbol(text)]
    if 2 * len(chords) <= len(texts) or (kind == MARKER and _are_rehearsal_marks(chords)):
        return []
    return chords


def _are_rehearsal_marks(chords: list[tuple[int, str]]) -> bool:
    """Whether the different ones among them are A, B, … in this order."""
    different = dict.fromkeys(text for _, text in chords)
    return list(different) == list(islice("ABCDEFG", len(different)))
