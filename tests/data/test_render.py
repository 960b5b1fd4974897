"""Sound: in tune, audible, of a known format, and the same every time."""

import io
import wave

import numpy as np
import pytest

from kikibouba.data.midi import midi_bytes
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.render import SAMPLE_RATE, amplified, audio_tag, default_soundfont, wav_bytes
from kikibouba.errors import KikiboubaError


def tune(pitches, seconds=1.0, is_drum=False):
    start = np.arange(len(pitches)) * seconds
    notes = make_notes(np.array(pitches), start, start + seconds, 100, 9 if is_drum else 0, 0, is_drum)
    return midi_bytes(NoteSequence(notes=notes, total_time=len(pitches) * seconds))


def samples(wav):
    """Float [n, 2] in -1..1."""
    with wave.open(io.BytesIO(wav)) as file:
        assert file.getframerate() == SAMPLE_RATE
        assert file.getnchannels() == 2
        assert file.getsampwidth() == 2
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2) / 2**15


def fundamental(sound):
    """Frequency in Hz whose first four harmonics together are strongest."""
    size = 2**19
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    bins = np.arange(int(50 * size / SAMPLE_RATE), int(2000 * size / SAMPLE_RATE))
    harmonics = np.prod([spectrum[h * bins] + 1e-9 for h in range(1, 5)], axis=0)
    return bins[harmonics.argmax()] * SAMPLE_RATE / size


@pytest.mark.parametrize(("pitch", "hertz"), [(69, 440.0), (57, 220.0), (60, 261.626), (76, 659.255)])
def test_in_tune(pitch, hertz):
    sound = samples(wav_bytes(tune([pitch])))
    steady = sound[int(0.1 * SAMPLE_RATE) : int(0.9 * SAMPLE_RATE)].mean(axis=1)
    cents = 1200 * np.log2(fundamental(steady) / hertz)
    assert abs(cents) < 6


def test_audible_from_start_to_end():
    sound = samples(wav_bytes(tune([60, 64, 67])))
    seconds = np.array_split(np.abs(sound).max(axis=1)[: 3 * SAMPLE_RATE], 3)
    assert all(second.max() > 0.02 for second in seconds)
    assert 3.0 <= len(sound) / SAMPLE_RATE < 8
    assert np.abs(sound).max() < 1


def test_drums_are_audible():
    assert np.abs(samples(wav_bytes(tune([36, 38, 42], 0.25, is_drum=True)))).max() > 0.02


def test_same_bytes():
    assert wav_bytes(tune([60])) == wav_bytes(tune([60]))


def test_errors(tmp_path):
    for midi in (b"", b"MThd", tune([60])[:40]):
        with pytest.raises(KikiboubaError, match="cannot render"):
            wav_bytes(midi)
    with pytest.raises(KikiboubaError, match="cannot read the soundfont"):
        wav_bytes(tune([60]), tmp_path / "none.sf2")
    (tmp_path / "bad.sf2").write_bytes(b"RIFF")
    with pytest.raises(KikiboubaError, match="cannot render"):
        wav_bytes(tune([60]), tmp_path / "bad.sf2")


def test_no_soundfont(monkeypatch):
    monkeypatch.setattr("kikibouba.data.render.find_spec", lambda name: None)
    with pytest.raises(KikiboubaError, match="pip install pretty_midi"):
        default_soundfont()


def test_player():
    assert audio_tag(b"RIFF") == '<audio controls src="data:audio/wav;base64,UklGRg=="></audio>'


def test_amplified_to_a_peak_without_bending_the_sound():
    soft = wav_bytes(tune([69]))
    quiet, loud = samples(soft), samples(amplified(soft, 0.7))
    assert np.abs(loud).max() == pytest.approx(0.7, abs=1e-3)
    ratio = np.abs(loud).max() / np.abs(quiet).max()
    np.testing.assert_allclose(loud, quiet * ratio, atol=2e-5)


def test_silence_is_not_amplified():
    silence = wav_bytes(tune([], 1.0))
    assert amplified(silence) == silence
