"""Configurations of LCMusicVAE. No torch here."""

from dataclasses import dataclass
from typing import Literal

from kikibouba.config import Preset, TrainConfig
from kikibouba.data.melody import MelodyRepresentation


@dataclass(frozen=True)
class ModelConfig:
    """A linear VAE over the latent space of one frozen MusicVAE, with a small decoder of its own."""

    base: str = ""
    """Name of the base, as `kikibouba.load` takes it; training fills it in."""
    base_hash: str = ""
    """Weights hash of the base this bridge was trained on; training fills it in."""
    z_size: int = 512
    """Z, the base's; training fills it in."""
    encoded_z_size: int = 8
    """D, the bridge's."""
    dec_rnn_size: tuple[int, ...] = (128, 128)
    """Units of each layer of the decoder that learns along with the bridge."""
    free_bits: float = 0.0
    """Bits of KL per example, summed over z', that cost nothing."""
    max_beta: float = 0.5
    beta_rate: float = 0.99999
    """beta(step) = max_beta * (1 - beta_rate^step): the weight of the KL term."""
    sampling_schedule: Literal["constant", "exponential", "inverse_sigmoid"] = "inverse_sigmoid"
    """Scheduled sampling; see `nn.schedules.sampling_probability`."""
    sampling_rate: float = 1000.0


PRESETS = {
    "lc-cat-mel_2bar_big": Preset(
        name="lc-cat-mel_2bar_big",
        family="lc_music_vae",
        representation=MelodyRepresentation(),
        model=ModelConfig(),
        train=TrainConfig(batch_size=2, num_steps=1_000),
        description="a linear latent constraint on any MusicVAE of melodies, as LCMusicVAE learns it",
    )
}

ALIASES: dict[str, str] = {}
