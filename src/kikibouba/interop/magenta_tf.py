"""MusicVAE weights under Magenta's TensorFlow names ⇄ our `state_dict`.

A name is a place in the model and a layer there. The places:

| TensorFlow                              | here                   |                                   |
|-----------------------------------------|------------------------|-----------------------------------|
| encoder                                 | encoder                |                                   |
| encoder/hierarchical_level_I            | encoder.levels.I       | level I of a hierarchical encoder |
| decoder                                 | decoder                |                                   |
| decoder/hierarchical_level_I            | decoder.conductors.I   | level I of a hierarchical decoder |
| core_decoder/decoder                    | decoder.core           | its lowest level                  |
| core_decoder_K/decoder                  | decoder.parts.K        | one of several outputs            |
| core_decoder/core_decoder_K/decoder     | decoder.core.parts.K   | both                              |
| control_preprocessing                   | listener               | how the decoder hears controls    |

and the layers:

| cell_L/bidirectional_rnn/fw/multi_rnn_cell/cell_0  | forward_layers.L  | LSTM                    |
| cell_L/bidirectional_rnn/bw/multi_rnn_cell/cell_0  | backward_layers.L | LSTM                    |
| multi_rnn_cell/cell_L                              | layers.L          | LSTM                    |
| cell_L                                             | layers.L          | LSTM, in conductors     |
| mu, sigma                                          | mu, sigma         | dense                   |
| z_to_initial_state (initial_state in conductors)   | initial_state     | dense                   |
| output_projection                                  | output            | dense                   |
| nade/w_enc, nade/w_dec_t                           | head.nade.w_…     | an array                |

A TensorFlow LSTM keeps one kernel [in + H, 4H] with gates in the order i, g, f, o, in `lstm_cell`; we keep
its rows apart (`w_x`, `w_h`) and its gates in the order i, f, g, o. With residual connections a layer may sit
in an `input_projection_wrapper`, whose dense kernel is our `projection`. Dense kernels are transposed. The
forget bias is stored by neither.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
import torch
from torch import Tensor

from kikibouba.errors import KikiboubaError
from kikibouba.interop.tf_checkpoint import for_training_only

_ENCODERS = (("encoder/hierarchical_level_{}/", "encoder.levels.{}."), ("encoder/", "encoder."))
_DECODERS = (
    ("core_decoder/core_decoder_{}/decoder/", "decoder.core.parts.{}."),
    ("core_decoder/decoder/", "decoder.core."),
    ("core_decoder_{}/decoder/", "decoder.parts.{}."),
    ("decoder/", "decoder."),
)
_CONDUCTORS = (("decoder/hierarchical_level_{}/", "decoder.conductors.{}."),)

_BOTH_WAYS = (
    ("cell_{}/bidirectional_rnn/fw/multi_rnn_cell/cell_0", "forward_layers.{}"),
    ("cell_{}/bidirectional_rnn/bw/multi_rnn_cell/cell_0", "backward_layers.{}"),
)
_LAYERS = (("multi_rnn_cell/cell_{}", "layers.{}"),)


def _joined(places: tuple, layers: tuple) -> tuple[tuple[str, str], ...]:
    return tuple((a + c, b + d) for (a, b), (c, d) in product(places, layers))


_LISTENER = (("control_preprocessing/", "listener."),)
_LSTMS = (
    *_joined(_LISTENER, _BOTH_WAYS),
    *_joined(_ENCODERS, (*_BOTH_WAYS, *_LAYERS)),
    *_joined(_DECODERS, _LAYERS),
    *_joined(_CONDUCTORS, (("cell_{}", "layers.{}"),)),
)
_DENSE = (
    *_joined(_ENCODERS, (("mu", "mu"), ("sigma", "sigma"))),
    *_joined(_DECODERS, (("z_to_initial_state", "initial_state"), ("output_projection", "output"))),
    *_joined(_CONDUCTORS, (("initial_state", "initial_state"),)),
)
_ARRAYS = {  # name there → (name here, the axis of length 1 that only TensorFlow has)
    "nade/w_enc": ("head.nade.w_enc", 1),
    "nade/w_dec_t": ("head.nade.w_dec", 2),
}
_WRAPPER = "/input_projection_wrapper"


def music_vae_from_tf(variables: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The variables of a Magenta checkpoint (see `read_tf_checkpoint`) → state_dict of a `MusicVAE`.

    What only training needs is left out: optimiser slots, cuDNN's opaque blobs, and scalars, which count
    something.

    Raises:
        KikiboubaError: a variable that no MusicVAE has.
    """
    state: dict[str, Tensor] = {}
    unwanted = for_training_only(variables)
    for name, value in variables.items():
        if name not in unwanted and value.ndim:
            state |= {key: torch.from_numpy(np.ascontiguousarray(v)) for key, v in _from_tf(name, value)}
    return state


def music_vae_to_tf(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The inverse of `music_vae_from_tf`: a state_dict → float32 variables by TensorFlow name.

    Raises:
        KikiboubaError: a weight that no MusicVAE has.
    """
    arrays = {key: value.detach().float().cpu().numpy() for key, value in state.items()}
    return {name: value for key in arrays for name, value in _to_tf(key, arrays)}


def _from_tf(name: str, value: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What one variable becomes."""
    owner, _, kind = name.rpartition("/")
    suffix = {"kernel": "weight", "bias": "bias"}.get(kind)
    if suffix and (here := _translate(owner, _DENSE)):
        yield f"{here}.{suffix}", value.T
    elif suffix and owner.endswith(_WRAPPER) and (here := _translate(owner.removesuffix(_WRAPPER), _LSTMS)):
        yield f"{here}.projection.{suffix}", value.T
    elif suffix and (here := _translate(re.sub(f"({_WRAPPER})?/lstm_cell$", "", owner), _LSTMS)):
        value = _swap_gates(value)
        if kind == "bias":
            yield f"{here}.bias", value
        else:
            inputs = value.shape[0] - value.shape[1] // 4
            yield f"{here}.w_x", value[:inputs]
            yield f"{here}.w_h", value[inputs:]
    else:
        for theirs, (ours, axis) in _ARRAYS.items():
            place = name.removesuffix(theirs)
            if name.endswith(theirs) and (here := _translate(place, _DECODERS)):
                yield here + ours, value.squeeze(axis)
                return
        raise KikiboubaError(
            f"variable {name!r} is not one of a MusicVAE (decoders that encode again what they said "
            "cannot be imported)"
        )


def _to_tf(key: str, arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """What one weight becomes; an LSTM's `w_h` goes with its `w_x`."""
    backwards = [tuple((b, a) for a, b in table) for table in (_DENSE, _LSTMS, _DECODERS)]
    dense, lstms, decoders = backwards
    owner, _, kind = key.rpartition(".")
    value, theirs = arrays[key], {"weight": "kernel", "bias": "bias"}.get(kind)
    if there := _translate(owner, dense):
        yield f"{there}/{theirs}", value.T.copy()
    elif owner.endswith(".projection") and (there := _translate(owner.removesuffix(".projection"), lstms)):
        yield f"{there}{_WRAPPER}/{theirs}", value.T.copy()
    elif there := _translate(owner, lstms):
        there += _WRAPPER * (f"{owner}.projection.bias" in arrays)
        if kind == "bias":
            yield f"{there}/lstm_cell/bias", _swap_gates(value)
        elif kind == "w_x":
            yield f"{there}/lstm_cell/kernel", _swap_gates(np.concatenate([value, arrays[f"{owner}.w_h"]]))
    else:
        for name, (ours, axis) in _ARRAYS.items():
            if key.endswith(ours) and (there := _translate(key.removesuffix(ours), decoders)):
                yield there + name, np.expand_dims(value, axis)
                return
        raise KikiboubaError(f"weight {key!r} is not one of a MusicVAE")


def _translate(name: str, table: tuple[tuple[str, str], ...]) -> str | None:
    """A name by a table of patterns in which {} stands for a number; None if it is not there."""
    for pattern, other in table:
        if match := re.fullmatch(re.escape(pattern).replace(r"\{\}", r"(\d+)"), name):
            return other.format(*match.groups())
    return None


def _swap_gates(value: np.ndarray) -> np.ndarray:
    """i, g, f, o ⇄ i, f, g, o along the last axis; its own inverse."""
    i, second, third, o = np.split(value, 4, axis=-1)
    return np.concatenate([i, third, second, o], axis=-1)
