"""Magenta's TensorFlow Sketch-RNN checkpoints ↔ our configuration and state_dict.

Differences of layout, all undone here:
    weights       TensorFlow [in, out], ours [out, in]
    gates         TensorFlow i, j (candidate), f, o; ours i, f, o, g
    forget bias   TensorFlow adds 1 at run time; ours is in the bias (in beta, where gates are normalised)
    lstm state    TensorFlow [c | h], ours [h | c] for every cell (only `initial_state` sees it)
    hyper cell    TensorFlow a variable per gate and role, ours one array for all twelve
Optimiser slots, the schedules' variables and the evaluation graph's duplicates are ignored.
"""

from collections.abc import Mapping

import numpy as np

from kikibouba.errors import KikiboubaError
from kikibouba.models.sketch_rnn.config import Cell, ModelConfig

Arrays = dict[str, np.ndarray]

_PREFIX = "vector_rnn/"
_CELL_NAMES: dict[Cell, str] = {
    "lstm": "LSTMCell",
    "layer_norm": "LayerNormLSTMCell",
    "hyper": "HyperLSTMCell",
}
_NORMS = {
    "gamma": "ln_all/ln_gamma",
    "beta": "ln_all/ln_beta",
    "gamma_c": "ln_c/ln_gamma",
    "beta_c": "ln_c/ln_beta",
}
_ROLES = [
    (f"hyper_{gate}{path}/", embed, modulate)
    for path, embed, modulate in (("x", "zw", "alpha"), ("h", "zw", "alpha"), ("h", "zb", "beta"))
    for gate in "ifoj"
]
"""TensorFlow's names of a hyper cell's modulations in our order: alpha_x, alpha_h, beta; each i, f, o, g."""


def from_tf(variables: Mapping[str, np.ndarray], config: ModelConfig) -> Arrays:
    """A checkpoint's variables (`read_tf_checkpoint`) as the float32 state_dict of `SketchRNN(config)`.

    Raises:
        KikiboubaError: a variable is missing.
    """
    source = {
        name.removeprefix(_PREFIX): array for name, array in variables.items() if name.startswith(_PREFIX)
    }
    state: Arrays = {}
    try:
        for ours, theirs in _linears(config).items():
            state[f"{ours}.weight"], state[f"{ours}.bias"] = source[f"{theirs}w"].T, source[f"{theirs}b"]
        for ours, (scope, cell) in _cells(config).items():
            state |= {f"{ours}.{name}": array for name, array in _cell_from_tf(source, scope, cell).items()}
    except KeyError as error:
        raise KikiboubaError(
            f"the checkpoint has no variable {_PREFIX}{error.args[0]}: is it a Sketch-RNN with these cells?"
        ) from None
    _swap_lstm_state(state, config)
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in state.items()}


def to_tf(state: Mapping[str, np.ndarray], config: ModelConfig) -> Arrays:
    """The inverse of `from_tf`: the trainable variables by TensorFlow name."""
    source, variables = dict(state), {}
    _swap_lstm_state(source, config)
    for ours, theirs in _linears(config).items():
        variables[f"{theirs}w"], variables[f"{theirs}b"] = source[f"{ours}.weight"].T, source[f"{ours}.bias"]
    for ours, (scope, cell) in _cells(config).items():
        arrays = {
            name.removeprefix(f"{ours}."): array
            for name, array in source.items()
            if name.startswith(f"{ours}.")
        }
        variables |= {scope + name: array for name, array in _cell_to_tf(arrays, cell).items()}
    return {
        _PREFIX + name: np.ascontiguousarray(array, dtype=np.float32) for name, array in variables.items()
    }


def config_from_tf(variables: Mapping[str, np.ndarray]) -> ModelConfig:
    """The network's sizes and cells, read off a checkpoint's variables; the rest keeps its defaults.

    The original writes no usable configuration beside its checkpoints (only the settings' names).
    """
    shapes = {name.removeprefix(_PREFIX): array.shape for name, array in variables.items()}
    decoders = [cell for cell, name in _CELL_NAMES.items() if f"RNN/{name}/W_hh" in shapes]
    if not decoders or "RNN/output_w" not in shapes:
        raise KikiboubaError(f"no Sketch-RNN decoder ({_PREFIX}RNN/…) among the checkpoint's variables")
    dec_rnn_size, outputs = shapes["RNN/output_w"]
    config = ModelConfig(
        conditional=False, dec_model=decoders[0], dec_rnn_size=dec_rnn_size, num_mixture=(outputs - 3) // 6
    )
    if "ENC_RNN_mu/super_linear_w" not in shapes:
        return config
    encoders = [cell for cell, name in _CELL_NAMES.items() if f"ENC_RNN/fw/{name}/W_hh" in shapes]
    if not encoders:
        raise KikiboubaError(f"no Sketch-RNN encoder ({_PREFIX}ENC_RNN/fw/…) among the variables")
    both_directions, z_size = shapes["ENC_RNN_mu/super_linear_w"]
    return ModelConfig(
        z_size=z_size,
        enc_model=encoders[0],
        enc_rnn_size=both_directions // 2,
        dec_model=config.dec_model,
        dec_rnn_size=dec_rnn_size,
        num_mixture=config.num_mixture,
    )


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
    cells: dict[str, tuple[str, Cell]] = {
        "decoder": (f"RNN/{_CELL_NAMES[config.dec_model]}/", config.dec_model)
    }
    if config.conditional:
        name = _CELL_NAMES[config.enc_model]
        cells["encoder_forward"] = f"ENC_RNN/fw/{name}/", config.enc_model
        cells["encoder_backward"] = f"ENC_RNN/bw/{name}/", config.enc_model
    return cells


def _swap_lstm_state(state: Arrays, config: ModelConfig) -> None:
    """Exchange the halves h and c of the layer that sets an LSTM decoder's first state (its own inverse)."""
    if config.conditional and config.dec_model == "lstm":
        for name in ("initial_state.weight", "initial_state.bias"):
            state[name] = np.roll(state[name], config.dec_rnn_size, axis=0)


def _cell_from_tf(source: Mapping[str, np.ndarray], scope: str, cell: Cell) -> Arrays:
    arrays = {"weight_x": _ours(source[f"{scope}W_xh"]).T, "weight_h": _ours(source[f"{scope}W_hh"]).T}
    if cell == "lstm":
        return arrays | {"bias": _forget(_ours(source[f"{scope}bias"]), +1)}
    arrays |= {f"norm.{name}": source[scope + theirs] for name, theirs in _NORMS.items()}
    arrays["norm.gamma"] = _ours(arrays["norm.gamma"])
    arrays["norm.beta"] = _forget(_ours(arrays["norm.beta"]), +1)
    if cell == "layer_norm":
        return arrays
    small = _cell_from_tf(source, scope + "LayerNormLSTMCell/", "layer_norm")
    hidden_size = arrays["weight_h"].shape[1]
    weight = small.pop("weight_x")
    small |= {"weight_x": weight[:, :-hidden_size], "weight_main": weight[:, -hidden_size:]}
    return (
        arrays
        | {f"small_{name}": array for name, array in small.items()}
        | {
            "bias": _ours(source[f"{scope}bias"]),
            "embed_weight": np.concatenate([source[f"{scope}{r}{e}/super_linear_w"].T for r, e, _ in _ROLES]),
            "embed_bias": np.concatenate([source[f"{scope}{r}{e}/super_linear_b"] for r, e, _ in _ROLES[:8]]),
            "modulate_weight": np.stack([source[f"{scope}{r}{m}/super_linear_w"] for r, _, m in _ROLES]),
        }
    )


def _cell_to_tf(arrays: Mapping[str, np.ndarray], cell: Cell) -> Arrays:
    variables = {"W_xh": _theirs(arrays["weight_x"].T), "W_hh": _theirs(arrays["weight_h"].T)}
    if cell == "lstm":
        return variables | {"bias": _theirs(_forget(arrays["bias"], -1))}
    variables |= {theirs: arrays[f"norm.{name}"] for name, theirs in _NORMS.items()}
    variables["ln_all/ln_gamma"] = _theirs(arrays["norm.gamma"])
    variables["ln_all/ln_beta"] = _theirs(_forget(arrays["norm.beta"], -1))
    if cell == "layer_norm":
        return variables
    small = {
        name.removeprefix("small_"): array for name, array in arrays.items() if name.startswith("small_")
    }
    small["weight_x"] = np.concatenate([small["weight_x"], small["weight_main"]], axis=1)
    variables |= {
        f"LayerNormLSTMCell/{name}": array for name, array in _cell_to_tf(small, "layer_norm").items()
    }
    variables["bias"] = _theirs(arrays["bias"])
    embed_weights = np.split(arrays["embed_weight"], len(_ROLES))
    for (role, embed, modulate), a, b in zip(_ROLES, embed_weights, arrays["modulate_weight"], strict=True):
        variables[f"{role}{embed}/super_linear_w"], variables[f"{role}{modulate}/super_linear_w"] = a.T, b
    for (role, embed, _), bias in zip(_ROLES, np.split(arrays["embed_bias"], 8), strict=False):
        variables[f"{role}{embed}/super_linear_b"] = bias
    return variables


def _ours(array: np.ndarray) -> np.ndarray:
    """TensorFlow's gate blocks i, j, f, o along the last axis → ours i, f, o, g."""
    i, j, f, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, f, o, j], axis=-1)


def _theirs(array: np.ndarray) -> np.ndarray:
    """The inverse of `_ours`."""
    i, f, o, g = np.split(array, 4, axis=-1)
    return np.concatenate([i, g, f, o], axis=-1)


def _forget(bias: np.ndarray, value: float) -> np.ndarray:
    """`bias` (our gate order) with `value` added to the forget gate's block."""
    i, f, o, g = np.split(bias, 4)
    return np.concatenate([i, f + value, o, g])
