"""Use one trained Embedding RNN: sample, reconstruct, interpolate, encode, decode, mix.

    sound ─frames→ x ─encode→ z ─decode, told the pitch→ frames ─WaveNet, or Griffin-Lim→ sound

The verbs are those of `generate.Model`. What they make are `Embedding`s: frames, which become sound when
a .wav is asked for. What the model is told about a note (pitch, velocity, instrument) are its controls.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kikibouba.bridges.posteriors import weights_hash
from kikibouba.data.artifacts import Sound
from kikibouba.data.audio_files import SAMPLE_RATE
from kikibouba.data.audio_resampling import resample
from kikibouba.data.embedding import CONTEXT, UNKNOWN, EmbeddingRepresentation
from kikibouba.data.embedding_artifact import Embedding
from kikibouba.data.embedding_files import Note, note_of
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.generate import Model
from kikibouba.inputs import Source

if TYPE_CHECKING:
    from kikibouba.sounds import SoundModel

PITCH, VELOCITY = 60, 100
"""What a model is told that is told nothing: the original's pitch, and a usual velocity."""

MIXES = (0.2, 0.5, 0.8, 0.85, 0.9, 0.95)
"""Shares of the original in what the original program listens to."""


class EmbeddingModel(Model):
    """An Embedding RNN, and what says its frames."""

    representation: EmbeddingRepresentation

    # ------------------------------------------------------------------------------------- sounds ↔ frames

    @cached_property
    def vocoder(self) -> "SoundModel | None":
        """The WaveNet autoencoder whose frames these are; None for log-mel frames and such from files.

        Raises:
            KikiboubaError: it is not where it was, or was trained again.
        """
        from kikibouba.hub import load_model, locate
        from kikibouba.sounds import SoundModel

        if self.representation.source != "wavenet":
            return None
        name, near = self.representation.vocoder, Path(self.source)
        if not name:
            raise KikiboubaError(
                f"{self.name} learnt frames of a WaveNet that is not known: give it frames (.npy), and say "
                "what it makes with `kikibouba decode FRAMES.npy --model WAVENET -o OUT.wav`"
            )
        found = load_model(locate(name, near=near), self.device)
        if not isinstance(found, SoundModel) or found.z_size != self.representation.width:
            raise KikiboubaError(f"{name} is no WaveNet of frames of {self.representation.width} numbers")
        if self.representation.vocoder_hash not in ("", weights_hash(found.module)):
            raise KikiboubaError(
                f"{name} has other weights than those that made the frames {self.name} learnt: prepare again"
            )
        return found

    def say(self, frames: np.ndarray) -> np.ndarray:
        """The sound of frames [T, W], float32 samples at 16 kHz."""
        vocoder = self.vocoder
        if vocoder is None:
            return self.representation.say(frames)
        return np.concatenate(list(vocoder.say(frames)))

    def to_artifact(self, array: np.ndarray) -> Embedding:
        """An example, or frames [T, W], to see, hear and save."""
        known = self.representation
        frames = np.asarray(array[:, : known.width], np.float32)
        return Embedding(frames, None if known.source == "arrays" else self.say, known.seconds_per_frame)

    def _examples(self, source: Source | Sequence[np.ndarray], whole: bool = False) -> list[np.ndarray]:
        """Examples [T, W + 3] of a recording, a `Sound`, an .npy, samples, frames, or examples themselves."""
        wide = self.representation.width + len(CONTEXT)
        if isinstance(source, np.ndarray) and source.ndim == 2 and source.shape[1] == wide:
            return [source]
        if isinstance(source, Sequence) and not isinstance(source, str):
            return super()._examples(source)
        notes = self._notes(source)
        found = [array for note in notes for array in self.representation.windows(note)]
        return found if whole else found[:1]

    def _notes(self, source: Source) -> list[Note]:
        """A source as frames, or as samples where the representation makes frames of them."""
        is_file = isinstance(source, str | Path)
        if is_file and (Path(source).suffix.lower() == ".npy" or self.representation.source == "spectral"):
            return self.representation.read(Path(source))
        if isinstance(source, Sound):
            source = resample(source.wave, source.rate, SAMPLE_RATE)
        if isinstance(source, np.ndarray) and (source.ndim == 2 or self.representation.source == "spectral"):
            return [Note(source)]
        if not is_file and not isinstance(source, np.ndarray):
            raise KikiboubaError(f"{self.name} hears sounds; this is a {type(source).__name__.lower()}")
        if (vocoder := self.vocoder) is None:
            raise KikiboubaError(f"{self.name} learnt frames from .npy files: give it such, not recordings")
        name = Path(source).stem if isinstance(source, str | Path) else ""
        found = note_of(wavenet_frames(vocoder, source, self.representation.frames), name)
        numbers = self.representation.instruments
        return [found._replace(number=numbers.index(found.instrument) if found.instrument in numbers else -1)]

    # -------------------------------------------------------------------------------------------- controls

    def _controls_of(self, examples: Sequence[np.ndarray]) -> np.ndarray:
        """Pitch, velocity and instrument of examples, float32 [n, 3]; -1 where unknown."""
        return np.stack([example[0, -len(CONTEXT) :] for example in examples])

    def controls_for_note(
        self, pitch: int = PITCH, velocity: int = VELOCITY, instrument: str | None = None
    ) -> np.ndarray:
        """What to tell the model about a note, float32 [3].

        Raises:
            KikiboubaError: no such pitch or velocity, or an unknown instrument (says the nearest).
        """
        for name, value in (("pitch", pitch), ("velocity", velocity)):
            if not 0 <= value <= 127:
                raise KikiboubaError(f"{name} {value} must lie between 0 and 127")
        known = self.representation.instruments
        if instrument is not None and instrument not in known:
            raise KikiboubaError(
                f"{self.name} knows no instrument {instrument!r}{did_you_mean(instrument, known)}"
            )
        number = UNKNOWN if instrument is None else known.index(instrument)
        return np.array([pitch, velocity, number], np.float32)

    def _told(self, controls: np.ndarray | None, n: int) -> np.ndarray:
        """Controls of n examples [n, 3]; the usual pitch and velocity where nothing is said."""
        told = self.controls_for_note() if controls is None else np.asarray(controls, np.float32)
        if told.shape not in ((len(CONTEXT),), (n, len(CONTEXT))):
            raise KikiboubaError(
                f"controls have shape {list(told.shape)}; {n} notes take [3] or [{n}, 3]: "
                f"{', '.join(CONTEXT)}"
            )
        return np.array(np.broadcast_to(told, (n, len(CONTEXT))))

    # ---------------------------------------------------------------------------------------------- verbs

    def reconstruct(
        self,
        source: Source,
        temperature: float = 0.0,
        seed: int = 0,
        *,
        whole: bool = False,
        controls: np.ndarray | None = None,
        attributes: Mapping[str, float] | None = None,
        mix: float = 0.0,
    ) -> Embedding:
        """A source through z and back.

        Args:
            source: its first example is taken.
            temperature, seed, attributes: as of `Model.reconstruct`.
            whole: all of a recording, one example after the other.
            controls: what the model is told about the note; by default what is known of the source.
            mix: the share of the original, frame by frame: mix * original + (1 - mix) * reconstruction.
        """
        if not 0 <= mix <= 1:
            raise KikiboubaError(f"mix = {mix} must lie between 0 (the reconstruction) and 1 (the original)")
        examples = self._examples(source, whole)
        rebuilt = self._rebuilt(examples, temperature, seed, controls, attributes)
        original = np.concatenate([example[:, : self.representation.width] for example in examples])
        again = np.concatenate([one.frames for one in rebuilt if isinstance(one, Embedding)])
        return self.to_artifact(mix * original + (1 - mix) * again)

    def mixes(self, source: Source, shares: Sequence[float] = MIXES, seed: int = 0) -> list[Embedding]:
        """`reconstruct`, mixed with such shares of the original."""
        return [self.reconstruct(source, seed=seed, mix=share) for share in shares]


def wavenet_frames(vocoder: "SoundModel", source: Source, frames: int) -> np.ndarray:
    """A WaveNet's frames of a sound [T, W], which is followed by silence if it is shorter than `frames`."""
    codes = vocoder.codes_of(source)
    missing = max(0, frames * vocoder.hop - len(codes))
    silence = np.full(missing, vocoder.representation.silence, np.uint8)
    return vocoder.encode(np.concatenate([codes, silence])).mu
