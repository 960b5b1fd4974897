"""Magenta's NoteSequence protocol buffer → our `NoteSequence`. Only what we use of it is read."""

import struct

import numpy as np

from kikibouba.data.midi_pedals import SUSTAIN_PEDAL
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.protobuf import BYTES, EIGHT_BYTES, VARINT, each_field, read_columns, varint
from kikibouba.errors import KikiboubaError

ID, TICKS_PER_QUARTER, TIME_SIGNATURES, KEY_SIGNATURES, TEMPOS, NOTES, TOTAL_TIME = 1, 4, 5, 6, 7, 8, 9
CONTROL_CHANGES, TEXT_ANNOTATIONS, INSTRUMENT_INFOS = 11, 14, 23
"""Numbers of the fields of a NoteSequence"""

NOTE = {1: VARINT, 2: VARINT, 3: EIGHT_BYTES, 4: EIGHT_BYTES, 7: VARINT, 8: VARINT, 9: VARINT}
"""pitch, velocity, start, end, instrument, program, is_drum"""
TWO_NUMBERS = {1: EIGHT_BYTES, 2: VARINT, 3: VARINT}
"""time, numerator, denominator; or time, key, mode"""
TEMPO = {1: EIGHT_BYTES, 2: EIGHT_BYTES}
"""time, quarters a minute"""
CONTROL_CHANGE = {1: EIGHT_BYTES, 2: VARINT, 3: VARINT, 4: VARINT}
"""time, number, value, instrument"""

CHORD_SYMBOL = 1
"""Of a text annotation's types"""
MINOR_MODES = (1, 4, 5, 7)
"""Minor, Dorian, Phrygian, Locrian; the others have a major third, or are not specified"""
MAX_SECONDS = 12 * 3600.0


def parse_note_sequence(message: bytes, name: str = "") -> NoteSequence:
    """One message as a sequence, its `name` the message's id, or the given one where it has none.

    Raises:
        KikiboubaError: the bytes are no such message, or it has notes that cannot be.
    """
    spans: dict[int, list[tuple[int, int]]] = {}
    ticks_per_quarter, total_time = 0, 0.0
    for number, wire, start, end in each_field(message):
        if wire == BYTES:
            spans.setdefault(number, []).append((start, end))
        elif (number, wire) == (TICKS_PER_QUARTER, VARINT):
            ticks_per_quarter, _ = varint(message, start, end)
        elif (number, wire) == (TOTAL_TIME, EIGHT_BYTES):
            (total_time,) = struct.unpack_from("<d", message, start)
    notes = _notes(message, spans.get(NOTES, []))
    total_time = max(total_time, float(notes["end"].max(initial=0.0)))
    if not 0 <= total_time <= MAX_SECONDS:
        raise KikiboubaError(f"it lasts {total_time:g} seconds")
    return NoteSequence(
        notes=notes,
        tempos=_tempos(message, spans.get(TEMPOS, [])),
        time_signatures=_table(read_columns(message, spans.get(TIME_SIGNATURES, []), TWO_NUMBERS), 2**31),
        key_signatures=_keys(message, spans.get(KEY_SIGNATURES, [])),
        total_time=total_time,
        ticks_per_quarter=min(ticks_per_quarter, 0x7FFF) or 220,
        instrument_names=_instrument_names(message, spans.get(INSTRUMENT_INFOS, [])),
        chords=_chords(message, spans.get(TEXT_ANNOTATIONS, [])),
        pedals=_pedals(message, spans.get(CONTROL_CHANGES, [])),
        name=_text(message, spans.get(ID, [])) or name,
    )


def _notes(message: bytes, spans: list[tuple[int, int]]) -> np.ndarray:
    """[N] NOTE_DTYPE"""
    columns = read_columns(message, spans, NOTE)
    pitch, velocity, start, end, instrument, program, is_drum = columns.values()
    for column, name in ((pitch, "pitch"), (velocity, "velocity"), (program, "program")):
        if ((column < 0) | (column > 127)).any():
            raise KikiboubaError(f"the {name} of a note is not within 0 to 127")
    if ((instrument < 0) | (instrument >= 2**15)).any():
        raise KikiboubaError("the instrument of a note is not within 0 to 32767")
    if not ((start >= 0) & (end >= start)).all():  # NaN included
        raise KikiboubaError("a note ends before it starts, or starts before 0")
    return make_notes(pitch, start, end, velocity, instrument, program, is_drum != 0)


def _table(columns: dict[int, np.ndarray], limit: float) -> np.ndarray:
    """Columns as the rows of a float64 table in order of time (the first); values lie within 0 to `limit`."""
    rows = np.column_stack(list(columns.values())).astype(np.float64)
    if not ((rows >= 0) & (rows <= limit)).all():
        raise KikiboubaError("a change of tempo, meter, key or pedal has an impossible time or value")
    return rows[np.argsort(rows[:, 0], kind="stable")]


def _tempos(message: bytes, spans: list[tuple[int, int]]) -> np.ndarray:
    tempos = _table(read_columns(message, spans, TEMPO), 1e8)
    if (tempos[:, 1] == 0).any():
        raise KikiboubaError("there is a tempo of 0")
    return tempos


def _keys(message: bytes, spans: list[tuple[int, int]]) -> np.ndarray:
    keys = _table(read_columns(message, spans, TWO_NUMBERS), 2**31)
    keys[:, 1] %= 12
    keys[:, 2] = np.isin(keys[:, 2], MINOR_MODES)
    return keys


def _pedals(message: bytes, spans: list[tuple[int, int]]) -> np.ndarray:
    time, number, value, instrument = read_columns(message, spans, CONTROL_CHANGE).values()
    pedal = number == SUSTAIN_PEDAL
    return _table({1: time[pedal], 2: instrument[pedal], 3: value[pedal]}, MAX_SECONDS)


def _chords(message: bytes, spans: list[tuple[int, int]]) -> tuple[tuple[float, str], ...]:
    """The text annotations that are chord symbols, in order of time."""
    chords = []
    columns = read_columns(message, spans, {1: EIGHT_BYTES, 3: VARINT})
    for span, time, kind in zip(spans, columns[1].tolist(), columns[3].tolist(), strict=True):
        if kind == CHORD_SYMBOL:
            if not 0 <= time <= MAX_SECONDS:
                raise KikiboubaError(f"there is a chord at {time:g} seconds")
            chords.append((time, _text_of(message, span)))
    return tuple(sorted(chords, key=lambda chord: chord[0]))


def _instrument_names(message: bytes, spans: list[tuple[int, int]]) -> tuple[str, ...]:
    """By instrument, "" for those without a name."""
    names: dict[int, str] = {}
    numbers = read_columns(message, spans, {1: VARINT})[1].tolist()
    for span, number in zip(spans, numbers, strict=True):
        if 0 <= number < 2**15:
            names[number] = _text_of(message, span)
    return tuple(names.get(i, "") for i in range(max(names, default=-1) + 1))


def _text_of(message: bytes, span: tuple[int, int]) -> str:
    """The text in field 2 of a message within the message."""
    texts = [(a, b) for number, wire, a, b in each_field(message, *span) if (number, wire) == (2, BYTES)]
    return _text(message, texts)


def _text(message: bytes, spans: list[tuple[int, int]]) -> str:
    """The last of some texts, "" if there is none."""
    return message[slice(*spans[-1])].decode("utf-8", "replace") if spans else ""
