"""Chord symbols ("F#m7b5", "Bbmaj7/D", "N.C.") and the classes by which a model is told a chord.

A class is a root and a triad; sevenths, ninths and the bass do not count:

    class 0              no chord, "N.C."
    class 1 + root       major        root: C = 0 … B = 11
    class 13 + root      minor
    class 25 + root      augmented    these two only in the vocabulary "triad" (49 classes),
    class 37 + root      diminished   not in "majmin" (25)

The vocabulary "pitches" (193 classes) has these 48 four times, without and with sixths, sevenths and major
sevenths, and shows a model their pitches (`chord_pitches`).

A chord without third (sus, power chord) or with another triad has no class. Classes and names are those of
the original; more spellings are read than it reads (Cmi7, C△7, C°, Cø, C7-9, C♯m).
"""

import re
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

from kikibouba.errors import KikiboubaError

Vocabulary = Literal["triad", "majmin", "pitches"]

NO_CHORD = "N.C."
NUM_CLASSES = {"triad": 49, "majmin": 25, "pitches": 193}
LONGEST_SYMBOL = 24
ROOT_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
TRIADS = {"": (0, 0), "m": (-1, 0), "aug": (0, 1), "dim": (-1, -1)}
"""Name → semitones by which third and fifth differ from a major chord's; in the order of the classes."""
SEVENTHS = {0: "", 9: "6", 10: "7", 11: "maj7"}
"""Semitones from the root → name; in the order of the classes of "pitches"."""

_PITCH = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_PLAIN = str.maketrans({"♯": "#", "♭": "b", "−": "-", "–": "-", "°": "o", "△": "^", "Δ": "^", " ": None})
_NO_CHORDS = ("N.C.", "N.C", "NC")
_ROOT = r"[A-G](?:\#+|b+)?(?![\#b])"
_SYMBOL = re.compile(
    rf"""(?P<root>{_ROOT})
    (?P<triad> maj | ma | M | \^ | min | mi | m | - | aug | \+ | dim | o | /o | ø | sus[247]? | ped | 5 )?
    (?P<number> \(? (?:maj|ma|M|\^)? (?:6/9|69|6|7|9|11|13) \)? )?
    (?P<changes> (?: \(? (?: (?:add|no|omit|\#|b|\+|-)[\#b]?[0-9]+ | sus[24]? ) \)? ,? )* )
    (?:/(?P<bass>{_ROOT}))?""",
    re.VERBOSE,
)
_CHANGE = re.compile(r"(?P<verb>add|no|omit|)(?P<sign>[#b+-]?)(?P<degree>[0-9]+)|sus")
_TRIAD_OF = {
    **dict.fromkeys(("min", "mi", "m", "-"), "m"),
    **dict.fromkeys(("aug", "+"), "aug"),
    **dict.fromkeys(("dim", "o", "/o", "ø"), "dim"),
}
_MAJOR = ("maj", "ma", "M", "^")
_MISSING = {**dict.fromkeys(("sus", "sus2", "sus4", "sus7", "5"), (3,)), "ped": (3, 5)}
"""Degrees that a chord of this kind lacks"""
_LIKE_A_SYMBOL = re.compile(
    r"[A-G][#b]*(?:maj|ma|min|mi|aug|dim|sus|add|omit|no|alt|ped|dom|[mMoø^#b+(),/*-]|[0-9])*(?:/[A-G][#b]*)?"
)
_KEY = re.compile(rf"(?P<root>{_ROOT}) (?: m | min | minor | maj | major )?", re.VERBOSE)


class Symbol(NamedTuple):
    """What a chord symbol says."""

    root: int
    """0 … 11 from C"""
    triad: str | None
    """a key of `TRIADS`; None: none of them"""
    middle: str
    """what stands between root and bass"""
    bass: int | None
    """0 … 11 from C, where one is written"""


@cache
def read_symbol(symbol: str) -> Symbol | None:
    """What a chord symbol says; None for "N.C.".

    Raises:
        KikiboubaError: it cannot be read.
    """
    text = symbol.translate(_PLAIN)
    if text in _NO_CHORDS:
        return None
    if (match := _SYMBOL.fullmatch(text)) is None:
        raise KikiboubaError(
            f"cannot read the chord symbol {symbol!r}; write a root (C, F#, Bb), then if needed m, dim, aug, "
            "7, maj7, (b9) … and a bass (/E); or N.C. for no chord"
        )
    bass = match["bass"]
    middle = text[match.end("root") : match.start("bass") - 1 if bass else None]
    return Symbol(_pitch_class(match["root"]), _triad(match), middle, _pitch_class(bass) if bass else None)


def _pitch_class(name: str) -> int:
    return (_PITCH[name[0]] + name.count("#") - name[1:].count("b")) % 12


def _triad(match: re.Match[str]) -> str | None:
    """Only degrees 1, 3 and 5 decide, as in the original; other degrees may be there."""
    third, fifth = TRIADS[_TRIAD_OF.get(match["triad"], "")]
    degrees = {1: 0, 3: third, 5: fifth}
    for degree in _MISSING.get(match["triad"], ()):
        del degrees[degree]
    for change in _CHANGE.finditer(match["changes"]):
        degree, shift = int(change["degree"] or 3), {"#": 1, "+": 1, "b": -1, "-": -1}.get(change["sign"], 0)
        if change["verb"] == "add":
            degrees.setdefault(degree, shift)
        elif change["verb"]:  # no, omit
            degrees.pop(degree, None)
        elif change["degree"]:
            degrees[degree] = degrees.get(degree, 0) + shift
        else:  # sus
            degrees.pop(3, None)
    found = (degrees.get(3), degrees.get(5))
    return next((name for name, shape in TRIADS.items() if shape == found and degrees.get(1) == 0), None)


@cache
def chord_class(symbol: str, vocabulary: Vocabulary = "triad") -> int:
    """The class of a chord symbol.

    Raises:
        KikiboubaError: the symbol cannot be read, or its triad is not in the vocabulary.
    """
    read = read_symbol(symbol)
    if read is None:
        return 0
    if read.triad is not None:
        found = 1 + 12 * list(TRIADS).index(read.triad) + read.root
        if vocabulary == "pitches":
            found += 12 * len(TRIADS) * list(SEVENTHS).index(_seventh(read.middle))
        if found < NUM_CLASSES[vocabulary]:
            return found
    allowed = "major and minor" if vocabulary == "majmin" else "major, minor, augmented and diminished"
    raise KikiboubaError(
        f"the chord {symbol!r} is not among the {allowed} ones that a model can be told (sus and power "
        f"chords have no third); replace it by {ROOT_NAMES[read.root]}, {ROOT_NAMES[read.root]}m or N.C."
    )


def _seventh(middle: str) -> int:
    """Semitones from the root to the sixth or seventh that a chord has: 9, 10 or 11; 0: it has none."""
    match = _SYMBOL.fullmatch("C" + middle)
    number, triad = ((match[name] or "") if match else "" for name in ("number", "triad"))
    if not number:
        return 10 if triad in ("/o", "ø") else 0
    if "6" in number:
        return 9
    if number.strip("(").startswith(_MAJOR) or triad in _MAJOR:
        return 11
    return 9 if triad in ("dim", "o") else 10


def chord_pitches() -> np.ndarray:
    """What the vocabulary "pitches" shows of its 193 classes: float32 [193, 37].

    Column 0 is 1 where there is no chord; 12 columns for the root, 12 for the pitches of triad and seventh,
    12 for the bass, which is the root. As magenta.js does it, which also shows ninths and beyond.
    """
    table = np.zeros((NUM_CLASSES["pitches"], 37), np.float32)
    table[0, 0] = 1
    qualities = [(third, fifth, seventh) for seventh in SEVENTHS for third, fifth in TRIADS.values()]
    for quality, (third, fifth, seventh) in enumerate(qualities):
        for root in range(12):
            row = table[1 + 12 * quality + root]
            row[[1 + root, 25 + root]] = 1
            row[[13 + (root + up) % 12 for up in (0, 4 + third, 7 + fifth, seventh)]] = 1
    return table


def chord_name(label: int) -> str:
    """The symbol of a class 0 … 192: N.C., C, C#, D, Eb, …, Cm, …, Caug, …, Cdim, …, C6, …, Cdimmaj7, …"""
    if label == 0:
        return NO_CHORD
    quality, root = divmod(label - 1, 12)
    seventh, triad = divmod(quality, len(TRIADS))
    if (seventh, triad) == (2, 3):
        return ROOT_NAMES[root] + "m7b5"
    return ROOT_NAMES[root] + tuple(TRIADS)[triad] + tuple(SEVENTHS.values())[seventh]


def transpose_symbol(symbol: str, semitones: int) -> str:
    """The symbol with root and bass shifted.

    Raises:
        KikiboubaError: it cannot be read.
    """
    read = read_symbol(symbol)
    if read is None or semitones % 12 == 0:
        return symbol
    bass = "" if read.bass is None else "/" + ROOT_NAMES[(read.bass + semitones) % 12]
    return ROOT_NAMES[(read.root + semitones) % 12] + read.middle + bass


def transpose_classes(labels: np.ndarray, semitones: int) -> np.ndarray:
    """Classes [any shape] of one dtype shifted; "no chord" stays."""
    triad, root = np.divmod(labels.astype(np.int64) - 1, 12)
    return np.where(labels > 0, 1 + 12 * triad + (root + semitones) % 12, 0).astype(labels.dtype)


def looks_like_symbol(text: str) -> bool:
    """Whether a text is built like a chord symbol, readable or not; most words are not."""
    plain = text.translate(_PLAIN)
    if len(plain) > LONGEST_SYMBOL:
        return False
    return plain in _NO_CHORDS or _LIKE_A_SYMBOL.fullmatch(plain) is not None


def read_key(text: str) -> int:
    """The tonic 0 … 11 of a key such as "C", "F#m" or "Bb major".

    Raises:
        KikiboubaError: it cannot be read.
    """
    if (match := _KEY.fullmatch(text.translate(_PLAIN))) is None:
        raise KikiboubaError(f"cannot read the key {text!r}; write a root and if needed m, e.g. C, F#m, Bb")
    return _pitch_class(match["root"])
