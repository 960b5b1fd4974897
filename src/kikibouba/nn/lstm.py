"""The LSTM, one whole sequence at a time.

    [i f g o] = x_t W_x + h_{t-1} W_h + b          W_x [in, 4H], W_h [H, 4H], b [4H]
    c_t = σ(f + 1) c_{t-1} + σ(i) tanh(g)
    h_t = σ(o) tanh(c_t)

The "+ 1" is TensorFlow's forget bias: added when the layer runs, never stored (so a fresh cell remembers).

Two ideas make this fast without a hand-written kernel. What depends on x alone, `gates_x = x W_x + b`, is
computed before the recurrence starts: one product for all steps, or, for symbols, a row look-up in the table
of all possible `gates_x`. And the gradient is written out: the recurrence runs inside the memory of
`gates_x`, first turning it into activated gates, then, backwards, into gate gradients, so that the gradient
of W_h is one large product over all steps.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kikibouba.nn.factor import Factor

FORGET_BIAS = 1.0

# With these a step of one example takes 0.6 times as long as with Python's numbers.
_MINUS_TWO, _ONE = torch.tensor(-2.0), torch.tensor(1.0)


class LSTMLayer(nn.Module):
    """The weights of one LSTM layer.

    Initial values follow the original code: one Glorot-uniform draw over the kernel [in + H, 4H] that holds
    W_x above W_h; biases zero.

    Args:
        input_size: width of x.
        hidden_size: H, the width of h and c.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.w_x = nn.Parameter(torch.empty(input_size, 4 * hidden_size))
        self.w_h = nn.Parameter(torch.empty(hidden_size, 4 * hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        limit = math.sqrt(6.0 / (input_size + hidden_size + 4 * hidden_size))
        nn.init.uniform_(self.w_x, -limit, limit)
        nn.init.uniform_(self.w_h, -limit, limit)

    def run_time_bias(self) -> Tensor:
        """b with the forget bias added. [4H]"""
        bias = self.bias.clone()
        bias[self.hidden_size : 2 * self.hidden_size] += FORGET_BIAS
        return bias

    def input_weights(self) -> tuple[Tensor, Tensor]:
        """W_x, in the type of the gates, and b with the forget bias added."""
        return self.w_x.to(self.bias.dtype), self.run_time_bias()

    def gates(self, x: Tensor) -> Tensor:
        """x [..., in] → x W_x + b [..., 4H], what `lstm_sequence` and `lstm_step` take."""
        return dense(x, *self.input_weights())


def dense(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [..., in] @ weight [in, N] + bias [N] (or none), in the weight's type also under autocast.

    Not `F.linear` with the weight transposed: the gradient would come transposed as well, and bringing it
    into order costs a large layer as much as a tenth of its products.
    """
    rows = x.flatten(0, -2)
    product = rows @ weight if bias is None else torch.addmm(bias, rows, weight)
    return product.view(*x.shape[:-1], -1).to(weight.dtype)


def lstm_layers(input_sizes: Sequence[int], hidden_sizes: Sequence[int]) -> Sequence[LSTMLayer]:
    """Layers of the given sizes as an `nn.ModuleList` (whose own type would forget what it holds)."""
    sizes = zip(input_sizes, hidden_sizes, strict=True)
    return cast(Sequence[LSTMLayer], nn.ModuleList(LSTMLayer(*pair) for pair in sizes))


def halve_weights(module: nn.Module) -> int:
    """Keep the weights of all LSTM layers in `module` as float16, for use without training.

    They take half the memory, and decoding a single example, which waits for memory, about half the time.
    States, gates and all other weights stay as they are.

    Returns:
        How many layers there are.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, LSTMLayer)]
    for layer in layers:
        for name in ("w_x", "w_h"):
            # Transposed in memory, as `Factor` reads single rows' weights fastest.
            half = getattr(layer, name).detach().half().t().contiguous().t()
            setattr(layer, name, nn.Parameter(half, requires_grad=False))
    return len(layers)


def lstm_sequence(
    gates_x: Tensor, w_h: Tensor, h0: Tensor | None = None, c0: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Run an LSTM over a sequence.

    Args:
        gates_x: [T, B, 4H], the part of the gates that depends on the inputs, in the order i, f, g, o.
            **Consumed**: its memory is reused, so do not use it afterwards.
        w_h: [H, 4H] recurrent weights; the products run in the type of `gates_x` whatever theirs is.
        h0, c0: [B, H] initial state; None for zeros.

    Under autocast the products run in the autocast type; gates and states stay in the type of `gates_x`.

    Returns:
        (h [T, B, H], c_T [B, H]).
    """
    device_type = gates_x.device.type
    autocast = torch.is_autocast_enabled(device_type)
    product_dtype = torch.get_autocast_dtype(device_type) if autocast else gates_x.dtype
    with torch.autocast(device_type, enabled=False):
        return _LSTMSequence.apply(gates_x, w_h, h0, c0, product_dtype)


def lstm_step(gates_x: Tensor, w_h: Factor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One step without gradient, for decoding.

    Args:
        gates_x: [B, 4H], as for `lstm_sequence`; not overwritten.
        w_h: [H, 4H] recurrent weights.
        h, c: [B, H] state before the step.

    Returns:
        The new (h, c), [B, H] each.
    """
    gates = w_h.product(h, plus=gates_x)
    return _update_state(gates, gates, c)


def _update_state(
    x: Tensor, gates: Tensor, c_before: Tensor, h: Tensor | None = None, c: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The new (h, c) [B, H], written into `h` and `c` if given, from the gates before activation, x [B, 4H].

    x is overwritten, and the activated gates are written into `gates` [B, 4H], which may be x itself.

    tanh x is taken as 1 - 2 σ(-2x), right to an absolute 1e-7: on a CPU PyTorch's tanh takes six times as
    long as its σ, and so one σ serves all four gates.
    """
    i, f, g, o = x.chunk(4, 1)
    g.mul_(_MINUS_TWO)
    torch.sigmoid(x, out=gates)
    if gates is not x:
        i, f, g, o = gates.chunk(4, 1)
    g.mul_(_MINUS_TWO).add_(_ONE)
    c = torch.mul(f, c_before, out=c).addcmul_(i, g)
    h = torch.mul(c, _MINUS_TWO, out=h).sigmoid_()
    return torch.addcmul(o, o, h, value=-2, out=h), c


def _gate_gradients(gates: Tensor, dh: Tensor, dc: Tensor, h: Tensor, c: Tensor, c_before: Tensor) -> None:
    """Undo `_update_state`: activated `gates` become gate gradients, `dc` that of the state before, in place.

    Args:
        gates: [B, 4H] activated gates of the step.
        dh: [B, H] gradient of h_t.
        dc: [B, H] gradient of c_t from later steps.
        h, c, c_before: [B, H] h_t, c_t and c_{t-1}.
    """
    i, f, g, o = gates.chunk(4, 1)
    s = torch.mul(c, _MINUS_TWO).sigmoid_()  # tanh c = 1 - 2 s, and its derivative is 4 s (1 - s)
    dc.add_(torch.ops.aten.sigmoid_backward(dh * o, s), alpha=4)
    di, df, dg, do = dc * g, dc * c_before, dc * i, dh * h
    dc *= f
    torch.ops.aten.sigmoid_backward.grad_input(di, i, grad_input=i)
    torch.ops.aten.sigmoid_backward.grad_input(df, f, grad_input=f)
    torch.ops.aten.tanh_backward.grad_input(dg, g, grad_input=g)
    torch.addcmul(do, do, o, value=-1, out=o)  # dh tanh(c) o (1 - o), as h = o tanh(c)


class _LSTMSequence(torch.autograd.Function):
    """See `lstm_sequence`. Products run in `dtype`; names in `low` are in it (the same memory if all is)."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, gates_x: Tensor, w_h: Tensor, h0: Tensor | None, c0: Tensor | None, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        gates = gates_x.contiguous()
        steps, batch, width = len(gates), gates.shape[1], len(w_h)
        w = Factor(w_h, batch, dtype)
        h, c = gates.new_empty(2, steps + 1, batch, width)
        h[0] = 0 if h0 is None else h0
        c[0] = 0 if c0 is None else c0
        h_low = _in_type(h, dtype)
        for t, now in enumerate(gates):
            total = now if t == 0 and h0 is None else w.product(_step_of(h_low, h, t), plus=now)
            _update_state(total, now, c[t], h[t + 1], c[t + 1])
        ctx.save_for_backward(gates, w_h, h, h_low, c)
        ctx.starts_at_zero = h0 is None
        return h[1:], c[steps]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh_all: Tensor, dc_last: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gates, w_h, h, h_low, c = ctx.saved_tensors
        w, gates_low = Factor(w_h.t(), gates.shape[1], h_low.dtype), _in_type(gates, h_low.dtype)
        dc, dh_all = dc_last.clone(), dh_all.contiguous()
        dh = dh_all[-1]
        for t in reversed(range(len(gates))):
            _gate_gradients(gates[t], dh, dc, h[t + 1], c[t + 1], c[t])
            d_gates = _step_of(gates_low, gates, t)
            if t > 0:
                dh = w.product(d_gates, plus=dh_all[t - 1])
        dh0 = None if ctx.starts_at_zero else w.product(gates_low[0]).to(gates.dtype)
        first = 1 if ctx.starts_at_zero else 0  # a zero h0 adds nothing to the gradient of W_h
        dw = h_low[first:-1].flatten(0, 1).t() @ gates_low[first:].flatten(0, 1)
        return gates, dw.to(w_h.dtype), dh0, dc if ctx.needs_input_grad[3] else None, None


def _in_type(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x itself if it is of that type, else uninitialised memory of that type and x's shape."""
    return x if x.dtype == dtype else torch.empty_like(x, dtype=dtype)


def _step_of(low: Tensor, x: Tensor, t: int) -> Tensor:
    """low[t], first filled from x[t] if they are not the same."""
    return low[t] if low is x else low[t].copy_(x[t])
