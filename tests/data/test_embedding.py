"""Embedding frames as data: from recordings and from files."""

from pathlib import Path

import numpy as np
import pytest

from kikibouba.data.audio_files import wav_bytes
from kikibouba.data.embedding import EmbeddingRepresentation
from kikibouba.data.embedding_files import Note, instruments_in, note_of, read_arrays
from kikibouba.data.prepare import prepare
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError

SMALL = EmbeddingRepresentation(width=16, frames=10, hop=128)


def tone(seconds: float = 0.1, hertz: float = 500.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(16_000 * seconds)) / 16_000)).astype(np.float32)


def arrays(n: int = 3, frames: int = 10, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, frames, width)).astype(np.float32)


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("guitar_acoustic_001-082-050", (82, 50, "guitar_acoustic_001")),
        ("organ-060-127", (60, 127, "organ")),
        ("my song", (-1, -1, None)),
        ("x-200-001", (-1, -1, None)),
    ],
)
def test_a_name_says_which_note_it_is(name: str, known: tuple) -> None:
    note = note_of(tone(), name)
    assert (note.pitch, note.velocity, note.instrument) == known


def test_instruments_come_from_names() -> None:
    names = ["b/organ-060-100.wav", "flute-061-025.wav", "a/organ-061-100.npy", "song.wav"]
    assert instruments_in([Path(name) for name in names]) == ("flute", "organ")


def test_a_recording_becomes_frames_and_context(tmp_path: Path) -> None:
    path = tmp_path / "organ-060-100.wav"
    path.write_bytes(wav_bytes(tone(0.2)))
    representation = EmbeddingRepresentation(width=16, frames=10, hop=128, instruments=("flute", "organ"))
    (note,) = representation.read(path)
    first, second = representation.windows(note)  # 3200 samples are 25 frames: two examples
    assert first.shape == (10, 19)
    assert first.dtype == np.float32
    assert first[0, 16:].tolist() == second[-1, 16:].tolist() == [60, 100, 1]
    assert 0 < first[:, :16].max() <= 1.1


def test_a_short_recording_is_followed_by_silence() -> None:
    (array,) = SMALL.windows(tone(0.03))
    assert array[0, :16].any()
    assert not array[-1, :16].any()
    assert array[0, 16:].tolist() == [-1, -1, -1]


def test_the_original_s_files_are_read(tmp_path: Path) -> None:
    z = arrays()
    path = save(tmp_path / "train_z.npy", z)
    save(tmp_path / "train_pitch_one_hot.npy", np.eye(128)[[60, 61, 62]])
    save(tmp_path / "train_vels_one_hot.npy", np.eye(128)[[25, 50, 127]])
    notes = list(read_arrays(path, 16))
    assert [(note.pitch, note.velocity) for note in notes] == [(60, 25), (61, 50), (62, 127)]
    np.testing.assert_array_equal(notes[2].sound, z[2])
    with pytest.raises(KikiboubaError, match="labels"):
        list(read_arrays(tmp_path / "train_pitch_one_hot.npy", 128))


def test_one_note_a_file_as_nsynth_saves_them(tmp_path: Path) -> None:
    (note,) = read_arrays(save(tmp_path / "flute-070-075.npy", arrays(1)[0]), 16)
    assert (note.pitch, note.velocity, note.instrument, note.sound.shape) == (70, 75, "flute", (10, 16))


def test_a_dataset_of_arrays_has_splits_that_stay(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "train_z.npy", arrays(60))
    representation = EmbeddingRepresentation(source="arrays", width=16, frames=10)
    found = prepare(representation, tmp_path / "in", tmp_path / "out", fractions=(0.7, 0.15, 0.15), workers=1)
    counts = found.meta["counts"]
    assert sum(counts.values()) == 60
    assert counts["train"] > 30
    assert min(counts.values()) > 2
    again = prepare(representation, tmp_path / "in", tmp_path / "two", fractions=(0.7, 0.15, 0.15), workers=1)
    np.testing.assert_array_equal(again.split("test").rows, found.split("test").rows)
    assert Dataset.open(tmp_path / "out").representation == representation


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (arrays()[..., :7], "frames of 7 numbers, and 16 are expected"),
        (np.zeros((2, 3, 4, 16)), r"\[T, W\] or \[N, T, W\]"),
        (np.zeros((10, 16), int), "frames are floats"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(KikiboubaError, match=message):
        list(read_arrays(save(tmp_path / "a.npy", array), 16))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY and then nothing")
    for path in (tmp_path / "a.npy", tmp_path / "missing.npy"):
        with pytest.raises(KikiboubaError, match=r"readable|no file"):
            list(read_arrays(path, 16))
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(KikiboubaError, match="readable"):
        list(read_arrays(tmp_path / "pickled.npy", 16))


def test_labels_of_other_notes_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "train_z.npy", arrays())
    save(tmp_path / "train_pitch_one_hot.npy", np.eye(128)[:2])
    with pytest.raises(KikiboubaError, match="one-hot rows of 3 notes"):
        list(read_arrays(path, 16))


def test_what_cannot_be_an_example_says_why() -> None:
    bad = arrays(1)[0]
    bad[4, 2] = np.nan
    for sound, message in (
        (bad, "frame 4 is NaN"),
        (arrays(1, frames=9)[0], "9 frames, an example 10"),
        (arrays(1, width=5)[0], r"frames \[T, 16\] are expected"),
        (np.zeros(3000, np.float32), "silent"),
    ):
        with pytest.raises(KikiboubaError, match=message):
            SMALL.windows(Note(sound))
    with pytest.raises(KikiboubaError, match=r"--model WAVENET"):
        EmbeddingRepresentation(source="wavenet", width=16).read(Path("a.wav"))


@pytest.mark.parametrize("fields", [{"width": 0}, {"frames": 0}, {"hop": 3}, {"hop": 100_000}])
def test_impossible_settings_are_refused(fields: dict) -> None:
    with pytest.raises(KikiboubaError, match=next(iter(fields))):
        EmbeddingRepresentation(**fields)


def test_batches_and_back() -> None:
    rows = [np.concatenate([one, np.full((10, 3), 60, np.float32)], 1) for one in arrays()]
    x, lengths = SMALL.collate(rows)
    assert x.shape == (3, 10, 19)
    assert lengths.tolist() == [10, 10, 10]
    for one, other in zip(SMALL.split_batch(x, lengths), rows, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_artifact_is_heard_seen_and_saved(tmp_path: Path) -> None:
    (array,) = SMALL.windows(tone(0.08))
    artifact = SMALL.to_artifact(array)
    assert len(artifact.sound.wave) == 10 * 128
    for suffix in artifact.suffixes:
        assert artifact.save(tmp_path / f"a{suffix}").stat().st_size > 100
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), array[:, :16])
    with pytest.raises(KikiboubaError, match="unknown suffix"):
        artifact.save(tmp_path / "a.mid")


def test_frames_of_unknown_origin_are_silent(tmp_path: Path) -> None:
    artifact = EmbeddingRepresentation(source="arrays", width=16).to_artifact(arrays(1)[0])
    with pytest.raises(KikiboubaError, match="kikibouba decode"):
        artifact.save(tmp_path / "a.wav")
    assert not list(tmp_path.iterdir())


def test_attributes_measure_level_and_motion() -> None:
    still, moving = np.zeros((10, 19), np.float32), np.zeros((10, 19), np.float32)
    moving[::2, :16] = 1
    found = SMALL.attributes([still, moving])
    assert found["level"].tolist() == [0, 0.5]
    assert found["motion"].tolist() == [0, 1]
