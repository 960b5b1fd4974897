"""MusicVAE weights under Magenta's TensorFlow names ⇄ our `state_dict`.

| TensorFlow                                                             | here                          |
|------------------------------------------------------------------------|-------------------------------|
| encoder/cell_L/bidirectional_rnn/fw/multi_rnn_cell/cell_0/lstm_cell/…  | encoder.forward_layers.L.…    |
| encoder/cell_L/bidirectional_rnn/bw/multi_rnn_cell/cell_0/lstm_cell/…  | encoder.backward_layers.L.…   |
| encoder/mu/…, encoder/sigma/…                                          | encoder.mu.…, encoder.sigma.… |
| decoder/z_to_initial_state/…                                           | decoder.initial_state.…       |
| decoder/multi_rnn_cell/cell_L/lstm_cell/…                              | decoder.layers.L.…            |
| decoder/output_projection/…                                            | decoder.output.…              |

A TensorFlow LSTM keeps one kernel [in + H, 4H] with gates in the order i, g, f, o; we keep its rows apart
(`w_x`, `w_h`) and its gates in the order i, f, g, o. Dense kernels are transposed. The forget bias is stored
by neither.
"""

import re
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from kikibouba.errors import KikiboubaError

_LSTM_NAMES = (
    ("encoder/cell_{}/bidirectional_rnn/fw/multi_rnn_cell/cell_0/lstm_cell", "encoder.forward_layers.{}"),
    ("encoder/cell_{}/bidirectional_rnn/bw/multi_rnn_cell/cell_0/lstm_cell", "encoder.backward_layers.{}"),
    ("decoder/multi_rnn_cell/cell_{}/lstm_cell", "decoder.layers.{}"),
)
_DENSE_NAMES = {
    "encoder/mu": "encoder.mu",
    "encoder/sigma": "encoder.sigma",
    "decoder/z_to_initial_state": "decoder.initial_state",
    "decoder/output_projection": "decoder.output",
}
_TRAINING_ONLY = re.compile(r"global_step|beta[12]_power|.*/Adam(_1)?|.*/opaque_kernel")


def music_vae_from_tf(variables: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The variables of a Magenta checkpoint (see `read_tf_checkpoint`) → state_dict of a `MusicVAE`.

    What only training needs (optimiser slots, step counters, cuDNN's opaque blobs) is left out.

    Raises:
        KikiboubaError: a variable that no flat MusicVAE has.
    """
    state: dict[str, Tensor] = {}
    for name, value in variables.items():
        if not _TRAINING_ONLY.fullmatch(name):
            state |= {
                key: torch.from_numpy(np.ascontiguousarray(v)) for key, v in _from_tf(name, value).items()
            }
    return state


def music_vae_to_tf(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The inverse of `music_vae_from_tf`: a state_dict → float32 variables by TensorFlow name."""
    arrays = {key: value.detach().float().cpu().numpy() for key, value in state.items()}
    variables: dict[str, np.ndarray] = {}
    for theirs, ours in _DENSE_NAMES.items():
        variables[theirs + "/kernel"] = arrays[ours + ".weight"].T.copy()
        variables[theirs + "/bias"] = arrays[ours + ".bias"]
    for key in arrays:
        if key.endswith(".w_x"):
            module, layer = key.removesuffix(".w_x").rsplit(".", 1)
            theirs = next(t for t, o in _LSTM_NAMES if o == module + ".{}").format(layer)
            kernel = np.concatenate([arrays[f"{module}.{layer}.w_x"], arrays[f"{module}.{layer}.w_h"]])
            variables[theirs + "/kernel"] = _swap_gates(kernel)
            variables[theirs + "/bias"] = _swap_gates(arrays[f"{module}.{layer}.bias"])
    return variables


def _from_tf(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    owner, _, kind = name.rpartition("/")
    if owner in _DENSE_NAMES and kind in ("kernel", "bias"):
        return {_DENSE_NAMES[owner] + (".weight" if kind == "kernel" else ".bias"): value.T}
    for theirs, ours in _LSTM_NAMES:
        if match := re.fullmatch(theirs.replace("{}", r"(\d+)"), owner):
            module = ours.format(match[1])
            value = _swap_gates(value)
            if kind == "bias":
                return {module + ".bias": value}
            inputs = value.shape[0] - value.shape[1] // 4
            return {module + ".w_x": value[:inputs], module + ".w_h": value[inputs:]}
    raise KikiboubaError(
        f"variable {name!r} is not one of a flat MusicVAE (bidirectional encoder, categorical decoder); "
        "hierarchical, groove, trio and NADE models cannot be imported yet"
    )


def _swap_gates(value: np.ndarray) -> np.ndarray:
    """i, g, f, o ⇄ i, f, g, o along the last axis; its own inverse."""
    i, second, third, o = np.split(value, 4, axis=-1)
    return np.concatenate([i, third, second, o], axis=-1)
