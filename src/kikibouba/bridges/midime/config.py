"""Configurations of MidiMe. No torch here."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from kikibouba.config import Preset, TrainConfig


@dataclass(frozen=True)
class ModelConfig:
    """A small VAE over the latent space of one frozen base."""

    base: str = ""
    """Name of the base, as `kikibouba.load` takes it; training fills it in."""
    base_hash: str = ""
    """Weights hash of the base this bridge was trained on; training fills it in."""
    z_size: int = 256
    """Z, the base's; training fills it in."""
    latent_size: int = 4
    """D, the bridge's: so many sliders."""
    encoder_layers: tuple[int, ...] = (1024, 256, 64)
    decoder_layers: tuple[int, ...] = (64, 256, 1024)
    head_std: float = 0.0
    """Initial standard deviation of the weights of mu and sigma; 0 = Glorot's, as everywhere else."""
    standardise: bool = False
    """Learn z in units of the songs' own spread: (z - mean) / std, one std for all dimensions."""

    learn_from: Literal["means", "samples"] = "means"
    """What of each example is learnt: mu of the base's posterior, or a fresh z ~ N(mu, sigma²) each step."""
    max_beta: float = 1.0
    """Weight of the KL term, beta."""
    beta_rate: float = 0.0
    """beta(step) = max_beta (1 - beta_rate^step); 0 = constant."""
    truncated: float = 0.0
    """Share of examples in a step that keep only their first k latents, k at random; the others are 0."""


FULL_BATCH = 1_000_000
"""A batch size that no collection of songs reaches: every step sees all of them."""

NO_CLIP = 1e9
"""A gradient norm that is never reached."""

_ONE_SONG = TrainConfig(
    batch_size=FULL_BATCH,
    num_steps=100,
    learning_rate=1e-3,
    decay_rate=1.0,
    grad_clip=NO_CLIP,
    grad_norm_clip_to_zero=NO_CLIP,
    augment=False,
)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="personal",
            family="midime",
            representation=None,
            model=ModelConfig(
                encoder_layers=(256, 64), decoder_layers=(64, 256), max_beta=0.02, truncated=0.5
            ),
            train=dataclasses.replace(_ONE_SONG, num_steps=300, learning_rate=2e-3),
            description="personalise any model: small, learns a song's windows in a second",
        ),
        Preset(
            name="midime",
            family="midime",
            representation=None,
            model=ModelConfig(),
            train=_ONE_SONG,
            description="personalise any model, as magenta.js does it: learns the means of a song's windows",
        ),
        Preset(
            name="ae-cat-mel_2bar_big",
            family="midime",
            representation=None,
            model=ModelConfig(
                base="cat-mel_2bar_big",
                z_size=512,
                head_std=0.001,
                learn_from="samples",
                max_beta=0.5,
                beta_rate=0.99999,
            ),
            train=TrainConfig(batch_size=2, num_steps=1_000, augment=False),
            description="personalise any model, as SmallMusicVAE does it: learns samples, two a step",
        ),
    )
}

ALIASES: dict[str, str] = {}
