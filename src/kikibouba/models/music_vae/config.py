"""MusicVAE's hyperparameters and presets.

The presets named `cat-…` carry every value of the original's configuration of that name; `mel_2bar` and
`drums_2bar` are our own, small enough to ship with the package and to train on a laptop.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

from kikibouba.config import Preset, TrainConfig
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.layout import Layout
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class ModelConfig:
    """One MusicVAE."""

    z_size: int = 256
    """0 leaves the encoder out: a language model."""
    enc_rnn_size: tuple[int, ...] = (512,)
    """Units of each encoder layer, per direction."""
    enc_upper_rnn_size: tuple[int, ...] = ()
    """The same for the upper levels of a hierarchical encoder; none: as the lowest."""
    dec_rnn_size: tuple[int, ...] = (256, 256)
    """Units of each decoder layer."""
    conductor_rnn_size: tuple[int, ...] = ()
    """The same for the upper levels of a hierarchical decoder; none: as the lowest."""
    encoder: Literal["bidirectional", "lstm", "none"] = "bidirectional"
    """"none": a decoder alone, imported without its encoder. It can sample and decode."""
    encoder_level_lengths: tuple[int, ...] = ()
    """Steps that each level of a hierarchical encoder sums up, the lowest first; none: a flat encoder."""
    decoder: Literal["categorical", "split", "nade", "groove"] = "categorical"
    """What is said: labels, each by its own softmax; the same by one decoder for each column; bits; or hits,
    velocities and offsets.
    """
    decoder_level_lengths: tuple[int, ...] = ()
    """Steps of each level of a hierarchical decoder, the highest first; none: a flat decoder."""
    autoregressive: bool = False
    """Whether the upper levels of a hierarchical decoder hear what the levels below said."""
    residual_encoder: bool = False
    residual_decoder: bool = False
    dropout_keep_prob: float = 1.0
    """Share of the inputs that a layer sees in training."""
    nade_num_hidden: int = 128
    free_bits: float = 0.0
    """Bits of KL per example, summed over z, that cost nothing."""
    free_bits_per_dimension: float = 0.0
    """Instead of `free_bits`: bits of KL that cost nothing in each dimension, on average over the batch."""
    max_beta: float = 0.2
    beta_rate: float = 0.0
    """beta(step) = max_beta * (1 - beta_rate^step): the weight of the KL term."""
    sampling_schedule: Literal["constant", "exponential", "inverse_sigmoid"] = "constant"
    """Scheduled sampling (training only); see `nn.schedules.sampling_probability`."""
    sampling_rate: float = 0.0
    latent_init: Literal["original", "clear"] = "original"
    """How the layers around z start; see `MusicVAE.clear_latent`."""

    def __post_init__(self) -> None:
        if self.z_size < 0 or not self.dec_rnn_size or not self.enc_rnn_size:
            raise KikiboubaError("z_size must be 0 or more; enc_rnn_size and dec_rnn_size need a layer each")
        if not 0 < self.dropout_keep_prob <= 1:
            raise KikiboubaError(f"dropout_keep_prob {self.dropout_keep_prob} must be above 0 and at most 1")
        if self.free_bits and self.free_bits_per_dimension:
            raise KikiboubaError("set either free_bits or free_bits_per_dimension, not both")


def check(model: ModelConfig, representation: Any) -> None:
    """Raise KikiboubaError unless the model can read and say what the representation holds."""
    layout: Layout = representation.layout
    for name in ("encoder_level_lengths", "decoder_level_lengths"):
        lengths = getattr(model, name)
        if lengths and (min(lengths) < 1 or prod(lengths) != representation.steps):
            raise KikiboubaError(
                f"model.{name} {list(lengths)} multiply to {prod(lengths)}, but an example has "
                f"{representation.steps} steps; change them or the representation's length"
            )
        if len(lengths) == 1:
            raise KikiboubaError(f"model.{name} {list(lengths)} has but one level; leave it empty or add one")
    parts = layout.outputs
    can_say = {
        "categorical": all(part.table is not None for part in parts),
        "split": all(part.table is not None for part in parts),
        "nade": len(parts) == 1,
        "groove": len(parts) == 1 and parts[0].table is None and parts[0].width % 3 == 0,
    }
    if not can_say[model.decoder]:
        allowed = ", ".join(name for name, fits in can_say.items() if fits)
        raise KikiboubaError(
            f"model.decoder {model.decoder!r} cannot say {representation.kind} examples; allowed: {allowed}"
        )


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
        _preset(
            "hier-drums_4bar_small",
            DrumsRepresentation(bars=4),
            ModelConfig(free_bits=48.0, decoder_level_lengths=(4, 16)),
            TrainConfig(),
            "Four-bar drum patterns, said bar by bar (5.7 M parameters).",
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
