"""What a model of embeddings makes: frames, which can be seen and saved, and heard if something says them."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from kikibouba.data.artifacts import Sound
from kikibouba.data.files import write_bytes
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True, eq=False)
class Embedding:
    """A sequence of embedding frames."""

    frames: np.ndarray
    """float32 [T, W]"""
    say: Callable[[np.ndarray], np.ndarray] | None = None
    """Frames [T, W] → samples at 16 kHz; None if nobody is known who could."""
    seconds_per_frame: float = 0.032

    suffixes: ClassVar[tuple[str, ...]] = (".wav", ".npy", ".png", ".npz")

    @cached_property
    def sound(self) -> Sound:
        """What it sounds like; made when it is asked for, which takes a WaveNet a while.

        Raises:
            KikiboubaError: nobody can say these frames.
        """
        if self.say is None:
            raise KikiboubaError(
                "these frames came from .npy files, and which WaveNet says them is not known: save them as "
                ".npy, then `kikibouba decode FRAMES.npy --model WAVENET -o OUT.wav`"
            )
        return Sound(self.say(self.frames))

    def save(self, path: str | Path) -> Path:
        """Write .wav (16 bit), .npy (the frames, as NSynth's programs read them), .npz or .png (a picture).

        Raises:
            KikiboubaError: unknown suffix, no permission, or frames that nobody can say.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in self.suffixes:
            allowed = ", ".join(self.suffixes)
            raise KikiboubaError(f"cannot write {path}: unknown suffix {suffix!r}; allowed: {allowed}")
        if suffix == ".wav":
            return self.sound.save(path)
        return write_bytes(path, self._repr_png_() if suffix == ".png" else self._arrays(suffix))

    def _arrays(self, suffix: str) -> bytes:
        buffer = io.BytesIO()
        if suffix == ".npy":
            np.save(buffer, self.frames)
        else:
            np.savez_compressed(buffer, frames=self.frames)
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        from kikibouba.data.picture import rows_picture

        return rows_picture([[self]])

    def _repr_html_(self) -> str:
        from kikibouba.data.picture import png_tag
        from kikibouba.data.render import audio_tag

        heard = "" if self.say is None else audio_tag(self.sound.to_wav())
        return png_tag(self._repr_png_()) + heard
