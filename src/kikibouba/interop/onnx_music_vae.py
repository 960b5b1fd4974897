"""A MusicVAE as ONNX graphs.

    encoder.onnx         x [B, T] or [B, T, K], lengths [B]        → mu, sigma [B, Z]
    decoder_start.onnx   z [B, Z]                                  → state [B, S], said [B, K]
    decoder_step.onnx    said [B, K], z [B, Z], (controls [B, C],) state [B, S]
                                                                   → raw [B, size], next_said, next_state
    decode.onnx          z [B, Z](, controls [B, T, C])            → x [B, T] or [B, T, K]

x is laid out as in a batch (whole numbers where all columns are labels); without the controls in what is
decoded. `said` is the likeliest; to sample, draw from `raw` and hand in your own. A model of several decoders
(hierarchical, split), or whose decoder hears its controls through an LSTM, has no start and step.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from kikibouba.data.layout import Part
from kikibouba.errors import KikiboubaError
from kikibouba.interop.onnx_graph import Graph, Value
from kikibouba.models.music_vae.decoders import (
    HierarchicalDecoder,
    InitialisedStack,
    LSTMDecoder,
    SplitDecoder,
)
from kikibouba.models.music_vae.encoders import (
    BidirectionalEncoder,
    Encoder,
    ForwardEncoder,
    HierarchicalEncoder,
)
from kikibouba.models.music_vae.heads import BitsHead, CategoricalHead, GrooveHead, NadeHead
from kikibouba.models.music_vae.model import MusicVAE, renumbered

if TYPE_CHECKING:
    import onnx


def music_vae_to_onnx(model: MusicVAE) -> dict[str, "onnx.ModelProto"]:
    """File name → graph.

    Raises:
        KikiboubaError: residual connections, an autoregressive hierarchy, or no latent vector.
    """
    config = model.config
    reasons = {
        "residual connections": config.residual_encoder or config.residual_decoder,
        "conductors that hear what was said": bool(config.decoder_level_lengths) and config.autoregressive,
        "no latent vector": not config.z_size,
    }
    if wrong := [reason for reason, holds in reasons.items() if holds]:
        raise KikiboubaError(f"models with {', '.join(wrong)} cannot be exported to ONNX")
    files = {"decode.onnx": _decode(model)}
    if isinstance(model.decoder, LSTMDecoder) and model.listener is None:
        files |= {"decoder_start.onnx": _start(model), "decoder_step.onnx": _step(model)}
    if model.encoder is not None:
        files["encoder.onnx"] = _encode(model)
    return files


# -------------------------------------------------------------------------------------------------- encoder


def _encode(model: MusicVAE) -> "onnx.ModelProto":
    g, layout = Graph(), model.layout
    parts = [*layout.inputs, *layout.controls]
    dtype, width = _dtype(parts), max(part.stop for part in parts)
    x = g.input("x", dtype, ["batch", model.steps, width] if width > 1 else ["batch", model.steps])
    lengths = g.input("lengths", np.int64, ["batch"])
    if width == 1:
        x = g.op("Unsqueeze", x, g.integers(-1))
    steps = g.constant(np.arange(model.steps))
    real = g.op("Less", steps, g.op("Unsqueeze", lengths, g.integers(-1)))  # [B, T]
    if layout.padding is not None:
        is_padding = g.op("Equal", g.column(x, 0), g.constant(np.int64(layout.padding)))
        real = g.op("And", real, g.op("Not", is_padding))
    features = g.op("Transpose", _features(g, x, parts), set={"perm": [1, 0, 2]})
    real = g.cast(g.op("Transpose", real, set={"perm": [1, 0]}), np.int64)
    encoder = cast(Encoder, model.encoder)
    e = _sum_up(g, encoder, features, real, "encoder")
    g.output("mu", _linear(g, e, encoder.mu, "encoder.mu"), np.float32, ["batch", model.z_size])
    sigma = g.op("Softplus", _linear(g, e, encoder.sigma, "encoder.sigma"))
    g.output("sigma", sigma, np.float32, ["batch", model.z_size])
    return g.model("x → the posterior N(mu, sigma²)")


def _sum_up(g: Graph, encoder: Encoder, x: Value, real: Value, name: str) -> Value:
    """Features [T, B, W] and what is real of them, 0 or 1 int64 [T, B] → the encoder's sum [B, N]."""
    if isinstance(encoder, HierarchicalEncoder):
        batch = g.size(x, 1)
        for k, (level, steps) in enumerate(zip(encoder.levels, encoder.level_lengths, strict=True)):
            segments = g.reshape(x, -1, steps, batch, g.size(x, 2))
            x = g.reshape(g.op("Transpose", segments, set={"perm": [1, 0, 2, 3]}), steps, -1, g.size(x, 2))
            flags = g.op("Transpose", g.reshape(real, -1, steps, batch), set={"perm": [1, 0, 2]})
            sums = _sum_up(g, level, x, g.reshape(flags, steps, -1), f"{name}.levels.{k}")
            x = g.reshape(sums, -1, batch, level.size)
            real = g.op("Expand", g.integers(1), g.concat([g.size(x, 0), batch], 0))
        return g.op("Squeeze", x, g.integers(0))
    length = g.op("Squeeze", g.size(real, 0), g.integers(0))
    zero, one = g.constant(np.int64(0)), g.constant(np.int64(1))
    steps = g.op("Add", g.op("Range", zero, length, one), one)
    ends = g.op("Mul", real, g.op("Unsqueeze", steps, g.integers(-1)))
    lengths = g.cast(g.op("ReduceMax", ends, set={"axes": [0], "keepdims": 0}), np.int32)
    stacks: Sequence[Any]
    if isinstance(encoder, BidirectionalEncoder):
        stacks = encoder.forward_layers, encoder.backward_layers
    else:
        stacks = (cast(ForwardEncoder, encoder).layers,)
    last = x
    for k, layers in enumerate(zip(*stacks, strict=True)):
        x, last = g.lstm(x, lengths, [_lstm_weights(layer) for layer in layers], f"{name}.{k}")
    return last


# -------------------------------------------------------------------------------------------------- decoder


def _start(model: MusicVAE) -> "onnx.ModelProto":
    g, decoder = Graph(), cast(LSTMDecoder, model.decoder)
    z = g.input("z", np.float32, ["batch", model.z_size])
    states = [part for pair in _first_states(g, decoder, z, "decoder") for part in pair]
    g.output("state", g.concat(states, 1), np.float32, ["batch", decoder.state_size])
    first, dtype = _nothing(decoder), _dtype(decoder.said.parts)
    shape = g.concat([g.size(z, 0), g.integers(len(first))], 0)
    said = g.op("Expand", g.constant(first[None].astype(dtype)), shape)
    g.output("said", said, dtype, ["batch", len(first)])
    return g.model("z → the decoder's state, and what it reads, before the first step")


def _step(model: MusicVAE) -> "onnx.ModelProto":
    g, decoder = Graph(), cast(LSTMDecoder, model.decoder)
    dtype, columns = _dtype(decoder.said.parts), len(_nothing(decoder))
    said = g.input("said", dtype, ["batch", columns])
    z = g.input("z", np.float32, ["batch", model.z_size])
    controls = _controls_input(g, model, ["batch"])
    state = g.input("state", np.float32, ["batch", decoder.state_size])
    widths = [size for size in decoder.sizes for _ in "ch"]
    parts = g.ops("Split", len(widths), [state, g.integers(*widths)], {"axis": -1})
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    raw, pairs = _one_step(g, decoder, said, z, controls, pairs, "decoder")
    g.output("raw", raw, np.float32, ["batch", decoder.head.size])
    g.output("next_said", _draw(g, decoder, raw), dtype, ["batch", columns])
    after = g.concat([part for pair in pairs for part in pair], 1)
    g.output("next_state", after, np.float32, ["batch", decoder.state_size])
    return g.model("one step of the decoder, the likeliest taken")


def _decode(model: MusicVAE) -> "onnx.ModelProto":
    g, decoder = Graph(), model.decoder
    z = g.input("z", np.float32, ["batch", model.z_size])
    controls = _controls_input(g, model, ["batch", model.steps])
    if controls:
        controls = _heard(g, model, g.op("Transpose", controls, set={"perm": [1, 0, 2]}))
    segments, core = [z], decoder
    if isinstance(decoder, HierarchicalDecoder):
        core = decoder.core
        for k, (stack, steps) in enumerate(zip(decoder.conductors, decoder.level_lengths, strict=True)):
            segments = [e for above in segments for e in _conduct(g, stack, steps, above, f"conductors.{k}")]
    voices = list(core.parts) if isinstance(core, SplitDecoder) else [cast(LSTMDecoder, core)]
    steps = model.steps // len(segments)
    said = []
    for k, voice in enumerate(voices):
        before: Value | None = None
        spoken = []
        for i, e in enumerate(segments):
            rows = _speak(g, voice, e, controls, before, steps, i * steps, f"voice{k}")
            before = g.op("Gather", rows, g.constant(np.int64(steps - 1)), set={"axis": 0})
            spoken.append(rows)
        said.append(g.concat(spoken, 0))
    x = g.op("Transpose", g.concat(said, 2), set={"perm": [1, 0, 2]})
    columns = sum(len(_nothing(voice)) for voice in voices)
    if columns == 1:
        x = g.op("Squeeze", x, g.integers(-1))
    shape = ["batch", model.steps, *([columns] if columns > 1 else [])]
    g.output("x", x, _dtype(voices[0].said.parts), shape)
    return g.model("z → the likeliest x, said step by step")


def _heard(g: Graph, model: MusicVAE, controls: Value) -> Value:
    """Controls [T, B, C] as the decoder hears them."""
    if model.listener is None:
        return controls
    x = _features(g, controls, renumbered(model.layout.controls))
    lengths = g.op("Expand", g.constant(np.array([model.steps], np.int32)), g.size(x, 1))
    pairs = zip(model.listener.forward_layers, model.listener.backward_layers, strict=True)
    for k, pair in enumerate(pairs):
        x, _ = g.lstm(x, lengths, [_lstm_weights(layer) for layer in pair], f"listener.{k}")
    return x


def _conduct(g: Graph, stack: InitialisedStack, steps: int, e: Value, name: str) -> list[Value]:
    """What a conductor, which reads nothing but zeros, makes of e: one vector a step."""
    states = _first_states(g, stack, e, name)
    vectors = []
    for _ in range(steps):
        x: Value | None = None
        for k, layer in enumerate(stack.layers):
            weights = f"{name}.{k}"
            gates = g.constant(_array(layer.run_time_bias()), f"{weights}.bias")
            if x is not None:
                gates = g.op("Add", g.op("MatMul", x, g.constant(_array(layer.w_x), f"{weights}.w_x")), gates)
            c, h = states[k]
            h, c = g.step(gates, h, c, g.constant(_array(layer.w_h), f"{weights}.w_h"))
            states[k], x = (c, h), h
        vectors.append(cast(Value, x))
    return vectors


def _speak(
    g: Graph,
    decoder: LSTMDecoder,
    z: Value,
    controls: Value | None,
    before: Value | None,
    steps: int,
    first: int,
    name: str,
) -> Value:
    """What a decoder says from z, [steps, B, K], after `before` [B, K]; controls are those of all steps."""
    nothing, dtype = _nothing(decoder), _dtype(decoder.said.parts)
    if before is None:
        shape = g.concat([g.size(z, 0), g.integers(len(nothing))], 0)
        before = g.op("Expand", g.constant(nothing[None].astype(dtype)), shape)
    carried = [before, *(part for pair in _first_states(g, decoder, z, name) for part in pair)]
    carried.append(g.op("Expand", g.constant(np.array([False])), g.size(z, 0)))  # nothing has ended yet
    body = Graph(f"{name}s{first}_", g)
    t = body.input(f"{body.prefix}t", np.int64, [])
    go_on = body.input(f"{body.prefix}go_on", np.bool_, [])
    types = [dtype, *([np.float32] * (len(carried) - 2)), np.bool_]
    inputs = [
        body.input(f"{body.prefix}in{k}", kind, ["batch", None] if k < len(types) - 1 else ["batch"])
        for k, kind in enumerate(types)
    ]
    said, ended = inputs[0], inputs[-1]
    pairs = list(zip(inputs[1:-1:2], inputs[2:-1:2], strict=True))
    told = None
    if controls:
        told = body.op("Gather", controls, body.op("Add", t, body.constant(np.int64(first))), set={"axis": 0})
    raw, pairs = _one_step(body, decoder, said, z, told, pairs, name)
    said = _draw(body, decoder, raw)
    if decoder.after_end:
        end, after = (body.constant(np.int64(label)) for label in decoder.after_end)
        said = body.op("Where", body.op("Unsqueeze", ended, body.integers(-1)), after, said)
        ended = body.op("Or", ended, body.op("Equal", body.column(said, 0), end))
    outputs = [go_on, said, *(part for pair in pairs for part in pair), ended, said]
    for k, (value, kind) in enumerate(zip(outputs, [np.bool_, *types, dtype], strict=True)):
        body.output(f"{body.prefix}out{k}", value, kind)
    return g.loop(steps, body, carried, 1)[-1]


def _one_step(
    g: Graph,
    decoder: LSTMDecoder,
    said: Value,
    z: Value,
    controls: Value | None,
    states: Sequence[tuple[Value, Value]],
    name: str,
) -> tuple[Value, list[tuple[Value, Value]]]:
    """(raw outputs [B, size], new (c, h) of each layer)."""
    parts = [_features(g, said, decoder.said.parts, start=True), z]
    if controls:
        parts.append(_features(g, controls, decoder.controls.parts))
    x, after = g.concat(parts, -1), []
    for k, (layer, (c, h)) in enumerate(zip(decoder.layers, states, strict=True)):
        gates = g.dense(x, _array(layer.w_x), _array(layer.run_time_bias()), f"{name}.{k}")
        h, c = g.step(gates, h, c, g.constant(_array(layer.w_h), f"{name}.{k}.w_h"))
        x = h
        after.append((c, h))
    return _linear(g, x, decoder.output, f"{name}.output"), after


def _draw(g: Graph, decoder: LSTMDecoder, raw: Value) -> Value:
    """Raw outputs [B, size] → the likeliest columns [B, K]."""
    head = decoder.head
    if isinstance(head, CategoricalHead):
        columns, start = [], 0
        for part in decoder.said.parts:
            logits = g.columns(raw, start, start + part.width)
            columns.append(g.op("ArgMax", logits, set={"axis": -1, "keepdims": 1}))
            start += part.width
        return g.concat(columns, -1)
    if isinstance(head, GrooveHead):
        logits, velocity, offset = g.ops("Split", 3, [raw], {"axis": -1})
        hits = g.cast(g.op("Greater", logits, g.constant(np.float32(0))), np.float32)
        return g.concat([hits, g.op("Sigmoid", velocity), g.op("Tanh", offset)], -1)
    bits = _likeliest_bits(g, cast(BitsHead, head), raw)
    table = decoder.said.parts[0].table
    if table is None:
        return bits
    signs = g.op("Sub", g.op("Add", bits, bits), g.constant(np.float32(1)))
    scores = g.op("MatMul", signs, g.constant((2 * table - 1).T.astype(np.float32)))
    return g.op("ArgMax", scores, set={"axis": -1, "keepdims": 1})


def _likeliest_bits(g: Graph, head: BitsHead, raw: Value) -> Value:
    """Raw outputs [B, size] → bits [B, D] float32."""
    zero = g.constant(np.float32(0))
    if not isinstance(head, NadeHead):
        return g.cast(g.op("Greater", raw, zero), np.float32)
    nade = head.nade
    a = g.columns(raw, 0, nade.hidden_size)
    b_dec = g.columns(raw, nade.hidden_size, head.size)
    w_enc, w_dec = (_array(w) for w in (nade.w_enc, nade.w_dec))
    bits = []
    for i in range(nade.bits):
        logit = g.op("MatMul", g.op("Sigmoid", a), g.constant(w_dec[i][:, None]))
        logit = g.op("Add", logit, g.columns(b_dec, i, i + 1))
        bits.append(g.cast(g.op("Greater", logit, zero), np.float32))
        a = g.op("Add", a, g.op("Mul", bits[-1], g.constant(w_enc[i][None])))
    return g.concat(bits, -1)


# ----------------------------------------------------------------------------------------- columns, weights


def _features(g: Graph, x: Value, parts: Sequence[Part], start: bool = False) -> Value:
    """Columns x [..., K] → features [..., W]. With `start` a label one too large stands for zeros."""
    features = []
    for part in parts:
        if part.table is None:
            seen = g.cast(g.columns(x, part.start, part.stop), np.float32)
            features.append(seen)
            if part.adds_none:
                total = g.op("ReduceMax", g.op("Abs", seen), set={"axes": [-1], "keepdims": 1})
                features.append(g.cast(g.op("Equal", total, g.constant(np.float32(0))), np.float32))
            continue
        table = np.vstack([part.table, np.zeros_like(part.table[:1])]) if start else part.table
        labels = g.cast(g.column(x, part.start), np.int64)
        name = f"table.{'x'.join(map(str, table.shape))}.{part.start}.{start}"
        features.append(g.op("Gather", g.constant(table.astype(np.float32), name), labels, set={"axis": 0}))
    return g.concat(features, -1)


def _controls_input(g: Graph, model: MusicVAE, shape: list[int | str]) -> Value | None:
    parts = renumbered(model.layout.controls)
    return g.input("controls", _dtype(parts), [*shape, parts[-1].stop]) if parts else None


def _first_states(g: Graph, stack: InitialisedStack, e: Value, name: str) -> list[tuple[Value, Value]]:
    """(c, h) of each layer [B, H]."""
    widths = [size for size in stack.sizes for _ in "ch"]
    state = g.op("Tanh", _linear(g, e, stack.initial_state, f"{name}.initial_state"))
    parts = g.ops("Split", len(widths), [state, g.integers(*widths)], {"axis": -1})
    return list(zip(parts[::2], parts[1::2], strict=True))


def _nothing(decoder: LSTMDecoder) -> np.ndarray:
    """Columns [K] that stand for the zero vector."""
    return decoder.start(1, decoder.output.weight.device)[0].cpu().numpy()


def _dtype(parts: Sequence[Part]) -> Any:
    return np.int64 if all(part.table is not None for part in parts) else np.float32


def _linear(g: Graph, x: Value, layer: Any, name: str) -> Value:
    return g.dense(x, _array(layer.weight).T, _array(layer.bias), name)


def _lstm_weights(layer: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return _array(layer.w_x), _array(layer.w_h), _array(layer.run_time_bias())


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()
