"""The numbers and choices that make one MusicVAE, and which of them fit what it is to learn."""

from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from kikibouba.data.layout import Layout
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
    decoder: Literal["categorical", "split", "nade", "bits", "groove"] = "categorical"
    """What is said: labels, each by its own softmax; the same by one decoder for each column; bits, each on
    the strength of those before it, or by itself; or hits, velocities and offsets.
    """
    decoder_level_lengths: tuple[int, ...] = ()
    """Steps of each level of a hierarchical decoder, the highest first; none: a flat decoder."""
    control_rnn_size: tuple[int, ...] = ()
    """Units of each layer, per direction, of an LSTM through which the decoder hears the controls; none: it
    hears them as they are.
    """
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


def check(model: ModelConfig, representation: Any) -> None:
    """Raise KikiboubaError unless the model can read and say what the representation holds."""
    if model.free_bits and model.free_bits_per_dimension:
        raise KikiboubaError("set model.free_bits or model.free_bits_per_dimension, and the other to 0")
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
    if model.control_rnn_size and (model.decoder_level_lengths or not layout.controls):
        raise KikiboubaError("model.control_rnn_size is for a flat decoder with controls; leave it empty")
    parts = layout.outputs
    labels = all(part.table is not None for part in parts)
    is_groove = len(parts) == 1 and not labels and parts[0].width % 3 == 0
    can_say = {
        "categorical": labels,
        "split": labels,
        "nade": len(parts) == 1 and not is_groove,
        "bits": len(parts) == 1 and not is_groove,
        "groove": is_groove,
    }
    if not can_say[model.decoder]:
        allowed = ", ".join(name for name, fits in can_say.items() if fits)
        raise KikiboubaError(
            f"model.decoder {model.decoder!r} cannot say {representation.kind} examples; allowed: {allowed}"
        )
