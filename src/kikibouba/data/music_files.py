"""Every file of music, by its suffix, as `NoteSequence`s: the one door for all that is made of notes.

    .mid, .midi              MIDI                                    one piece
    .musicxml, .xml, .mxl    a score in MusicXML                     one piece
    .abc                     a tune book in ABC notation             its tunes
    .tfrecord                Magenta's TFRecord of NoteSequences     its records

A piece out of many has a name: the tune's number and title, the record's id. Its split is drawn from that
name, so the tunes of one book are spread over training, validation and test. A set in many files, such as
x.tfrecord-00000-of-00010, is read like any other.
"""

from collections.abc import Iterator
from pathlib import Path

from kikibouba.data.abc_notation import read_abc
from kikibouba.data.midi import read_midi
from kikibouba.data.musicxml import read_musicxml
from kikibouba.data.notes import NoteSequence
from kikibouba.data.representation import Item
from kikibouba.data.sources import without_shard
from kikibouba.data.tfrecord import read_tfrecord
from kikibouba.errors import KikiboubaError

MIDI_SUFFIXES = (".mid", ".midi")
SCORE_SUFFIXES = (".musicxml", ".xml", ".mxl")
MUSIC_SUFFIXES = (*MIDI_SUFFIXES, *SCORE_SUFFIXES, ".abc", ".tfrecord")


def read_music(path: str | Path) -> list[NoteSequence]:
    """The pieces in a file, at least one. A tune of a book that cannot be read is passed over.

    Raises:
        KikiboubaError: the file cannot be read or is broken, or none of its tunes can be read; says how.
    """
    return [item.content for item in each_piece_of(path, [])] or [first_piece(path)]


def each_piece_of(path: str | Path, problems: list[str]) -> Iterator[Item]:
    """The pieces in a file one after the other, so that a file may be larger than memory.

    Args:
        path: a file of any suffix; what has none of the known ones is read as MIDI.
        problems: gets a line "where: why" for each tune that cannot be read.

    Raises:
        KikiboubaError: as `read_music`, when the iterator reaches the damage.
    """
    name = without_shard(str(path).lower())
    if name.endswith(".abc"):
        for title, tune in read_abc(path):
            if isinstance(tune, KikiboubaError):
                problems.append(f"{title}: {tune}")
            else:
                yield _named(tune)
    elif name.endswith(".tfrecord"):
        yield from map(_named, read_tfrecord(path))
    elif name.endswith(SCORE_SUFFIXES):
        yield Item(read_musicxml(path))
    else:
        yield Item(read_midi(path))


def first_piece(path: str | Path) -> NoteSequence:
    """The first piece in a file, without reading the others. Raises KikiboubaError as `read_music`."""
    problems: list[str] = []
    for item in each_piece_of(path, problems):
        return item.content
    raise KikiboubaError(f"{path}: {problems[0] if problems else 'there is no piece in it'}")


def is_music(path: str | Path) -> bool:
    """Whether the suffix is one of music."""
    return without_shard(str(path).lower()).endswith(MUSIC_SUFFIXES)


def _named(piece: NoteSequence) -> Item:
    return Item(piece, where=piece.name, key=piece.name)
