"""Windows of pieces as sentences of events: what representations for sequence-to-sequence models share."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from kikibouba.data.artifacts import Tune
from kikibouba.data.event_tokens import END, PAD, START, EventVocabulary, Kind, Steps
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, make_notes
from kikibouba.data.quarters import to_seconds
from kikibouba.errors import KikiboubaError


class EventSettings(Protocol):
    """What these functions ask of a representation."""

    @property
    def bars(self) -> int: ...
    @property
    def hop_bars(self) -> int: ...
    @property
    def velocity_bins(self) -> int: ...
    @property
    def program(self) -> int: ...
    @property
    def transpose_range(self) -> tuple[int, ...]: ...
    @property
    def vocabulary(self) -> EventVocabulary: ...


class Sentences(NamedTuple):
    """The two halves of an example."""

    source: np.ndarray
    """int64 [S], S ≥ 1"""
    target: np.ndarray
    """int64 [T], from START to END"""


def check_settings(settings: EventSettings) -> None:
    """What holds for all representations of events. Raises KikiboubaError."""
    r = settings
    for name in ("bars", "hop_bars", "steps_per_quarter", "longest_quarters", "max_tokens"):
        if getattr(r, name) < 1:
            raise KikiboubaError(f"{name} = {getattr(r, name)} must be at least 1")
    if not 0 <= r.velocity_bins <= 64:
        raise KikiboubaError(f"velocity_bins = {r.velocity_bins} must lie in 0 to 64")
    if not 0 <= r.program <= 127:
        raise KikiboubaError(f"program = {r.program} must lie in 0 to 127")
    if len(r.transpose_range) != 2 or not r.transpose_range[0] <= 0 <= r.transpose_range[1]:
        raise KikiboubaError("transpose_range must be [lowest, highest] around 0, e.g. [-5, 6]")


def window_starts(last_step: int, settings: EventSettings) -> range:
    """First bars of the windows of a piece whose last note starts at `last_step`; the last window may reach
    beyond it.
    """
    bars = int(last_step) // settings.vocabulary.steps_per_bar + 1
    hop = settings.hop_bars
    return range(0, max(bars - settings.bars, 0) + hop, hop)


def window(notes: Steps, first_bar: int, settings: EventSettings) -> Steps:
    """The notes that start in a window's bars, counted from its start."""
    size = settings.vocabulary.steps_per_bar
    start = notes.start - first_bar * size
    return notes._replace(start=start).rows((start >= 0) & (start < settings.bars * size))


def join(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Two sentences (the target without START and END) → an example, uint16 [S + T]."""
    return np.concatenate([source, [START], target, [END]]).astype(np.uint16)


def split(array: np.ndarray) -> Sentences:
    """The inverse of `join`, the target with START and END."""
    place = int(np.argmax(array == START))
    symbols = np.asarray(array, np.int64)
    return Sentences(symbols[:place], symbols[place:])


def unique_arrays(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The arrays [n_i] without repetitions, in order."""
    return list({array.tobytes(): array for array in arrays}.values())


def transpose_at_random(array: np.ndarray, settings: EventSettings, rng: np.random.Generator) -> np.ndarray:
    """An example with all pitches moved by one interval of `transpose_range`."""
    vocabulary = settings.vocabulary
    low, high = vocabulary.pitch_range(array)
    down, up = settings.transpose_range
    semitones = int(rng.integers(max(down, -low), min(up, 127 - high), endpoint=True))
    return vocabulary.transposed(array, semitones).astype(array.dtype)


def collate(sentences: Sequence[Sentences]) -> tuple[np.ndarray, np.ndarray]:
    """→ (x [B, S + T] uint16, lengths [B, 2] int64), both halves padded with PAD to the longest."""
    lengths = np.array([[len(s.source), len(s.target)] for s in sentences], np.int64).reshape(-1, 2)
    longest = lengths.max(axis=0, initial=0)
    x = np.full((len(sentences), int(longest.sum())), PAD, np.uint16)
    for row, (source, target) in zip(x, sentences, strict=True):
        row[: len(source)] = source
        row[longest[0] : longest[0] + len(target)] = target
    return x, lengths


def uncollate(x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """The inverse of `collate`, as examples."""
    first = int(lengths[:, 0].max(initial=0))
    return [
        np.concatenate([row[:s], row[first : first + t]]).astype(np.uint16)
        for row, (s, t) in zip(x, lengths.tolist(), strict=True)
    ]


def placed_notes(
    notes: Steps, start: float, steps_per_quarter: int, tempos: np.ndarray, instrument: int, program: int
) -> np.ndarray:
    """Notes on a grid that begins at quarter `start` → NOTE_DTYPE [N], in seconds."""
    begin = start + notes.start / steps_per_quarter
    end = begin + notes.duration / steps_per_quarter
    seconds = to_seconds(begin, tempos), to_seconds(end, tempos)
    return make_notes(notes.pitch, seconds[0], seconds[1], notes.velocity, instrument, program)


def two_instruments(array: np.ndarray, vocabulary: EventVocabulary, program: int) -> Tune:
    """An example as a tune: the source plays instrument 0, the target 1, at 120 quarters a minute."""
    tempos = np.array([[0.0, DEFAULT_QPM]])
    parts = [
        placed_notes(vocabulary.decode(half), 0.0, vocabulary.steps_per_quarter, tempos, number, program)
        for number, half in enumerate(split(array))
    ]
    notes = np.concatenate(parts)
    total = float(notes["end"].max(initial=0.0))
    return Tune(NoteSequence(notes, tempos, total_time=total, instrument_names=("source", "target")))


def densities(arrays: Iterable[np.ndarray], vocabulary: EventVocabulary, bars: int) -> dict[str, np.ndarray]:
    """Notes a quarter of both halves of examples."""
    counts = [[int((vocabulary.kind[half] == Kind.PITCH).sum()) for half in split(a)] for a in arrays]
    source, target = np.array(counts, np.float64).reshape(-1, 2).T / (4 * bars)
    return {"density": target, "source_density": source}
