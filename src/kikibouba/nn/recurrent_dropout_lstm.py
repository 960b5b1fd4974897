"""The LSTM of Sketch-RNN: dropout on the candidate only, so that the memory itself is never erased.

    a  = W_x x + W_h h + b                      gates in the order i, f, o, g
    c' = sigma(f) c + sigma(i) D(tanh g)        D: inverted dropout, a fresh mask per step and unit
    h' = sigma(o) tanh(c')

("Recurrent dropout without memory loss", Semeniuta et al. 2016.) The forget gate's constant 1, which the original
adds at run time, is part of the bias here: the same function, the same gradients. The whole sequence is one
autograd node whose backward pass is written out, because a graph of small operations per step costs more than
the arithmetic. Drawings come sorted by length, longest first, so that step t works on the rows still drawing and
none is spent on padding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def batch_sizes(lengths: Tensor) -> list[int]:
    """How many sequences are still running at each step.

    Args:
        lengths: [B] int64, sorted from longest to shortest.

    Returns:
        One count per step of the longest: `batch_sizes([3, 1]) == [2, 1, 1]`.
    """
    steps = torch.arange(int(lengths[0]), device=lengths.device)
    return (lengths[None, :] > steps[:, None]).sum(1).tolist()


def dropout_mask(
    shape: tuple[int, ...], keep: float, device: torch.device, generator: torch.Generator | None
) -> Tensor:
    """Inverted dropout: 1/keep with probability `keep`, else 0. float32.

    One 64-bit draw makes four elements (so `keep` is met to 1/65536): masks cost as much as the gates otherwise.
    """
    count = torch.Size(shape).numel()
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=device).random_(
        -(2**63), None, generator=generator
    )
    kept = bits.view(torch.int16)[:count] < round(keep * 65536) - 32768
    return kept.view(shape) * (1.0 / keep)


def init_lstm_weights(weight_x: Tensor, weight_h: Tensor) -> None:
    """The original's initial values: Glorot uniform input weights, one orthogonal block per gate."""
    nn.init.xavier_uniform_(weight_x)
    for block in weight_h.chunk(4):
        nn.init.orthogonal_(block)


class RecurrentDropoutLSTM(nn.Module):
    """A layer over time. State h and c are [B, state_size]; outputs are h after each step."""

    def __init__(self, input_size: int, hidden_size: int, dropout_keep: float = 1.0) -> None:
        super().__init__()
        self.hidden_size = self.state_size = hidden_size
        self.dropout_keep = dropout_keep
        self.weight_x = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        with torch.no_grad():
            init_lstm_weights(self.weight_x, self.weight_h)
            self.bias[hidden_size : 2 * hidden_size] = 1.0

    def forward(
        self,
        x: Tensor,
        h: Tensor,
        c: Tensor,
        lengths: Tensor,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run whole sequences.

        Args:
            x: [N, B, I], time first.
            h, c: initial state [B, H].
            lengths: [B] int64, sorted from longest to shortest.
            context: [B, K], an input that is the same at every step; I + K = input_size. Projected once.
            generator: noise of the dropout, used in training only.

        Returns:
            outputs [N, B, H], zero after a sequence's end; h and c [B, H] after each sequence's last step.
        """
        keep = self.dropout_keep if self.training else 1.0
        shape = (x.shape[0], x.shape[1], self.hidden_size)
        mask = dropout_mask(shape, keep, x.device, generator) if keep < 1 else None
        weight_x = self.weight_x[:, : x.shape[2]]
        return _Sequence.apply(
            x, self.constant(context, h), weight_x, self.weight_h, h, c, lengths, mask, keep
        )

    def constant(self, context: Tensor | None, h: Tensor) -> Tensor:
        """The part of the gates that is the same at every step, bias included: [B, 4H]."""
        if context is None:
            return self.bias.expand(h.shape[0], -1)
        return F.linear(context, self.weight_x[:, self.weight_x.shape[1] - context.shape[1] :], self.bias)

    def step(self, x: Tensor, h: Tensor, c: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
        """One step without dropout: x [B, I], `constant` from `constant()`. Returns the new h and c."""
        gates = torch.addmm(constant, x, self.weight_x[:, : x.shape[1]].t()).addmm_(h, self.weight_h.t())
        i, f, o = gates[:, : 3 * self.hidden_size].sigmoid_().chunk(3, 1)
        g = gates[:, 3 * self.hidden_size :].tanh_()
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
        gates = x.new_zeros(steps, batch, 4 * size)
        tanh_c = x.new_zeros(steps, batch, size)
        hidden, memory = x.new_zeros(steps + 1, batch, size), x.new_zeros(steps + 1, batch, size)
        hidden[0], memory[0] = h, c
        for t, n in enumerate(sizes):
            a, new_c = gates[t, :n], memory[t + 1, :n]
            torch.addmm(constant[:n], x[t, :n], weight_x.t(), out=a).addmm_(hidden[t, :n], weight_h.t())
            i, f, o = a[:, : 3 * size].sigmoid_().chunk(3, 1)
            g = a[:, 3 * size :].tanh_()
            if mask is not None:
                g.mul_(mask[t, :n])
            torch.mul(f, memory[t, :n], out=new_c).addcmul_(i, g)
            torch.tanh(new_c, out=tanh_c[t, :n])
            torch.mul(o, tanh_c[t, :n], out=hidden[t + 1, :n])
        ctx.save_for_backward(x, weight_x, weight_h, gates, hidden, memory, tanh_c, mask)
        ctx.sizes, ctx.keep = sizes, keep
        last = (lengths, torch.arange(batch, device=x.device))
        return hidden[1:], hidden[last], memory[last]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_x, weight_h, gates, hidden, memory, tanh_c, mask = ctx.saved_tensors
        size = hidden.shape[2]
        d_gates = torch.zeros_like(gates)
        d_hidden, d_memory = d_h.clone(), d_c.clone()
        for t in reversed(range(len(ctx.sizes))):
            n = ctx.sizes[t]
            dh, dc, da = d_hidden[:n], d_memory[:n], d_gates[t, :n]
            i, f, o, g = gates[t, :n].chunk(4, 1)
            di, df, do, dg = da.chunk(4, 1)
            dh.add_(d_outputs[t, :n])
            torch.mul(dh, tanh_c[t, :n], out=do)
            dc.add_(torch.ops.aten.tanh_backward(dh * o, tanh_c[t, :n]))
            torch.mul(dc, g, out=di)
            torch.mul(dc, memory[t, :n], out=df)
            torch.ops.aten.sigmoid_backward.grad_input(
                da[:, : 3 * size], gates[t, :n, : 3 * size], grad_input=da[:, : 3 * size]
            )
            torch.mul(dc, i, out=dg)
            # d tanh(g) through the mask m: m (1 - tanh²) = m - keep (m tanh)², as m is 0 or 1/keep.
            if mask is None:
                torch.ops.aten.tanh_backward.grad_input(dg, g, grad_input=dg)
            else:
                dg.mul_(torch.addcmul(mask[t, :n], g, g, value=-ctx.keep))
            dc.mul_(f)
            torch.mm(da, weight_h, out=dh)
        flat = d_gates.flatten(0, 1)
        d_x = (flat @ weight_x).view_as(x) if ctx.needs_input_grad[0] else None
        d_weight_x = flat.t() @ x.flatten(0, 1)
        d_weight_h = flat.t() @ hidden[:-1].flatten(0, 1)
        return d_x, d_gates.sum(0), d_weight_x, d_weight_h, d_hidden, d_memory, None, None, None
