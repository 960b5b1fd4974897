"""A Sketch-RNN with plain LSTM cells as ONNX graphs.

    encoder.onnx         x [B, N, 5], lengths [B]               → mu, sigma [B, Z]
    decoder_start.onnx   z [B, Z]                               → state [B, 2H], row [B, 5]
    decoder_step.onnx    row [B, 5], z [B, Z], state [B, 2H]    → raw [B, 3 + 6M], next_row, next_state
    decode.onnx          z [B, Z]                               → x [B, N, 5], lengths [B]

Rows are stroke-5 in the model's units (multiply dx and dy by the preset's scale_factor). next_row is the
likeliest: the mean of the likeliest component, the likeliest pen state. To sample, draw from raw: 3 pen
logits, then for M components their logits, mu_x, mu_y, log sigma_x, log sigma_y and the atanh of rho. A model
without latent vector takes z [B, 0], whose B says how many drawings.
"""

from typing import TYPE_CHECKING, cast

import numpy as np

from kikibouba.errors import KikiboubaError
from kikibouba.interop.onnx_graph import Graph, Value
from kikibouba.models.sketch_rnn.model import END, ROW, SketchRNN
from kikibouba.nn.recurrent_dropout_lstm import RecurrentDropoutLSTM

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

START_ROW = np.array([[0, 0, 1, 0, 0]], np.float32)
END_ROW = np.array([[0, 0, 0, 0, 1]], np.float32)


def sketch_rnn_to_onnx(model: SketchRNN) -> dict[str, "onnx.ModelProto"]:
    """File name → graph.

    Raises:
        KikiboubaError: cells other than plain LSTMs.
    """
    config = model.config
    if config.dec_model != "lstm" or (config.conditional and config.enc_model != "lstm"):
        raise KikiboubaError("only a Sketch-RNN with plain LSTM cells can be exported to ONNX")
    files = {
        "decoder_start.onnx": _start(model),
        "decoder_step.onnx": _step(model),
        "decode.onnx": _decode(model),
    }
    return files | ({"encoder.onnx": _encode(model)} if config.conditional else {})


def _encode(model: SketchRNN) -> "onnx.ModelProto":
    g = Graph()
    x = g.input("x", np.float32, ["batch", "rows", ROW])
    lengths = g.cast(g.input("lengths", np.int64, ["batch"]), np.int32)
    cells = cast(tuple[RecurrentDropoutLSTM, ...], (model.encoder_forward, model.encoder_backward))
    weights = [_lstm_weights(cell) for cell in cells]
    _, last = g.lstm(g.op("Transpose", x, set={"perm": [1, 0, 2]}), lengths, weights, "encoder")
    g.output("mu", _linear(g, last, model.mu, "mu"), np.float32, ["batch", model.z_size])
    log_variance = _linear(g, last, model.log_variance, "log_variance")
    sigma = g.op("Exp", g.op("Mul", log_variance, g.constant(np.float32(0.5))))
    g.output("sigma", sigma, np.float32, ["batch", model.z_size])
    return g.model("drawings → the posterior N(mu, sigma²)")


def _start(model: SketchRNN) -> "onnx.ModelProto":
    g = Graph()
    z = g.input("z", np.float32, ["batch", model.z_size])
    h, c = _first_state(g, model, z)
    g.output("state", g.concat([h, c], 1), np.float32, ["batch", 2 * model.config.dec_rnn_size])
    g.output("row", _repeated(g, START_ROW, z), np.float32, ["batch", ROW])
    return g.model("z → the decoder's state (h, c), and what it reads, before the first row")


def _step(model: SketchRNN) -> "onnx.ModelProto":
    g, size = Graph(), model.config.dec_rnn_size
    row = g.input("row", np.float32, ["batch", ROW])
    z = g.input("z", np.float32, ["batch", model.z_size])
    state = g.input("state", np.float32, ["batch", 2 * size])
    h, c = g.ops("Split", 2, [state, g.integers(size, size)], {"axis": -1})
    raw, h, c = _one_step(g, model, row, z, h, c)
    g.output("raw", raw, np.float32, ["batch", model.output.out_features])
    g.output("next_row", _likeliest(g, model, raw, g.columns(raw, 0, 3)), np.float32, ["batch", ROW])
    g.output("next_state", g.concat([h, c], 1), np.float32, ["batch", 2 * size])
    return g.model("one row of the decoder, the likeliest taken")


def _decode(model: SketchRNN) -> "onnx.ModelProto":
    g = Graph()
    z = g.input("z", np.float32, ["batch", model.z_size])
    over = g.op("Expand", g.constant(np.array([False])), g.size(z, 0))
    body = Graph("loop_", g)
    t = body.input("loop_t", np.int64, [])
    body.input("loop_go_on", np.bool_, [])
    row = body.input("loop_row", np.float32, ["batch", ROW])
    h, c = (body.input(f"loop_{name}", np.float32, ["batch", model.config.dec_rnn_size]) for name in "hc")
    ended = body.input("loop_over", np.bool_, ["batch"])
    raw, new_h, new_c = _one_step(body, model, row, z, h, c)
    # No drawing ends with its first row.
    is_first = body.cast(body.op("Equal", t, body.constant(np.int64(0))), np.float32)
    penalty = body.op("Mul", is_first, body.constant(np.array([0, 0, -1e30], np.float32)))
    row = _likeliest(body, model, raw, body.op("Add", body.columns(raw, 0, 3), penalty))
    ends = body.op("Greater", body.column(row, END), body.constant(np.float32(0.5)))
    ended = body.op("Or", ended, ends)
    row = body.op("Where", body.op("Unsqueeze", ended, body.integers(-1)), body.constant(END_ROW), row)
    all_ended = body.op("ReduceMin", body.cast(ended, np.int32), set={"keepdims": 0})
    go_on = body.op("Equal", all_ended, body.constant(np.int32(0)))
    for name, value, kind in (
        ("go_on", go_on, np.bool_),
        ("row", row, np.float32),
        ("h", new_h, np.float32),
        ("c", new_c, np.float32),
        ("over", ended, np.bool_),
        ("said", row, np.float32),
    ):
        body.output(f"loop_out_{name}", value, kind)
    carried = [_repeated(g, START_ROW, z), *_first_state(g, model, z), over]
    rows = g.loop(model.config.max_length, body, carried, 1)[-1]
    drawn = g.op("Less", g.column(rows, END), g.constant(np.float32(0.5)))  # [N, B]
    lengths = g.op("ReduceSum", g.cast(drawn, np.int64), g.integers(0), set={"keepdims": 0})
    longest = g.op("ReduceMax", lengths, set={"keepdims": 1})
    rows = g.op("Slice", rows, g.integers(0), longest, g.integers(0))
    x = g.op("Transpose", rows, set={"perm": [1, 0, 2]})
    g.output("x", x, np.float32, ["batch", "rows", ROW])
    g.output("lengths", lengths, np.int64, ["batch"])
    return g.model("z → the likeliest drawing, row by row")


def _one_step(
    g: Graph, model: SketchRNN, row: Value, z: Value, h: Value, c: Value
) -> tuple[Value, Value, Value]:
    """(raw outputs [B, 3 + 6M], new h, new c)."""
    w_x, w_h, bias = _lstm_weights(cast(RecurrentDropoutLSTM, model.decoder))
    gates = g.dense(g.concat([row, z], -1), w_x, bias, "decoder")
    h, c = g.step(gates, h, c, g.constant(w_h, "decoder.w_h"))
    return _linear(g, h, model.output, "output"), h, c


def _likeliest(g: Graph, model: SketchRNN, raw: Value, pen_logits: Value) -> Value:
    """The likeliest row [B, 5]: the mean of the likeliest component, and the likeliest pen state."""
    m = model.config.num_mixture
    pi, mu_x, mu_y = (g.columns(raw, 3 + k * m, 3 + (k + 1) * m) for k in range(3))
    k = g.op("ArgMax", pi, set={"axis": -1, "keepdims": 1})
    offsets = [g.op("GatherElements", mu, k, set={"axis": -1}) for mu in (mu_x, mu_y)]
    pen = g.op("ArgMax", pen_logits, set={"axis": -1, "keepdims": 0})
    states = g.op("Gather", g.constant(np.eye(3, dtype=np.float32)), pen, set={"axis": 0})
    return g.concat([*offsets, states], -1)


def _first_state(g: Graph, model: SketchRNN, z: Value) -> tuple[Value, Value]:
    """(h, c) [B, H]: tanh(W z + b), or zeros without z."""
    size = model.config.dec_rnn_size
    if not model.config.conditional:
        zero = _repeated(g, np.zeros((1, size), np.float32), z)
        return zero, zero
    state = g.op("Tanh", _linear(g, z, model.initial_state, "initial_state"))
    h, c = g.ops("Split", 2, [state, g.integers(size, size)], {"axis": -1})
    return h, c


def _repeated(g: Graph, row: np.ndarray, z: Value) -> Value:
    """A row [1, N] for each example of z."""
    return g.op("Expand", g.constant(row), g.concat([g.size(z, 0), g.integers(row.shape[1])], 0))


def _linear(g: Graph, x: Value, layer: "nn.Linear", name: str) -> Value:
    return g.dense(x, _array(layer.weight).T, _array(layer.bias), name)


def _lstm_weights(cell: RecurrentDropoutLSTM) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(w_x [N, 4H], w_h [H, 4H], bias [4H]), gates i, f, o, g → i, f, g, o."""
    return tuple(_ifgo(_array(w).T) for w in (cell.weight_x, cell.weight_h, cell.bias))  # type: ignore[return-value]


def _ifgo(gates: np.ndarray) -> np.ndarray:
    i, f, o, g = np.split(gates, 4, axis=-1)
    return np.concatenate([i, f, g, o], axis=-1)


def _array(tensor: "Tensor") -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
