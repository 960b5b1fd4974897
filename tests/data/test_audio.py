"""Sound as a representation: recordings to datasets, domains, augmentation, NSynth's records."""

import struct

import numpy as np
import pytest
from records import field, frame

from kikibouba.data.artifacts import Sound
from kikibouba.data.audio import AudioRepresentation
from kikibouba.data.audio_detune import detune, shift_pitch
from kikibouba.data.prepare import prepare
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError

AUDIO = AudioRepresentation(clip=1000)


def tone(hertz, samples=4000):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / 16_000)).astype(np.float32)


def strongest(wave):
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 1 << 18))
    return np.fft.rfftfreq(1 << 18, 1 / 16_000)[spectrum.argmax()]


def fill(folder):
    """Two domains of six tones each, a silent file, a short one, a broken one and a clipped one."""
    for domain, hertz in (("low", 200), ("high", 1000)):
        (folder / domain).mkdir(parents=True)
        for number in range(6):
            Sound(tone(hertz + 10 * number)).save(folder / domain / f"{number}.wav")
    Sound(np.zeros(4000)).save(folder / "low" / "silent.wav")
    Sound(tone(200, 900)).save(folder / "low" / "short.wav")
    (folder / "high" / "broken.wav").write_bytes(b"RIFF")
    Sound(np.sign(tone(300))).save(folder / "high" / "loud.wav")
    return folder


def test_prepare(tmp_path):
    made = prepare(AUDIO, fill(tmp_path / "in"), tmp_path / "out", workers=1, progress=False)
    dataset = Dataset.open(made.path)
    assert dataset.representation == AUDIO
    assert dataset.categories == ["high", "low"]
    assert sum(dataset.meta["counts"].values()) == 13
    skipped = (made.path / "skipped.txt").read_text()
    assert all(
        why in skipped for why in ("it is silent", "it lasts 0.0563 s, a clip 0.0625 s", "no WAV file")
    )
    assert "at full scale" in (made.path / "warnings.txt").read_text()
    split = dataset.split("train")
    assert split.rows.dtype == np.uint8
    assert isinstance(split.rows, np.memmap)
    hertz = [strongest(AUDIO.wave(split[i])) for i in range(len(split))]
    assert all((h > 250) == (c == 0) for h, c in zip(hertz, split.categories, strict=True))


def test_the_dataset_does_not_depend_on_workers(tmp_path):
    source = fill(tmp_path / "in")
    made = [prepare(AUDIO, source, tmp_path / f"out{n}", workers=n, progress=False) for n in (1, 3)]
    one, three = (sorted(p.name for p in dataset.path.iterdir()) for dataset in made)
    assert one == three
    for name in one:
        assert (made[0].path / name).read_bytes() == (made[1].path / name).read_bytes()


def example(name, wave, packed=True):
    """A `tf.train.Example` as NSynth's."""
    raw = np.asarray(wave, "<f4").tobytes()
    floats = field(1, raw) if packed else b"".join(b"\x0d" + raw[i : i + 4] for i in range(0, len(raw), 4))
    features = [
        ("note_str", field(1, field(1, name))),
        ("audio", field(2, floats)),
        ("pitch", field(3, field(1, 60))),
    ]
    entries = b"".join(field(1, field(1, key) + field(2, value)) for key, value in features)
    return frame(field(1, entries))


def test_records_of_nsynth(tmp_path):
    path = tmp_path / "nsynth-test.tfrecord"
    path.write_bytes(
        example("guitar_acoustic_001-082-050", tone(440))
        + example("flute_synthetic_000-060-100", tone(262), packed=False)
        + frame(field(1, b""))
    )
    problems = []
    items = list(AUDIO.read_many(path, problems))
    assert [item.category for item in items] == ["guitar_acoustic_001", "flute_synthetic_000"]
    np.testing.assert_array_equal(items[1].content, tone(262))
    assert problems == ["record 2: it has no 'audio': is it one of NSynth's?"]
    path.write_bytes(struct.pack("<Q", 3))
    with pytest.raises(KikiboubaError, match="ends inside its length"):
        AUDIO.read(path)


def test_names_of_notes_say_the_instrument(tmp_path):
    (tmp_path / "audio").mkdir()
    path = Sound(tone(440)).save(tmp_path / "audio" / "bass_electronic_018-022-100.wav")
    (item,) = AUDIO.read_many(path, [])
    assert item.category == "bass_electronic_018"


@pytest.mark.parametrize("coding", ["umtn", "nsynth"])
def test_codes_and_batches(coding):
    audio = AudioRepresentation(coding=coding, clip=10)
    arrays = [audio.codes(tone(440, n)) for n in (50, 80)]
    x, lengths = audio.collate(arrays)
    assert x.shape == (2, 80)
    assert set(x[0, 50:].tolist()) == {audio.silence}
    assert abs(float(audio.wave(np.array([audio.silence]))[0])) < 1e-6
    for a, b in zip(audio.split_batch(x.astype(np.int64), lengths), arrays, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(audio.to_artifact(arrays[1]).wave, tone(440, 80), atol=0.02)


@pytest.mark.parametrize("method", ["original", "fast"])
@pytest.mark.parametrize("seed", range(3))
def test_detuning_moves_a_part_only(method, seed):
    wave = tone(440, 12_000)
    rng = np.random.default_rng(seed)
    length, start = rng.integers(3000, 6000, endpoint=True), rng.integers(0, 6000, endpoint=True)
    delta = rng.uniform(-0.5, 0.5)
    out = detune(wave, np.random.default_rng(seed), 0.5, method)
    changed = np.zeros(len(wave), bool)
    changed[start : start + length] = True
    np.testing.assert_array_equal(out[~changed], wave[~changed])
    assert strongest(out[changed]) == pytest.approx(440 * 2 ** (delta / 12), rel=2e-3)


@pytest.mark.parametrize("semitones", [-0.5, 0.0, 0.3, 3.0])
def test_pitch_shifts_and_tempo_stays(semitones):
    wave = tone(440, 8000) * (np.arange(8000) > 4000)
    out = shift_pitch(wave, semitones)
    assert strongest(out[4000:]) == pytest.approx(440 * 2 ** (semitones / 12), rel=2e-3)
    assert np.abs(out[:2500]).max() < 0.02
    assert np.sqrt(np.mean(out[5500:] ** 2)) == pytest.approx(0.35, rel=0.1)


def test_augment_needs_a_generator_only():
    codes = AUDIO.codes(tone(440, 12_000))
    varied = [AUDIO.augment(codes, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(varied[0], varied[1])
    assert not np.array_equal(varied[0], varied[2])
    assert varied[0].dtype == np.uint8


def test_attributes():
    found = AUDIO.attributes([AUDIO.codes(tone(440)), AUDIO.codes(0.1 * tone(2000))])
    assert found["loudness"][0] - found["loudness"][1] == pytest.approx(20.0, abs=0.5)
    assert found["brightness"][1] > found["brightness"][0]


def test_settings_are_checked():
    with pytest.raises(KikiboubaError, match="clip"):
        AudioRepresentation(clip=0)
