"""One door for every format: by suffix, piece by piece, and from a folder of all of them to a dataset."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from records import frame, melody_message, write_records

from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.music_files import (
    MUSIC_SUFFIXES,
    each_piece_of,
    first_piece,
    is_music,
    read_music,
)
from kikibouba.data.prepare import prepare, report
from kikibouba.data.sources import draw_split
from kikibouba.errors import KikiboubaError
from kikibouba.inputs import kind_of, read_artifact, read_examples

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FRACTIONS = (0.4, 0.3, 0.3)


def names(path: Path) -> list[str]:
    return [piece.name for piece in read_music(path)]


def test_each_suffix_has_its_reader(tmp_path):
    assert names(EXAMPLES / "river.mid") == [""]
    assert names(EXAMPLES / "song.mxl") == [""]
    book = ["1 Windy Pier", "2 Lantern Street", "3 The Cat on the Stairs", "4 Post Early"]
    assert names(EXAMPLES / "tunes.abc") == book
    assert names(EXAMPLES / "tunes.tfrecord") == book
    shard = tmp_path / "tunes.tfrecord-00000-of-00010"
    shutil.copy(EXAMPLES / "tunes.tfrecord", shard)
    assert names(shard) == book
    loud = tmp_path / "TUNES.ABC"
    shutil.copy(EXAMPLES / "tunes.abc", loud)
    assert names(loud) == book
    assert all(is_music(f"a{suffix}") for suffix in (*MUSIC_SUFFIXES, ".tfrecord-00003-of-00010"))
    assert not is_music("a.svg")


def test_a_tune_and_its_record_are_the_same_piece():
    for tune, record in zip(
        read_music(EXAMPLES / "tunes.abc"), read_music(EXAMPLES / "tunes.tfrecord"), strict=True
    ):
        assert np.array_equal(tune.notes, record.notes)
        assert np.array_equal(tune.time_signatures, record.time_signatures)
        assert tune.chords == record.chords


def test_other_suffixes_are_read_as_midi(tmp_path):
    shutil.copy(EXAMPLES / "river.mid", tmp_path / "river.kar")
    assert len(first_piece(tmp_path / "river.kar").notes) > 0
    (tmp_path / "a.txt").write_text("hello there")
    with pytest.raises(KikiboubaError, match="not a MIDI file"):
        read_music(tmp_path / "a.txt")


def test_a_broken_tune_is_passed_over_and_told(tmp_path):
    path = tmp_path / "a.abc"
    path.write_text("X:1\nT:bad\nK:H\nC\n\nX:2\nT:good\nK:C\nC\n")
    problems: list[str] = []
    assert [item.where for item in each_piece_of(path, problems)] == ["2 good"]
    assert problems == ["1 bad: cannot read the key 'H'; write for example K:G, K:Bb, K:F#m or K:Ador"]
    assert names(path) == ["2 good"]
    assert first_piece(path).name == "2 good"
    path.write_text("X:1\nT:bad\nK:H\nC\n")
    for read in (read_music, first_piece):
        with pytest.raises(KikiboubaError, match=r"a\.abc: 1 bad: cannot read the key"):
            read(path)


def test_a_file_is_read_record_by_record(tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(frame(melody_message("a")) + b"damage")
    assert first_piece(path).name == "a"
    with pytest.raises(KikiboubaError, match="record 1"):
        read_music(path)


def test_as_input_of_a_model():
    assert kind_of(EXAMPLES / "tunes.abc") == kind_of(EXAMPLES / "song.mxl") == "melody"
    assert read_artifact(EXAMPLES / "tunes.tfrecord").notes.name == "1 Windy Pier"
    melody = MelodyRepresentation()
    assert len(read_examples(EXAMPLES / "song.mxl", melody)) == 1
    assert len(read_examples(EXAMPLES / "tunes.abc", melody, whole=True)) > 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file of every format, and some that are none."""
    where = tmp_path / "in"
    where.mkdir()
    for name in ("river.mid", "song.mxl", "tunes.abc", "tunes.tfrecord", "sheep.svg"):
        shutil.copy(EXAMPLES / name, where / name)
    (where / "README.txt").write_text("not music")
    (where / "broken.xml").write_text("<html/>")
    messages = [melody_message(f"id {i}", transposed=i) for i in range(24)]
    write_records(where / "many.tfrecord-00000-of-00002", *messages[:12])
    write_records(where / "many.tfrecord-00001-of-00002", *messages[12:])
    return where


def test_a_folder_of_every_format_becomes_a_dataset(folder: Path, tmp_path: Path):
    melody = MelodyRepresentation()
    dataset = prepare(melody, folder, tmp_path / "out", fractions=FRACTIONS, workers=1, progress=False)
    assert dataset.meta["files"] == 6
    told = report(dataset)
    assert "begins with <html>" in told
    assert "the meter is 6/8" in told
    assert "README" not in told
    expected: dict[str, list[bytes]] = {"train": [], "valid": [], "test": []}
    for path in sorted(folder.iterdir()):
        if path.name != "broken.xml" and (is_music(path)):
            for piece in read_music(path):
                key = f"{path.name}#{piece.name}" if piece.name else path.name
                try:
                    windows = melody.windows(piece)
                except KikiboubaError:
                    continue
                expected[draw_split(key, FRACTIONS)] += [window.tobytes() for window in windows]
    for split in expected:
        assert [array.tobytes() for array in dataset.split(split)] == expected[split]
        assert len(expected[split]) > 3


def test_lists_decide_for_whole_files(folder: Path, tmp_path: Path):
    (folder / "split").mkdir()
    (folder / "split" / "train.txt").write_text("tunes.abc\n")
    (folder / "split" / "test.txt").write_text("many.tfrecord-00001-of-00002\n")
    dataset = prepare("melody", folder, tmp_path / "out", workers=1, progress=False)
    windows = MelodyRepresentation().windows
    usable = [piece for piece in read_music(folder / "tunes.abc") if "Cat" not in piece.name]
    assert len(dataset.split("train")) == sum(len(windows(piece)) for piece in usable)
    assert len(dataset.split("test")) == 12
    assert set(dataset.splits) == {"train", "test"}


def test_the_split_of_a_record_stays_when_others_come(tmp_path: Path):
    def tests_of(count: int) -> set[bytes]:
        where = tmp_path / str(count)
        where.mkdir()
        messages = [melody_message(f"id {i}", transposed=i) for i in range(count)]
        write_records(where / "a.tfrecord", *messages)
        out = tmp_path / f"out{count}"
        dataset = prepare("melody", where, out, fractions=FRACTIONS, workers=1, progress=False)
        return {array.tobytes() for array in dataset.split("test")}

    few, many = tests_of(10), tests_of(24)
    assert few < many


def test_a_damaged_record_file_is_skipped_as_a_whole(tmp_path: Path):
    (tmp_path / "in").mkdir()
    good, bad = frame(melody_message("a")), bytearray(frame(melody_message("b")))
    bad[30] ^= 1
    (tmp_path / "in" / "bad.tfrecord").write_bytes(good + bytes(bad))
    (tmp_path / "in" / "good.tfrecord").write_bytes(good)
    dataset = prepare("melody", tmp_path / "in", tmp_path / "out", workers=1, progress=False)
    assert "record 1 (at byte" in report(dataset)
    assert dataset.meta["files"] == 1
