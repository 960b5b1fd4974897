"""Sketch-RNN's configuration and presets. No torch here."""

from dataclasses import dataclass, replace
from typing import Literal

from kikibouba.config import Preset, TrainConfig
from kikibouba.data.sketch import SketchRepresentation
from kikibouba.errors import KikiboubaError

Cell = Literal["lstm", "layer_norm", "hyper"]


@dataclass(frozen=True)
class ModelConfig:
    """The network and its loss; defaults are the original's. Dropout settings are the fraction *kept*."""

    conditional: bool = True
    """False: the decoder alone, a model of drawings without a latent vector."""
    z_size: int = 128
    enc_model: Cell = "lstm"
    enc_rnn_size: int = 256
    dec_model: Cell = "lstm"
    dec_rnn_size: int = 512
    hyper_num_units: int = 256
    """Units of the small LSTM that modulates a `hyper` cell."""
    hyper_embedding_size: int = 32
    num_mixture: int = 20
    """Bivariate normals in the distribution of the next pen offset."""
    kl_weight: float = 0.5
    """loss = r_loss + weight * kl_loss; the KL is a mean over z: see docs/sketch_rnn.md on z_size."""
    kl_weight_start: float = 0.01
    kl_decay_rate: float = 0.99995
    """kl_weight(step) = kl_weight - (kl_weight - kl_weight_start) * kl_decay_rate^step"""
    kl_tolerance: float = 0.2
    """Nats per dimension of z below which the KL is not pushed."""
    recurrent_dropout_keep: float = 0.9
    input_dropout_keep: float = 1.0
    output_dropout_keep: float = 1.0
    max_length: int = 250
    """Longest drawing, in rows: where decoding stops, and the constant that normalises the r_loss."""
    pad_loss: Literal["end_row", "all", "real_rows"] = "end_row"
    """Whose pen loss counts. end_row: the drawing's and that of the row that ends it. all: every row up to
    max_length, as in the original's training graph. real_rows: the drawing's, as in its evaluation graph."""
    latent_init: Literal["original", "clear"] = "original"
    """How the layers around z start; see `SketchRNN.clear_latent`."""

    def __post_init__(self) -> None:
        for name in ("recurrent_dropout_keep", "input_dropout_keep", "output_dropout_keep"):
            if not 0 < getattr(self, name) <= 1:
                raise KikiboubaError(
                    f"{name} = {getattr(self, name)} must lie in (0, 1]: it is the fraction kept"
                )
        for name in ("z_size", "enc_rnn_size", "dec_rnn_size", "num_mixture", "max_length"):
            if getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must be at least 1")


TRAIN = TrainConfig(batch_size=100, num_steps=10_000_000, grad_clip=1.0, clip_mode="value")
"""The original's recipe. It has no stopping rule: its users stop by hand, after 20,000 to 500,000 steps."""

_ORIGINAL = Preset(
    name="sketch_rnn",
    family="sketch_rnn",
    representation=SketchRepresentation(),
    model=ModelConfig(),
    train=TRAIN,
    description="Sketch-RNN with the original's defaults: LSTM cells, z of 128",
)


def _variant(name: str, description: str, model: ModelConfig) -> Preset:
    return replace(_ORIGINAL, name=name, model=model, description=description)


PRESETS = {
    preset.name: preset
    for preset in [
        _ORIGINAL,
        _variant(
            "sketch_rnn_layer_norm",
            "layer-normalised cells, which the original's authors advise below 10,000 drawings",
            ModelConfig(enc_model="layer_norm", dec_model="layer_norm"),
        ),
        _variant(
            "sketch_rnn_hyper",
            "HyperLSTM decoder and layer-normalised encoder, for many categories in one model",
            ModelConfig(enc_model="layer_norm", dec_model="hyper"),
        ),
        _variant(
            "sketch_rnn_uncond", "the decoder alone, without a latent vector", ModelConfig(conditional=False)
        ),
        _variant(
            "sketch_rnn_z256",
            "z of 256 with the KL terms rescaled, so that the objective in nats stays that of z 128",
            ModelConfig(z_size=256, kl_weight=1.0, kl_weight_start=0.02, kl_tolerance=0.1),
        ),
        _variant(
            "sketch_rnn_z256_unscaled",
            "z of 256 with z 128's KL settings: half the pull to the prior, twice the free nats; to compare",
            ModelConfig(z_size=256),
        ),
        Preset(
            name="sketch",
            family="sketch_rnn",
            representation=SketchRepresentation(max_length=130),
            model=ModelConfig(
                max_length=130,
                dec_rnn_size=384,
                kl_weight=0.25,
                kl_decay_rate=0.9998,
                latent_init="clear",
            ),
            train=replace(
                TRAIN,
                batch_size=64,
                num_steps=60_000,
                learning_rate=1.5e-3,
                decay_rate=0.9998,
                ema_decay=0.999,
                precision="bf16",
                log_every=50,
                eval_every=1000,
            ),
            description="Sketch-RNN for QuickDraw's simplified drawings, small enough to bundle",
        ),
    ]
}

ALIASES: dict[str, str] = {}
"""Plain names; `sketch` is a preset of its own."""
