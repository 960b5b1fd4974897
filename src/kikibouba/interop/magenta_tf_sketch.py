"""Magenta's TensorFlow Sketch-RNN checkpoints ↔ our state_dict.

Differences of layout, all undone here:
    weights       TensorFlow [in, out], ours [out, in]
    gates         TensorFlow i, j (candidate), f, o; ours i, f, o, g
    forget bias   TensorFlow adds 1 at run time, ours is part of the bias (of beta, where gates are normalised)
    lstm state    TensorFlow [c | h], ours [h | c] for every cell (only `initial_state` sees it)
Optimiser slots, schedules' variables and the evaluation graph's duplicates are ignored.
"""

from collections.abc import Mapping

import numpy as np

from kikibouba.errors import KikiboubaError
from kikibouba.models.sketch_rnn.config import Cell, ModelConfig

_CELL_NAMES: dict[Cell, str] = {
    "lstm": "LSTMCell",
    "layer_norm": "LayerNormLSTMCell",
    "hyper": "HyperLSTMCell",
}
_PREFIX = "vector_rnn/"


def from_tf(variables: Mapping[str, np.ndarray], config: ModelConfig) -> dict[str, np.ndarray]:
    """A checkpoint's variables (`read_tf_checkpoint`) as the state_dict of `SketchRNN(config)`, float32 arrays.

    Raises:
        KikiboubaError: a variable is missing or has another shape than `config` says.
    """
    state: dict[str, np.ndarray] = {}
    for ours, theirs in _linears(config).items():
        state[f"{ours}.weight"] = _take(variables, f"{theirs}w").T
        state[f"{ours}.bias"] = _take(variables, f"{theirs}b")
    for ours, (theirs, cell) in _cells(config).items():
        state |= {f"{ours}.{name}": array for name, array in _cell_from_tf(variables, theirs, cell).items()}
    if config.conditional and config.dec_model == "lstm":
        for name in ("initial_state.weight", "initial_state.bias"):
            state[name] = np.roll(state[name], config.dec_rnn_size, axis=0)
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in state.items()}


def _linears(config: ModelConfig) -> dict[str, str]:
    """Our linear layer → TensorFlow's name up to its final w or b."""
    if not config.conditional:
        return {"output": "RNN/output_"}
    return {
        "mu": "ENC_RNN_mu/super_linear_",
        "log_variance": "ENC_RNN_sigma/super_linear_",
        "initial_state": "linear/super_linear_",
        "output": "RNN/output_",
    }


def _cells(config: ModelConfig) -> dict[str, tuple[str, Cell]]:
    """Our cell → (TensorFlow's scope, kind)."""
    decoder: dict[str, tuple[str, Cell]] = {
        "decoder": (f"RNN/{_CELL_NAMES[config.dec_model]}/", config.dec_model)
    }
    if not config.conditional:
        return decoder
    name = _CELL_NAMES[config.enc_model]
    return decoder | {
        "encoder_forward": (f"ENC_RNN/fw/{name}/", config.enc_model),
        "encoder_backward": (f"ENC_RNN/bw/{name}/", config.enc_model),
    }


def _cell_from_tf(variables: Mapping[str, np.ndarray], scope: str, cell: Cell) -> dict[str, np.ndarray]:
    arrays = {
        "weight_x": _gates(_take(variables, f"{scope}W_xh")).T,
        "weight_h": _gates(_take(variables, f"{scope}W_hh")).T,
    }
    if cell == "lstm":
        arrays["bias"] = _add_forget_bias(_gates(_take(variables, f"{scope}bias")), 1.0)
    return arrays


def _take(variables: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if _PREFIX + name not in variables:
        raise KikiboubaError(
            f"the checkpoint has no variable {_PREFIX + name}: is it a Sketch-RNN with these cells?"
        )
    return variables[_PREFIX + name]


def _gates(array: np.ndarray) -> np.ndarray:
    """TensorFlow's gate blocks i, j, f, o along the last axis → ours i, f, o, g."""
    i, j, f, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, f, o, j], axis=-1)


def _add_forget_bias(bias: np.ndarray, value: float) -> np.ndarray:
    bias = bias.copy()
    bias[len(bias) // 4 : len(bias) // 2] += value
    return bias
