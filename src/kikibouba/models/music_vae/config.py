"""MusicVAE's hyperparameters and presets.

The presets named `cat-…` carry every value of the original's configuration of that name; `mel_2bar` and
`drums_2bar` are our own, small enough to ship with the package and to train on a laptop.
"""

from dataclasses import dataclass, replace
from typing import Literal

from kikibouba.config import Preset, TrainConfig
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.melody import MelodyRepresentation


@dataclass(frozen=True)
class ModelConfig:
    """One flat MusicVAE: a bidirectional LSTM encoder and an LSTM decoder."""

    z_size: int = 256
    enc_rnn_size: tuple[int, ...] = (512,)
    """Units of each encoder layer, per direction."""
    dec_rnn_size: tuple[int, ...] = (256, 256)
    """Units of each decoder layer."""
    free_bits: float = 0.0
    """Bits of KL per example, summed over z, that cost nothing."""
    max_beta: float = 0.2
    beta_rate: float = 0.0
    """beta(step) = max_beta * (1 - beta_rate^step): the weight of the KL term."""
    sampling_schedule: Literal["constant", "exponential", "inverse_sigmoid"] = "constant"
    """Scheduled sampling (training only); see `nn.schedules.sampling_probability`."""
    sampling_rate: float = 0.0
    latent_init: Literal["original", "clear"] = "original"
    """How the layers around z start; see `MusicVAE.clear_latent`."""


_SMALL = ModelConfig(sampling_schedule="inverse_sigmoid", sampling_rate=1000.0)
_BIG = ModelConfig(
    z_size=512,
    enc_rnn_size=(2048,),
    dec_rnn_size=(2048, 2048, 2048),
    sampling_schedule="inverse_sigmoid",
    sampling_rate=1000.0,
)
_LITTLE = ModelConfig(
    z_size=128,
    enc_rnn_size=(256,),
    dec_rnn_size=(256,),
    free_bits=48.0,
    max_beta=0.1,
    beta_rate=0.9995,
    latent_init="clear",
)
_LITTLE_RECIPE = TrainConfig(
    batch_size=64,
    num_steps=60_000,
    learning_rate=1.5e-3,
    decay_rate=0.9998,
    min_learning_rate=5e-5,
    ema_decay=0.999,
    precision="bf16",
    log_every=50,
    eval_every=1000,
)


def _preset(
    name: str, representation: object, model: ModelConfig, train: TrainConfig, description: str
) -> tuple[str, Preset]:
    return name, Preset(name, "music_vae", representation, model, train, description)


PRESETS: dict[str, Preset] = dict(
    [
        _preset(
            "mel_2bar",
            MelodyRepresentation(),
            _LITTLE,
            _LITTLE_RECIPE,
            "Two-bar melodies, 1.4 M parameters: small enough to ship, made to reconstruct well.",
        ),
        _preset(
            "drums_2bar",
            DrumsRepresentation(rotate=True, swap_classes=True, drop_class_prob=0.15, drop_hit_prob=0.3),
            replace(_LITTLE, max_beta=0.05),
            _LITTLE_RECIPE,
            "Two-bar drum patterns, 1.9 M parameters: small enough to ship, made to reconstruct well.",
        ),
        _preset(
            "cat-mel_2bar_small",
            MelodyRepresentation(),
            replace(_SMALL, beta_rate=0.99999),
            TrainConfig(),
            "Two-bar melodies; the original's configuration (4.4 M parameters).",
        ),
        _preset(
            "cat-mel_2bar_big",
            MelodyRepresentation(),
            replace(_BIG, max_beta=0.5, beta_rate=0.99999),
            TrainConfig(),
            "Two-bar melodies; the original's configuration (134.6 M parameters).",
        ),
        _preset(
            "cat-drums_2bar_small",
            DrumsRepresentation(),
            replace(_SMALL, free_bits=48.0),
            TrainConfig(),
            "Two-bar drum patterns; the original's configuration (4.6 M parameters).",
        ),
        _preset(
            "cat-drums_2bar_big",
            DrumsRepresentation(),
            replace(_BIG, free_bits=48.0),
            TrainConfig(),
            "Two-bar drum patterns; the original's configuration (137.6 M parameters).",
        ),
    ]
)

ALIASES = {
    "mel_2bar_small": "cat-mel_2bar_small",
    "mel_2bar_big": "cat-mel_2bar_big",
    "drums_2bar_small": "cat-drums_2bar_small",
    "drums_2bar_big": "cat-drums_2bar_big",
}
"""Plain name → original name."""
