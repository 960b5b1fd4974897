"""Tune books in ABC notation (version 2.1) → one `NoteSequence` a tune.

Read are notes, rests, lengths, broken rhythms, tuplets, ties, chords of notes, voices and overlays, repeats
with their endings, chord symbols, loudness, and the fields X, T, M, L, Q, K and V. Grace notes, ornaments,
lyrics and typesetting are passed over. Where the original reads a tune too (it knows no chords of notes,
tuplets, voices and endings), the notes are the same, except that tied ones are joined.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from kikibouba.data.abc_fields import (
    ALTERATIONS,
    Key,
    Tempo,
    default_unit,
    parse_key,
    parse_meter,
    parse_tempo,
    parse_unit,
    parse_voice,
)
from kikibouba.data.chords import looks_like_symbol
from kikibouba.data.files import read_bytes
from kikibouba.data.notes import NoteSequence
from kikibouba.data.score import Bar, Part, Score, WrittenNote, perform
from kikibouba.errors import KikiboubaError

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_LENGTH = 1024
"""Of a note, in units"""
MAX_ENDING = 32

NATURAL = {"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69, "B": 71}
LOUDNESS = {"pppp": 30, "ppp": 30, "pp": 45, "p": 60, "mp": 75, "mf": 90, "f": 105, "ff": 120, "fff": 127}
"""Velocities, as in the original; without any word it is mf."""
NOTES_IN_THE_TIME_OF = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
"""Tuplets; 5, 7 and 9 take the time of 2, of 3 where three beats make one."""

_NOTE = r"(?P<sharps>\^{1,2}|_{1,2}|=)?(?P<letter>[A-Ga-g])(?P<octaves>[',]*)"
_LENGTH = r"(?P<length>\d*(?:/+\d*)?)"
_TOKEN = re.compile(  # lengths are bounded: what is never closed must not be searched for to the end
    rf"""
      "(?P<text>[^"]{{0,400}})"
    | \[(?P<field>[A-Za-z]):(?P<value>[^\]]{{0,400}})\]
    | \[(?P<chord>[^\]\[|]{{1,400}})\](?P<chord_length>\d*(?:/+\d*)?)
    | (?P<ending>\[\s*(?P<of_ending>\d[\d,\-\s.]*))
    | (?P<bar>\[?(?:\|[:|]*|:+[|:]*)\]?)\s*(?P<bar_ending>\d[\d,\-.]*)?
    | {_NOTE}{_LENGTH}
    | (?P<rest>[zxZX])(?P<rest_length>\d*(?:/+\d*)?)
    | (?P<broken><+|>+)
    | \((?P<tuplet>\d)(?::(?P<in_time>\d*))?(?::(?P<notes>\d*))?
    | (?P<tie>-)
    | (?P<grace>\{{[^}}]{{0,400}}\}})
    | [!+](?P<word>[a-zA-Z0-9.,()<>]{{1,40}})[!+]
    | (?P<overlay>&)
    """,
    re.VERBOSE,
)
_CHORD_NOTE = re.compile(_NOTE + _LENGTH)
_BODY_FIELD = re.compile(r"([A-Za-z+]):\s*(.*)")


def read_abc(path: str | Path) -> Iterator[tuple[str, NoteSequence | KikiboubaError]]:
    """The tunes of a book, each with its number and title; what is wrong with a tune in place of its notes.

    Raises:
        KikiboubaError: the file cannot be read, or has no tune in it.
    """
    text = _decoded(read_bytes(path, MAX_FILE_BYTES))
    tunes = re.split(r"^(?=X:)", text, flags=re.MULTILINE)
    if len(tunes) < 2:
        raise KikiboubaError(f"{path} holds no tune in ABC notation: none starts with a line X:")
    head = [line for line in tunes[0].splitlines() if re.match(r"[A-JL-VX-Z]:", line)]
    for tune in tunes[1:]:
        name = _name(tune)
        try:
            sequence = perform(_Reader(name).read([*head, *tune.splitlines()]))
            yield name, sequence
        except KikiboubaError as error:
            yield name, error


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _name(tune: str) -> str:
    """Number and first title, such as "12 Dusty Miller, The"."""
    found = [re.search(rf"^{letter}:\s*([^%\n]*)", tune, re.MULTILINE) for letter in "XT"]
    return " ".join(match[1].strip() for match in found if match and match[1].strip())


@dataclass
class _Voice:
    """One voice as far as it is read. Lengths are quarters."""

    unit: Fraction
    meter: tuple[int, int] | None
    signature: dict[str, int]
    """Letter → semitones"""
    shift: int = 0
    """Semitones by which it sounds higher than written"""
    name: str = ""
    velocity: int = LOUDNESS["mf"]
    bars: list[Bar] = field(default_factory=lambda: [Bar()])
    notes: list[list[WrittenNote]] = field(default_factory=lambda: [[]])
    """For each bar; the last one is being read."""
    at: Fraction = Fraction(0)
    """Where in that bar"""
    reached: Fraction = Fraction(0)
    """How far the bar was filled before an overlay began"""
    accidentals: dict[str, int] = field(default_factory=dict)
    """Letter → semitones, to the end of the bar"""
    last: tuple[Fraction, list[WrittenNote]] = (Fraction(0), [])
    """The length and the notes of the note, chord or rest before"""
    next_factor: Fraction = Fraction(1)
    """By which a broken rhythm changes the next length"""
    tuplet: tuple[int, Fraction] = (0, Fraction(1))
    """For how many more notes lengths change by which factor"""

    @property
    def bar(self) -> Bar:
        return self.bars[-1]

    def add(self, length: Fraction, pitches: list[tuple[int, Fraction, bool]]) -> None:
        """A note, a chord or a rest; pitches are (pitch, length, tied), lengths as written."""
        left, ratio = self.tuplet
        factor = self.next_factor * (ratio if left else 1)
        self.tuplet, self.next_factor = (max(left - 1, 0), ratio), Fraction(1)
        notes = [
            WrittenNote(self.at, own * factor, pitch + self.shift, self.velocity, tied)
            for pitch, own, tied in pitches
        ]
        if any(not 0 <= note.pitch <= 127 for note in notes):
            raise KikiboubaError("a note is beyond the pitches 0 to 127")
        self.notes[-1] += notes
        self.last = (length * factor, notes)
        self.at += length * factor

    def break_rhythm(self, sign: str) -> None:
        """`>` lengthens the note before and shortens the next, `<` does the reverse."""
        length, notes = self.last
        short = Fraction(1, 2 ** min(len(sign), 4))
        factor, self.next_factor = (2 - short, short) if sign[0] == ">" else (short, 2 - short)
        for note in notes:
            note.length *= factor
        self.at += length * (factor - 1)
        self.last = (length * factor, notes)

    def overlay(self) -> None:
        """What follows sounds with the bar so far."""
        self.reached, self.at = max(self.reached, self.at), Fraction(0)

    def end_bar(self, line: str = "|", ending: str | None = None) -> None:
        """A bar line such as `|`, `:|`, `|:`, `::` or `|]`, and the number of an ending if one follows."""
        colons = len(line) - len(line.strip(":"))
        back = len(line) - len(line.lstrip(":")) if "|" in line else colons // 2 or len(line) // 2
        forth = len(line) - len(line.rstrip(":")) if "|" in line else back
        double = "||" in line or "]" in line or "[" in line
        self.bar.length = max(self.reached, self.at)
        if self.bar.length > 0:
            self.bars.append(Bar())
            self.notes.append([])
        if len(self.bars) > 1:
            before = self.bars[-2]
            before.plays = max(before.plays, min(back, MAX_ENDING) + 1)
            before.ends_section |= double
            if not (back or forth or double):
                self.bar.endings = self.bar.endings or before.endings
        self.bar.starts_repeat |= forth > 0
        if ending:
            self.bar.endings = _endings(ending)
        self.at = self.reached = Fraction(0)
        self.accidentals, self.next_factor = {}, Fraction(1)


def _endings(text: str) -> frozenset[int]:
    """ "1", "1,3" or "1-3" → the passes."""
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:\s*-\s*(\d+))?", text):
        low, high = int(first[:4]), int((last or first)[:4])
        if not 0 < low <= high <= MAX_ENDING:
            raise KikiboubaError(f"there is an ending for pass {text.strip()}; at most {MAX_ENDING} are read")
        found |= set(range(low, high + 1))
    return frozenset(found)


class _Reader:
    """One tune, line by line."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.unit: Fraction | None = None
        self.meter: tuple[int, int] | None = None
        self.key: Key | None = None
        self.tempo: Tempo | None = None
        self.in_body = False
        self.shift = 0
        self.shifts: dict[str, int] = {}
        self.voices: dict[str, _Voice] = {}
        self.current = ""

    def read(self, lines: list[str]) -> Score:
        for line in lines:
            text = re.sub(r"(?<!\\)%.*", "", line).strip()
            if match := _BODY_FIELD.fullmatch(text):
                self._field(match[1], match[2])
            elif self.in_body:
                self._music(text)
        if not self.in_body:
            raise KikiboubaError("it has no key: a tune starts after a line such as K:G")
        return self._score()

    @property
    def voice(self) -> _Voice:
        """The voice that is being read."""
        if self.current not in self.voices:
            unit = 4 * (self.unit or default_unit(self.meter))
            signature = dict(self.key.signature) if self.key else {}
            shift = self.shift + self.shifts.get(self.current, 0)
            voice = _Voice(unit, self.meter, signature, shift, self.current)
            voice.bar.meter = self.meter
            voice.bar.key = self.key[:2] if self.key else None
            if self.tempo and not self.voices:
                voice.bar.tempos.append((Fraction(0), _quarters_a_minute(self.tempo, unit)))
            self.voices[self.current] = voice
        return self.voices[self.current]

    def _field(self, letter: str, value: str) -> None:
        if letter == "V":
            self.current, shift = parse_voice(value)
            if shift:
                self.shifts[self.current] = shift
                if self.current in self.voices:
                    self.voices[self.current].shift = self.shift + shift
        elif not self.in_body:
            self._header_field(letter, value)
        elif letter == "K":
            if key := parse_key(value):
                self.voice.signature, self.voice.bar.key = dict(key.signature), key[:2]
        elif letter == "M":
            self.voice.meter = self.voice.bar.meter = parse_meter(value)
        elif letter == "L":
            self.voice.unit = 4 * parse_unit(value)
        elif letter == "Q" and (tempo := parse_tempo(value)):
            qpm = _quarters_a_minute(tempo, self.voice.unit)
            self.voice.bar.tempos.append((self.voice.at, qpm))

    def _header_field(self, letter: str, value: str) -> None:
        if letter == "M":
            self.meter = parse_meter(value)
        elif letter == "L":
            self.unit = parse_unit(value)
        elif letter == "Q":
            self.tempo = parse_tempo(value)
        elif letter == "K":
            self.key = parse_key(value)
            self.shift = parse_voice("= " + value)[1]
            self.in_body, self.current = True, next(iter(self.shifts), "")

    def _music(self, text: str) -> None:
        place = 0
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None or match.end() == place:
                place += 1  # an ornament, a slur, a space
            else:
                self._token(match)
                place = match.end()

    def _token(self, match: re.Match[str]) -> None:
        voice = self.voice
        if match["letter"]:
            length = _length(match["length"]) * voice.unit
            voice.add(length, [(_pitch(match, voice), length, False)])
        elif match["bar"]:
            voice.end_bar(match["bar"], match["bar_ending"])
        elif match["chord"]:
            self._chord(match["chord"], _length(match["chord_length"]) * voice.unit)
        elif match["rest"]:
            self._rest(match["rest"], match["rest_length"])
        elif match["field"]:
            self._field(match["field"], match["value"])
        elif match["ending"]:
            voice.end_bar("|", match["of_ending"])
        elif match["broken"]:
            voice.break_rhythm(match["broken"])
        elif match["tuplet"]:
            self._tuplet(int(match["tuplet"]), match["in_time"], match["notes"])
        elif match["tie"]:
            for note in voice.last[1]:
                note.tied = True
        elif match["word"] in LOUDNESS:
            voice.velocity = LOUDNESS[match["word"]]
        elif match["overlay"]:
            voice.overlay()
        elif text := (match["text"] or "").strip():
            symbol = re.sub(r"\(?\([A-G].*", "", text).strip()
            if symbol and looks_like_symbol(symbol):
                voice.bar.chords.append((voice.at, symbol))

    def _chord(self, content: str, unit: Fraction) -> None:
        pitches = []
        for match in _CHORD_NOTE.finditer(re.sub(r'"[^"]*"|![^!]*!', "", content)):
            tied = match.end() < len(content) and content[match.end() : match.end() + 1] == "-"
            pitches.append((_pitch(match, self.voice), _length(match["length"]) * unit, tied))
        if pitches:
            self.voice.add(pitches[0][1], pitches)

    def _rest(self, letter: str, text: str) -> None:
        voice = self.voice
        if letter in "zx":
            voice.add(_length(text) * voice.unit, [])
            return
        whole = Fraction(4 * voice.meter[0], voice.meter[1]) if voice.meter else Fraction(4)
        for number in range(int(_length(text))):
            if number:
                voice.end_bar()
            voice.add(whole, [])

    def _tuplet(self, notes: int, in_time: str | None, count: str | None) -> None:
        compound = self.voice.meter is not None and self.voice.meter[0] in (6, 9, 12)
        usual = NOTES_IN_THE_TIME_OF.get(notes, 3 if compound else 2)
        time = int(in_time[:2]) if in_time else usual
        if notes > 1 and time > 0:
            self.voice.tuplet = (int(count[:2]) if count else notes, Fraction(time, notes))

    def _score(self) -> Score:
        """All voices, with what each says about the bars put together."""
        voices, bars = list(self.voices.values()), []
        for voice in voices:
            voice.end_bar()
        for i in range(max((len(voice.bars) for voice in voices), default=0)):
            said = [voice.bars[i] for voice in voices if i < len(voice.bars)]
            bars.append(
                Bar(
                    length=max(bar.length for bar in said),
                    meter=next((bar.meter for bar in said if bar.meter), None),
                    key=next((bar.key for bar in said if bar.key), None),
                    tempos=next((bar.tempos for bar in said if bar.tempos), []),
                    chords=next((bar.chords for bar in said if bar.chords), []),
                    starts_repeat=any(bar.starts_repeat for bar in said),
                    plays=max(bar.plays for bar in said),
                    ends_section=any(bar.ends_section for bar in said),
                    endings=frozenset().union(*(bar.endings for bar in said)),
                )
            )
        return Score([Part(voice.notes, voice.name) for voice in voices], bars, self.title)


def _pitch(match: re.Match[str], voice: _Voice) -> int:
    """A note's pitch. An accidental holds to the end of the bar, in all octaves."""
    letter = match["letter"].upper()
    if match["sharps"]:
        voice.accidentals[letter] = ALTERATIONS[match["sharps"]]
    alteration = voice.accidentals.get(letter, voice.signature.get(letter, 0))
    octave = match["octaves"].count("'") - match["octaves"].count(",") + match["letter"].islower()
    return NATURAL[letter] + alteration + 12 * octave


def _length(text: str) -> Fraction:
    """What follows a note, such as "", "2", "/", "3/2" or "//", in units."""
    above, slashes, below = re.fullmatch(r"(\d*)(/*)(\d*)", text or "").groups()  # type: ignore[union-attr]
    length = Fraction(int(above[:6] or 1))
    if slashes:
        length /= int(below[:6]) if below else 2 ** min(len(slashes), 12)
    if not 0 < length <= MAX_LENGTH or length.denominator > MAX_LENGTH:
        raise KikiboubaError(
            f"a note has the length {text}; lengths are 1/{MAX_LENGTH} to {MAX_LENGTH} units"
        )
    return length


def _quarters_a_minute(tempo: Tempo, unit: Fraction) -> float:
    """`unit` in quarters"""
    return float((unit if tempo.beat is None else 4 * tempo.beat) * Fraction(tempo.rate))
