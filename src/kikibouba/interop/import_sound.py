"""An original NSynth autoencoder or music translation network → our configuration and weights.

NSynth's variables have TensorFlow's names, each with W [1, K, in, out] (ours [out, in, K]) and biases; their
layers count from 1. A music translation network has our names. How often dilations begin again, and samples a
frame, do not show in the weights: they are taken to be the presets', and can be set.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kikibouba.config import Preset, find_preset
from kikibouba.errors import KikiboubaError
from kikibouba.interop.music_translation_pth import FORMAT
from kikibouba.interop.original import Original

_WHOLE = {
    "ae_startconv": "encoder.start",
    "ae_bottleneck": "encoder.conv_1x1",
    "startconv": "decoder.first_conv",
    "skip_start": "decoder.skip_conv",
    "out1": "decoder.fc",
    "cond_map_out1": "decoder.condition",
    "logits": "decoder.logits",
}
_LAYERS = {
    "ae_dilatedconv": "encoder.dilated_convs.{}.dilated_conv",
    "ae_res": "encoder.dilated_convs.{}.conv_1x1",
    "dilatedconv": "decoder.layers.{}.causal",
    "cond_map": "decoder.layers.{}.condition",
    "res": "decoder.layers.{}.residual",
    "skip": "decoder.layers.{}.skip",
}
_MOST_LAYERS = 20
"""Of a block; the last would see a million samples."""
Arrays = dict[str, np.ndarray]


def is_nsynth(original: Original) -> bool:
    """Whether the variables are those of NSynth's WaveNet autoencoder."""
    return "ae_startconv/W" in original.variables or "ae_startconv/W" in original.missing


def is_music_translation(original: Original) -> bool:
    """Whether it is a music translation network."""
    return original.format == FORMAT


def nsynth_from(original: Original, name: str) -> tuple[Preset, Arrays]:
    """The preset and state_dict of an NSynth autoencoder.

    Raises:
        KikiboubaError: variables are missing, or are none of NSynth's.
    """
    if original.missing:
        said = original.what_is_missing()
        raise KikiboubaError(f"variables of the autoencoder are missing: {said}; find the missing files")
    state = dict(_nsynth_weight(key, value) for key, value in original.variables.items() if value.ndim)
    base = find_preset("h512_bo16")
    encoder_channels, latent = _shape(state, "encoder.start")[0], _shape(state, "encoder.conv_1x1")[0]
    residual, _, kernel = _shape(state, "decoder.first_conv")
    model = replace(
        base.model,
        latent=latent,
        encoder_channels=encoder_channels,
        residual=residual,
        skip=_shape(state, "decoder.skip_conv")[0],
        kernel=kernel,
        **_cut(state, "encoder.dilated_convs.{}.conv_1x1", "encoder_", base.model.encoder_layers),
        **_cut(state, "decoder.layers.{}.causal", "", base.model.layers),
    )
    return replace(base, name=name, model=model, description="NSynth's autoencoder, imported"), state


def music_translation_from(original: Original, name: str) -> tuple[Preset, Arrays]:
    """The preset and state_dict of a music translation network with the domains whose decoders are there.

    Raises:
        KikiboubaError: weights are missing.
    """
    numbers = sorted({int(key.split(".")[1]) for key in original.variables if key.startswith("decoders.")})
    state: Arrays = {}
    for key, value in original.variables.items():
        if key.startswith("decoders."):
            _, number, rest = key.split(".", 2)
            key = f"decoders.{numbers.index(int(number))}.{rest}"
        elif key.startswith("classifier.convs.6."):  # of domains without decoder nothing can be said
            value = value[numbers]
        state[key] = value
    base = find_preset("umtn_original")
    model = replace(
        base.model,
        domains=tuple(f"domain_{number}" for number in numbers),
        latent=_shape(state, "encoder.conv_1x1")[0],
        encoder_channels=_shape(state, "encoder.start")[0],
        channels=_shape(state, "decoders.0.first_conv")[0],
        classifier_channels=_shape(state, "classifier.convs.0")[0],
        **_cut(state, "encoder.dilated_convs.{}.conv_1x1", "encoder_", base.model.encoder_layers),
        **_cut(state, "decoders.0.layers.{}.causal", "", base.model.layers, base.model.blocks),
    )
    return replace(base, name=name, model=model, description="a music translation network, imported"), state


def _nsynth_weight(name: str, value: np.ndarray) -> tuple[str, np.ndarray]:
    """Our name and layout of a variable."""
    owner, _, kind = name.rpartition("/")
    here = _WHOLE.get(owner)
    if match := re.fullmatch(r"(\w+)_(\d{1,4})", owner):
        pattern = _LAYERS.get(match[1])
        here = pattern.format(int(match[2]) - 1) if pattern and int(match[2]) else here
    if here and kind == "biases":
        return f"{here}.bias", value
    if here and kind == "W" and value.ndim == 4 and len(value) == 1:
        return f"{here}.weight", np.ascontiguousarray(value[0].T)  # [K, in, out] → [out, in, K]
    raise KikiboubaError(f"variable {name!r} is not one of NSynth's autoencoder")


def _cut(
    state: Mapping[str, np.ndarray], pattern: str, prefix: str, layers: int, blocks: int = 0
) -> dict[str, int]:
    """Into how many blocks of how many layers a stack is cut: the given number of blocks, or blocks of the
    given length, where that goes.
    """
    count = 0
    while pattern.format(count) + ".weight" in state:
        count += 1
    if blocks and count % blocks == 0:
        layers = count // blocks
    elif count % layers:
        layers = count
    if layers > _MOST_LAYERS:
        raise KikiboubaError(f"nothing tells into how many blocks {count} layers are cut")
    return {f"{prefix}blocks": max(1, count // layers), f"{prefix}layers": min(layers, max(1, count))}


def _shape(state: Mapping[str, np.ndarray], layer: str) -> tuple[int, int, int]:
    """[out, in, K] of a convolution."""
    weight = state.get(f"{layer}.weight")
    if weight is None or weight.ndim != 3:
        raise KikiboubaError(f"the weights lack the convolution {layer}")
    out, inputs, kernel = weight.shape
    return out, inputs, kernel
