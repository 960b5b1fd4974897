"""The information fields of ABC notation: key, meter, unit of length, tempo, voice."""

import re
from fractions import Fraction
from typing import NamedTuple

from kikibouba.errors import KikiboubaError

FIFTHS = "FCGDAEB"
"""Each a fifth above the one before; with a sharp they go on, with a flat they come before."""
TONICS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
MODES = {"lyd": 1, "maj": 0, "ion": 0, "": 0, "mix": -1, "dor": -2, "min": -3, "aeo": -3, "m": -3, "phr": -4}
MODES["loc"] = -5
"""Mode → sharps beside those of the major key with the same tonic."""
MINOR = ("min", "aeo", "m", "dor", "phr", "loc")
ALTERATIONS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}

_MODE = r"(?i:(?:maj|ion|min|aeo|mix|dor|phr|lyd|loc)[a-z]*|m(?![a-z]))"
_KEY = re.compile(rf"(?P<tonic>[A-G]|[a-g](?=[#b]?\s*(?:{_MODE}|\s|$)))(?P<sign>[#b]?)\s*(?P<mode>{_MODE})?")
_CHANGE = re.compile(r"(?<![\w^_=])(\^{1,2}|_{1,2}|=)([A-Ga-g])(?![\w=])")


class Key(NamedTuple):
    """What a key field says."""

    tonic: int
    """0 … 11"""
    mode: int
    """0 major, 1 minor, and like one of them"""
    signature: dict[str, int]
    """Letter → semitones by which its notes are raised."""


class Tempo(NamedTuple):
    """So many beats a minute."""

    beat: Fraction | None
    """as part of a whole note; None: the unit of length"""
    rate: float


def parse_key(text: str) -> Key | None:
    """A key such as "Ador", "F#m", "Bb ^c", "D exp _b", "HP"; None for "none" and where there is no key.

    Raises:
        KikiboubaError: it cannot be read.
    """
    text = text.strip()
    if text.startswith(("HP", "Hp")):  # the bagpipes' own scale, written without signature or with it
        return Key(9, 0, {} if text.startswith("HP") else {"F": 1, "C": 1})
    changes = {letter.upper(): ALTERATIONS[sign] for sign, letter in _CHANGE.findall(text)}
    if (match := _KEY.match(text)) is None:
        if text and not re.match(r"none|clef|treble|bass|alto|tenor|perc|[\^_=]|\w+=", text.lower()):
            raise KikiboubaError(
                f"cannot read the key {text!r}; write for example K:G, K:Bb, K:F#m or K:Ador"
            )
        return Key(0, 0, changes) if changes else None
    letter, mode = match["tonic"].upper(), (match["mode"] or "")[:3].lower()
    sharps = FIFTHS.index(letter) - 1 + 7 * {"#": 1, "b": -1, "": 0}[match["sign"].lower()] + MODES[mode]
    signature = {} if " exp" in text else _signature(sharps)
    tonic = TONICS[letter] + {"#": 1, "b": -1, "": 0}[match["sign"].lower()]
    return Key(tonic % 12, int(mode in MINOR), signature | changes)


def _signature(sharps: int) -> dict[str, int]:
    """Letter → semitones, of a signature with so many sharps, or flats below 0."""
    if sharps >= 0:
        return {FIFTHS[i % 7]: 1 + i // 7 for i in range(sharps)}
    return {FIFTHS[-1 - i % 7]: -1 - i // 7 for i in range(-sharps)}


def parse_meter(text: str) -> tuple[int, int] | None:
    """A meter such as "6/8", "C", "C|", "2+3/8"; None for "none".

    Raises:
        KikiboubaError: it cannot be read.
    """
    text = text.strip()
    if text in ("C", "c", "C|", "c|"):
        return (2, 2) if "|" in text else (4, 4)
    if not text or text.lower().startswith("none"):
        return None
    match = re.match(r"\(?\s*(\d+(?:\s*\+\s*\d+)*)\s*\)?\s*/\s*(\d+)", text)
    numerator = sum(map(int, match[1].split("+"))) if match else 0
    if not match or not 0 < numerator < 256 or int(match[2]) not in (1, 2, 4, 8, 16, 32, 64, 128):
        raise KikiboubaError(f"cannot read the meter {text!r}; write for example M:4/4, M:6/8, M:C or M:none")
    return numerator, int(match[2])


def parse_unit(text: str) -> Fraction:
    """A unit of length such as "1/8", as part of a whole note.

    Raises:
        KikiboubaError: it cannot be read.
    """
    match = re.match(r"\s*(\d{1,3})\s*(?:/\s*(\d{1,3}))?\s*$", text)
    if not match or not int(match[1]) or not int(match[2] or 1):
        raise KikiboubaError(f"cannot read the unit of length {text!r}; write for example L:1/8")
    return Fraction(int(match[1]), int(match[2] or 1))


def default_unit(meter: tuple[int, int] | None) -> Fraction:
    """A sixteenth in short meters, below 3/4, else an eighth."""
    return Fraction(1, 16) if meter and Fraction(*meter) < Fraction(3, 4) else Fraction(1, 8)


def parse_tempo(text: str) -> Tempo | None:
    """A tempo such as "1/4=120", "3/8=60 "lively"" or, of old, "120" and "C=120"; None for mere words.

    Raises:
        KikiboubaError: it cannot be read.
    """
    plain = re.sub(r'"[^"]*"', " ", text).strip()
    if not plain:
        return None
    match = re.fullmatch(r"(?P<beats>(?:\d{1,3}/\d{1,3}\s*)+)=\s*(?P<rate>\d+(?:\.\d+)?).*", plain)
    old = re.fullmatch(r"(?:C(?P<units>\d?)\s*=\s*)?(?P<rate>\d+(?:\.\d+)?)", plain)
    found = match or old
    if found is None or not 0 < float(found["rate"]) < 10_000 or "/0" in plain:
        raise KikiboubaError(f"cannot read the tempo {text!r}; write for example Q:1/4=120")
    if match:
        return Tempo(sum(map(Fraction, match["beats"].split()), Fraction(0)), float(match["rate"]))
    return Tempo(None, float(found["rate"]) * int(found["units"] or 1))


def parse_voice(text: str) -> tuple[str, int]:
    """(voice, semitones by which it sounds higher than written) of a voice field, or of a key field."""
    name = text.split()[0] if text.split() and "=" not in text.split()[0] else ""
    semitones = 0
    if match := re.search(r"\btranspose=\s*(-?\d{1,2})\b", text):
        semitones += int(match[1])
    if match := re.search(r"\boctave=\s*(-?\d)\b", text):
        semitones += 12 * int(match[1])
    if match := re.search(r"(?:treble|alto|tenor|bass|clef=\w+)([+-])8\b", text):
        semitones += 12 if match[1] == "+" else -12
    return name, semitones
