"""A MusicVAE of ours → what magenta.js loads: variables by TensorFlow's names, and config.json."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from kikibouba.errors import KikiboubaError
from kikibouba.interop.js_converters import js_from_representation
from kikibouba.interop.magenta_tf import music_vae_to_tf
from kikibouba.models.music_vae.config import ModelConfig


def magenta_js_from(
    state: Mapping[str, Tensor], model: ModelConfig, representation: Any
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(variables, config.json) of a MusicVAE.

    Raises:
        KikiboubaError: magenta.js cannot run such a model; says why.
    """
    check_runs_in_js(model, representation)
    spec = js_from_representation(representation, model.decoder_level_lengths)
    boolean = {"useBooleanDecoder": True} if model.decoder == "bits" else {}
    return music_vae_to_tf(state), spec | boolean


def check_runs_in_js(model: ModelConfig, representation: Any) -> None:
    """Raise KikiboubaError, with the reason, unless magenta.js can run the model."""
    decoders = _decoders(representation)
    levels, encoder_levels = model.decoder_level_lengths, model.encoder_level_lengths
    stacks = (model.dec_rnn_size, model.conductor_rnn_size)
    reasons = {
        "it has no latent vector": model.z_size == 0,
        "it has no encoder": model.encoder == "none",
        "its encoder is not bidirectional": model.encoder == "lstm",
        "its encoder has more than one layer": len(model.enc_rnn_size) > 1,
        "it hears controls through more than one layer": len(model.control_rnn_size) > 1,
        "layers of one decoder differ in size": any(len(set(sizes)) > 1 for sizes in stacks),
        "it has residual connections": model.residual_encoder or model.residual_decoder,
        "its conductor hears what was said (autoregressive)": bool(levels) and model.autoregressive,
        "it has more than two levels": max(len(levels), len(encoder_levels)) > 2,
        "encoder and decoder do not cut an example alike": encoder_levels != levels[::-1],
        "multitrack examples want two levels there": representation.kind == "multitrack" and not levels,
        f"its decoder is {model.decoder}, where such examples want {' or '.join(decoders)} there": (
            model.decoder not in decoders
        ),
    }
    if wrong := [reason for reason, holds in reasons.items() if holds]:
        raise KikiboubaError(f"magenta.js cannot run this model: {'; '.join(wrong)}")


def _decoders(representation: Any) -> tuple[str, ...]:
    """The kinds of decoder that say what the library's converter reads."""
    if representation.kind == "drums":
        return ("nade", "bits") if representation.roll_output else ("categorical",)
    if representation.kind == "melody_outline":
        return ("bits",) if representation.outline == "rhythm" else ("categorical",)
    return {"trio": ("split",), "groove": ("groove",)}.get(representation.kind, ("categorical",))
