"""What a MusicVAE is, read off the shapes of its weights."""

import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from torch import Tensor

from kikibouba.errors import KikiboubaError

_CORES = ("decoder.core.parts.{}.", "decoder.core.", "decoder.parts.{}.", "decoder.")


class Structure(NamedTuple):
    """Sizes and kinds; level lengths and what the columns mean do not show in the weights."""

    z_size: int
    encoder: Literal["bidirectional", "lstm", "none"]
    enc_rnn_size: tuple[int, ...]
    enc_upper_rnn_size: tuple[int, ...]
    """Of the levels above the first; () if as the first."""
    encoder_levels: int
    """0: flat."""
    decoder: Literal["softmax", "split", "nade"]
    """ "softmax" may also be "groove", whose weights look the same."""
    dec_rnn_size: tuple[int, ...]
    conductor_rnn_size: tuple[int, ...]
    """Of the levels above the last; () if as the last."""
    decoder_levels: int
    autoregressive: bool
    residual_encoder: bool
    residual_decoder: bool
    nade_num_hidden: int
    inputs: int
    """Width of what the encoder reads, controls not counted; 0 without an encoder."""
    outputs: tuple[int, ...]
    """Width of what each decoder says."""
    controls: int
    """Width of what the model is told at every step."""
    control_rnn_size: tuple[int, ...]


def structure_of(state: Mapping[str, Tensor]) -> Structure:
    """The structure of a MusicVAE with this state_dict, whose encoder may be missing as a whole.

    Raises:
        KikiboubaError: the weights are not those of one model.
    """
    cores = _cores(state)
    outputs, nade_num_hidden = [], 0
    for core in cores:
        width = _shape(state, core + "output.weight")[0]
        if core + "head.nade.w_enc" in state:
            width, nade_num_hidden = _shape(state, core + "head.nade.w_enc")
        outputs.append(width)
    conductors = _count(state, "decoder.conductors.{}.initial_state.weight")
    dec_rnn_size = _sizes(state, cores[0] + "layers.{}.")
    conductor_rnn_size = _sizes(state, "decoder.conductors.0.layers.{}.") if conductors else dec_rnn_size
    e_size = _shape(state, cores[0] + "initial_state.weight")[1]
    top = "decoder.conductors.0." if conductors else cores[0]
    z_size = _shape(state, top + "initial_state.weight")[1]
    controls = _input_width(state, cores[0] + "layers.0.") - outputs[0] - e_size
    listens = "listener.forward_layers.0.w_h" in state
    if listens:
        controls = _input_width(state, "listener.forward_layers.0.")
    encoder, levels = _encoder(state)
    lowest = _encoder_layers(encoder, 0 if levels else None)
    first = () if encoder == "none" else _sizes(state, lowest)
    upper = _sizes(state, _encoder_layers(encoder, levels - 1)) if levels else first
    return Structure(
        z_size=z_size,
        encoder=encoder,
        enc_rnn_size=first,
        enc_upper_rnn_size=() if upper == first else upper,
        encoder_levels=levels,
        decoder="nade" if nade_num_hidden else "split" if len(cores) > 1 else "softmax",
        dec_rnn_size=dec_rnn_size,
        conductor_rnn_size=() if conductor_rnn_size == dec_rnn_size else conductor_rnn_size,
        decoder_levels=conductors + 1 if conductors else 0,
        autoregressive=conductors > 0 and _input_width(state, "decoder.conductors.0.layers.0.") > 1,
        residual_encoder=any(key.startswith("encoder.") and ".projection." in key for key in state),
        residual_decoder=any(key.startswith("decoder.") and ".projection." in key for key in state),
        nade_num_hidden=nade_num_hidden,
        inputs=0 if encoder == "none" else _input_width(state, lowest.format(0)) - controls,
        outputs=tuple(outputs),
        controls=controls,
        control_rnn_size=_sizes(state, "listener.forward_layers.{}.") if listens else (),
    )


def _cores(state: Mapping[str, Tensor]) -> list[str]:
    """The places of the decoders that say something."""
    for place in _CORES:
        if count := _count(state, place + "initial_state.weight"):
            return [place.format(k) for k in range(count)]
    raise KikiboubaError("there is no decoder (…/z_to_initial_state) among the variables: it is no MusicVAE")


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many keys 0, 1, 2, … fit a pattern; a pattern without number counts as one."""
    if "{}" not in pattern:
        return int(pattern in state)
    count = 0
    while pattern.format(count) in state:
        count += 1
    return count


def _encoder(state: Mapping[str, Tensor]) -> tuple[Literal["bidirectional", "lstm", "none"], int]:
    """Kind of the encoder and number of its levels, 0 if flat."""
    levels = 0
    for key in state:
        if match := re.match(r"encoder\.levels\.(\d+)\.", key):
            levels = max(levels, int(match[1]) + 1)
    place = "encoder.levels.0." if levels else "encoder."
    if place + "forward_layers.0.w_h" in state:
        return "bidirectional", levels
    return ("lstm" if place + "layers.0.w_h" in state else "none"), levels


def _encoder_layers(encoder: str, level: int | None) -> str:
    """The place of a layer of the encoder (of one of its levels), {} standing for its number."""
    place = "encoder." if level is None else f"encoder.levels.{level}."
    return place + ("forward_layers.{}." if encoder == "bidirectional" else "layers.{}.")


def _sizes(state: Mapping[str, Tensor], layers: str) -> tuple[int, ...]:
    """Units of each layer of a stack."""
    count = _count(state, layers + "w_h")
    if not count:
        raise KikiboubaError(f"the weights lack an LSTM at {layers.format(0)}")
    return tuple(_shape(state, layers.format(k) + "w_h")[0] for k in range(count))


def _input_width(state: Mapping[str, Tensor], layer: str) -> int:
    if layer + "projection.weight" in state:
        return _shape(state, layer + "projection.weight")[1]
    return _shape(state, layer + "w_x")[0]


def _shape(state: Mapping[str, Tensor], key: str) -> tuple[int, int]:
    if key not in state or state[key].ndim != 2:
        raise KikiboubaError(f"the weights lack the matrix {key}")
    return state[key].shape[0], state[key].shape[1]
