"""Sound as mu-law codes: what a WaveNet reads and says, one class of 256 a sample at 16 kHz.

files   WAV, FLAC, OGG, MP3, NSynth's TFRecords
item    a recording: samples float32 [N] in [-1, 1] (`audio_files`)
array   its codes: uint8 [N] (`mu_law`); a dataset holds whole recordings, training draws clips from them
domain  what a recording is played on, kept as its category: the folder it lies in, or, where files are
        named as NSynth's notes are (guitar_acoustic_001-082-050.wav), what precedes pitch and velocity
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from kikibouba.data import mu_law
from kikibouba.data.artifacts import Sound
from kikibouba.data.audio_detune import detune
from kikibouba.data.audio_files import AUDIO_SUFFIXES, SAMPLE_RATE, read_sound, to_int16
from kikibouba.data.audio_nsynth import read_notes
from kikibouba.data.representation import Item
from kikibouba.data.sound_attributes import sound_attributes
from kikibouba.errors import KikiboubaError

SILENCE = 1e-4
"""A recording that is nowhere louder says nothing; three units of a 16-bit sample."""

CLIPPED = 0.001
"""Share of samples at full scale beyond which a recording was too loud for its file."""

_NOTE = re.compile(r"(.+)-\d{3}-\d{3}$")
"""How NSynth names a note: instrument, pitch, velocity."""


@dataclass(frozen=True)
class AudioRepresentation:
    """Recordings at 16 kHz, of one channel, as codes."""

    kind: ClassVar[str] = "audio"
    suffixes: ClassVar[tuple[str, ...]] = (*AUDIO_SUFFIXES, ".tfrecord")

    coding: mu_law.Coding = "umtn"
    """Whose mu-law."""
    clip: int = 12_000
    """Samples that training hears at a time; shorter recordings cannot be used."""
    detune: Literal["original", "fast"] = "fast"
    """How `augment` raises or lowers a part of a clip; see `audio_detune`."""
    detune_semitones: float = 0.5
    """By at most so much."""

    def __post_init__(self) -> None:
        if self.clip < 1:
            raise KikiboubaError(f"clip = {self.clip} must be at least 1 sample")
        if not 0 <= self.detune_semitones <= 12:
            raise KikiboubaError(f"detune_semitones = {self.detune_semitones} must lie between 0 and 12")

    @property
    def silence(self) -> int:
        """The code of a sample 0."""
        return 127 if self.coding == "umtn" else 128

    def read(self, path: Path) -> list[np.ndarray]:
        """The recordings of a file."""
        return [item.content for item in self.read_many(path, [])]

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """The recordings of a file with their domains.

        Raises:
            KikiboubaError: unreadable; see `audio_files.read_sound` and `audio_nsynth.read_notes`.
        """
        if ".tfrecord" in path.name.lower():
            for note in read_notes(path, problems):
                yield Item(note.wave, category=_domain(note.name, path), where=note.name, key=note.name)
        else:
            yield Item(read_sound(path), category=_domain(path.stem, path))

    def windows(self, item: np.ndarray) -> list[np.ndarray]:
        """The codes of a whole recording, if it is long enough and not silent."""
        if len(item) < self.clip:
            raise KikiboubaError(
                f"it lasts {len(item) / SAMPLE_RATE:.3g} s, a clip {self.clip / SAMPLE_RATE:.3g} s; "
                "lower representation.clip, or join recordings"
            )
        if np.abs(item).max() <= SILENCE:
            raise KikiboubaError("it is silent; record it again, or leave it out")
        return [self.codes(item)]

    def warnings(self, item: np.ndarray) -> list[str]:
        """Whether the recording is cut off at full scale."""
        share = float(np.mean(np.abs(item) >= 0.999))
        return [f"{100 * share:.2g} % of it is at full scale: recorded too loud"] if share > CLIPPED else []

    def codes(self, wave: np.ndarray) -> np.ndarray:
        """Samples [N] in [-1, 1] → uint8 [N], by way of 16 bits as in both originals."""
        return mu_law.encode_int16(to_int16(wave), self.coding)

    def wave(self, codes: np.ndarray) -> np.ndarray:
        """Codes [N] → samples in [-1, 1], float32 [N]."""
        return mu_law.decode(codes, self.coding)

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The clip with a part of it out of tune."""
        return self.codes(detune(self.wave(array), rng, self.detune_semitones, self.detune))

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Codes [N] each → (x [B, T] uint8, lengths [B] int64), filled up with silence."""
        lengths = np.array([len(array) for array in arrays], np.int64)
        x = np.full((len(arrays), lengths.max()), self.silence, np.uint8)
        for row, array in zip(x, arrays, strict=True):
            row[: len(array)] = array
        return x, lengths

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The inverse of `collate`."""
        return [row[:n].astype(np.uint8) for row, n in zip(x, lengths.tolist(), strict=True)]

    def to_artifact(self, array: np.ndarray) -> Sound:
        """Codes as a sound."""
        return Sound(self.wave(array), SAMPLE_RATE)

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """See `sound_attributes`."""
        return sound_attributes(self.wave(array) for array in arrays)


def _domain(name: str, path: Path) -> str:
    found = _NOTE.match(name)
    return found[1] if found else path.absolute().parent.name
