"""The layer-normalised LSTM (Ba, Kiros & Hinton 2016) with recurrent dropout, as Sketch-RNN has it.

    a  = W_x x + W_h h                              no bias: normalisation would remove it
    y  = gamma N(a) + beta                          N: each gate's block normalised over its own units
    c' = sigma(f) c + sigma(i) D(tanh g)            D: dropout on the candidate only
    h' = sigma(o) tanh(gamma_c N(c') + beta_c)      the stored memory stays unnormalised

N subtracts the mean and divides by sqrt(variance + 0.001). The forget gate's constant 1 is part of beta here.
As in `recurrent_dropout_lstm`, a sequence is one autograd node with its backward pass written out.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kikibouba.nn.recurrent_dropout_lstm import (
    activate_gates,
    at_end,
    batch_sizes,
    context_columns,
    dropout_mask,
    forget_bias,
    gates_backward,
    glorot_gates,
    orthogonal_gates,
    sequence_buffer,
)

EPSILON = 1e-3


class LayerNormLSTM(nn.Module):
    """A layer over time. Its state is a pair h, c of [B, state_size]."""

    def __init__(self, input_size: int, hidden_size: int, dropout_keep: float = 1.0) -> None:
        super().__init__()
        self.hidden_size = self.state_size = hidden_size
        self.dropout_keep = dropout_keep
        self.weight_x = nn.Parameter(glorot_gates(input_size, hidden_size))
        self.weight_h = nn.Parameter(orthogonal_gates(hidden_size))
        self.norm = GateNorm(hidden_size)

    def forward(
        self,
        x: Tensor,
        h: Tensor,
        c: Tensor,
        lengths: Tensor,
        context: Tensor,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run whole sequences; arguments and results as of `RecurrentDropoutLSTM.forward`."""
        keep = self.dropout_keep if self.training else 1.0
        mask = dropout_mask((*x.shape[:2], self.hidden_size), keep, x, generator) if keep < 1 else None
        weight_x = self.weight_x[:, : x.shape[2]]
        arguments = (x, self.constant(context), weight_x, self.weight_h, h, c, *self.norm.weights())
        return _Sequence.apply(*arguments, lengths, mask, keep)

    def constant(self, context: Tensor) -> Tensor:
        """The part of the pre-activations that is the same at every step: [B, 4H]."""
        return F.linear(context, context_columns(self.weight_x, context))

    def step(self, x: Tensor, h: Tensor, c: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
        """One step without dropout or gradient: x [B, I], `constant` from `constant()`. Returns the new h and c."""
        a = torch.addmm(constant, x, self.weight_x[:, : x.shape[1]].t()).addmm_(h, self.weight_h.t())
        return self.norm.step(a, c)


class NormWeights(NamedTuple):
    """The weights of a cell's two normalisations."""

    gamma: Tensor
    """[4H], of the gates"""
    beta: Tensor
    gamma_c: Tensor
    """[H], of the memory"""
    beta_c: Tensor


class GateNorm(nn.Module):
    """From pre-activations and memory to the next state: what the layer-normalised and the hyper cell share."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(4 * hidden_size))
        self.beta = nn.Parameter(forget_bias(hidden_size))
        self.gamma_c = nn.Parameter(torch.ones(hidden_size))
        self.beta_c = nn.Parameter(torch.zeros(hidden_size))

    def weights(self) -> NormWeights:
        return NormWeights(self.gamma, self.beta, self.gamma_c, self.beta_c)

    def step(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Pre-activations [B, 4H] and memory [B, H] → the new h and c, without dropout or gradient."""
        size = c.shape[1]
        normed = F.layer_norm(a.view(-1, 4, size), (size,), eps=EPSILON).view_as(a)
        i, f, o, g = activate_gates(torch.addcmul(self.beta, normed, self.gamma))
        c = (f * c).addcmul_(i, g)
        return o * F.layer_norm(c, (size,), self.gamma_c, self.beta_c, EPSILON).tanh_(), c


class Tape(NamedTuple):
    """What the steps of a sequence leave for its backward pass."""

    hidden: Tensor
    """h before and after each step [N + 1, B, H]"""
    memory: Tensor
    """c likewise"""
    normed: Tensor
    """N(a) [N, B, 4H]"""
    scale: Tensor
    """1 / sqrt(variance + epsilon) of each gate [N, B, 4, 1]"""
    gates: Tensor
    """activated gates [N, B, 4H]"""
    normed_c: Tensor
    """N(c') [N, B, H]"""
    scale_c: Tensor
    """[N, B, 1]"""
    tanh_c: Tensor
    """tanh(gamma_c N(c') + beta_c) [N, B, H]"""

    @staticmethod
    def new(h: Tensor, c: Tensor, steps: int) -> "Tape":
        """An empty tape that starts from the state h, c [B, H]."""
        hidden, memory = sequence_buffer(h, steps), sequence_buffer(c, steps)
        four, one = (steps, h.shape[0], 4 * h.shape[1]), (steps, *h.shape)
        gates = h.new_zeros(four), h.new_zeros(*one[:2], 4, 1), h.new_zeros(four)
        return Tape(hidden, memory, *gates, h.new_zeros(one), h.new_zeros(*one[:2], 1), h.new_zeros(one))

    def forward(self, t: int, a: Tensor, mask: Tensor | None, weights: NormWeights) -> None:
        """Step t, from pre-activations [n, 4H]: fills every buffer at t, and hidden and memory at t + 1."""
        n, size = a.shape[0], a.shape[1] // 4
        normed, _, scale = torch.native_layer_norm(a.view(n, 4, size), (size,), None, None, EPSILON)
        self.normed[t, :n], self.scale[t, :n] = normed.view_as(a), scale
        torch.addcmul(weights.beta, self.normed[t, :n], weights.gamma, out=self.gates[t, :n])
        i, f, o, g = activate_gates(self.gates[t, :n])
        if mask is not None:
            g.mul_(mask)
        c = self.memory[t + 1, :n]
        torch.mul(f, self.memory[t, :n], out=c).addcmul_(i, g)
        self.normed_c[t, :n], _, self.scale_c[t, :n] = torch.native_layer_norm(
            c, (size,), None, None, EPSILON
        )
        u = torch.addcmul(
            weights.beta_c, self.normed_c[t, :n], weights.gamma_c, out=self.tanh_c[t, :n]
        ).tanh_()
        torch.mul(o, u, out=self.hidden[t + 1, :n])

    def backward(
        self,
        t: int,
        dh: Tensor,
        dc: Tensor,
        mask: Tensor | None,
        keep: float,
        weights: NormWeights,
        d_weights: NormWeights,
        out: Tensor,
    ) -> None:
        """The gradient of step t: of its pre-activations into `out` [n, 4H], of the weights added to `d_weights`.

        Takes the gradients dh and dc [n, H] of the state after the step; dc is overwritten by that of c before it.
        """
        n, size = dh.shape
        o, u, normed_c = self.gates[t, :n, 2 * size : 3 * size], self.tanh_c[t, :n], self.normed_c[t, :n]
        dy = torch.ops.aten.tanh_backward(dh * o, u)
        d_weights.gamma_c.add_((dy * normed_c).sum(0))
        d_weights.beta_c.add_(dy.sum(0))
        dc.add_(norm_backward(dy.mul_(weights.gamma_c), normed_c).mul_(self.scale_c[t, :n]))

        dy, normed = torch.empty_like(out), self.normed[t, :n]
        gates_backward(self.gates[t, :n], self.memory[t, :n], dh * u, dc, mask, keep, out=dy)
        d_weights.gamma.add_((dy * normed).sum(0))
        d_weights.beta.add_(dy.sum(0))
        blocks = norm_backward(dy.mul_(weights.gamma).view(n, 4, size), normed.view(n, 4, size))
        torch.mul(blocks, self.scale[t, :n], out=out.view(n, 4, size))


def norm_backward(d_normed: Tensor, normed: Tensor) -> Tensor:
    """Gradient through N over the last axis, still to be multiplied by its scale.

    d - mean(d) - N mean(d N): the fused kernel of layer normalisation, given N itself as an input of deviation 1.
    """
    shape = (*normed.shape[:-1], 1)
    zero, one = normed.new_zeros(shape), normed.new_ones(shape)
    size = normed.shape[-1:]
    return torch.ops.aten.native_layer_norm_backward(
        d_normed, normed, size, zero, one, None, None, [True, False, False]
    )[0]


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
        gamma: Tensor,
        beta: Tensor,
        gamma_c: Tensor,
        beta_c: Tensor,
        lengths: Tensor,
        mask: Tensor | None,
        keep: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        sizes, weights = batch_sizes(lengths), NormWeights(gamma, beta, gamma_c, beta_c)
        tape = Tape.new(h, c, x.shape[0])
        for t, n in enumerate(sizes):
            a = torch.addmm(constant[:n], x[t, :n], weight_x.t()).addmm_(tape.hidden[t, :n], weight_h.t())
            tape.forward(t, a, None if mask is None else mask[t, :n], weights)
        ctx.save_for_backward(x, weight_x, weight_h, mask, *weights, *tape)
        ctx.sizes, ctx.keep = sizes, keep
        return tape.hidden[1:], at_end(tape.hidden, lengths), at_end(tape.memory, lengths)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_x, weight_h, mask, *rest = ctx.saved_tensors
        weights, tape = NormWeights(*rest[:4]), Tape(*rest[4:])
        d_weights = NormWeights(*(torch.zeros_like(weight) for weight in weights))
        d_outputs, d_hidden, d_memory = grad_outputs[0], grad_outputs[1].clone(), grad_outputs[2].clone()
        d_a = torch.zeros_like(tape.gates)
        for t in reversed(range(len(ctx.sizes))):
            n = ctx.sizes[t]
            dh = d_hidden[:n].add_(d_outputs[t, :n])
            step_mask = None if mask is None else mask[t, :n]
            tape.backward(t, dh, d_memory[:n], step_mask, ctx.keep, weights, d_weights, d_a[t, :n])
            torch.mm(d_a[t, :n], weight_h, out=dh)
        flat = d_a.flatten(0, 1)
        d_x = (flat @ weight_x).view_as(x) if ctx.needs_input_grad[0] else None
        d_constant = d_a.sum(0) if ctx.needs_input_grad[1] else None
        d_weight_x, d_weight_h = flat.t() @ x.flatten(0, 1), flat.t() @ tape.hidden[:-1].flatten(0, 1)
        return d_x, d_constant, d_weight_x, d_weight_h, d_hidden, d_memory, *d_weights, None, None, None
