"""MIDI → sound, without any system package."""

import base64
import io
import wave
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from kikibouba.errors import KikiboubaError

SAMPLE_RATE = 48_000
"""What midirenderer writes: 48 kHz, 16 bit, stereo."""


def wav_bytes(midi: bytes, soundfont: str | Path | None = None) -> bytes:
    """A WAV file (RIFF, PCM 16 bit, stereo, 48 kHz) of a Standard MIDI File, the same bytes for the same
    input.

    Args:
        midi: content of a .mid file.
        soundfont: an .sf2; by default TimGM6mb, the General MIDI set that comes with pretty_midi.

    Raises:
        KikiboubaError: no soundfont, or the renderer cannot read the MIDI.
    """
    from midirenderer import render_wave_from

    sounds = _soundfont(Path(soundfont) if soundfont else default_soundfont())
    try:
        return render_wave_from(sounds, midi)
    except (RuntimeError, ValueError) as error:
        raise KikiboubaError(f"cannot render this MIDI to sound: {error}") from None


def amplified(wav: bytes, peak: float = 0.7) -> bytes:
    """The same WAV file (PCM 16 bit) with its loudest sample at `peak` of full scale; silence stays silent.

    A soundfont leaves room for an orchestra, so a single melody comes out at a twentieth of full scale.
    """
    with wave.open(io.BytesIO(wav)) as file:
        parameters, frames = file.getparams(), file.readframes(file.getnframes())
    samples = np.frombuffer(frames, "<i2").astype(np.float32)
    loudest = np.abs(samples).max(initial=0.0)
    if not loudest:
        return wav
    louder = np.round(samples * (peak * 32767 / loudest)).astype("<i2")
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setparams(parameters)
        file.writeframes(louder.tobytes())
    return content.getvalue()


def default_soundfont() -> Path:
    """Where TimGM6mb.sf2 lies. pretty_midi, whose import takes a while, is located but not imported."""
    spec = find_spec("pretty_midi")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / "TimGM6mb.sf2").is_file():
            return path
    raise KikiboubaError("no soundfont TimGM6mb.sf2; run: pip install pretty_midi")


@cache
def _soundfont(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KikiboubaError(f"cannot read the soundfont {path}: {error.strerror}") from None


def audio_tag(wav: bytes) -> str:
    """An HTML player with the sound in it, for notebooks."""
    return f'<audio controls src="data:audio/wav;base64,{base64.b64encode(wav).decode()}"></audio>'
