"""The Universal Music Translation Network: configuration and presets. No torch here."""

from dataclasses import dataclass

from kikibouba.config import Preset, TrainConfig
from kikibouba.data.audio import AudioRepresentation
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class ModelConfig:
    """The network and its loss; defaults are the original's."""

    domains: tuple[str, ...] = ()
    """What is translated between, in the order of the decoders; training takes them from its dataset."""
    latent: int = 64
    """Numbers a latent frame."""
    hop: int = 800
    """Samples a latent frame: 50 ms."""
    encoder_channels: int = 128
    encoder_blocks: int = 3
    encoder_layers: int = 10
    """Of a block; dilations 1, 2, 4, …"""
    channels: int = 128
    """Of each decoder's layers and of its skips."""
    blocks: int = 4
    layers: int = 14
    classifier_channels: int = 100
    classifier_dropout: float = 0.0
    confusion: float = 0.01
    """Weight λ of the domain classifier's cross entropy, which the encoder raises."""
    input_noise: float = 0.0
    """Standard deviation of what is added to the samples that the decoders hear while they learn, in the
    network's scale of -1/2 to 1/2. Ours: with some they lean on z, and are used to their own mistakes."""
    pitch: float = 0.0
    """Weight of a loss that asks of z which pitches are heard. Ours: a short training then finds them."""
    epoch_steps: int = 1000
    epoch_decay: float = 0.995
    """After each epoch the learning rate of all but the classifier is multiplied by this; as in the original
    also before the first."""

    def __post_init__(self) -> None:
        for name in ("latent", "hop", "encoder_channels", "channels", "blocks", "layers", "epoch_steps"):
            if getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must be at least 1")
        for name in ("confusion", "input_noise", "pitch"):
            if getattr(self, name) < 0:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must not be negative")
        if len(set(self.domains)) < len(self.domains):
            raise KikiboubaError(f"domains = {', '.join(self.domains)} must differ")


def check(model: ModelConfig, representation: AudioRepresentation) -> None:
    """Raise KikiboubaError unless a clip is a whole number of frames, in UMTN's codes."""
    if representation.clip % model.hop:
        raise KikiboubaError(
            f"representation.clip = {representation.clip} must be a multiple of model.hop = {model.hop}, "
            f"e.g. {max(1, representation.clip // model.hop) * model.hop}"
        )
    if representation.coding != "umtn":
        raise KikiboubaError("a music translation network reads representation.coding = umtn")


TRAIN = TrainConfig(
    batch_size=32,
    num_steps=400_000,
    learning_rate=1e-3,
    decay_rate=1.0,  # the model's own, see `ModelConfig.epoch_decay`
    min_learning_rate=0.0,
    grad_clip=1.0,
    clip_mode="value",
    grad_norm_clip_to_zero=1e12,
    log_every=50,
    eval_every=1000,
    save_every=1000,
)
"""The original's recipe. A run of it that is on record diverged after 270 epochs: see `STEADY`."""

STEADY = TrainConfig(
    batch_size=32,
    num_steps=400_000,
    learning_rate=1e-3,
    decay_rate=1.0,
    min_learning_rate=0.0,
    grad_clip=1.0,
    clip_mode="global_norm",
    grad_norm_clip_to_zero=100.0,  # a step with a gradient like that is left out
    ema_decay=0.999,
    precision="bf16",
    log_every=50,
    eval_every=1000,
    save_every=1000,
)
"""Gradients clipped by their norm, wild steps left out, averaged weights, bf16."""


def _preset(
    name: str, description: str, model: ModelConfig, representation: AudioRepresentation, train: TrainConfig
) -> Preset:
    return Preset(name, "music_translation", representation, model, train, description)


_ORIGINAL = AudioRepresentation(coding="umtn", clip=12_000, detune="original")
_QUICK = AudioRepresentation(coding="umtn", clip=12_000, detune="fast")

PRESETS = {
    preset.name: preset
    for preset in [
        _preset(
            "umtn_original",
            "UMTN as published, trained as published: 4 x 14 layers, clipping by value",
            ModelConfig(),
            _ORIGINAL,
            TRAIN,
        ),
        _preset("umtn", "UMTN with 4 x 14 layers and a steadier recipe", ModelConfig(), _QUICK, STEADY),
        _preset(
            "umtn_4x10", "UMTN with 4 x 10 layers, as in the paper", ModelConfig(layers=10), _QUICK, STEADY
        ),
        _preset(
            "timbre_small",
            "a UMTN that learns on one CPU core in two hours, and samples faster than real time on it",
            ModelConfig(
                latent=32,
                hop=400,
                encoder_channels=48,
                encoder_blocks=1,
                channels=48,
                blocks=2,
                layers=9,
                classifier_channels=50,
                confusion=0.05,
                input_noise=0.02,
                pitch=0.1,
                epoch_steps=100,
            ),
            AudioRepresentation(coding="umtn", clip=4800, detune="fast"),
            TrainConfig(
                batch_size=9,
                num_steps=20_000,
                learning_rate=2e-3,
                decay_rate=1.0,
                min_learning_rate=0.0,
                grad_norm_clip_to_zero=100.0,
                ema_decay=0.995,
                precision="bf16",
                log_every=20,
                eval_every=500,
                save_every=250,
            ),
        ),
    ]
}

ALIASES = {"music_translation": "umtn", "umtn_small": "timbre_small"}
"""Plain names."""
