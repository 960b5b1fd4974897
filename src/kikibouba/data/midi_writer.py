"""`NoteSequence` → bytes of a MIDI file: a track of tempos, meters, keys, chords; one for each instrument."""

import struct
from itertools import pairwise

import numpy as np

from kikibouba.data.midi_pedals import SUSTAIN_PEDAL
from kikibouba.data.notes import DEFAULT_QPM, NoteSequence
from kikibouba.errors import KikiboubaError

Event = tuple[int, int, bytes]
"""(tick, rank among the events of that tick, bytes): note-offs go first, so that repeated notes sound"""

_META, _OFF, _ON = 0, 1, 2
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15)
_DRUM_CHANNEL = 9
_LONGEST_DELTA = 2**28 - 1


def midi_bytes(sequence: NoteSequence) -> bytes:
    """The bytes of a MIDI file. Read back, it gives the same notes at the nearest tick.

    MIDI cannot hold two notes of one pitch at once on a channel: the earlier one ends where the later one
    starts. Notes of an instrument that has several programs become several instruments.

    Raises:
        KikiboubaError: something in the sequence has no form in MIDI (a pitch of 130, a meter of 4/5, …).
    """
    _check(sequence)
    timeline = _Timeline(sequence)
    first_track = timeline.events + _signatures(sequence, timeline) + _chord_events(sequence, timeline)
    tracks = [_pack(first_track)]
    notes = sequence.notes
    parts, part = np.unique(notes[["instrument", "program", "is_drum"]], return_inverse=True)
    for index, (instrument, program, is_drum) in enumerate(parts.tolist()):
        channel = _DRUM_CHANNEL if is_drum else _CHANNELS[index % len(_CHANNELS)]
        events = [(0, _META, bytes([0xC0 | channel, program]))]
        if 0 <= instrument < len(sequence.instrument_names):
            name = sequence.instrument_names[instrument].encode("latin1", "replace")
            events.insert(0, (0, _META, b"\xff\x03" + _variable_length(len(name)) + name))
        events += _pedal_events(sequence.pedals[sequence.pedals[:, 1] == instrument], channel, timeline)
        tracks.append(_pack(events + _note_events(notes[part == index], channel, timeline)))
    header = b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), sequence.ticks_per_quarter)
    return header + b"".join(tracks)


def _check(sequence: NoteSequence) -> None:
    notes = sequence.notes
    for name in ("pitch", "velocity", "program"):
        if ((notes[name] < 0) | (notes[name] > 127)).any():
            raise KikiboubaError(f"cannot write MIDI: a note's {name} is not within 0 to 127")
    if not (np.isfinite(notes["start"]) & np.isfinite(notes["end"]) & (notes["start"] >= 0)).all():
        raise KikiboubaError("cannot write MIDI: a note's time is negative or not a number")
    if not all(np.isfinite(time) and time >= 0 for time, _ in sequence.chords):
        raise KikiboubaError("cannot write MIDI: a chord's time is negative or not a number")
    time, _, value = sequence.pedals.T
    if not ((time >= 0) & (value >= 0) & (value <= 127)).all():
        raise KikiboubaError("cannot write MIDI: a pedal's time is negative or its value not within 0 to 127")
    if not 1 <= sequence.ticks_per_quarter < 0x8000:
        raise KikiboubaError(
            f"cannot write MIDI with {sequence.ticks_per_quarter} ticks a quarter; allowed: 1 to 32767"
        )
    if not ((sequence.tempos[:, 1] >= 60e6 / 0xFFFFFF) & (sequence.tempos[:, 1] <= 60e6)).all():
        raise KikiboubaError("cannot write MIDI: a tempo is not within 3.6 to 60000000 quarters a minute")
    for _, numerator, denominator in sequence.time_signatures.tolist():
        if not 0 <= numerator < 256 or denominator < 1 or np.log2(denominator) % 1:
            raise KikiboubaError(
                f"cannot write MIDI: the meter {numerator:g}/{denominator:g} has no form in it"
            )


class _Timeline:
    """Seconds → ticks under the tempos as they are written: whole microseconds a quarter note."""

    def __init__(self, sequence: NoteSequence) -> None:
        tempos = sequence.tempos.tolist()
        if not tempos or tempos[0][0] > 0:
            tempos.insert(0, [0.0, DEFAULT_QPM])
        self.events: list[Event] = []
        self._times, self._ticks, self._scales = [], [], []
        for time, qpm in tempos:
            microseconds = round(60e6 / qpm)
            tick = int(self.ticks(np.array([time]))[0]) if self._times else 0
            self._times.append(time)
            self._ticks.append(tick)
            self._scales.append(microseconds / 1e6 / sequence.ticks_per_quarter)
            self.events.append((tick, _META, b"\xff\x51\x03" + microseconds.to_bytes(3, "big")))

    def ticks(self, seconds: np.ndarray) -> np.ndarray:
        """The nearest tick of each time [N]."""
        part = np.maximum(np.searchsorted(self._times, seconds, side="right") - 1, 0)
        since = seconds - np.array(self._times)[part]
        return np.array(self._ticks)[part] + np.rint(since / np.array(self._scales)[part]).astype(np.int64)


def _signatures(sequence: NoteSequence, timeline: _Timeline) -> list[Event]:
    events = []
    for time, numerator, denominator in sequence.time_signatures.tolist():
        content = bytes([int(numerator), int(np.log2(denominator)), 24, 8])
        events.append((int(timeline.ticks(np.array([time]))[0]), _META, b"\xff\x58\x04" + content))
    for time, key, mode in sequence.key_signatures.tolist():
        major = (
            int(key) - 9 * int(mode)
        ) % 12  # the tonic as if the mode had been major with the same signature
        sharps = (7 * major + 5) % 12 - 5  # -5 (D flat) to 6 (F sharp)
        content = struct.pack("bB", sharps, int(mode))
        events.append((int(timeline.ticks(np.array([time]))[0]), _META, b"\xff\x59\x02" + content))
    return events


def _chord_events(sequence: NoteSequence, timeline: _Timeline) -> list[Event]:
    """Chord symbols as texts."""
    ticks = timeline.ticks(np.array([time for time, _ in sequence.chords])).tolist()
    texts = [symbol.encode() for _, symbol in sequence.chords]
    return [
        (tick, _META, b"\xff\x01" + _variable_length(len(text)) + text)
        for tick, text in zip(ticks, texts, strict=True)
    ]


def _pedal_events(pedals: np.ndarray, channel: int, timeline: _Timeline) -> list[Event]:
    ticks = timeline.ticks(pedals[:, 0]).tolist()
    values = pedals[:, 2].astype(int).tolist()
    return [
        (tick, _META, bytes([0xB0 | channel, SUSTAIN_PEDAL, value]))
        for tick, value in zip(ticks, values, strict=True)
    ]


def _note_events(notes: np.ndarray, channel: int, timeline: _Timeline) -> list[Event]:
    start = timeline.ticks(notes["start"])
    end = np.maximum(timeline.ticks(notes["end"]), start + 1)
    order = np.lexsort((end, start, notes["pitch"]))
    pitch, velocity = notes["pitch"][order], np.maximum(notes["velocity"][order], 1)
    rows = list(
        zip(pitch.tolist(), start[order].tolist(), end[order].tolist(), velocity.tolist(), strict=True)
    )
    events: list[Event] = []
    for (p, on, off, v), following in pairwise([*rows, (-1, 0, 0, 0)]):
        if following[0] == p and following[1] == on:
            continue  # two notes at once: the longer one is written
        if following[0] == p:
            off = min(off, following[1])
        events.append((on, _ON, bytes([0x90 | channel, p, v])))
        events.append((off, _OFF, bytes([0x80 | channel, p, 0])))
    return events


def _pack(events: list[Event]) -> bytes:
    """A track chunk."""
    body, last = bytearray(), 0
    for tick, _, content in sorted(events, key=lambda event: event[:2]):
        if tick - last > _LONGEST_DELTA:
            raise KikiboubaError(f"cannot write MIDI: a silence of {tick - last} ticks is too long for it")
        body += _variable_length(tick - last) + content
        last = tick
    body += b"\x00\xff\x2f\x00"
    return b"MTrk" + struct.pack(">I", len(body)) + bytes(body)


def _variable_length(number: int) -> bytes:
    """Seven bits a byte, most significant first, the high bit set in all but the last byte."""
    octets = [number & 0x7F]
    while number := number >> 7:
        octets.append(number & 0x7F | 0x80)
    return bytes(reversed(octets))
