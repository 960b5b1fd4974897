"""NSynth's WaveNet autoencoder: configuration and presets. No torch here."""

from dataclasses import dataclass

from kikibouba.config import Preset, TrainConfig
from kikibouba.data.audio import AudioRepresentation
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class ModelConfig:
    """The network; defaults are the original's `h512_bo16`."""

    latent: int = 16
    """Numbers a latent frame."""
    hop: int = 512
    """Samples a latent frame: 32 ms."""
    encoder_channels: int = 128
    encoder_blocks: int = 3
    encoder_layers: int = 10
    """Of a block; dilations 1, 2, 4, …"""
    residual: int = 512
    skip: int = 256
    kernel: int = 3
    blocks: int = 3
    layers: int = 10

    def __post_init__(self) -> None:
        for name in ("latent", "hop", "encoder_channels", "residual", "skip", "kernel", "blocks", "layers"):
            if getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must be at least 1")


def check(model: ModelConfig, representation: AudioRepresentation) -> None:
    """Raise KikiboubaError unless a clip is a whole number of frames, in NSynth's codes."""
    if representation.clip % model.hop:
        raise KikiboubaError(
            f"representation.clip = {representation.clip} must be a multiple of model.hop = {model.hop}, "
            f"e.g. {max(1, representation.clip // model.hop) * model.hop}"
        )
    if representation.coding != "nsynth":
        raise KikiboubaError("a WaveNet autoencoder reads representation.coding = nsynth")


TRAIN = TrainConfig(
    batch_size=32,
    num_steps=200_000,
    learning_rate=2e-4,
    decay_rate=1.0,  # the model's own steps, see `LEARNING_RATES`
    min_learning_rate=0.0,
    grad_clip=1e6,
    grad_norm_clip_to_zero=1e6,
    ema_decay=0.9999,
    augment=False,
)
"""The original's recipe: no clipping of gradients."""

LEARNING_RATES = (
    (0, 1.0),
    (90_000, 2 / 3),
    (120_000, 0.3),
    (150_000, 0.2),
    (180_000, 0.1),
    (210_000, 0.03),
    (240_000, 0.01),
)
"""(from this step on, share of the first learning rate)"""

PRESETS = {
    preset.name: preset
    for preset in [
        Preset(
            name="h512_bo16",
            family="wavenet_autoencoder",
            representation=AudioRepresentation(coding="nsynth", clip=6144),
            model=ModelConfig(),
            train=TRAIN,
            description="NSynth's WaveNet autoencoder: 16 numbers for each 32 ms of sound",
        ),
        Preset(
            name="nsynth_small",
            family="wavenet_autoencoder",
            representation=AudioRepresentation(coding="nsynth", clip=4096),
            model=ModelConfig(
                encoder_channels=32, encoder_blocks=2, residual=32, skip=64, kernel=2, blocks=2
            ),
            train=TrainConfig(
                batch_size=8,
                num_steps=20_000,
                learning_rate=2e-3,
                decay_rate=0.9999,
                min_learning_rate=1e-4,
                ema_decay=0.999,
                augment=False,
                eval_every=1000,
                save_every=1000,
            ),
            description="the same with 32 channels, to try things on a CPU",
        ),
    ]
}

ALIASES = {"nsynth": "h512_bo16"}
"""Plain names."""
