"""MIDI files ↔ `NoteSequence`.

Reading follows pretty_midi to the letter, because the original models read their training data through it:

    notes        A note-off closes every open note of its channel and pitch that began before its tick. If it closed
                 some, a note that began at its very tick stays open; if none, that one is deleted. Notes that are
                 never closed are dropped.
    instruments  One for each (track, channel, program), numbered by their first closed note, track after track. The
                 program is the one in force at the note-off. Channel 10 plays drums.
    time         Tempo, meter and key count in the first track only. A tick's time is the time of the last tempo
                 change before it plus ticks times seconds a tick, in that order of float operations: rounding to
                 the grid depends on the last bit.

Where pretty_midi gives up without need, this reader goes on: files counted in film frames, unknown chunks, late meta
events, key signatures that do not exist (ignored).
"""

import struct
from bisect import bisect_right
from pathlib import Path

import numpy as np

from kikibouba.data.files import write_bytes
from kikibouba.data.midi_events import Header, Track, decode
from kikibouba.data.midi_writer import midi_bytes
from kikibouba.data.notes import DEFAULT_QPM, NOTE_DTYPE, NoteSequence
from kikibouba.errors import KikiboubaError

MAX_SECONDS = 12 * 3600.0
_TEMPO, _TIME_SIGNATURE, _KEY_SIGNATURE, _TRACK_NAME = 0x51, 0x58, 0x59, 0x03
_NOTE_OFF, _NOTE_ON, _PROGRAM = 0x80, 0x90, 0xC0
_DRUM_CHANNEL = 9


def read_midi(path: str | Path) -> NoteSequence:
    """The notes, tempos, meters and keys of a MIDI file; notes in the order in which they end, by instrument.

    Raises:
        KikiboubaError: the file cannot be read, is no MIDI file or is broken; says how.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror}") from None
    try:
        return from_midi_bytes(data)
    except KikiboubaError as error:
        raise KikiboubaError(f"{path}: {error}") from None


def from_midi_bytes(data: bytes) -> NoteSequence:
    """`read_midi` of a file's content."""
    header, tracks = decode(data)
    clock = _Clock(header, tracks[0])
    parts, names = [], []
    for track in tracks:
        notes, track_names = _track_notes(track, clock, len(names))
        parts.append(notes)
        names += track_names
    notes = np.concatenate(parts)
    total_time = float(notes["end"].max(initial=0.0))
    if total_time > MAX_SECONDS:
        hours = total_time / 3600
        raise KikiboubaError(f"a note lasts until {hours:.0f} hours: damaged, or longer than the 12 hours allowed")
    return NoteSequence(
        notes=notes,
        tempos=clock.tempos(),
        time_signatures=_time_signatures(tracks[0], clock),
        key_signatures=_key_signatures(tracks[0], clock),
        total_time=total_time,
        ticks_per_quarter=clock.ticks_per_quarter,
        instrument_names=tuple(names),
    )


class _Clock:
    """Ticks → seconds, by the tempo changes of the first track."""

    def __init__(self, header: Header, first: Track) -> None:
        """Files counted in film frames have no quarters: they are given 120 a minute, and their tempos are ignored."""
        self.ticks_per_quarter = header.ticks_per_quarter or max(1, round(header.ticks_per_second / 2))
        scales = [(0, 60.0 / (DEFAULT_QPM * self.ticks_per_quarter))]
        for _, tick, kind, payload in first.meta if header.ticks_per_quarter else ():
            if kind == _TEMPO:
                scale = self._seconds_a_tick(payload)
                if tick == 0:
                    scales = [(0, scale)]
                elif scale != scales[-1][1]:
                    scales.append((tick, scale))
        if header.ticks_per_second:
            scales = [(0, 1.0 / header.ticks_per_second)]
        self._scales = scales
        times = [0.0]
        for (tick, scale), (following, _) in zip(scales[:-1], scales[1:], strict=True):
            times.append(times[-1] + scale * (following - tick))
        self._ticks = np.array([tick for tick, _ in scales], np.int64)
        self._seconds_per_tick = np.array([scale for _, scale in scales])
        self._times = np.array(times)

    def _seconds_a_tick(self, payload: bytes) -> float:
        microseconds = int.from_bytes(payload[:3], "big")
        if len(payload) < 3 or microseconds == 0:
            raise KikiboubaError("a tempo of 0 microseconds a quarter note: the file is damaged")
        return 60.0 / ((6e7 / microseconds) * self.ticks_per_quarter)

    def seconds(self, ticks: np.ndarray) -> np.ndarray:
        """Times in seconds [N] float64 of ticks [N]."""
        if len(self._ticks) == 1:
            return self._seconds_per_tick[0] * ticks
        part = np.searchsorted(self._ticks, ticks, side="right") - 1
        return self._times[part] + self._seconds_per_tick[part] * (ticks - self._ticks[part])

    def at(self, tick: int) -> float:
        return float(self.seconds(np.array([tick]))[0])

    def tempos(self) -> np.ndarray:
        """[K, 2]: (seconds, quarters a minute)."""
        quarters = [60.0 / (scale * self.ticks_per_quarter) for _, scale in self._scales]
        return np.column_stack([self._times, quarters])


def _time_signatures(first: Track, clock: _Clock) -> np.ndarray:
    rows = []
    for _, tick, kind, payload in first.meta:
        if kind == _TIME_SIGNATURE and len(payload) >= 2:
            if payload[1] > 30:
                raise KikiboubaError(f"a meter of {payload[0]}/2^{payload[1]}: the file is damaged")
            rows.append((clock.at(tick), payload[0], 2 ** payload[1]))
    return np.array(rows, np.float64).reshape(-1, 3)


def _key_signatures(first: Track, clock: _Clock) -> np.ndarray:
    """Sharps (flats negative) and mode → tonic and mode: a fifth up adds a sharp, and A minor has none."""
    rows = []
    for _, tick, kind, payload in first.meta:
        if kind == _KEY_SIGNATURE and len(payload) >= 2:
            sharps, mode = struct.unpack("bB", payload[:2])
            if abs(sharps) <= 7 and mode in (0, 1):
                rows.append((clock.at(tick), (7 * sharps + 9 * mode) % 12, mode))
    return np.array(rows, np.float64).reshape(-1, 3)


def _track_notes(track: Track, clock: _Clock, first_instrument: int) -> tuple[np.ndarray, list[str]]:
    """The closed notes of a track by instrument, and its instruments' names."""
    kind = track.status & 0xF0
    index = np.flatnonzero((kind == _NOTE_ON) | (kind == _NOTE_OFF))
    is_on = (kind[index] == _NOTE_ON) & (track.data2[index] > 0)
    channel = (track.status[index] & 0x0F).astype(np.int16)
    on, off = pair_notes(track.tick[index], is_on, channel * 128 + track.data1[index])
    channel, on, off = channel[on], index[on], index[off]

    program = _program_at(track, kind, channel, off)
    _, first, which = np.unique(channel * 128 + program, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int16)
    created = np.argsort(first)
    rank[created] = np.arange(len(first))
    instrument = rank[which]
    if len(first) > 1:
        order = np.argsort(instrument, kind="stable")
        on, off, channel, program, instrument = (a[order] for a in (on, off, channel, program, instrument))

    notes = np.empty(len(on), NOTE_DTYPE)
    notes["pitch"], notes["velocity"] = track.data1[on], track.data2[on]
    notes["start"], notes["end"] = clock.seconds(track.tick[on]), clock.seconds(track.tick[off])
    notes["instrument"], notes["program"] = instrument + first_instrument, program
    notes["is_drum"] = channel == _DRUM_CHANNEL
    return notes, _names(track, off[np.flatnonzero(np.diff(instrument, prepend=-1))].tolist())


def _names(track: Track, events: list[int]) -> list[str]:
    """The track's name as it was at each of these events."""
    titles = [(seen, text.decode("latin1")) for seen, _, kind, text in track.meta if kind == _TRACK_NAME]
    titles.insert(0, (-1, ""))
    return [titles[bisect_right(titles, event, key=lambda title: title[0]) - 1][1] for event in events]


def pair_notes(tick: np.ndarray, is_on: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which note-off closes which note-on, by pretty_midi's rule.

    Args:
        tick: [N] not decreasing.
        is_on: [N] bool; the other events are note-offs.
        key: [N] int, the same for events of the same channel and pitch.

    Returns:
        (on, off): indices [M] of the events that begin and end each note, in the order in which notes are closed.
    """
    order = np.argsort(key, kind="stable")
    key, tick, is_on = key[order], tick[order], is_on[order]
    count = len(order)
    # the next note-off, and the next one on a later tick, of every event, if their keys are the same
    next_off = _next_where(~is_on)
    on = np.flatnonzero(is_on)
    closing = next_off[on]
    exists = closing < count
    exists[exists] = key[closing[exists]] == key[on[exists]]
    on, closing = on[exists], closing[exists]
    if (doubtful := tick[closing] == tick[on]).any():
        on, closing = _replay(tick, is_on, key, on, closing, np.unique(key[on[doubtful]]))
    on, off = order[on], order[closing]
    by_closing = np.lexsort((on, off))
    return on[by_closing], off[by_closing]


def _next_where(mask: np.ndarray) -> np.ndarray:
    """For each position the first one at or after it where the mask holds; the length where there is none."""
    position = np.where(mask, np.arange(len(mask)), len(mask))
    return np.minimum.accumulate(position[::-1])[::-1]


def _replay(
    tick: np.ndarray, is_on: np.ndarray, key: np.ndarray, on: np.ndarray, closing: np.ndarray, keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Notes of the given keys anew, event by event: some begin and end on one tick, where the rule is intricate."""
    keep = ~np.isin(key[on], keys)
    pairs = []
    for k in keys:
        low, high = np.searchsorted(key, [k, k + 1])
        still_open: list[int] = []
        for i in range(low, high):
            if is_on[i]:
                still_open.append(i)
                continue
            closed = [j for j in still_open if tick[j] < tick[i]]
            pairs += [(j, i) for j in closed]
            still_open = [j for j in still_open if tick[j] == tick[i]] if closed else []
    again = np.array(pairs, np.int64).reshape(-1, 2)
    return np.concatenate([on[keep], again[:, 0]]), np.concatenate([closing[keep], again[:, 1]])


def _program_at(track: Track, kind: np.ndarray, channel: np.ndarray, event: np.ndarray) -> np.ndarray:
    """The program [M] in force on a channel [M] at an event [M]; 0 before the first program change."""
    program = np.zeros(len(event), np.int16)
    changes = np.flatnonzero(kind == _PROGRAM)
    for c in np.unique(track.status[changes] & 0x0F):
        here = changes[(track.status[changes] & 0x0F) == c]
        on_channel = np.flatnonzero(channel == c)
        last = np.searchsorted(here, event[on_channel]) - 1
        program[on_channel] = np.where(last >= 0, track.data1[here[last]], 0)
    return program


def write_midi(sequence: NoteSequence, path: str | Path) -> Path:
    """Write a MIDI file, whole or not at all, and return its path. See `midi_bytes` for what MIDI cannot hold."""
    return write_bytes(path, midi_bytes(sequence))
