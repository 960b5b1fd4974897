"""Sound from files of every usual form, and one clear line for every broken one."""

import struct

import numpy as np
import pytest

from kikibouba.data.artifacts import Sound
from kikibouba.data.audio_files import read_sound, wav_bytes, wav_header
from kikibouba.data.audio_resampling import resample
from kikibouba.errors import KikiboubaError


def sine(hertz=440.0, rate=16_000, seconds=0.5):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def wav(samples, rate=16_000, tag=1, bits=16, channels=1, size=None, extensible=False):
    """A WAV file of raw sample bytes."""
    data = samples if isinstance(samples, bytes) else np.asarray(samples).tobytes()
    block = channels * bits // 8
    layout = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate, rate * block, block, bits)
    if extensible:
        layout += (
            struct.pack("<HHIH", 22, bits, 0, tag)
            + b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
        )
    note = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(layout)) + layout + note
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def write(tmp_path, content, name="a.wav"):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def test_round_trip(tmp_path):
    path = Sound(sine().astype(np.float32)).save(tmp_path / "a.wav")
    np.testing.assert_allclose(read_sound(path), sine(), atol=1 / 32768)


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (wav((sine() * 127 + 128).astype(np.uint8), bits=8), 1 / 64),
        (wav((sine() * 2**31).astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes(), bits=24), 1e-6),
        (wav((sine() * 2**31).astype("<i4"), bits=32), 1e-6),
        (wav(sine().astype("<f4"), tag=3, bits=32), 1e-7),
        (wav(sine().astype("<f8"), tag=3, bits=64), 1e-7),
        (wav((sine() * 32768).astype("<i2"), extensible=True), 1e-4),
        (wav((sine() * 32768).astype("<i2"), size=0xFFFFFFFF), 1e-4),
        (wav(np.repeat((sine() * 32768).astype("<i2"), 2), channels=2), 1e-4),
    ],
    ids=["8 bit", "24 bit", "32 bit", "float", "double", "extensible", "streamed", "stereo"],
)
def test_forms_of_wav(tmp_path, content, tolerance):
    np.testing.assert_allclose(read_sound(write(tmp_path, content)), sine(), atol=tolerance)


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".wav"])
def test_other_formats_and_rates(tmp_path, suffix):
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / f"a{suffix}", np.stack([sine(rate=96_000)] * 2, 1), 96_000)
    found = read_sound(tmp_path / f"a{suffix}")
    assert found.shape == (8000,)
    np.testing.assert_allclose(found[200:-200], sine()[200:-200], atol=0.03 if suffix == ".ogg" else 1e-3)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_resampling_keeps_what_fits_and_drops_what_does_not(rate):
    kept = resample(sine(1000.0, rate, 1.0), rate, 16_000)
    assert len(kept) == 16_000
    np.testing.assert_allclose(kept[300:-300], sine(1000.0, 16_000, 1.0)[300:-300], atol=2e-4)
    if rate > 22_000:
        aliased = resample(sine(9500.0, rate, 1.0), rate, 16_000)
        assert np.abs(aliased[300:-300]).max() < 1e-4


NAN = np.array([0.0, np.nan, 0.1], "<f4")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"not a sound at all", "no WAV file"),
        (wav(b""), "0 samples"),
        (wav(sine().astype("<i2"))[:-400], "cut short"),
        (wav(b"")[:30], "format takes 10 bytes"),
        (wav(b"")[:40], "no sound in it"),
        (wav(NAN, tag=3, bits=32), "NaN"),
        (wav(np.full(9, 3e4, "<f4"), tag=3, bits=32), "within -1 and 1"),
        (wav(b"abcd", tag=17, bits=4), "format 17"),
        (wav(b"abcd", rate=3), "claims 3 samples"),
        (wav(b"abcd", channels=0), "0 channels"),
        (b"RIFF\x08\0\0\0WAVEdata\x04\0\0\0abcd", "before their format"),
    ],
)
def test_broken_files_say_so(tmp_path, content, says):
    with pytest.raises(KikiboubaError, match=says) as caught:
        read_sound(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_other_broken_files_say_so(tmp_path):
    pytest.importorskip("soundfile")
    with pytest.raises(KikiboubaError, match="cannot be read as sound"):
        read_sound(write(tmp_path, b"fLaC and nonsense", "a.flac"))
    with pytest.raises(KikiboubaError, match="allowed"):
        read_sound(write(tmp_path, b"abc", "a.aac"))
    with pytest.raises(KikiboubaError, match="No such file"):
        read_sound(tmp_path / "missing.ogg")


def test_header_is_that_of_the_standard_library(tmp_path):
    import wave

    path = write(tmp_path, wav_bytes(sine(), 16_000))
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (
            1,
            2,
            16_000,
            8000,
        )
    assert len(wav_header(3)) == 44


def test_a_sound_shows_itself(tmp_path):
    sound = Sound(sine().astype(np.float32))
    assert sound.save(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with np.load(sound.save(tmp_path / "a.npz")) as arrays:
        assert arrays["rate"] == 16_000
        assert arrays["wave"].tolist() == sound.wave.tolist()
    assert "<audio controls" in sound._repr_html_()
    with pytest.raises(KikiboubaError, match=r"\.wav, \.png, \.npz"):
        sound.save(tmp_path / "a.mid")
