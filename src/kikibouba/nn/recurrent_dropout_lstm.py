"""The LSTM of Sketch-RNN: dropout on the candidate only, so that the memory itself is never erased.

    a  = W_x x + W_h h + b                      gates in the order i, f, o, g
    c' = sigma(f) c + sigma(i) D(tanh g)        D: inverted dropout, a fresh mask per step and unit
    h' = sigma(o) tanh(c')

("Recurrent dropout without memory loss", Semeniuta et al. 2016.) The forget gate's constant 1, which the
original adds at run time, is part of the bias here: the same function, the same gradients.

The whole sequence is one autograd node whose backward pass is written out, because a graph of small
operations per step costs more than the arithmetic. Going back, the gradient of a step's gates takes the
place of the gates. Sequences come sorted by length, longest first, so that step t works on the first n
rows, those still running, and nothing is spent on padding.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kikibouba.nn.factor import Factor

Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""x [B, I] and the state h, c [B, state_size] → the next h and c."""


WIDE = 64
"""Inputs of so many numbers or more are those of an upper layer, and are multiplied as states are."""


class RecurrentDropoutLSTM(nn.Module):
    """A layer over time. Its state is a pair h, c of [B, state_size].

    Under autocast the products with the recurrent weights run in its type and all else in float32.
    """

    def __init__(self, input_size: int, hidden_size: int, dropout_keep: float = 1.0) -> None:
        super().__init__()
        self.hidden_size = self.state_size = hidden_size
        self.dropout_keep = dropout_keep
        self.weight_x = nn.Parameter(glorot_gates(input_size, hidden_size))
        self.weight_h = nn.Parameter(orthogonal_gates(hidden_size))
        self.bias = nn.Parameter(forget_bias(hidden_size))

    def forward(
        self,
        x: Tensor,
        h: Tensor,
        c: Tensor,
        lengths: Tensor,
        context: Tensor,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run whole sequences.

        Args:
            x: [N, B, I], time first.
            h, c: initial state [B, H].
            lengths: [B] int64, sorted from longest to shortest, the longest N at most.
            context: [B, K], the inputs that are the same at every step, projected once; I + K = input_size.
            generator: noise of the dropout, which only training has.

        Returns:
            outputs [N, B, H], zero after a sequence's end; h and c [B, H] after each sequence's last step.
        """
        keep = self.dropout_keep if self.training else 1.0
        dtype = product_dtype(x)
        with torch.autocast(x.device.type, enabled=False):
            mask = dropout_mask((*x.shape[:2], self.hidden_size), keep, x, generator) if keep < 1 else None
            weights = self.weight_x[:, : x.shape[2]], self.weight_h
            return _Sequence.apply(x, self.constant(context), *weights, h, c, lengths, mask, keep, dtype)

    def constant(self, context: Tensor) -> Tensor:
        """The part of the gates that is the same at every step, bias included: [B, 4H]."""
        return F.linear(context, context_columns(self.weight_x, context), self.bias)

    def stepper(self, context: Tensor) -> Step:
        """What decoding calls once a row, without dropout or gradient."""
        constant, size = self.constant(context), self.hidden_size
        weight_x = self.weight_x[:, : self.weight_x.shape[1] - context.shape[1]].t().contiguous()
        weight_h = Factor(self.weight_h.t(), len(context))

        def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
            a = weight_h.product(h, plus=torch.addmm(constant, x, weight_x))
            a[:, : 3 * size].sigmoid_()
            i, f, o, g = a.split(size, 1)
            c = (f * c).addcmul_(i, g.tanh_())
            return c.tanh().mul_(o), c

        return step


class _Sequence(torch.autograd.Function):
    """The recurrence over time and, written out, its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        constant: Tensor,
        weight_x: Tensor,
        weight_h: Tensor,
        h: Tensor,
        c: Tensor,
        lengths: Tensor,
        mask: Tensor | None,
        keep: float,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        sizes, weight = batch_sizes(lengths, len(x)), Factor(weight_h.t(), len(h), dtype)
        project = input_product(weight_x, len(h), dtype)
        gates = step_buffer(x, sizes, len(weight_h))
        hidden, memory = state_buffer(h, sizes), state_buffer(c, sizes)
        for t, n in enumerate(sizes):
            a, new_c, new_h = gates[t, :n], memory[t + 1, :n], hidden[t + 1, :n]
            project(x[t, :n], constant[:n], a)
            i, f, o, g = activate_gates(weight.add_product(a, hidden[t, :n]))
            if mask is not None:
                g.mul_(mask[t, :n])
            torch.mul(f, memory[t, :n], out=new_c).addcmul_(i, g)
            tanh_(new_h.copy_(new_c)).mul_(o)
        ctx.save_for_backward(x, weight_x, weight_h, gates, hidden, memory, mask)
        ctx.sizes, ctx.keep, ctx.dtype = sizes, keep, dtype
        return hidden[1:], at_end(hidden, lengths), at_end(memory, lengths)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # type: ignore[override]
        x, weight_x, weight_h, gates, hidden, memory, mask = ctx.saved_tensors
        d_outputs, d_hidden, d_memory = grad_outputs[0], grad_outputs[1].clone(), grad_outputs[2].clone()
        d_constant, weight = torch.zeros_like(gates[0]), Factor(weight_h, gates.shape[1], ctx.dtype)
        for t, n in reversed(list(enumerate(ctx.sizes))):
            dh, dc, a = d_hidden[:n], d_memory[:n], gates[t, :n]
            dh.add_(d_outputs[t, :n])
            o, u = a.chunk(4, 1)[2], tanh_(memory[t + 1, :n].clone())
            dc.add_(torch.ops.aten.tanh_backward(dh * o, u))
            gates_backward(a, memory[t, :n], u.mul_(dh), dc, None if mask is None else mask[t, :n], ctx.keep)
            d_constant[:n].add_(a)
            dh.copy_(weight.product(a))
        flat = gates.flatten(0, 1)
        d_x = input_gradient(flat, weight_x, ctx.dtype).view_as(x) if ctx.needs_input_grad[0] else None
        d_weight_x = weight_gradient(flat, x.flatten(0, 1), input_dtype(weight_x, ctx.dtype))
        d_weight_h = weight_gradient(flat, hidden[:-1].flatten(0, 1), ctx.dtype)
        return d_x, d_constant, d_weight_x, d_weight_h, d_hidden, d_memory, None, None, None, None


# ------------------------------------------------------------------- shared with the layer-normalised cells


def glorot_gates(input_size: int, hidden_size: int) -> Tensor:
    """Initial input weights [4H, I]: Glorot uniform over all gates together, as in the original."""
    return nn.init.xavier_uniform_(torch.empty(4 * hidden_size, input_size))


def orthogonal_gates(hidden_size: int) -> Tensor:
    """Initial recurrent weights [4H, H]: one orthogonal block per gate."""
    return torch.cat([nn.init.orthogonal_(torch.empty(hidden_size, hidden_size)) for _ in range(4)])


def forget_bias(hidden_size: int) -> Tensor:
    """Initial bias [4H]: 1 for the forget gate, 0 elsewhere."""
    bias = torch.zeros(4 * hidden_size)
    bias[hidden_size : 2 * hidden_size] = 1.0
    return bias


def context_columns(weight_x: Tensor, context: Tensor) -> Tensor:
    """The columns of input weights [4H, I + K] that belong to a context [B, K]: the last K."""
    return weight_x[:, weight_x.shape[1] - context.shape[1] :]


def batch_sizes(lengths: Tensor, steps: int) -> list[int]:
    """How many sequences still run at each of N steps, given their lengths [B], the longest first."""
    times = torch.arange(steps, device=lengths.device)
    return (lengths[None, :] > times[:, None]).sum(1).tolist()


def step_buffer(like: Tensor, sizes: list[int], *shape: int) -> Tensor:
    """Room [N, B, *shape] for what each step computes: zero where a sequence has ended, else not yet set."""
    buffer = like.new_empty(len(sizes), like.shape[-2], *shape)
    for t, n in enumerate(sizes):
        if n < buffer.shape[1]:
            buffer[t, n:] = 0
    return buffer


def state_buffer(first: Tensor, sizes: list[int]) -> Tensor:
    """Room [N + 1, B, H] for a state before and after each step, beginning with `first` [B, H]."""
    buffer = step_buffer(first, [len(first), *sizes], first.shape[1])
    buffer[0] = first
    return buffer


def at_end(buffer: Tensor, lengths: Tensor) -> Tensor:
    """The state [B, H] after each sequence's last step, from a `state_buffer`."""
    return buffer[lengths, torch.arange(len(lengths), device=buffer.device)]


def product_dtype(like: Tensor) -> torch.dtype:
    """The type of the large products: autocast's where that is on, else the type of `like`."""
    kind = like.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype


def add_product(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """total += a b in place; the product is computed in the type of b."""
    return total.addmm_(a, b) if a.dtype == b.dtype else total.add_(a.to(b.dtype) @ b)


def input_dtype(weight_x: Tensor, dtype: torch.dtype) -> torch.dtype:
    """The type of products with input weights [4H, I]: `dtype` for an upper layer's, else their own.

    The few numbers of a first layer's inputs are data, whose digits count, and cost nothing.
    """
    return dtype if weight_x.shape[1] >= WIDE else weight_x.dtype


def input_product(
    weight_x: Tensor, rows: int, dtype: torch.dtype
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A function of x [n, I], constant [n, 4H] and a result [n, 4H]: result = constant + x weight_xᵀ."""
    if weight_x.shape[1] < WIDE:
        return lambda x, constant, out: torch.addmm(constant, x, weight_x.t(), out=out)
    factor = Factor(weight_x.t(), rows, dtype)
    return lambda x, constant, out: torch.add(constant, factor.product(x), out=out)


def input_gradient(d_gates: Tensor, weight_x: Tensor, dtype: torch.dtype) -> Tensor:
    """Gradient [N B, I] of inputs, from all steps' gradients [N B, 4H] at once."""
    dtype = input_dtype(weight_x, dtype)
    return (d_gates.to(dtype) @ weight_x.to(dtype)).to(d_gates.dtype)


def weight_gradient(d_gates: Tensor, inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """Gradient [G, K] of weights, from all steps' gradients [N B, G] and inputs [N B, K] at once."""
    return (d_gates.to(dtype).t() @ inputs.to(dtype)).to(d_gates.dtype)


def dropout_mask(
    shape: tuple[int, ...], keep: float, like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Inverted dropout: 1/keep with probability `keep`, else 0, in the type and on the device of `like`.

    One 64-bit draw serves four elements (`keep` is met to 1/65536): one each would cost as much as the gates.
    """
    count = torch.Size(shape).numel()
    draws = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device)
    draws.random_(-(2**63), None, generator=generator)
    kept = draws.view(torch.int16)[:count] <= round(keep * 65536) - 32769
    return kept.view(shape).to(like.dtype).mul_(1 / keep)


def tanh_(x: Tensor) -> Tensor:
    """tanh in place, as 2 sigma(2x) - 1: several times faster than torch's on CPU, within 2e-7 of it."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


def activate_gates(a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pre-activations [B, 4H] → sigma(i), sigma(f), sigma(o), tanh(g), in place."""
    i, f, o, g = a.chunk(4, 1)
    g.mul_(2)  # tanh(g) = 2 sigma(2g) - 1, see `tanh_`
    a.sigmoid_()
    return i, f, o, g.mul_(2).sub_(1)


def gates_backward(
    gates: Tensor, c: Tensor, do: Tensor, dc: Tensor, mask: Tensor | None, keep: float
) -> None:
    """Back through c' = f c + i g and the activations of one step.

    Args:
        gates: activated i, f, o, g (g after dropout) [n, 4H]; overwritten by the pre-activations' gradient.
        c: the memory before the step [n, H].
        do: gradient of o [n, H].
        dc: gradient of c' [n, H]; overwritten by that of c.
        mask: the dropout of g [n, H], 0 or 1/keep.
    """
    i, f, o, g = gates.chunk(4, 1)
    di, df, dg = dc * g, dc * c, dc * i
    dc.mul_(f)
    if mask is None:
        torch.ops.aten.tanh_backward.grad_input(dg, g, grad_input=g)
    else:  # the derivative of m tanh is m - keep (m tanh)², as the mask m is 0 or 1/keep
        torch.addcmul(mask, g, g, value=-keep, out=g).mul_(dg)
    for gradient, gate in ((di, i), (df, f), (do, o)):
        torch.ops.aten.sigmoid_backward.grad_input(gradient, gate, grad_input=gate)
