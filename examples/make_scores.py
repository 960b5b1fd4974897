"""Write the score and the TFRecord of this folder: a song of our own, and the tunes of `tunes.abc`.

    python examples/make_scores.py [FOLDER]

The song is written as text, like those of `make_tunes.py`: eight bars for a voice, with a chord for each half
bar; the bass plays the chords' roots, the drums their beat, and all of it is repeated.
"""

import io
import struct
import sys
import zipfile
from pathlib import Path

from make_tunes import DRUMS, melody_events

from kikibouba.data.crc32c import masked_crc32c
from kikibouba.data.music_files import read_music
from kikibouba.data.notes import NoteSequence

SONG = """G4*4 B4*4 D5*6 C5*2 | B4*4 G4*4 A4*8 | G4*4 B4*4 E5*6 D5*2 | C5*4 B4*4 A4*8
        | D5*4 D5*2 C5*2 B4*4 G4*4 | C5*4 C5*2 B4*2 A4*4 F#4*4 | G4*2 A4*2 B4*4 C5*4 A4*4 | G4*12 .*4"""
CHORDS = "G D | G D7 | G Em | Am D7 | G Em | Am D | Em C | G G"
BEAT = {"closed": "x.x.x.x.x.x.x.x.", "kick": "x.......x.x.....", "snare": "....x.......x..."}

STEPS_PER_BAR = 16
STEPS = {0: "C", 2: "D", 4: "E", 5: "F", 7: "G", 9: "A", 11: "B"}
KINDS = {"": "major", "m": "minor", "7": "dominant"}
CONTAINER = '<container><rootfiles><rootfile full-path="song.musicxml"/></rootfiles></container>'
ATTRIBUTES = (
    "<attributes><divisions>4</divisions><key><fifths>1</fifths></key>"
    "<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
)


def note(pitch: int, length: int) -> str:
    """A note as MusicXML spells it, with sharps; lengths are sixteenths."""
    sharp = pitch % 12 not in STEPS
    alter = "<alter>1</alter>" if sharp else ""
    spelled = f"<step>{STEPS[pitch % 12 - sharp]}</step>{alter}<octave>{pitch // 12 - 1}</octave>"
    return f"<note><pitch>{spelled}</pitch><duration>{length}</duration></note>"


def harmony(symbol: str) -> str:
    """A chord symbol such as "Am" or "D7"."""
    root = f"<root><root-step>{symbol[0]}</root-step></root>"
    return f"<harmony>{root}<kind>{KINDS[symbol[1:]]}</kind></harmony>"


def voice_bars(chords: list[list[str]]) -> list[str]:
    """The melody with its chords: at the start and in the middle of each bar."""
    bars = []
    for number, symbols in enumerate(chords):
        start = number * STEPS_PER_BAR
        written = ""
        for pitch, first, end in melody_events(SONG):
            if start <= first < start + STEPS_PER_BAR:
                symbol = {start: symbols[0], start + STEPS_PER_BAR // 2: symbols[1]}.get(first)
                written += (harmony(symbol) if symbol else "") + note(pitch, end - first)
        bars.append(written)
    return bars


def bass_bars(chords: list[list[str]]) -> list[str]:
    """The roots, in quarters."""
    root = {step: 36 + pitch for pitch, step in STEPS.items()}
    return ["".join(note(root[symbol[0]], 4) * 2 for symbol in symbols) for symbols in chords]


def drum_bar() -> str:
    """The beat, in eighths: what is struck together stands one above the other."""
    written = ""
    for step in range(0, STEPS_PER_BAR, 2):
        for number, drum in enumerate(drum for drum, row in BEAT.items() if row[step] == "x"):
            what = "<chord/><unpitched/>" if number else "<unpitched/>"
            written += f'<note>{what}<duration>2</duration><instrument id="{drum}"/></note>'
    return written


def instrument(name: str, midi: str) -> tuple[str, str]:
    """What the list of parts says about an instrument: its name, and how MIDI plays it."""
    named = f'<score-instrument id="{name}"><instrument-name>{name}</instrument-name></score-instrument>'
    return named, f'<midi-instrument id="{name}">{midi}</midi-instrument>'


def song() -> bytes:
    """The song as MusicXML."""
    chords = [bar.split() for bar in CHORDS.split("|")]
    drums = [
        instrument(d, f"<midi-channel>10</midi-channel><midi-unpitched>{DRUMS[d] + 1}</midi-unpitched>")
        for d in BEAT
    ]
    parts = {
        "Voice": ([instrument("voice", "<midi-program>1</midi-program>")], voice_bars(chords)),
        "Bass": ([instrument("bass", "<midi-program>34</midi-program>")], bass_bars(chords)),
        "Drums": (drums, [drum_bar()] * len(chords)),
    }
    listed = written = ""
    for name, (instruments, bars) in parts.items():
        bars[0] = f'{ATTRIBUTES}<sound tempo="104"/>{bars[0]}'
        bars[-1] += '<barline><repeat direction="backward"/></barline>'
        sound = "".join(part for parts_of_all in zip(*instruments, strict=True) for part in parts_of_all)
        listed += f'<score-part id="{name}"><part-name>{name}</part-name>{sound}</score-part>'
        measures = "".join(f'<measure number="{n}">{bar}</measure>\n' for n, bar in enumerate(bars, 1))
        written += f'<part id="{name}">\n{measures}</part>\n'
    head = '<?xml version="1.0" encoding="UTF-8"?>\n<score-partwise version="4.0">\n'
    return f"{head}<part-list>{listed}</part-list>\n{written}</score-partwise>\n".encode()


def compressed(score: bytes) -> bytes:
    """A score as .mxl, the same bytes wherever it is made."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("META-INF/container.xml"), CONTAINER)
        archive.writestr(zipfile.ZipInfo("song.musicxml"), score)
    return buffer.getvalue()


def field(number: int, value: int | float | bytes) -> bytes:
    """A field of a protocol buffer: a whole number, a double, or bytes."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    octets = []
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])


def message(piece: NoteSequence) -> bytes:
    """A piece as Magenta's NoteSequence; the numbers of the fields are Magenta's."""
    content = field(1, piece.name.encode()) + field(9, piece.total_time)
    for time, numerator, denominator in piece.time_signatures.tolist():
        content += field(5, field(1, time) + field(2, int(numerator)) + field(3, int(denominator)))
    for time, qpm in piece.tempos.tolist():
        content += field(7, field(1, time) + field(2, qpm))
    for pitch, velocity, start, end, *_ in piece.notes.tolist():
        content += field(8, field(1, pitch) + field(2, velocity) + field(3, start) + field(4, end))
    for time, symbol in piece.chords:
        content += field(14, field(1, time) + field(2, symbol.encode()) + field(3, 1))
    return content


def record(content: bytes) -> bytes:
    """A record of a TFRecord file."""
    length = struct.pack("<Q", len(content))
    crcs = [struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
    return length + crcs[0] + content + crcs[1]


def main() -> None:
    here = Path(__file__).parent
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    (folder / "song.mxl").write_bytes(compressed(song()))
    tunes = read_music(here / "tunes.abc")
    (folder / "tunes.tfrecord").write_bytes(b"".join(record(message(tune)) for tune in tunes))
    print(folder / "song.mxl")
    print(folder / "tunes.tfrecord")


if __name__ == "__main__":
    main()
