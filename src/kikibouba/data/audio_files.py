"""Files of recorded sound → samples at 16 kHz in one channel, and back.

WAV needs nothing but this module; FLAC, OGG and MP3 are read by `soundfile` (pip install
'kikibouba[audio]').
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kikibouba.data.audio_resampling import resample
from kikibouba.errors import KikiboubaError

SAMPLE_RATE = 16_000
"""Of every sound in this package; both originals have it."""

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""Format tags of WAV."""

RATES = (1_000, 768_000)
"""The lowest and highest sample rate that is believed."""

LOUDEST = 4.0
"""Float samples may overshoot 1 a little; beyond this they are in other units."""


class Recording(NamedTuple):
    """What a file holds."""

    channels: np.ndarray
    """float32 [N, channels], in [-1, 1] but for overshooting float files"""
    rate: int
    """Samples a second."""


def read_sound(path: str | Path) -> np.ndarray:
    """A file's sound at 16 kHz, its channels averaged: float32 [N], N >= 1, in [-1, 1].

    Raises:
        KikiboubaError: missing, empty, cut short, damaged, of an unknown format, or with NaN in it.
    """
    path = Path(path)
    recording = read_wav(path) if path.suffix.lower() == ".wav" else _read_other(path)
    wave = recording.channels.mean(axis=1)
    if not len(wave):
        raise KikiboubaError(f"{path} holds no sound: it has 0 samples")
    if not np.isfinite(wave).all():
        raise KikiboubaError(f"{path} holds NaN or infinite samples; export it again")
    if (peak := float(np.abs(wave).max())) > LOUDEST:
        raise KikiboubaError(f"{path} has samples up to {peak:g}; those of a float file lie within -1 and 1")
    if not RATES[0] <= recording.rate <= RATES[1]:
        raise KikiboubaError(f"{path} claims {recording.rate} samples a second; allowed: 1000 to 768000")
    return np.clip(resample(wave, recording.rate, SAMPLE_RATE), -1.0, 1.0)


def read_wav(path: Path) -> Recording:
    """A WAV file: PCM of 8, 16, 24 or 32 bits, or float of 32 or 64, of any number of channels.

    Raises:
        KikiboubaError: as `read_sound`.
    """
    content = _bytes(path)
    if content[:4] in (b"RF64", b"RIFX"):
        return _read_other(path)
    return decoded_wav(content, path)


def decoded_wav(content: bytes, path: Path) -> Recording:
    """The bytes of a WAV file; `path` is what it is called in messages."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise KikiboubaError(f"{path} is no WAV file: it does not begin with RIFF … WAVE")
    layout: tuple[int, int, int, int] | None = None
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        at += 8
        if name == b"fmt ":
            layout = _layout(content[at : at + size], path)
        elif name == b"data":
            if layout is None:
                raise KikiboubaError(f"{path} is damaged: its samples come before their format")
            if size in (0, 0xFFFFFFFF):  # written by a program that could not go back to fill it in
                size = len(content) - at
            if at + size > len(content):
                raise KikiboubaError(
                    f"{path} is cut short: it announces {size} bytes of sound and has {len(content) - at}"
                )
            return _decoded(content[at : at + size], *layout)
        at += size + size % 2
    raise KikiboubaError(f"{path} is cut short: no sound in it")


def _layout(chunk: bytes, path: Path) -> tuple[int, int, int, int]:
    """(format, channels, rate, bits) of a `fmt ` chunk."""
    if len(chunk) < 16:
        raise KikiboubaError(f"{path} is damaged: its format takes {len(chunk)} bytes, not 16 or more")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == EXTENSIBLE and len(chunk) >= 26:
        tag = struct.unpack_from("<H", chunk, 24)[0]
    allowed = {PCM: (8, 16, 24, 32), FLOAT: (32, 64)}
    if bits not in allowed.get(tag, ()):
        raise KikiboubaError(
            f"{path} has samples of format {tag} with {bits} bits; allowed: PCM of 8 to 32 bits, float"
        )
    if not channels:
        raise KikiboubaError(f"{path} is damaged: it has 0 channels")
    return tag, channels, rate, bits


def _decoded(data: bytes, tag: int, channels: int, rate: int, bits: int) -> Recording:
    """The samples of a `data` chunk; a last frame that is not whole is left out."""
    width = bits // 8
    data = data[: len(data) // (width * channels) * width * channels]
    if tag == FLOAT:
        samples = np.frombuffer(data, f"<f{width}").astype(np.float32)
    elif bits == 8:
        samples = np.frombuffer(data, np.uint8).astype(np.float32) / 128.0 - 1.0
    elif bits == 24:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = (padded.view("<i4")[:, 0] / 2**31).astype(np.float32)
    else:
        samples = (np.frombuffer(data, f"<i{width}") / 2 ** (bits - 1)).astype(np.float32)
    return Recording(samples.reshape(-1, channels), rate)


def _read_other(path: Path) -> Recording:
    """Anything that libsndfile reads."""
    _bytes(path, only=1)
    if path.suffix.lower() not in AUDIO_SUFFIXES:
        raise KikiboubaError(f"cannot read {path} as sound; allowed: {', '.join(AUDIO_SUFFIXES)}")
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: its library is missing
        raise KikiboubaError(
            f"reading {path} needs the package soundfile: pip install 'kikibouba[audio]' (WAV needs nothing)"
        ) from None
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        reason = str(error).rpartition(": ")[2].strip().rstrip(".")
        raise KikiboubaError(f"{path} cannot be read as sound: {reason}") from None
    return Recording(samples, rate)


def _bytes(path: Path, only: int = -1) -> bytes:
    """The content of a file, or its first bytes: at least one."""
    try:
        with path.open("rb") as file:
            content = file.read(only)
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror or error}") from None
    if not content:
        raise KikiboubaError(f"{path} is empty")
    return content


def to_int16(wave: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] (others are clipped) as 16-bit ones, int16 of the same shape."""
    return np.clip(np.rint(np.asarray(wave, np.float64) * 32768.0), -32768, 32767).astype("<i2")


def wav_header(samples: int, rate: int = SAMPLE_RATE) -> bytes:
    """What precedes so many 16-bit samples of one channel in a WAV file, 44 bytes."""
    size = 2 * samples
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, PCM, 1, rate, 2 * rate, 2, 16, b"data", size,
    )  # fmt: skip


def wav_bytes(wave: np.ndarray, rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file (PCM 16 bit, one channel) of samples [N] in [-1, 1]."""
    return wav_header(len(wave), rate) + to_int16(wave).tobytes()
