"""Sound as a sequence of embedding frames: a few numbers each 32 ms, and which note it is.

files   recordings (WAV, FLAC, OGG, MP3, NSynth's TFRecords), or frames in .npy files (`embedding_files`)
item    a `Note`: samples, or frames [T, W], with pitch, velocity and instrument where a name says them
array   float32 [frames, W + 3]: frames, and beside each of them pitch, velocity and instrument, -1 if unknown

Where frames come from is the representation's `source`: "spectral" are log-mel frames (`data.spectral`), from
which Griffin-Lim makes sound again; "wavenet" are the codes of a WaveNet autoencoder, which says them
(`kikibouba.embeddings`); "arrays" were in files, and nothing more is known of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from kikibouba.data.audio_files import AUDIO_SUFFIXES, SAMPLE_RATE, read_sound
from kikibouba.data.audio_nsynth import read_notes
from kikibouba.data.embedding_artifact import Embedding
from kikibouba.data.embedding_files import Note, note_of, read_arrays
from kikibouba.data.representation import Item
from kikibouba.data.spectral import log_mel, wave_of
from kikibouba.errors import KikiboubaError

CONTEXT = ("pitch", "velocity", "instrument")
"""The columns beside the frames."""

UNKNOWN = -1

SILENCE = 1e-4
"""A recording that is nowhere louder says nothing."""


@dataclass(frozen=True)
class EmbeddingRepresentation:
    """Sequences of `frames` frames of `width` numbers."""

    kind: ClassVar[str] = "embedding"
    suffixes: ClassVar[tuple[str, ...]] = (*AUDIO_SUFFIXES, ".tfrecord", ".npy")

    source: Literal["spectral", "wavenet", "arrays"] = "spectral"
    width: int = 128
    """Numbers of a frame; of spectral ones the mel bands."""
    frames: int = 125
    """Of an example: of frames of 32 ms, 4 s."""
    hop: int = 512
    """Samples a frame."""
    vocoder: str = ""
    """The WaveNet autoencoder that made the frames, and can say them: bundled name or folder."""
    vocoder_hash: str = ""
    """Of its weights."""
    instruments: tuple[str, ...] = ()
    """Whose numbers stand in the last column; others are unknown."""

    def __post_init__(self) -> None:
        for name in ("width", "frames", "hop"):
            if getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.source == "spectral" and (self.hop % 2 or not 64 <= self.hop <= 2048):
            raise KikiboubaError(f"hop = {self.hop} must be even and lie between 64 and 2048 samples")

    def read(self, path: Path) -> list[Note]:
        """The notes of a file."""
        return [item.content for item in self.read_many(Path(path), [])]

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        """Every note of a file, its instrument as its category.

        Raises:
            KikiboubaError: unreadable; see `audio_files.read_sound`, `audio_nsynth.read_notes` and
                `embedding_files.read_arrays`.
        """
        name = path.name.lower()
        if name.endswith(".npy"):
            for number, note in enumerate(read_arrays(path, self.width)):
                key = f"[{number}]" if note.name is None else ""
                yield Item(self._numbered(note), category=note.instrument, where=key, key=key)
        elif self.source != "spectral":
            raise KikiboubaError(
                f"{path} is a recording, whose frames a WaveNet makes: prepare with --model WAVENET, or "
                "use a model that learnt such frames"
            )
        elif ".tfrecord" in name:
            for one in read_notes(path, problems):
                note = note_of(one.wave, one.name)
                yield Item(self._numbered(note), category=note.instrument, where=one.name, key=one.name)
        else:
            note = note_of(read_sound(path), path.stem)
            yield Item(self._numbered(note), category=note.instrument or path.absolute().parent.name)

    def _numbered(self, note: Note) -> Note:
        """With the number of the instrument."""
        known = note.instrument in self.instruments
        return note._replace(number=self.instruments.index(note.instrument) if known else UNKNOWN)

    def windows(self, item: Note | np.ndarray) -> list[np.ndarray]:
        """The sequences of a note, one after the other; a short recording is followed by silence.

        Args:
            item: a note, or its samples [N] or frames [T, W] alone.

        Raises:
            KikiboubaError: it is silent, its frames are too few, of another width, NaN or infinite.
        """
        note = item if isinstance(item, Note) else Note(np.asarray(item))
        frames = self._frames_of(note.sound)
        count = len(frames) // self.frames
        beside = np.array([note.pitch, note.velocity, note.number], np.float32)
        rows = np.concatenate([frames, np.tile(beside, (len(frames), 1))], axis=1).astype(np.float32)
        return [rows[i * self.frames : (i + 1) * self.frames] for i in range(count)]

    def _frames_of(self, sound: np.ndarray) -> np.ndarray:
        """[T, W], T at least one example's."""
        if sound.ndim == 1 and self.source == "spectral":
            if not len(sound) or np.abs(sound).max() <= SILENCE:
                raise KikiboubaError("it is silent; record it again, or leave it out")
            missing = max(0, self.frames * self.hop - len(sound))
            return log_mel(np.pad(sound, (0, missing)), self.width, self.hop)
        if sound.ndim != 2 or sound.shape[1] != self.width:
            raise KikiboubaError(
                f"it has shape {list(sound.shape)}, and frames [T, {self.width}] are expected: give it "
                "frames of the network that made the others"
            )
        if not np.isfinite(sound).all():
            raise KikiboubaError(
                f"frame {int(np.argmin(np.isfinite(sound).all(1)))} is NaN or infinite; make the frames again"
            )
        if len(sound) < self.frames:
            raise KikiboubaError(
                f"it has {len(sound)} frames, an example {self.frames}: lower representation.frames"
            )
        return sound

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The example as it is: which variations of codes mean the same is not known."""
        return array

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """[T, W + 3] each → (x [B, T, W + 3] float32, lengths [B] int64)."""
        return np.stack(arrays).astype(np.float32), np.full(len(arrays), len(arrays[0]), np.int64)

    def split_batch(self, x: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
        """The inverse of `collate`."""
        return [row[:n].astype(np.float32) for row, n in zip(x, lengths.tolist(), strict=True)]

    def to_artifact(self, array: np.ndarray) -> Embedding:
        """An example as frames to see and save; spectral ones can be heard."""
        say = self.say if self.source == "spectral" else None
        return Embedding(np.asarray(array[:, : self.width], np.float32), say, self.seconds_per_frame)

    def say(self, frames: np.ndarray) -> np.ndarray:
        """The sound of spectral frames [T, W], float32 [T * hop]."""
        return wave_of(frames, self.hop)

    @property
    def seconds_per_frame(self) -> float:
        """0.032 at a hop of 512."""
        return self.hop / SAMPLE_RATE

    def attributes(self, arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """level: mean of all numbers of the frames; motion: mean change from frame to frame."""
        frames = [array[:, : self.width] for array in arrays]
        return {
            "level": np.array([one.mean(dtype=np.float64) for one in frames]),
            "motion": np.array([np.abs(np.diff(one, axis=0)).mean(dtype=np.float64) for one in frames]),
        }
