"""Compose the tunes and drum beats of this folder: our own little pieces, written as text, saved as MIDI.

    python examples/make_tunes.py [FOLDER]

In a melody `C5` sounds for one sixteenth, `C5*4` for four, and `.*2` rests for two.
A beat has one row a drum and one character a sixteenth: `x` hits, `.` does not. `|` marks the bar lines.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kikibouba.data.midi import write_midi
from kikibouba.data.notes import NoteSequence, make_notes

STEPS_PER_BAR = 16
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "b": -1}
DRUMS = {
    "kick": 36, "snare": 38, "closed": 42, "open": 46, "low": 45, "mid": 48, "high": 50, "crash": 49,
    "ride": 51,
}  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """A tune (`text` is a melody) or a beat (a row a drum) at a tempo in quarter notes a minute."""

    qpm: float
    text: str
    is_drum: bool = False


PIECES = {
    # Smooth and sparse: a cradle song that moves by step.
    "lullaby": Piece(84, "G4*8 A4*4 B4*4 | C5*8 B4*8 | A4*8 B4*4 A4*4 | G4*12 .*4"),
    # Smooth and dense: running sixteenths, up and down the Dorian scale.
    "river": Piece(
        104,
        "D4 E4 F4 G4 A4 G4 A4 B4 C5 D5 E5 D5 C5 B4 A4 G4 | A4 B4 C5 B4 A4 G4 F4 E4 F4 G4 A4 G4 F4 E4 D4*2",
    ),
    # Jagged and dense: staccato leaps.
    "hedgehog": Piece(
        126,
        """C4 . G5 . Eb4 . C6 . G3 . Eb5 . C4 Bb5 F4 . | Ab5 . D4 . B5 . F4 . G3 . D5 G5 . B3 . F5
         | C4 C6 . Eb4 . Ab5 . C4 . Eb6 . G4 D4 . Bb5 . | G3 . B5 . D4 . F5 . G3 B4 F5 B5 C4 . . C6""",
    ),
    # Jagged and sparse: single far points.
    "stars": Piece(
        72,
        "E6*2 .*6 B3*2 .*6 | .*4 F#6*2 .*2 G3*2 .*6 | D6*3 .*5 A3*2 .*2 C#6*4 | E4*2 .*6 B5*4 .*4",
    ),
    # One note that falls faster and faster, then rolls away.
    "bouncing_ball": Piece(
        112,
        "G5*2 .*6 G5*2 .*3 G5 .*2 | G5 .*2 G5 . G5 . G5 . G5 G5 F5 E5 D5 C5*2",
    ),
    # Eight bars of a plain song, for cutting into windows.
    "morning_walk": Piece(
        108,
        """G4*2 A4*2 B4*4 D5*4 B4*4 | A4*2 G4*2 A4*4 B4*8 | G4*2 A4*2 B4*4 D5*4 E5*4 | D5*12 .*4
         | E5*2 E5*2 D5*4 B4*4 D5*4 | B4*2 A4*2 G4*4 A4*8 | B4*2 A4*2 G4*4 E4*4 A4*4 | G4*12 .*4""",
    ),
    # Sparse drums.
    "drums_heartbeat": Piece(
        80,
        """kick  x..x............ | x..x............
           snare ........x....... | ........x.......""",
        is_drum=True,
    ),
    # The beat everyone plays first.
    "drums_rock": Piece(
        112,
        """closed x.x.x.x.x.x.x.x. | x.x.x.x.x.x.x...
           open   ................ | ..............x.
           kick   x.......x.x..... | x.......x.x.....
           snare  ....x.......x... | ....x.......x...""",
        is_drum=True,
    ),
    # Off the beat.
    "drums_offbeat": Piece(
        100,
        """ride  x..x..x..x..x.x. | x..x..x..x..x.x.
           kick  x.....x...x..... | x.....x...x...x.
           snare ...x..x.....x..x | ...x..x...x..x..""",
        is_drum=True,
    ),
    # Dense: everything at once, then down the toms.
    "drums_storm": Piece(
        132,
        """crash  x............... | x...............
           closed xxxxxxxxxxxxxxxx | xxxxxxxx........
           kick   x.x.xx..x.x.xx.. | x.x.xx..x...x...
           snare  ....x..x.x..x.x. | ....x..xxx......
           high   ................ | ..........xx....
           mid    ................ | ............xx..
           low    ................ | ..............xx""",
        is_drum=True,
    ),
}


def midi_pitch(name: str) -> int:
    """`"C4"` → 60, `"F#6"` → 90, `"Bb5"` → 82."""
    letter, accidental, octave = re.fullmatch(r"([A-G])([#b]?)(\d)", name).groups()
    return 12 * (int(octave) + 1) + SEMITONES[letter] + ACCIDENTALS[accidental]


def check_bars(steps: list[int], where: str) -> None:
    """Each bar must last sixteen sixteenths: a slip of the pen should not shift the rest of the piece."""
    for bar, length in enumerate(steps, start=1):
        if length != STEPS_PER_BAR:
            raise ValueError(f"{where}: bar {bar} has {length} sixteenths, not {STEPS_PER_BAR}")


def melody_events(text: str) -> list[tuple[int, int, int]]:
    """(pitch, first step, last step + 1) of every note of a melody."""
    events, bars, step = [], [], 0
    for bar in text.split("|"):
        start = step
        for token in bar.split():
            name, _, length = token.partition("*")
            end = step + int(length or 1)
            if name != ".":
                events.append((midi_pitch(name), step, end))
            step = end
        bars.append(step - start)
    check_bars(bars, text)
    return events


def drum_events(text: str) -> list[tuple[int, int, int]]:
    """(pitch, step, step + 1) of every hit of a beat."""
    events = []
    for row in text.splitlines():
        drum, _, cells = row.strip().partition(" ")
        check_bars([len(bar.strip()) for bar in cells.split("|")], row)
        cells = re.sub(r"[ |]", "", cells)
        events += [(DRUMS[drum], step, step + 1) for step, cell in enumerate(cells) if cell == "x"]
    return sorted(events, key=lambda event: (event[1], event[0]))


def to_notes(piece: Piece) -> NoteSequence:
    """A piece as notes in seconds, velocity 90."""
    seconds = 60 / piece.qpm / 4
    events = drum_events(piece.text) if piece.is_drum else melody_events(piece.text)
    pitch, start, end = np.array(events).T
    notes = make_notes(pitch, start * seconds, end * seconds, velocity=90, is_drum=piece.is_drum)
    return NoteSequence(notes, tempos=np.array([[0.0, piece.qpm]]), total_time=float(notes["end"].max()))


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, piece in PIECES.items():
        write_midi(to_notes(piece), folder / f"{name}.mid")
        print(folder / f"{name}.mid")


if __name__ == "__main__":
    main()
