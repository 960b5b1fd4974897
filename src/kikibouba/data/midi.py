"""MIDI files ↔ `NoteSequence`.

Reading follows pretty_midi to the letter, because the original models read their training data through it:

    notes        Which note-off ends which note: see `midi_pairing`. Notes that are never ended are dropped.
    instruments  One for each (track, channel, program), numbered by their first closed note, track after
                 track. The program is the one in force at the note-off. Channel 10 plays drums.
    time         Tempo, meter and key count in the first track only. A tick's time is the time of the last
                 tempo change before it plus ticks times seconds a tick, in that order of float operations:
                 rounding to the grid depends on the last bit.

Where pretty_midi gives up without need, this reader goes on: files counted in film frames, unknown chunks,
late meta events, key signatures that do not exist (ignored). And it keeps the time before a meta event of
unknown kind, which pretty_midi loses.
"""

import struct
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path

import numpy as np

from kikibouba.data.files import write_bytes
from kikibouba.data.midi_chords import chords_in
from kikibouba.data.midi_events import (
    KEY_SIGNATURE,
    TEMPO,
    TIME_SIGNATURE,
    TRACK_NAME,
    Events,
    Header,
    Meta,
    decode,
)
from kikibouba.data.midi_pairing import pair_notes
from kikibouba.data.midi_pedals import assign_pedals, controls_of_pedal_lines
from kikibouba.data.midi_writer import midi_bytes
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence, make_notes
from kikibouba.errors import KikiboubaError

MAX_SECONDS = 12 * 3600.0
MAX_INSTRUMENTS = 2**15 - 1
NOTE_OFF, NOTE_ON, PROGRAM_CHANGE = 0x80, 0x90, 0xC0
DRUM_CHANNEL = 9


def read_midi(path: str | Path) -> NoteSequence:
    """The notes, tempos, meters, keys, chords and sustain pedals of a MIDI file; notes by instrument, in the
    order in which they end.

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
    header, events = decode(data)
    first_track = [meta for meta in events.meta if meta.track == 0]
    clock = _Clock(header, first_track)
    line = events.track * 16 + (events.status & 0x0F)  # one for each track and channel
    notes, created = _notes(events, line, clock)
    total_time = float(notes["end"].max(initial=0.0))
    if total_time > MAX_SECONDS:
        raise KikiboubaError(f"a note lasts until {total_time / 3600:.0f} hours; at most 12 are read")
    return NoteSequence(
        notes=notes,
        tempos=clock.tempos(),
        time_signatures=_time_signatures(first_track, clock),
        key_signatures=_key_signatures(first_track, clock),
        total_time=total_time,
        ticks_per_quarter=clock.ticks_per_quarter,
        instrument_names=_names(events, created),
        chords=tuple((clock.at(tick), symbol) for tick, symbol in chords_in(events.meta)),
        pedals=_pedals(events, line, created, clock),
    )


class _Clock:
    """Ticks → seconds, by the tempo changes of the first track."""

    def __init__(self, header: Header, metas: list[Meta]) -> None:
        """Film frames know no quarters: files counted in them get 120 a minute, their tempos are ignored."""
        self.ticks_per_quarter = header.ticks_per_quarter or max(1, round(header.ticks_per_second / 2))
        scales = [(0, 60.0 / (DEFAULT_QPM * self.ticks_per_quarter))]
        for meta in metas:
            if meta.kind == TEMPO:
                scale = self._seconds_a_tick(meta.payload)
                if meta.tick == 0:
                    scales = [(0, scale)]
                elif scale != scales[-1][1]:
                    scales.append((meta.tick, scale))
        if header.ticks_per_second:
            scales = [(0, 1.0 / header.ticks_per_second)]
        self._scales = scales
        times = [0.0]
        for (tick, scale), (following, _) in pairwise(scales):
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


def _time_signatures(metas: list[Meta], clock: _Clock) -> np.ndarray:
    rows = []
    for meta in metas:
        if meta.kind == TIME_SIGNATURE and len(meta.payload) >= 2:
            numerator, power = meta.payload[:2]
            if power > 30:
                raise KikiboubaError(f"there is a meter of {numerator}/2^{power}: the file is damaged")
            rows.append((clock.at(meta.tick), numerator, 2**power))
    return np.array(rows, np.float64).reshape(-1, 3)


def _key_signatures(metas: list[Meta], clock: _Clock) -> np.ndarray:
    """Sharps (flats negative) and mode → tonic and mode: a fifth up adds a sharp, and A minor has none."""
    rows = []
    for meta in metas:
        if meta.kind == KEY_SIGNATURE and len(meta.payload) >= 2:
            sharps, mode = struct.unpack("bB", meta.payload[:2])
            if abs(sharps) <= 7 and mode in (0, 1):
                rows.append((clock.at(meta.tick), (7 * sharps + 9 * mode) % 12, mode))
    return np.array(rows, np.float64).reshape(-1, 3)


def _notes(events: Events, line: np.ndarray, clock: _Clock) -> tuple[np.ndarray, np.ndarray]:
    """The closed notes [N], by instrument; and the index of the event that closes each one's first note."""
    kind = events.status & 0xF0
    index = np.flatnonzero((kind & 0xE0) == NOTE_OFF)  # 0x80 and 0x90
    is_on = (kind[index] == NOTE_ON) & (events.data2[index] > 0)
    on, off = pair_notes(events.tick[index], is_on, line[index] * 128 + events.data1[index])
    on, off = index[on], index[off]

    program = _programs(events, line, off)
    _, first, which = np.unique(line[off] * 128 + program, return_index=True, return_inverse=True)
    if len(first) > MAX_INSTRUMENTS:
        raise KikiboubaError(f"there are {len(first)} instruments; at most {MAX_INSTRUMENTS} are read")
    rank = np.empty(len(first), np.int16)
    rank[np.argsort(first)] = np.arange(len(first))
    instrument = rank[which]
    created = off[np.sort(first)]
    if (instrument[1:] < instrument[:-1]).any():
        order = np.argsort(instrument, kind="stable")
        on, off, program, instrument = on[order], off[order], program[order], instrument[order]
    notes = make_notes(
        pitch=events.data1[on],
        start=clock.seconds(events.tick[on]),
        end=clock.seconds(events.tick[off]),
        velocity=events.data2[on],
        instrument=instrument,
        program=program,
        is_drum=events.status[on] & 0x0F == DRUM_CHANNEL,
    )
    return notes, created


def _names(events: Events, created: np.ndarray) -> tuple[str, ...]:
    """The name that the track of each of these events had at that point."""
    titles = [(meta.track, meta.after, meta.payload) for meta in events.meta if meta.kind == TRACK_NAME]
    names = []
    for event in created.tolist():
        track = int(events.track[event])
        last = bisect_right(titles, (track, event), key=lambda title: title[:2]) - 1
        known = last >= 0 and titles[last][0] == track
        names.append(titles[last][2].decode("latin1") if known else "")
    return tuple(names)


def _pedals(events: Events, line: np.ndarray, created: np.ndarray, clock: _Clock) -> np.ndarray:
    """[K, 3]: (seconds, instrument, value) of the sustain pedal, in order of time."""
    controls = controls_of_pedal_lines(events, line)
    if not len(controls):
        return np.zeros((0, 3))
    programs = [_programs(events, line, some) for some in (controls, created)]
    found, instrument = assign_pedals(events, line, controls, programs[0], created, programs[1])
    rows = np.column_stack([clock.seconds(events.tick[found]), instrument, events.data2[found]])
    return rows[np.argsort(rows[:, 0], kind="stable")]


def _programs(events: Events, line: np.ndarray, some: np.ndarray) -> np.ndarray:
    """The program [M] int16 in force on the line of some events [M]; 0 before any is chosen."""
    changes = np.flatnonzero(events.status & 0xF0 == PROGRAM_CHANGE)
    if not len(changes):
        return np.zeros(len(some), np.int16)
    # the last change whose (line, position) is not after the event's
    size = len(line)
    place = np.sort(line[changes].astype(np.int64) * size + changes)
    last = np.searchsorted(place, line[some].astype(np.int64) * size + some) - 1
    change = place[np.maximum(last, 0)] % size
    known = (last >= 0) & (line[change] == line[some])
    return np.where(known, events.data1[change], 0).astype(np.int16)


def write_midi(sequence: NoteSequence, path: str | Path) -> Path:
    """Write a MIDI file, whole or not at all; returns its path. `midi_bytes` says what MIDI cannot hold."""
    return write_bytes(path, midi_bytes(sequence))
