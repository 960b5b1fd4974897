"""Configurations of sound vectors. No torch here."""

from dataclasses import dataclass

from kikibouba.config import Preset, TrainConfig
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class ModelConfig:
    """A linear map from the latent frames of sounds of one length to one vector each, and back."""

    base: str = ""
    """Name of the model of sound, as `kikibouba.load` takes it; training fills it in."""
    base_hash: str = ""
    """Weights hash of the base this was fitted to; training fills it in."""
    frame_size: int = 16
    """Numbers of the base's latent frames; training fills it in."""
    frames: int = 32
    """Latent frames of a sound; training fills it in, as many as `seconds` take."""
    z_size: int = 32
    """Of a vector."""
    seconds: float = 1.0
    """How long a sound is."""
    every: float = 0.0
    """Seconds from the beginning of one sound of a recording to that of the next; 0: only its first, as for
    recordings of notes."""
    plays: str = ""
    """For a music translation network: the domain that sounds are decoded in; "": its first."""
    least_temperature: float = 1.0
    """Sounds are said at this temperature or above: a WaveNet that takes what is likeliest hums."""

    def __post_init__(self) -> None:
        for name in ("frame_size", "frames", "z_size"):
            if getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must be at least 1")
        if not 0.01 <= self.seconds <= 60 or not 0 <= self.every <= 3600:
            raise KikiboubaError(
                f"seconds = {self.seconds:g} must lie between 0.01 and 60, every = {self.every:g} between 0 "
                "and 3600"
            )


PRESETS = {
    "sound_vectors": Preset(
        name="sound_vectors",
        family="sound_vectors",
        representation=None,
        model=ModelConfig(),
        train=TrainConfig(batch_size=1, num_steps=1, augment=False),
        description="sounds of one length as one vector each, over any model of sound; computed, not trained",
    )
}

ALIASES: dict[str, str] = {}
