"""MusicXML, plain and compressed: what is written sounds as it should; hostile and damaged files."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikibouba.data import musicxml
from kikibouba.data.chords import read_symbol
from kikibouba.data.musicxml import read_musicxml
from kikibouba.data.musicxml_harmony import KINDS
from kikibouba.data.notes import NoteSequence
from kikibouba.errors import KikiboubaError

QUARTER = 0.5
CONTAINER = b'<container><rootfiles><rootfile full-path="song.xml"/></rootfiles></container>'
DOCTYPE = (
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" "http://x.invalid/p.dtd">'
)


def note(step: str, length: int = 2, octave: int = 4, inside: str = "", alter: int = 0) -> str:
    """A note; a quarter has 2 divisions."""
    pitch = f"<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"
    return f"<note>{inside}{pitch}<duration>{length}</duration></note>"


def bar(*content: str) -> str:
    return f"<measure>{''.join(content)}</measure>"


ATTRIBUTES = (
    "<attributes><divisions>2</divisions><key><fifths>-2</fifths></key>"
    "<time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
)


def score(*bars: str, described: str = "", more_parts: str = "") -> bytes:
    """A score of one part in 4/4; its first bar should begin with ATTRIBUTES."""
    listed = (
        f'<part-list><score-part id="P1"><part-name>Flute</part-name>{described}</score-part></part-list>'
    )
    text = (
        f'{DOCTYPE}<score-partwise>{listed}<part id="P1">{"".join(bars)}</part>{more_parts}</score-partwise>'
    )
    return b'<?xml version="1.0" encoding="UTF-8"?>' + text.encode()


def read(tmp_path: Path, content: bytes, name: str = "song.musicxml") -> NoteSequence:
    (tmp_path / name).write_bytes(content)
    return read_musicxml(tmp_path / name)


def sounds(sequence: NoteSequence) -> list[tuple[int, float, float]]:
    """(pitch, start, length) in quarters."""
    rows = sequence.notes[["pitch", "start", "end"]].tolist()
    return [(pitch, start / QUARTER, (end - start) / QUARTER) for pitch, start, end in rows]


def test_notes_rests_chords_and_voices(tmp_path):
    rest, chord, grace = "<note><rest/><duration>2</duration></note>", "<chord/>", "<grace/>"
    content = score(
        bar(
            ATTRIBUTES, note("C"), rest, note("E", 4), note("G", 4, inside=chord), note("A", 0, inside=grace),
            "<backup><duration>8</duration></backup>", "<forward><duration>2</duration></forward>",
            note("C", 6, 3), note("B", 2, inside="<cue/>"),
        )
    )  # fmt: skip
    assert sounds(read(tmp_path, content)) == [(60, 0, 1), (48, 1, 3), (64, 2, 2), (67, 2, 2)]


def test_alterations_and_transposing_instruments(tmp_path):
    down = "<chromatic>-2</chromatic><octave-change>-1</octave-change>"
    clarinet = f"<attributes><transpose>{down}</transpose></attributes>"
    content = score(bar(ATTRIBUTES, note("B", alter=1), note("C", alter=-1), clarinet, note("C"), note("D")))
    assert [pitch for pitch, _, _ in sounds(read(tmp_path, content))] == [72, 59, 46, 48]


def test_ties_are_joined_also_across_bars(tmp_path):
    begin, both, end = '<tie type="start"/>', '<tie type="stop"/><tie type="start"/>', '<tie type="stop"/>'
    content = score(
        bar(ATTRIBUTES, note("C", 6), note("D", 2, inside=begin)), bar(note("D", 8, inside=both)),
        bar(note("D", 2, inside=end), note("D", 6)),
    )  # fmt: skip
    assert sounds(read(tmp_path, content)) == [(60, 0, 3), (62, 3, 6), (62, 9, 3)]


def barline(repeat: str = "", ending: str = "", kind: str = "start") -> str:
    mark = f'<ending number="{ending}" type="{kind}"/>' if ending else ""
    return f"<barline>{mark}{f'<repeat {repeat}/>' if repeat else ''}</barline>"


def test_repeats_and_endings(tmp_path):
    forward, backward = 'direction="forward"', 'direction="backward"'
    content = score(
        bar(ATTRIBUTES, note("C", 8)),
        bar(barline(forward), note("D", 8)),
        bar(barline("", "1"), note("E", 8), barline(backward, "1", "stop")),
        bar(barline("", "2"), note("F", 8), barline("", "2", "discontinue")),
        bar(note("G", 8), barline(backward + ' times="3"')),
    )
    pitches = [pitch for pitch, _, _ in sounds(read(tmp_path, content))]
    assert pitches == [60, 62, 64, 62, 65, 67, 67, 67]


def test_tempo_meter_key_loudness_program_and_name(tmp_path):
    described = "<midi-instrument><midi-program>74</midi-program></midi-instrument>"
    sound = '<direction><sound tempo="60" dynamics="50"/></direction>'
    mark = "<beat-unit>quarter</beat-unit><beat-unit-dot/><per-minute>ca. 80</per-minute>"
    metronome = f"<direction><direction-type><metronome>{mark}</metronome></direction-type></direction>"
    three = "<attributes><time><beats>2+1</beats><beat-type>4</beat-type></time></attributes>"
    loud = note("D", 6).replace("<note>", '<note dynamics="100">')
    sequence = read(
        tmp_path,
        score(bar(ATTRIBUTES, sound, note("C", 8)), bar(three, metronome, loud), described=described),
    )
    assert sequence.tempos.tolist() == [[0, 60], [4, 120]]
    assert sequence.time_signatures.tolist() == [[0, 4, 4], [4, 3, 4]]
    assert sequence.key_signatures.tolist() == [[0, 10, 0]]
    assert sequence.notes["velocity"].tolist() == [45, 90]
    assert sequence.notes["program"].tolist() == [73, 73]
    assert sequence.instrument_names == ("Flute",)
    assert sequence.total_time == 5.5


def test_an_upbeat_has_a_meter_of_its_own(tmp_path):
    sequence = read(tmp_path, score(bar(ATTRIBUTES, note("G", 2)), bar(note("C", 8)), bar(note("D", 8))))
    assert sequence.time_signatures.tolist() == [[0, 1, 4], [QUARTER, 4, 4]]


def test_drums_are_told_by_their_instrument(tmp_path):
    described = (
        '<midi-instrument id="I1"><midi-channel>10</midi-channel><midi-unpitched>37</midi-unpitched>'
        '</midi-instrument><midi-instrument id="I2"><midi-unpitched>39</midi-unpitched></midi-instrument>'
    )
    hit = '<note><unpitched/><duration>2</duration><instrument id="{}"/></note>'
    sequence = read(tmp_path, score(bar(ATTRIBUTES, hit.format("I1"), hit.format("I2")), described=described))
    assert sequence.notes["pitch"].tolist() == [36, 38]
    assert sequence.notes["is_drum"].all()


def test_parts_stay_together_where_one_has_a_rest_too_much(tmp_path):
    long_rest = "<note><rest/><duration>8</duration></note>" * 2
    second = f'<part id="P2">{bar(ATTRIBUTES, long_rest)}{bar(note("E", 8))}</part>'
    sequence = read(tmp_path, score(bar(ATTRIBUTES, note("C", 8)), bar(note("D", 8)), more_parts=second))
    assert sounds(sequence) == [(60, 0, 4), (62, 4, 4), (64, 4, 4)]
    assert sequence.notes["instrument"].tolist() == [0, 0, 1]


def test_a_score_may_be_written_bar_by_bar(tmp_path):
    content = (
        '<score-timewise><part-list/><measure><part id="a">' + ATTRIBUTES + note("C", 8)
        + '</part><part id="b">' + ATTRIBUTES + note("E", 8) + "</part></measure>"
        + '<measure><part id="a">' + note("D", 8) + "</part></measure></score-timewise>"
    )  # fmt: skip
    assert sounds(read(tmp_path, content.encode())) == [(60, 0, 4), (62, 4, 4), (64, 0, 4)]


def harmony(kind: str, root: str = "F", alter: int = 0, more: str = "") -> str:
    tone = f"<root><root-step>{root}</root-step><root-alter>{alter}</root-alter></root>"
    return f"<harmony>{tone}<kind>{kind}</kind>{more}</harmony>"


def test_chord_symbols(tmp_path):
    bass = "<bass><bass-step>B</bass-step><bass-alter>-1</bass-alter></bass>"
    change = "<degree-value>{}</degree-value><degree-alter>{}</degree-alter><degree-type>{}</degree-type>"
    degree = f"<degree>{change}</degree>"
    content = score(
        bar(
            ATTRIBUTES, harmony("minor-seventh", alter=1), note("C", 4),
            harmony("major", "G", more=bass), note("D", 4),
        ),
        bar(
            harmony("dominant", "C", more=degree.format(9, -1, "add")), note("C", 2),
            harmony("major", "C", more=degree.format(5, 1, "alter")), note("C", 2),
            harmony("none"), note("C", 2), harmony("Tristan"), note("C", 2),
        ),
    )  # fmt: skip
    chords = [(time / QUARTER, symbol) for time, symbol in read(tmp_path, content).chords]
    assert chords == [(0, "F#m7"), (2, "G/Bb"), (4, "C7(addb9)"), (5, "C(#5)"), (6, "N.C.")]


def test_every_kind_of_chord_is_a_symbol_we_can_read():
    for kind in KINDS.values():
        assert read_symbol(f"F#{kind}") is not None


# ---------------------------------------------------------------------------------------------- compressed


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


SONG = score(bar(ATTRIBUTES, note("C", 8)))
PACKED = packed({"META-INF/container.xml": CONTAINER, "song.xml": SONG})


def test_compressed_scores(tmp_path):
    assert sounds(read(tmp_path, PACKED, "a.mxl")) == [(60, 0, 4)]
    # also where the table of contents spells the name otherwise, and whatever the suffix says
    other = packed({"META-INF/container.xml": CONTAINER, "größer.xml": SONG})
    assert sounds(read(tmp_path, other, "b.xml")) == [(60, 0, 4)]


def test_encodings(tmp_path):
    latin = SONG.replace(b"UTF-8", b"ISO-8859-1").replace(b"Flute", "Flöte".encode("latin-1"))
    assert read(tmp_path, latin).instrument_names == ("Flöte",)
    wide = SONG.decode().replace("UTF-8", "UTF-16").encode("utf-16")
    assert sounds(read(tmp_path, wide)) == [(60, 0, 4)]


BOMB = b'<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><score-partwise>&b;</score-partwise>'
FETCH = b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><score-partwise>&a;</score-partwise>'
DAMAGED = {
    "empty": (b"", "is empty"),
    "cut": (SONG[:-20], "is not valid XML"),
    "other xml": (b"<html><body/></html>", "begins with <html>, not <score-partwise>"),
    "no notes": (score(bar(ATTRIBUTES)), "it has no notes"),
    "entities": (BOMB, "declares entities, .* they are refused"),
    "foreign files": (FETCH, "declares entities"),
    "bad step": (score(bar(ATTRIBUTES, note("H"))), "a pitch has the step 'H'"),
    "too high": (score(bar(ATTRIBUTES, note("C", octave=12))), "beyond the pitches"),
    "bad number": (SONG.replace(b"<duration>8<", b"<duration>1e99999999<"), "<duration> is '1e99999999'"),
    "no divisions": (SONG.replace(b"<divisions>2<", b"<divisions>0<"), "0 divisions"),
    "bad meter": (SONG.replace(b"<beats>4<", b"<beats>x<"), "a meter of x/4"),
    "hours": (SONG.replace(b"<duration>8<", b"<duration>999999999<"), "it lasts .* hours"),
    "no container": (packed({"song.xml": SONG}), "no 'META-INF/container.xml' in the archive"),
    "no score": (packed({"META-INF/container.xml": CONTAINER}), "there is no 'song.xml' in the archive"),
    "cut archive": (PACKED[:-30], "the archive cannot be unpacked"),
    "damaged archive": (PACKED.replace(SONG[:0] + PACKED[60:70], b"0123456789"), "unpacked|not valid|no "),
    "not xml": (b"\x00\x01\x02" * 30, "is not valid XML"),
    "unknown encoding": (b'<?xml version="1.0" encoding="x-none"?><a/>', "is not valid XML"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_told_in_one_line(tmp_path, name):
    content, reason = DAMAGED[name]
    with pytest.raises(KikiboubaError, match=reason) as error:
        read(tmp_path, content)
    assert "song.musicxml" in str(error.value)
    assert "\n" not in str(error.value)


def test_no_more_is_unpacked_than_allowed(tmp_path, monkeypatch):
    monkeypatch.setattr(musicxml, "MAX_BYTES", 2**20)
    bomb = packed({"META-INF/container.xml": CONTAINER, "song.xml": b" " * 2**26 + SONG})
    assert len(bomb) < 2**17
    with pytest.raises(KikiboubaError, match="unpacks to more than 1 MB"):
        read(tmp_path, bomb)


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_any_damage_gives_a_piece_or_our_error(tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from([SONG, PACKED])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=5))
    try:
        sequence = read(tmp_path_factory.mktemp("xml"), bytes(content))
    except KikiboubaError:
        return
    assert (sequence.notes["end"] > sequence.notes["start"]).all()
