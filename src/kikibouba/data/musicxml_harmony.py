"""MusicXML's chords, spelled out element by element, as chord symbols."""

import re
from xml.etree.ElementTree import Element

KINDS = {
    "major": "",
    "minor": "m",
    "augmented": "aug",
    "diminished": "dim",
    "dominant": "7",
    "major-seventh": "maj7",
    "minor-seventh": "m7",
    "diminished-seventh": "dim7",
    "augmented-seventh": "aug7",
    "half-diminished": "m7b5",
    "major-minor": "m(maj7)",
    "major-sixth": "6",
    "minor-sixth": "m6",
    "dominant-ninth": "9",
    "major-ninth": "maj9",
    "minor-ninth": "m9",
    "dominant-11th": "11",
    "major-11th": "maj11",
    "minor-11th": "m11",
    "dominant-13th": "13",
    "major-13th": "maj13",
    "minor-13th": "m13",
    "suspended-second": "sus2",
    "suspended-fourth": "sus4",
    "pedal": "ped",
    "power": "5",
}
"""Kind of chord → what stands after the root."""
VERBS = {"add": "add", "subtract": "no", "alter": ""}


def read_harmony(element: Element) -> str:
    """A `harmony` element as a symbol such as "F#m7/C#" or "N.C."; "" if it names no chord we can write."""
    kind = (element.findtext("kind") or "").strip()
    if kind == "none":
        return "N.C."
    root = _tone(element.find("root"), "root")
    if not root or kind not in KINDS:
        return ""
    changes = "".join(f"({change})" for change in map(_change, element.findall("degree")) if change)
    bass = _tone(element.find("bass"), "bass")
    return root + KINDS[kind] + changes + (f"/{bass}" if bass else "")


def _tone(element: Element | None, prefix: str) -> str:
    """A root or a bass, such as "Eb"; "" if there is none."""
    step = "" if element is None else (element.findtext(f"{prefix}-step") or "").strip()
    if element is None or not re.fullmatch("[A-G]", step):
        return ""
    return step + _sign(element.findtext(f"{prefix}-alter"))


def _change(degree: Element) -> str:
    """A change such as "add9", "#5" or "no3"; "" if it is none."""
    value = (degree.findtext("degree-value") or "").strip()
    verb = VERBS.get((degree.findtext("degree-type") or "").strip())
    if verb is None or not re.fullmatch(r"\d{1,2}", value):
        return ""
    sign = "" if verb == "no" else _sign(degree.findtext("degree-alter"))
    return verb + sign + value if verb or sign else ""


def _sign(alter: str | None) -> str:
    """Semitones up or down as sharps or flats."""
    match = re.fullmatch(r"\s*(-?[12])(?:\.0*)?\s*", alter or "")
    semitones = int(match[1]) if match else 0
    return "#" * semitones if semitones > 0 else "b" * -semitones
