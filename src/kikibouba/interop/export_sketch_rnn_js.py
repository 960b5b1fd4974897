"""A Sketch-RNN of ours → what sketch-rnn-js and @magenta/sketch load."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kikibouba.config import Preset
from kikibouba.errors import KikiboubaError
from kikibouba.interop.magenta_tf_sketch import to_tf

MIXTURES = 20
"""What both libraries have built in."""


def sketch_rnn_js_from(
    state: Mapping[str, np.ndarray], preset: Preset, z: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(variables, info) of a Sketch-RNN.

    Args:
        state: its state_dict.
        preset: what it is.
        z: [Z], for a decoder of this one vector instead of the whole model: all that @magenta/sketch runs.
            What z adds to the gates at every step goes into their bias; the state that it starts from goes
            into the info, as `initial_state` {c, h}, to be handed to the first `update` in place of
            `zeroState()`.

    Raises:
        KikiboubaError: cells other than LSTM, another number of mixtures, or z where there is none.
    """
    model = preset.model
    if model.dec_model != "lstm" or (model.conditional and model.enc_model != "lstm"):
        raise KikiboubaError("sketch-rnn-js runs plain LSTM cells only; this model has others")
    if model.num_mixture != MIXTURES:
        raise KikiboubaError(
            f"sketch-rnn-js has {MIXTURES} mixtures built in; this model has {model.num_mixture}"
        )
    info: dict[str, Any] = {
        "name": preset.name,
        "max_seq_len": model.max_length,
        "scale_factor": float(preset.representation.scale_factor),
    }
    variables = to_tf(state, model)
    if z is None:
        return variables, info
    if not model.conditional or np.shape(z) != (model.z_size,):
        raise KikiboubaError(
            f"z has shape {np.shape(z)}; this model takes [{model.z_size if model.conditional else 0}]"
        )
    z = np.asarray(z, np.float64)
    kernel = variables["vector_rnn/RNN/LSTMCell/W_xh"]
    fixed = {
        "vector_rnn/RNN/output_w": variables["vector_rnn/RNN/output_w"],
        "vector_rnn/RNN/output_b": variables["vector_rnn/RNN/output_b"],
        "vector_rnn/RNN/LSTMCell/W_xh": kernel[:5],
        "vector_rnn/RNN/LSTMCell/W_hh": variables["vector_rnn/RNN/LSTMCell/W_hh"],
        "vector_rnn/RNN/LSTMCell/bias": variables["vector_rnn/RNN/LSTMCell/bias"] + z @ kernel[5:],
    }
    linear = variables["vector_rnn/linear/super_linear_w"], variables["vector_rnn/linear/super_linear_b"]
    c, h = np.split(np.tanh(z @ linear[0] + linear[1]), 2)
    return fixed, info | {"initial_state": {"c": c.tolist(), "h": h.tolist()}}
