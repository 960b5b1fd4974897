"""One piece of music on one instrument, as a recording that differs from others in its timbre only.

All notes but drums are played by the instrument, moved by octaves into its range; pedals become longer notes.
Every recording is equally loud, and has the same silence before the first sound and after the last. Pieces
for training may be tuned a little up or down, and sound a little brighter or darker, so that not one set of
samples is learnt by heart.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kikibouba.data.audio_detune import interpolate
from kikibouba.data.audio_files import SAMPLE_RATE, decoded_wav
from kikibouba.data.audio_resampling import resample
from kikibouba.data.midi import midi_bytes
from kikibouba.data.notes import NoteSequence
from kikibouba.data.render import default_soundfont, wav_bytes
from kikibouba.data.sustain import apply_sustain
from kikibouba.errors import KikiboubaError, did_you_mean


class Instrument(NamedTuple):
    """Who plays."""

    program: int
    """General MIDI, from 0."""
    lowest: int
    """Pitch."""
    highest: int


INSTRUMENTS = {
    "piano": Instrument(0, 21, 108),
    "harpsichord": Instrument(6, 29, 89),
    "organ": Instrument(19, 36, 96),
    "guitar": Instrument(24, 40, 88),
    "violin": Instrument(40, 55, 100),
    "cello": Instrument(42, 36, 76),
    "strings": Instrument(48, 28, 96),
    "trumpet": Instrument(56, 54, 86),
    "clarinet": Instrument(71, 50, 91),
    "flute": Instrument(73, 60, 96),
}

LOUDNESS, PEAK = 0.1, 0.95
"""Root mean square of every recording, unless that would lift its peak beyond this."""
BEFORE, AFTER = 0.1, 0.6
"""Seconds of silence before the first sound and after the last."""
QUIET = 1e-3
"""What stays below this share of the peak is silence."""
RING = 1.5
"""Seconds that the last notes may ring."""
CENTS, TILT = 10.0, 0.25
"""Most that a piece is out of tune, and most of the sample before that is added to a sample."""


def instruments_of(domains: Sequence[str]) -> dict[str, Instrument]:
    """Name → instrument of names in `INSTRUMENTS` and of NAME=PROGRAM.

    Raises:
        KikiboubaError: unknown (says the nearest), or given twice.
    """
    found: dict[str, Instrument] = {}
    for text in domains:
        name, _, program = text.partition("=")
        if program and not (program.isdecimal() and int(program) < 128 and name):
            raise KikiboubaError(f"{text!r} must be NAME=PROGRAM with a program 0 to 127, e.g. bells=14")
        if not program and name not in INSTRUMENTS:
            hint = did_you_mean(name, INSTRUMENTS)
            raise KikiboubaError(f"unknown instrument {name!r}{hint} (or give its program: {name}=14)")
        if name in found:
            raise KikiboubaError(f"the domain {name} is given twice")
        found[name] = Instrument(int(program), 21, 108) if program else INSTRUMENTS[name]
    return found


def existing_soundfont(path: str | Path | None) -> Path:
    """A soundfont, or the default one. Raises KikiboubaError: there is no such file, or it is none."""
    font = Path(path or default_soundfont())
    if not font.is_file():
        raise KikiboubaError(f"there is no soundfont {font}; name an .sf2 file, or leave --soundfont out")
    with font.open("rb") as file:
        begin = file.read(12)
    if begin[:4] != b"RIFF" or begin[8:] != b"sfbk":
        raise KikiboubaError(f"{font} is no soundfont; name an .sf2 file, or leave --soundfont out")
    return font


def render_piece(
    piece: NoteSequence,
    instrument: Instrument,
    soundfont: str | Path,
    seconds: float = np.inf,
    cents: float = 0.0,
    tilt: float = 0.0,
) -> np.ndarray:
    """A recording, float32 [N] at 16 kHz.

    Args:
        piece: any music; its programs are not heeded.
        instrument: that plays it.
        soundfont: an .sf2.
        seconds: at most so much of it, from its first note on.
        cents: hundredths of a semitone that it is tuned up.
        tilt: above 0 darker, below 0 brighter: out[t] = in[t] + tilt · in[t - 1].

    Raises:
        KikiboubaError: no notes but drums, or nothing is heard; the renderer fails.
    """
    playable = _arranged(piece, instrument, seconds)
    wave = rendered(playable, soundfont)
    if cents:
        wave = interpolate(wave, np.arange(0.0, len(wave), 2 ** (cents / 1200)))
    if tilt:
        wave = wave + tilt * np.append(0.0, wave[:-1])
    return _evened(wave.astype(np.float32))


def rendered(piece: NoteSequence, soundfont: str | Path) -> np.ndarray:
    """Music as it is, played with a soundfont, in one channel at 16 kHz: float32 [N]."""
    recording = decoded_wav(wav_bytes(midi_bytes(piece), soundfont), Path("the rendering"))
    return resample(recording.channels.mean(axis=1), recording.rate, SAMPLE_RATE)


def _arranged(piece: NoteSequence, instrument: Instrument, seconds: float) -> NoteSequence:
    """The piece from 0 on, played by one instrument within its range."""
    held = apply_sustain(piece).notes
    notes = held[~held["is_drum"]].copy()
    if not len(notes):
        raise KikiboubaError("it has no notes but drums")
    first = notes["start"].min()
    notes["start"], notes["end"] = notes["start"] - first, notes["end"] - first
    notes = notes[notes["start"] < seconds]
    notes["end"] = np.minimum(notes["end"], seconds)
    notes["pitch"] = within(notes["pitch"], instrument.lowest, instrument.highest)
    notes["program"], notes["instrument"] = instrument.program, 0
    return NoteSequence(notes, total_time=float(notes["end"].max()) + RING)


def within(pitch: np.ndarray, lowest: int, highest: int) -> np.ndarray:
    """Pitches [N] moved by octaves into a range: all by as many as lets most fit, then each by itself."""
    octaves = np.array(sorted(range(-5, 6), key=abs)) * 12
    fits = ((pitch[None] + octaves[:, None] >= lowest) & (pitch[None] + octaves[:, None] <= highest)).sum(1)
    moved = pitch + octaves[fits.argmax()]
    moved = moved + 12 * np.ceil(np.maximum(lowest - moved, 0) / 12).astype(int)
    return moved - 12 * np.ceil(np.maximum(moved - highest, 0) / 12).astype(int)


def _evened(wave: np.ndarray) -> np.ndarray:
    """Silence at both ends and loudness made the same for all."""
    peak = float(np.abs(wave).max(initial=0.0))
    if peak < 1e-5:
        raise KikiboubaError(
            "nothing is heard: the soundfont has no such instrument, or none at these pitches"
        )
    heard = np.flatnonzero(np.abs(wave) > QUIET * peak)
    sound = wave[heard[0] : heard[-1] + 1]
    gain = min(LOUDNESS / float(np.sqrt(np.mean(np.square(sound)))), PEAK / peak)
    silence = [np.zeros(round(s * SAMPLE_RATE), np.float32) for s in (BEFORE, AFTER)]
    return np.concatenate([silence[0], sound * gain, silence[1]])
