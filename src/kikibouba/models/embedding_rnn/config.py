"""Embedding RNN's configuration and presets. No torch here."""

from dataclasses import dataclass, replace
from typing import Literal

from kikibouba.config import Preset, TrainConfig
from kikibouba.data.embedding import EmbeddingRepresentation
from kikibouba.errors import KikiboubaError

Cell = Literal["lstm", "layer_norm", "hyper"]
Context = Literal["pitch", "velocity", "instrument"]


@dataclass(frozen=True)
class ModelConfig:
    """The network and its loss; names and defaults are the original's, but for what is said to be ours."""

    unconditional: bool = False
    """The decoder alone: no latent vector, no context."""
    rnn_size: int = 1024
    num_layers: int = 1
    dec_model: Cell = "lstm"
    bidir: bool = True
    enc_rnn_size: int = 256
    enc_model: Cell = "lstm"
    hyper_num_units: int = 256
    """Units of the small LSTM that modulates a `hyper` cell."""
    hyper_embedding_size: int = 64
    z_size: int = 64
    context: tuple[Context, ...] = ("pitch",)
    """What encoder-less facts the decoder is told, each one-hot. The original knows the pitch only."""
    num_mixture: int = 5
    mixture: Literal["channels", "frames"] = "channels"
    """channels: a mixture of its own for each number of a frame. frames (ours): one over whole frames."""
    least_log_sigma: float = -15.0
    """Ours: no component of the mixture is narrower, so that silence is not worth infinitely much."""
    kl_weight: float = 1.0
    """loss = r_loss + weight * kl_loss; r_loss is a mean over frames and numbers, the KL one over z."""
    kl_weight_start: float = 0.01
    kl_decay_rate: float = 0.99995
    """kl_weight(step) = kl_weight - (kl_weight - kl_weight_start) * kl_decay_rate^step"""
    kl_tolerance: float = 0.2
    """Nats per dimension of z below which the KL is not pushed."""
    no_sample_vae: bool = False
    """z is a linear function of what the encoder found, without noise."""
    deterministic_kl: bool = True
    """With no_sample_vae, an unused mu's and sigma's KL is in the loss all the same, as in the original."""
    clip_z_with_tanh: bool = False
    """The decoder is told tanh(z)."""
    difference_input: bool = True
    """Frames are modelled from the last to the first, as differences."""
    pca_dim_reduce: bool = False
    """The network sees whitened principal components of frames, fitted to the training examples."""
    n_pca_components: int = 6
    pca_first: bool = False
    """Ours: components of frames, then differences; the other way round keeps what changes fastest."""
    recurrent_dropout_keep: float = 1.0
    input_dropout_keep: float = 1.0
    output_dropout_keep: float = 1.0
    """Fractions kept in training. The original's switches are off (and would keep 0.95)."""
    frame_keep: float = 1.0
    """Ours: the fraction of frames that training shows the decoder; the others it sees as zeros. 0: it never
    reads frames, nor what it said itself, and says all from z, the context and its state."""
    latent_init: Literal["original", "clear"] = "original"
    """How the layers around z start; see `EmbeddingRNN.clear_latent`."""

    def __post_init__(self) -> None:
        for name in ("recurrent_dropout_keep", "input_dropout_keep", "output_dropout_keep"):
            if not 0 < getattr(self, name) <= 1:
                raise KikiboubaError(
                    f"{name} = {getattr(self, name)} must lie in (0, 1]: it is the fraction kept"
                )
        if not 0 <= self.frame_keep <= 1:
            raise KikiboubaError(
                f"frame_keep = {self.frame_keep} must lie in [0, 1]: it is the fraction kept"
            )
        sizes = ("z_size", "rnn_size", "enc_rnn_size", "num_mixture", "num_layers", "n_pca_components")
        for name in sizes:
            if getattr(self, name) < 1:
                raise KikiboubaError(f"{name} = {getattr(self, name)} must be at least 1")


TRAIN = TrainConfig(
    batch_size=128, num_steps=10_000_000, grad_clip=1.0, clip_mode="value", eval_every=1000, augment=False
)
"""The original's recipe. It has no stopping rule."""

CODES = EmbeddingRepresentation(source="wavenet", width=16)
"""Codes of NSynth's WaveNet autoencoder: 125 frames of 16 numbers, 4 s."""

_BLOG = ModelConfig(dec_model="layer_norm", z_size=128, num_mixture=20)


def _experiment(name: str, description: str, model: ModelConfig) -> Preset:
    return Preset(name, "embedding_rnn", CODES, model, TRAIN, description)


PRESETS = {
    preset.name: preset
    for preset in [
        _experiment("embedding_rnn", "Embedding RNN with the original's defaults", ModelConfig()),
        _experiment(
            "blog_5",
            "four layers of 512, layer-normalised",
            replace(_BLOG, rnn_size=512, num_layers=4, enc_rnn_size=512),
        ),
        _experiment("blog_11", "one layer of 1024, layer-normalised", replace(_BLOG, enc_rnn_size=512)),
        _experiment("blog_12", "the same as blog_11", replace(_BLOG, enc_rnn_size=512)),
        _experiment(
            "blog_13", "two layers of 1024, layer-normalised", replace(_BLOG, num_layers=2, enc_rnn_size=1024)
        ),
        _experiment(
            "blog_13_unc0_nosam1_d1_pca1",
            "blog_13 with 6 principal components of differences, and a z without noise",
            replace(_BLOG, num_layers=2, enc_rnn_size=1024, pca_dim_reduce=True, no_sample_vae=True),
        ),
        _experiment(
            "blog_14",
            "blog_13 with 2 principal components of the frames themselves",
            replace(
                _BLOG,
                num_layers=2,
                enc_rnn_size=1024,
                pca_dim_reduce=True,
                n_pca_components=2,
                difference_input=False,
            ),
        ),
        Preset(
            name="embedding_small",
            family="embedding_rnn",
            representation=EmbeddingRepresentation(),
            model=ModelConfig(
                rnn_size=192,
                dec_model="layer_norm",
                enc_rnn_size=96,
                z_size=32,
                context=("pitch", "velocity"),
                num_mixture=5,
                least_log_sigma=-3.0,
                kl_weight=0.02,
                kl_weight_start=0.001,
                kl_decay_rate=0.999,
                kl_tolerance=0.05,
                difference_input=False,
                pca_dim_reduce=True,
                n_pca_components=32,
                pca_first=True,
                frame_keep=0.0,
                latent_init="clear",
            ),
            train=replace(
                TRAIN,
                batch_size=32,
                num_steps=600,
                learning_rate=3e-3,
                decay_rate=0.998,
                min_learning_rate=1e-4,
                ema_decay=0.99,
                eval_every=50,
                save_every=100,
            ),
            description="log-mel frames of notes, 32 principal components; trains in minutes on a CPU",
        ),
    ]
}

ALIASES: dict[str, str] = {}
"""Plain names."""
