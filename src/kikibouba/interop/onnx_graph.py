"""Writing ONNX graphs by hand: values are names, nodes are added one by one, weights are constants.

Decoding is a loop that reads what it said last, which no tracer sees; as a `Loop` node it is a few lines.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kikibouba.errors import KikiboubaError

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8
"""Versions that every runtime of the last years reads."""
_LARGEST = 1_900_000_000
"""Bytes; a file of protocol buffers ends at 2 GB."""

Value = str
"""Name of a value in a graph."""


class Graph:
    """A graph under construction.

    A loop's body is a graph of its own that may use the values of the graph around it.
    """

    def __init__(self, prefix: str = "", around: "Graph | None" = None) -> None:
        self.prefix, self.root = prefix, around.root if around else self
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}
        self.count = 0

    def constant(self, value: Any, name: str = "") -> Value:
        """A constant; of one name in the whole model there is one."""
        from onnx import numpy_helper

        array = np.array(value, order="C")
        name = name or f"{self.prefix}c{self._next()}"
        self.root.weights.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def integers(self, *values: int) -> Value:
        """A constant int64 vector."""
        return self.constant(np.array(values, np.int64))

    def op(self, kind: str, *inputs: Value, set: Mapping[str, Any] | None = None) -> Value:
        """Add a node with one output; `set` are its attributes."""
        return self.ops(kind, 1, inputs, set)[0]

    def ops(
        self, kind: str, outputs: int, inputs: Sequence[Value], attributes: Mapping[str, Any] | None = None
    ) -> list[Value]:
        """Add a node with several outputs."""
        from onnx import helper

        names = [f"{self.prefix}v{self._next()}" for _ in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **dict(attributes or {})))
        return names

    def _next(self) -> int:
        self.root.count += 1
        return self.root.count

    def input(self, name: str, dtype: Any, shape: Sequence[int | str | None]) -> Value:
        """Declare an input; a word (or None) in place of a number is a size that may vary."""
        self.inputs.append(_info(name, dtype, shape))
        return name

    def output(
        self, name: str, value: Value, dtype: Any, shape: Sequence[int | str | None] | None = None
    ) -> None:
        """Declare an output under a name of its own; None: its shape shows in the graph."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [value], [name]))
        self.outputs.append(_info(name, dtype, shape))

    def cast(self, x: Value, dtype: Any) -> Value:
        """x in another type."""
        from onnx import helper

        return self.op("Cast", x, set={"to": helper.np_dtype_to_tensor_dtype(np.dtype(dtype))})

    def size(self, x: Value, axis: int) -> Value:
        """One of the sizes of x, int64 [1]."""
        return self.op("Gather", self.op("Shape", x), self.integers(axis))

    def reshape(self, x: Value, *sizes: int | Value) -> Value:
        """x in another shape, whose sizes are numbers (-1: what is left) or values [1]."""
        parts = [self.integers(size) if isinstance(size, int) else size for size in sizes]
        return self.op("Reshape", x, self.concat(parts, 0))

    def columns(self, x: Value, start: int, stop: int) -> Value:
        """x[..., start:stop]"""
        return self.op("Slice", x, self.integers(start), self.integers(stop), self.integers(-1))

    def column(self, x: Value, index: int) -> Value:
        """x[..., index]"""
        return self.op("Gather", x, self.constant(np.int64(index)), set={"axis": -1})

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """Values side by side."""
        return self.op("Concat", *values, set={"axis": axis}) if len(values) > 1 else values[0]

    def dense(self, x: Value, weight: np.ndarray, bias: np.ndarray, name: str) -> Value:
        """x [..., N] @ weight [N, M] + bias [M]."""
        product = self.op("MatMul", x, self.constant(weight, f"{name}.weight"))
        return self.op("Add", product, self.constant(bias, f"{name}.bias"))

    def step(self, gates: Value, h: Value, c: Value, w_h: Value) -> tuple[Value, Value]:
        """An LSTM's step: gates [B, 4H] (i, f, g, o) without their recurrent part → new (h, c) [B, H]."""
        gates = self.op("Add", gates, self.op("MatMul", h, w_h))
        i, f, g, o = self.ops("Split", 4, [gates], {"axis": -1})
        kept = self.op("Mul", self.op("Sigmoid", f), c)
        c = self.op("Add", kept, self.op("Mul", self.op("Sigmoid", i), self.op("Tanh", g)))
        return self.op("Mul", self.op("Sigmoid", o), self.op("Tanh", c)), c

    def lstm(
        self, x: Value, lengths: Value, layers: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], name: str
    ) -> tuple[Value, Value]:
        """A layer over a sequence, forwards and, with two sets of weights, backwards.

        Args:
            x: [T, B, N]
            lengths: [B] int32
            layers: (w_x [N, 4H], w_h [H, 4H], bias [4H] with the forget bias in it) of each direction, gates
                i, f, g, o.
            name: of the weights.

        Returns:
            (outputs [T, B, directions * H], last h of each direction [B, directions * H]).
        """
        parts = [np.stack([_iofc(array[k]).T for array in layers]) for k in (0, 1)]
        bias = np.stack([np.concatenate([_iofc(b), np.zeros_like(b)]) for _, _, b in layers])
        names = [self.constant(a, f"{name}.{k}") for k, a in zip("WRB", [*parts, bias], strict=True)]
        attributes = {
            "hidden_size": layers[0][1].shape[0],
            "direction": "bidirectional" if len(layers) == 2 else "forward",
        }
        y, h, _ = self.ops("LSTM", 3, [x, *names, lengths], attributes)
        flat = self.integers(0, 0, -1)
        y = self.op("Reshape", self.op("Transpose", y, set={"perm": [0, 2, 1, 3]}), flat)
        h = self.op("Reshape", self.op("Transpose", h, set={"perm": [1, 0, 2]}), self.integers(0, -1))
        return y, h

    def loop(self, steps: int, body: "Graph", carried: Sequence[Value], scanned: int) -> list[Value]:
        """Run a body, whose inputs and outputs are as ONNX asks, at most `steps` times."""
        from onnx import helper

        graph = helper.make_graph(body.nodes, f"{body.prefix}body", body.inputs, body.outputs)
        first = [self.constant(np.int64(steps)), self.constant(np.bool_(True))]
        return self.ops("Loop", len(carried) + scanned, [*first, *carried], {"body": graph})

    def model(self, doc: str) -> "onnx.ModelProto":
        """The finished model, checked.

        Raises:
            KikiboubaError: it is too large for one file.
        """
        import onnx
        from onnx import helper

        weights = list(self.weights.values())
        if sum(weight.ByteSize() for weight in weights) > _LARGEST:
            raise KikiboubaError("the model is larger than the 2 GB that one ONNX file can hold")
        graph = helper.make_graph(self.nodes, "kikibouba", self.inputs, self.outputs, weights, doc)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="kikibouba", doc_string=doc
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def _info(name: str, dtype: Any, shape: Sequence[int | str | None] | None) -> "onnx.ValueInfoProto":
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _iofc(gates: np.ndarray) -> np.ndarray:
    """Gates i, f, g, o along the last axis → ONNX's i, o, f, c."""
    i, f, g, o = np.split(gates, 4, axis=-1)
    return np.concatenate([i, o, f, g], axis=-1)
