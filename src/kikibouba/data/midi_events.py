"""The bytes of a Standard MIDI File as arrays of events.

A MIDI track is a chain: where an event starts is known only once the one before it has been read. What
*can* be known of every byte at once is where the next event would start if one started here. So numpy
answers that question for all positions, and for the eighth event ahead; a short loop follows the chain in
strides of eight; and numpy decodes the events that lie on it. This takes a third of the time of reading event
by event in Python, and unlike a library that returns paired notes it keeps every event in the order of the
file, which the pairing of notes depends on (see `midi_pairing.py`).
"""

import struct
from dataclasses import dataclass

import numpy as np

from kikibouba.errors import KikiboubaError

MAX_FILE_BYTES = 16 * 1024 * 1024

META, SYSEX, SYSEX_CONTINUED = 0xFF, 0xF0, 0xF7
_SYSTEM_DATA_BYTES = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}
TEMPO, TIME_SIGNATURE, KEY_SIGNATURE, TRACK_NAME = 0x51, 0x58, 0x59, 0x03
TEXT, LYRIC, MARKER = 0x01, 0x05, 0x06
KEPT_META = (TEMPO, TIME_SIGNATURE, KEY_SIGNATURE, TRACK_NAME, TEXT, LYRIC, MARKER)

STRIDE_BITS = 3
"""A chain is followed in strides of 2 ** 3 events where none of them needs a closer look."""

_AFTER_STATUS = np.zeros(256, np.uint8)
"""Bytes from the status byte to the next event, for channel events with two data bytes; 0: look closer."""
_AFTER_STATUS[:0x80] = 2  # no status byte: the last one still runs, and this is the first of two data bytes
_AFTER_STATUS[0x80:0xC0] = 3
_AFTER_STATUS[0xE0:0xF0] = 3


@dataclass
class Meta:
    """An event that is not music itself."""

    after: int
    """how many channel events of the file come before it"""
    track: int
    tick: int
    kind: int
    """one of `KEPT_META`; others are not kept"""
    payload: bytes


@dataclass
class Events:
    """The channel events of all tracks, track after track, in the order of the file; and the meta events."""

    track: np.ndarray
    """[N] int32, not decreasing"""
    tick: np.ndarray
    """[N] int64: from the start, not decreasing within a track"""
    status: np.ndarray
    """[N] uint8: kind of event in the upper four bits, channel in the lower"""
    data1: np.ndarray
    """[N] uint8: pitch, controller or program"""
    data2: np.ndarray
    """[N] uint8: velocity or value; meaningless in events that have only one data byte"""
    meta: list[Meta]


@dataclass
class Header:
    """What the first chunk says."""

    tracks: int
    ticks_per_quarter: int
    """0 when the file counts in film frames"""
    ticks_per_second: float
    """0.0 when the file counts in quarters"""


def decode(data: bytes) -> tuple[Header, Events]:
    """All events of a MIDI file of format 0, 1 or 2.

    Raises:
        KikiboubaError: the bytes are no MIDI file, or a broken one; says where and how.
    """
    if len(data) > MAX_FILE_BYTES:
        raise KikiboubaError(f"the file has {len(data)} bytes; at most {MAX_FILE_BYTES} are read")
    header, position = _read_header(data)
    octets = np.frombuffer(data + b"\xff" * 8, np.uint8)  # meta events stop every chain
    delta_length, following = _speculate(octets)
    tracks = _find_tracks(data, header, position)
    following[[end for _, end in tracks]] = 0  # stops the chains
    starts = _follow(data, following, tracks)
    first = np.searchsorted(starts, [start for start, _ in tracks])
    return header, _gather(data, octets, delta_length[starts], starts, first)


def _find_tracks(data: bytes, header: Header, position: int) -> list[tuple[int, int]]:
    """Where the events of each track start and end, from the first chunk on, which begins at `position`."""
    tracks: list[tuple[int, int]] = []
    while len(tracks) < header.tracks:
        if position + 8 > len(data):
            raise KikiboubaError(f"the header announces {header.tracks} tracks, the file has {len(tracks)}")
        kind, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "big")
        start, position = position + 8, position + 8 + size
        if position > len(data):
            missing = position - len(data)
            raise KikiboubaError(
                f"chunk {kind!r} at byte {start - 8} lacks {missing} of its {size} bytes: the file is damaged"
            )
        if kind == b"MTrk":
            tracks.append((start, position))
    return tracks


def _read_header(data: bytes) -> tuple[Header, int]:
    """The header and where the next chunk starts."""
    if not data:
        raise KikiboubaError("the file is empty")
    if data[:4] != b"MThd":
        raise KikiboubaError(f"not a MIDI file: it starts with {data[:4]!r} and should start with b'MThd'")
    if len(data) < 14:
        raise KikiboubaError("the file ends inside its header")
    size, _, tracks, division = struct.unpack(">IHHH", data[4:14])
    if not 6 <= size <= len(data) - 8:
        raise KikiboubaError(f"the header claims to be {size} bytes long")
    if tracks == 0:
        raise KikiboubaError("the header announces 0 tracks")
    if division == 0:
        raise KikiboubaError("the header says 0 ticks per quarter note")
    if division < 0x8000:
        return Header(tracks, division, 0.0), 8 + size
    frames, ticks_per_frame = 0x100 - (division >> 8), division & 0xFF
    if frames not in (24, 25, 29, 30) or ticks_per_frame == 0:
        raise KikiboubaError(f"the header says {ticks_per_frame} ticks in each of {frames} frames a second")
    frames_per_second = 30_000 / 1001 if frames == 29 else float(frames)
    return Header(tracks, 0, frames_per_second * ticks_per_frame), 8 + size


def _speculate(octets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every byte, as if an event started there: the bytes of its delta time; where the next event starts.

    The second is 0 where numpy alone cannot tell: at meta, system and one-data-byte events. The last eight
    octets must be 0xff.
    """
    more = (octets >= 0x80).view(np.uint8)
    length = np.ones(len(octets), np.uint8)
    run = more.copy()
    # a delta time has at most four bytes, of which all but the last have the high bit
    for shift in (1, 2, 3):
        length += run
        run[:-shift] &= more[shift:]
    length[-4:] = 0  # within the array
    status_at = np.arange(len(octets), dtype=np.int32) + length
    after = _AFTER_STATUS[octets].take(status_at)
    return length, (status_at + after) * (after > 0)


def _follow(data: bytes, following: np.ndarray, tracks: list[tuple[int, int]]) -> np.ndarray:
    """Where each event of the tracks starts, [N] in ascending order."""
    ahead = following.copy()
    ahead[0] = 0  # no event starts there: the end of every chain
    for _ in range(STRIDE_BITS):
        ahead = ahead.take(ahead)
    single: list[int] = []
    strides: list[int] = []
    for start, end in tracks:
        _follow_track(data, following.data, ahead.data, start, end, single, strides)
    found = np.zeros(len(following), bool)
    found[single] = True
    at = np.array(strides, np.int32)
    for _ in range(2**STRIDE_BITS):
        found[at] = True
        at = following[at]
    return np.flatnonzero(found)


def _follow_track(
    data: bytes,
    following: memoryview,
    ahead: memoryview,
    start: int,
    end: int,
    single: list[int],
    strides: list[int],
) -> None:
    """Append where the events of data[start:end] start: to `strides` if the next eight can be passed over."""
    position, one_data_byte = start, False
    while position < end:
        if not one_data_byte:
            while after := ahead[position]:
                strides.append(position)
                position = after
            while after := following[position]:
                single.append(position)
                position = after
        if position >= end:
            break
        single.append(position)
        position, one_data_byte = _step(data, position, one_data_byte)
    if position != end or end == start:
        what = "is empty" if end == start else "ends inside an event"
        raise KikiboubaError(f"the track at byte {start - 8} {what}: the file is truncated or damaged")


def _step(data: bytes, position: int, one_data_byte: bool) -> tuple[int, bool]:
    """The start of the next event, from a look at this one; whether the running status has one data byte."""
    at, _ = _variable_length(data, position)
    status = data[at] if at < len(data) else 0
    if status < 0x80:
        return at + (1 if one_data_byte else 2), one_data_byte
    if status < 0xF0:
        one_data_byte = status in range(0xC0, 0xE0)
        return at + (2 if one_data_byte else 3), one_data_byte
    if status in (META, SYSEX, SYSEX_CONTINUED):
        payload, size = _variable_length(data, at + (2 if status == META else 1))
        return payload + size, one_data_byte
    if status not in _SYSTEM_DATA_BYTES:
        raise KikiboubaError(f"byte {at} is the undefined status {status:#x}: the file is damaged")
    return at + 1 + _SYSTEM_DATA_BYTES[status], one_data_byte


def _variable_length(data: bytes, position: int) -> tuple[int, int]:
    """(position after it, value) of a number of up to four bytes with seven bits each."""
    value = 0
    for octet in data[position : position + 4]:
        position += 1
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            return position, value
    raise KikiboubaError(f"byte {position} should end a number of at most four bytes: the file is damaged")


def _gather(
    data: bytes, octets: np.ndarray, length: np.ndarray, start: np.ndarray, first: np.ndarray
) -> Events:
    """Decode the events that start at the bytes `start` with delta times of `length` bytes.

    At the indices in `first` tracks begin.
    """
    track = np.zeros(len(start), np.int32)
    track[first[1:]] = 1
    track = np.cumsum(track, dtype=np.int32)
    delta = _deltas(octets, start, length)
    tick = np.cumsum(delta)
    tick -= (tick - delta)[first][track]

    at = start + length
    status = octets[at]
    special = status >= 0xF0
    meta = _collect_meta(data, at, track, tick, np.flatnonzero(special)) if special.any() else []
    keep = ~special
    at, track, tick, status = at[keep], track[keep], tick[keep], status[keep]
    explicit = status >= 0x80
    if not explicit.all():
        begins = np.diff(track, prepend=-1) > 0
        if (begins & ~explicit).any():
            raise KikiboubaError(
                "a track starts with data bytes that belong to no event: the file is damaged"
            )
        status = status[np.maximum.accumulate(np.where(explicit, np.arange(len(status)), 0))]
        at = at + explicit
    else:
        at = at + 1
    data1, data2 = octets[at], octets[at + 1]
    has_two = (status < 0xC0) | (status >= 0xE0)
    if ((data1 | (data2 * has_two)) >= 0x80).any():
        raise KikiboubaError("there is a data byte over 127 in an event: the file is damaged")
    return Events(track, tick, status, data1, data2, meta)


def _deltas(octets: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The delta times [N] int64 of `length` bytes that stand at `start`."""
    delta = (octets[start] & 0x7F).astype(np.int64)
    for k in (1, 2, 3):
        longer = np.flatnonzero(length > k)
        if not len(longer):
            break
        delta[longer] = delta[longer] << 7 | octets[start[longer] + k] & 0x7F
    return delta


def _collect_meta(
    data: bytes, at: np.ndarray, track: np.ndarray, tick: np.ndarray, special: np.ndarray
) -> list[Meta]:
    """The meta events that matter here among the events with the indices `special`."""
    found = []
    for seen, i in enumerate(special.tolist()):
        position = int(at[i])
        if data[position] == META and (kind := data[position + 1]) in KEPT_META:
            payload, size = _variable_length(data, position + 2)
            found.append(Meta(i - seen, int(track[i]), int(tick[i]), kind, data[payload : payload + size]))
    return found
