"""Helpers of the music tests: sequences and MIDI files from a few numbers, and the reference files."""

import hashlib
import json
import struct
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.representation import Representation
from kikibouba.errors import KikiboubaError

STEP = 0.125
"""Seconds of a sixteenth at 120 quarters a minute"""

CORPORA = {
    "pop909_raw": "music/pop909/pop909_mid.tar.xz",
    "pop909_as44": "music/pop909/pop909_mid.tar.xz",
    "groove": "drums/groove/groove_mid.tar.xz",
    "nottingham": "music/nottingham/nottingham_mid.tar.xz",
}


def tune(*notes: tuple[int, ...], is_drum: bool = False, meter: tuple[int, int] = (4, 4)) -> NoteSequence:
    """A sequence at 120 quarters a minute from (pitch, start, end[, instrument[, program]]), in steps."""
    rows = np.array([(*note, 0, 0)[:5] for note in notes], np.int64).reshape(-1, 5)
    pitch, start, end, instrument, program = rows.T
    columns = make_notes(pitch, start * STEP, end * STEP, 80, instrument, program, is_drum)
    return NoteSequence(
        columns,
        tempos=np.array([[0.0, 120.0]]),
        time_signatures=np.array([[0.0, *meter]]),
        total_time=float(end.max(initial=0) * STEP),
    )


def windows_or_none(representation: Representation, sequence: NoteSequence) -> list[np.ndarray]:
    """The examples of a piece; none if it is rejected."""
    try:
        return representation.windows(sequence)
    except KikiboubaError:
        return []


def midi_file(*tracks: bytes, division: int = 480, count: int | None = None, extra: bytes = b"") -> bytes:
    """A MIDI file of track contents; `count` is what its header says, `extra` what follows in the header."""
    count = len(tracks) if count is None else count
    header = struct.pack(">4sIHHH", b"MThd", 6 + len(extra), 1, count, division) + extra
    return header + b"".join(b"MTrk" + struct.pack(">I", len(track)) + track for track in tracks)


@cache
def _members(archive: Path) -> dict[str, bytes]:
    """Content of the .mid files of an archive by their SHA-256."""
    with tarfile.open(archive) as tar:
        files = [tar.extractfile(member) for member in tar if member.isfile() and ".mid" in member.name]
        contents = [file.read() for file in files if file]
    return {hashlib.sha256(content).hexdigest(): content for content in contents}


def reference_files(shared: Path, name: str) -> Iterator[tuple[dict, bytes, dict[str, np.ndarray]]]:
    """(facts, content, arrays) of each reference file of a set that is at hand."""
    folder = shared / "golden" / "converters"
    if name == "trio":
        paths = (folder / "trio_midi").iterdir()
        contents = {hashlib.sha256(path.read_bytes()).hexdigest(): path.read_bytes() for path in paths}
    else:
        contents = _members(shared / "data" / CORPORA[name])
    with np.load(folder / f"{name}.npz") as arrays:
        for facts in json.loads((folder / f"{name}.json").read_text())["files"]:
            prefix = f"{facts['i']:03d}/"
            own = {key[len(prefix) :]: arrays[key] for key in arrays.files if key.startswith(prefix)}
            if facts["sha256"] in contents:
                yield facts, contents[facts["sha256"]], own
