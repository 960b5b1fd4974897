"""Scores in MusicXML, plain (.musicxml, .xml) or compressed (.mxl) → `NoteSequence`.

Read are pitches and unpitched drums, ties, tempo, meter, key, transposing instruments, repeats with their
endings, loudness, programs and chord symbols. Grace notes and cue notes are passed over. The original reads
the same notes, but does not play repeats, joins no ties and knows no drums.

A file from a stranger is only data: entities are refused, so nothing is fetched or blown up, and no more of
an archive is unpacked than `MAX_BYTES`.
"""

import io
import re
import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

from kikibouba.data.files import read_bytes
from kikibouba.data.musicxml_harmony import read_harmony
from kikibouba.data.notes import NoteSequence
from kikibouba.data.score import Bar, Part, Score, WrittenNote, perform
from kikibouba.errors import KikiboubaError

MAX_BYTES = 32 * 1024 * 1024
DEFAULT_VELOCITY = 64
"""As in the original"""
FORTE = 90
"""The velocity of which MusicXML counts loudness in percent"""
MAX_PLAYS = 32
PITCHES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
BEAT_UNITS = {"whole": 4, "half": 2, "quarter": 1, "eighth": Fraction(1, 2), "16th": Fraction(1, 4)}
MINOR_MODES = ("minor", "dorian", "phrygian", "aeolian", "locrian")
FIFTHS_OF_MODES = {
    "mixolydian": 1,
    "dorian": 2,
    "minor": 3,
    "aeolian": 3,
    "phrygian": 4,
    "locrian": 5,
    "lydian": -1,
}
"""How many fifths a mode's tonic lies above that of the major key with the same signature"""


def read_musicxml(path: str | Path) -> NoteSequence:
    """The piece in a file; its `name` is empty, for it is the only one.

    Raises:
        KikiboubaError: the file cannot be read, is no MusicXML or a broken one; says how.
    """
    content = read_bytes(path, MAX_BYTES)
    try:
        return perform(_read_score(_parse(_unpacked(content) if content[:2] == b"PK" else content)))
    except KikiboubaError as error:
        raise KikiboubaError(f"{path}: {error}") from None


def _unpacked(content: bytes) -> bytes:
    """The score in a compressed file: the first one that its table of contents names."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            container = _parse(_member(archive, "META-INF/container.xml"))
            named = next((file.get("full-path", "") for file in container.iter("rootfile")), "")
            if named not in archive.namelist():  # programs disagree about letters beyond ASCII in names
                named = next((name for name in archive.namelist() if _is_score(name)), named)
            return _member(archive, named)
    except KikiboubaError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        raise KikiboubaError(f"the archive cannot be unpacked ({error}): the file is damaged") from None


def _is_score(name: str) -> bool:
    return name.lower().endswith((".xml", ".musicxml")) and not name.startswith("META-INF")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        with archive.open(name) as file:
            content = file.read(MAX_BYTES + 1)
    except KeyError:
        raise KikiboubaError(f"there is no {name!r} in the archive: it is no compressed MusicXML") from None
    if len(content) > MAX_BYTES:
        raise KikiboubaError(f"{name!r} unpacks to more than {MAX_BYTES // 2**20} MB, the most that is read")
    return content


def _parse(content: bytes) -> Element:
    """The root of an XML document, without namespaces; no entities are allowed."""

    def refuse(*_: object) -> None:
        raise KikiboubaError("it declares entities, which a score does not need; they are refused")

    checker = expat.ParserCreate()
    checker.EntityDeclHandler = refuse
    try:
        checker.Parse(content, True)
        root = ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, KikiboubaError):
            raise
        raise KikiboubaError(f"it is not valid XML ({error})") from None
    for element in root.iter():
        element.tag = str(element.tag).rpartition("}")[2]
    return root


def _read_score(root: Element) -> Score:
    if root.tag not in ("score-partwise", "score-timewise"):
        raise KikiboubaError(f"it is no MusicXML score: it begins with <{root.tag}>, not <score-partwise>")
    described = {part.get("id", ""): part for part in root.iter("score-part")}
    bars: list[Bar] = []
    readers: list[_PartReader] = []
    for name, measures in _measures(root).items():
        readers.append(_PartReader(described.get(name, Element("score-part")), bars))
        for number, measure in enumerate(measures):
            readers[-1].read(number, measure)
    _set_lengths(bars, [reader.lengths for reader in readers])
    return Score([part for reader in readers for part in reader.parts()], bars)


def _set_lengths(bars: list[Bar], lengths: list[list[Fraction]]) -> None:
    """A bar is as long as the part that fills it most; but no longer than its meter if a part fills just
    that: scores with a rest too much in one part are not rare.
    """
    meter = None
    for i, bar in enumerate(bars):
        meter = bar.meter or meter
        found = [own[i] for own in lengths if i < len(own)]
        whole = Fraction(4 * meter[0], meter[1]) if meter else None
        bar.length = whole if whole in found and whole is not None else max(found)


def _measures(root: Element) -> dict[str, list[Element]]:
    """Part → its measures. In timewise scores parts lie within measures, not measures in parts."""
    measures: dict[str, list[Element]] = {}
    for outer in root:
        if (outer.tag, root.tag) == ("part", "score-partwise"):
            measures[outer.get("id", "")] = outer.findall("measure")
        elif (outer.tag, root.tag) == ("measure", "score-timewise"):
            for part in outer.findall("part"):
                measures.setdefault(part.get("id", ""), []).append(part)
    return measures


class _PartReader:
    """One part, measure by measure. Times are quarters."""

    def __init__(self, described: Element, bars: list[Bar]) -> None:
        """`bars` are shared by all parts; each adds what it says about them."""
        self.bars = bars
        self.name = (described.findtext("part-name") or "").strip()
        instruments = described.findall("midi-instrument")
        self.programs = [int(_number(i, "midi-program", 1)) - 1 for i in instruments] or [0]
        self.is_drum = any(_number(i, "midi-channel", 1) == 10 for i in instruments)
        self.drums = {i.get("id"): int(_number(i, "midi-unpitched", 0)) - 1 for i in instruments}
        self.divisions, self.transpose, self.velocity = Fraction(1), 0, DEFAULT_VELOCITY
        self.endings: frozenset[int] = frozenset()
        self.lengths: list[Fraction] = []
        """Of every measure, as it is filled"""
        self.pitched: list[list[WrittenNote]] = []
        self.unpitched: list[list[WrittenNote]] = []
        self.at = self.before = Fraction(0)
        """Where in the measure; where the note before began"""

    def parts(self) -> list[Part]:
        """What was read: one part, or two where it has drums beside other notes."""
        program = min(max(self.programs[0], 0), 127)
        found = [
            Part(self.pitched, self.name, program, self.is_drum),
            Part(self.unpitched, self.name, 0, True),
        ]
        return [part for part in found if any(part.bars)]

    def read(self, number: int, measure: Element) -> None:
        """The measure of that number, counted from 0."""
        if number == len(self.bars):
            self.bars.append(Bar())
        bar = self.bars[number]
        self.pitched.append([])
        self.unpitched.append([])
        self.at = self.before = reached = Fraction(0)
        for element in measure:
            if element.tag == "note":
                self._note(element)
            elif element.tag in ("backup", "forward"):
                step = self._duration(element)
                self.at = max(self.at + (step if element.tag == "forward" else -step), Fraction(0))
            elif element.tag == "attributes":
                self._attributes(element, bar)
            elif element.tag in ("direction", "sound"):
                self._direction(element, bar)
            elif element.tag == "harmony" and (symbol := read_harmony(element)):
                offset = self.at + _number(element, "offset", 0) / self.divisions
                bar.chords.append((max(offset, Fraction(0)), symbol))
            elif element.tag == "barline":
                self._barline(element, bar)
            reached = max(reached, self.at)
        self.lengths.append(reached)
        bar.endings |= self.endings
        self._close_endings(measure)

    def _note(self, element: Element) -> None:
        if element.find("grace") is not None or element.find("cue") is not None:
            return
        length = self._duration(element)
        if element.find("chord") is None:
            self.before, self.at = self.at, self.at + length
        velocity = self.velocity
        if (dynamics := element.get("dynamics")) is not None:
            velocity = _velocity(dynamics, velocity)
        tied = any(tie.get("type") == "start" for tie in element.findall("tie"))
        if (pitch := element.find("pitch")) is not None:
            height = _pitch(pitch) + self.transpose
            if not 0 <= height <= 127:
                raise KikiboubaError("a note is beyond the pitches 0 to 127")
            self.pitched[-1].append(WrittenNote(self.before, length, height, velocity, tied))
        elif element.find("unpitched") is not None:
            instrument = element.find("instrument")
            name = None if instrument is None else instrument.get("id")
            drum = self.drums.get(name, max(self.drums.values(), default=-1))
            if 0 <= drum <= 127:
                self.unpitched[-1].append(WrittenNote(self.before, length, drum, velocity, tied))

    def _duration(self, element: Element) -> Fraction:
        return _number(element, "duration", 0) / self.divisions

    def _attributes(self, element: Element, bar: Bar) -> None:
        if element.find("divisions") is not None:
            self.divisions = _number(element, "divisions", 1)
            if self.divisions <= 0:
                raise KikiboubaError("a quarter note has 0 divisions")
        if (time := element.find("time")) is not None and time.find("beats") is not None:
            bar.meter = _meter(time)
        if (transpose := element.find("transpose")) is not None:
            octaves = _number(transpose, "octave-change", 0)
            self.transpose = int(_number(transpose, "chromatic", 0) + 12 * octaves)
        key = element.find("key")
        if key is not None and key.find("fifths") is not None and bar.key is None:
            mode = (key.findtext("mode") or "major").strip()
            fifths = int(_number(key, "fifths", 0)) + FIFTHS_OF_MODES.get(mode, 0)
            bar.key = ((7 * fifths + self.transpose) % 12, int(mode in MINOR_MODES))

    def _direction(self, element: Element, bar: Bar) -> None:
        sounds = [element] if element.tag == "sound" else element.findall("sound")
        for sound in sounds:
            if (dynamics := sound.get("dynamics")) is not None:
                self.velocity = _velocity(dynamics, self.velocity)
        tempos = [_positive(sound.get("tempo")) for sound in sounds] + [
            _positive(metronome.findtext("per-minute")) * _beat(metronome)
            for metronome in element.iterfind("direction-type/metronome")
        ]
        if tempo := next((tempo for tempo in tempos if 0 < tempo < 10_000), None):
            bar.tempos.append((self.at, float(tempo)))

    def _barline(self, element: Element, bar: Bar) -> None:
        if (repeat := element.find("repeat")) is not None:
            if repeat.get("direction") == "forward":
                bar.starts_repeat = True
            else:
                times = re.fullmatch(r"\d{1,3}", repeat.get("times", "2"))
                bar.plays = max(bar.plays, min(int(times[0]) if times else 2, MAX_PLAYS))
        if (ending := element.find("ending")) is not None and ending.get("type") == "start":
            passes = re.findall(r"\d{1,3}", ending.get("number", ""))
            self.endings = frozenset(number for number in map(int, passes) if 0 < number <= MAX_PLAYS)

    def _close_endings(self, measure: Element) -> None:
        for ending in measure.iterfind("barline/ending"):
            if ending.get("type") in ("stop", "discontinue"):
                self.endings = frozenset()


def _number(element: Element, tag: str, default: int) -> Fraction:
    """The number in a child element; the default where there is no such child.

    Raises:
        KikiboubaError: it is no number.
    """
    text = element.findtext(tag)
    if text is None:
        return Fraction(default)
    if not re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", text.strip()):
        raise KikiboubaError(f"<{tag}> is {text.strip()[:40]!r} where a number is expected")
    return Fraction(text.strip())


def _positive(text: str | None) -> Fraction:
    """The first number in a text such as "ca. 92"; 0 if there is none."""
    match = re.search(r"\d{1,6}(?:\.\d{1,6})?", text or "")
    return Fraction(match[0]) if match else Fraction(0)


def _velocity(dynamics: str, default: int) -> int:
    percent = _positive(dynamics)
    return min(max(round(FORTE * percent / 100), 1), 127) if percent else default


def _beat(metronome: Element) -> Fraction:
    """The quarters in the beat that a metronome mark counts; 0 if it says none."""
    unit = Fraction(BEAT_UNITS.get((metronome.findtext("beat-unit") or "").strip(), 0))
    dots = len(metronome.findall("beat-unit-dot"))
    return unit * (2 - Fraction(1, 2 ** min(dots, 4)))


def _pitch(element: Element) -> int:
    step = (element.findtext("step") or "").strip()
    if step not in PITCHES:
        raise KikiboubaError(f"a pitch has the step {step!r}; allowed: {', '.join(PITCHES)}")
    octave, alter = _number(element, "octave", 4), _number(element, "alter", 0)
    return 12 * (int(octave) + 1) + PITCHES[step] + int(alter)


def _meter(time: Element) -> tuple[int, int]:
    """A meter; 3+2/8 is 5/8, and of two that alternate the first."""
    beats, beat = time.findtext("beats") or "", (time.findtext("beat-type") or "").strip()
    numbers = re.findall(r"\d{1,3}", beats)
    numerator = sum(map(int, numbers))
    if not 0 < numerator < 256 or beat not in ("1", "2", "4", "8", "16", "32", "64", "128"):
        raise KikiboubaError(f"there is a meter of {beats.strip()[:20]}/{beat[:20]}")
    return numerator, int(beat)
