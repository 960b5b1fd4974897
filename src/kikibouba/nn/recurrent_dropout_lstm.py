"""The LSTM of Sketch-RNN: dropout on the candidate only, so that the memory itself is never erased.

    a  = W_x x + W_h h + b                      gates in the order i, f, o, g
    c' = sigma(f) c + sigma(i) D(tanh g)        D: inverted dropout, a fresh mask per step and unit
    h' = sigma(o) tanh(c')

("Recurrent dropout without memory loss", Semeniuta et al. 2016.) The forget gate's constant 1, which the
original adds at run time, is part of the bias here: the same function, the same gradients.

The whole sequence is one autograd node whose backward pass is written out, because a graph of small operations
per step costs more than the arithmetic. Sequences come sorted by length, longest first, so that step t works on
the first n rows, those still running, and nothing is spent on padding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class RecurrentDropoutLSTM(nn.Module):
    """A layer over time. Its state is a pair h, c of [B, state_size]."""

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
        mask = dropout_mask((*x.shape[:2], self.hidden_size), keep, x, generator) if keep < 1 else None
        weight_x = self.weight_x[:, : x.shape[2]]
        return _Sequence.apply(x, self.constant(context), weight_x, self.weight_h, h, c, lengths, mask, keep)

    def constant(self, context: Tensor) -> Tensor:
        """The part of the gates that is the same at every step, bias included: [B, 4H]."""
        return F.linear(context, context_columns(self.weight_x, context), self.bias)

    def step(self, x: Tensor, h: Tensor, c: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
        """One step without dropout or gradient: x [B, I], `constant` from `constant()`. Returns the new h and c."""
        a = torch.addmm(constant, x, self.weight_x[:, : x.shape[1]].t()).addmm_(h, self.weight_h.t())
        i, f, o, g = activate_gates(a)
        c = (f * c).addcmul_(i, g)
        return o * c.tanh(), c


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
    ) -> tuple[Tensor, Tensor, Tensor]:
        steps, batch, size = x.shape[0], h.shape[0], h.shape[1]
        sizes = batch_sizes(lengths)
        gates, tanh_c = x.new_zeros(steps, batch, 4 * size), x.new_zeros(steps, batch, size)
        hidden, memory = sequence_buffer(h, steps), sequence_buffer(c, steps)
        for t, n in enumerate(sizes):
            a, new_c = gates[t, :n], memory[t + 1, :n]
            torch.addmm(constant[:n], x[t, :n], weight_x.t(), out=a).addmm_(hidden[t, :n], weight_h.t())
            i, f, o, g = activate_gates(a)
            if mask is not None:
                g.mul_(mask[t, :n])
            torch.mul(f, memory[t, :n], out=new_c).addcmul_(i, g)
            torch.tanh(new_c, out=tanh_c[t, :n])
            torch.mul(o, tanh_c[t, :n], out=hidden[t + 1, :n])
        ctx.save_for_backward(x, weight_x, weight_h, gates, hidden, memory, tanh_c, mask)
        ctx.sizes, ctx.keep = sizes, keep
        return hidden[1:], at_end(hidden, lengths), at_end(memory, lengths)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_x, weight_h, gates, hidden, memory, tanh_c, mask = ctx.saved_tensors
        d_outputs, d_hidden, d_memory = grad_outputs[0], grad_outputs[1].clone(), grad_outputs[2].clone()
        d_gates = torch.zeros_like(gates)
        for t in reversed(range(len(ctx.sizes))):
            n = ctx.sizes[t]
            dh, dc, da, u = d_hidden[:n], d_memory[:n], d_gates[t, :n], tanh_c[t, :n]
            i, f, o, g = gates[t, :n].chunk(4, 1)
            dh.add_(d_outputs[t, :n])
            dc.add_(torch.ops.aten.tanh_backward(dh * o, u))
            step_mask = None if mask is None else mask[t, :n]
            gates_backward(gates[t, :n], memory[t, :n], dh * u, dc, step_mask, ctx.keep, out=da)
            torch.mm(da, weight_h, out=dh)
        flat = d_gates.flatten(0, 1)
        d_x = (flat @ weight_x).view_as(x) if ctx.needs_input_grad[0] else None
        d_weight_x, d_weight_h = flat.t() @ x.flatten(0, 1), flat.t() @ hidden[:-1].flatten(0, 1)
        return d_x, d_gates.sum(0), d_weight_x, d_weight_h, d_hidden, d_memory, None, None, None


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


def batch_sizes(lengths: Tensor) -> list[int]:
    """How many sequences still run at each step, from lengths [B] sorted downwards: [3, 1] → [2, 1, 1]."""
    steps = torch.arange(int(lengths[0]), device=lengths.device)
    return (lengths[None, :] > steps[:, None]).sum(1).tolist()


def sequence_buffer(first: Tensor, steps: int) -> Tensor:
    """Zeros [steps + 1, B, H] that begin with the initial state [B, H]."""
    buffer = first.new_zeros(steps + 1, *first.shape)
    buffer[0] = first
    return buffer


def at_end(buffer: Tensor, lengths: Tensor) -> Tensor:
    """The state [B, H] after each sequence's last step, from a `sequence_buffer`."""
    return buffer[lengths, torch.arange(len(lengths), device=buffer.device)]


def dropout_mask(
    shape: torch.Size | tuple, keep: float, like: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Inverted dropout: 1/keep with probability `keep`, else 0, in the type and on the device of `like`.

    One 64-bit draw serves four elements (`keep` is met to 1/65536): a draw each would cost as much as the gates.
    """
    count = torch.Size(shape).numel()
    draws = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device)
    draws.random_(-(2**63), None, generator=generator)
    kept = draws.view(torch.int16)[:count] < round(keep * 65536) - 32768
    return kept.view(shape).to(like.dtype).mul_(1 / keep)


def activate_gates(a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pre-activations [B, 4H] → sigma(i), sigma(f), sigma(o), tanh(g), in place."""
    i, f, o, g = a.chunk(4, 1)
    a[:, : 3 * g.shape[1]].sigmoid_()
    return i, f, o, g.tanh_()


def gates_backward(
    gates: Tensor, c: Tensor, do: Tensor, dc: Tensor, mask: Tensor | None, keep: float, *, out: Tensor
) -> None:
    """Through c' = f c + i g and the activations of one step; the gradient of the pre-activations goes to `out`.

    Args:
        gates: activated i, f, o and g (g after dropout), [n, 4H].
        c: the memory before the step [n, H].
        do: gradient of o [n, H].
        dc: gradient of c' [n, H]; overwritten by that of c.
        mask: the dropout of g [n, H], 0 or 1/keep.
    """
    i, f, _, g = gates.chunk(4, 1)
    out_i, out_f, out_o, out_g = out.chunk(4, 1)
    torch.mul(dc, g, out=out_i)
    torch.mul(dc, c, out=out_f)
    out_o.copy_(do)
    sigmoids = slice(0, 3 * g.shape[1])
    torch.ops.aten.sigmoid_backward.grad_input(
        out[:, sigmoids], gates[:, sigmoids], grad_input=out[:, sigmoids]
    )
    torch.mul(dc, i, out=out_g)
    if mask is None:
        torch.ops.aten.tanh_backward.grad_input(out_g, g, grad_input=out_g)
    else:  # d(m tanh) = m - keep (m tanh)², as the mask m is 0 or 1/keep
        out_g.mul_(torch.addcmul(mask, g, g, value=-keep))
    dc.mul_(f)
