"""The layer-normalised LSTM (Ba, Kiros & Hinton 2016) with recurrent dropout, as Sketch-RNN has it.

    a  = W_x x + W_h h                              no bias: normalisation would remove it
    y  = gamma N(a) + beta                          N: each gate's block normalised over its own units
    c' = sigma(f) c + sigma(i) D(tanh g)            D: dropout on the candidate only
    h' = sigma(o) tanh(gamma_c N(c') + beta_c)      the stored memory stays unnormalised

N subtracts the mean and divides by sqrt(variance + 0.001). The forget gate's constant 1 is part of beta here.
As in `recurrent_dropout_lstm`, a sequence is one autograd node with its backward pass written out.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kikibouba.nn.factor import Factor
from kikibouba.nn.recurrent_dropout_lstm import (
    Step,
    activate_gates,
    at_end,
    batch_sizes,
    context_columns,
    dropout_mask,
    forget_bias,
    gates_backward,
    glorot_gates,
    input_dtype,
    input_gradient,
    input_product,
    orthogonal_gates,
    product_dtype,
    state_buffer,
    step_buffer,
    tanh_,
    weight_gradient,
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
        dtype = product_dtype(x)
        with torch.autocast(x.device.type, enabled=False):
            mask = dropout_mask((*x.shape[:2], self.hidden_size), keep, x, generator) if keep < 1 else None
            weights = self.weight_x[:, : x.shape[2]], self.weight_h, *self.norm.weights()
            return _Sequence.apply(x, self.constant(context), h, c, lengths, mask, keep, dtype, *weights)

    def constant(self, context: Tensor) -> Tensor:
        """The part of the pre-activations that is the same at every step: [B, 4H]."""
        return F.linear(context, context_columns(self.weight_x, context))

    def stepper(self, context: Tensor) -> Step:
        """What decoding calls once a row, without dropout or gradient."""
        constant, finish = self.constant(context), self.norm.stepper()
        weight_x = self.weight_x[:, : self.weight_x.shape[1] - context.shape[1]].t().contiguous()
        weight_h = Factor(self.weight_h.t(), len(context))

        def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
            return finish(weight_h.product(h, plus=torch.addmm(constant, x, weight_x)), c)

        return step


class NormWeights(NamedTuple):
    """The weights of a cell's two normalisations, or their gradients."""

    gamma: Tensor
    """[4H], of the gates"""
    beta: Tensor
    gamma_c: Tensor
    """[H], of the memory"""
    beta_c: Tensor


class GateNorm(nn.Module):
    """From pre-activations and memory to the next state, as the layer-normalised and the hyper cell do it."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(4 * hidden_size))
        self.beta = nn.Parameter(forget_bias(hidden_size))
        self.gamma_c = nn.Parameter(torch.ones(hidden_size))
        self.beta_c = nn.Parameter(torch.zeros(hidden_size))

    def weights(self) -> NormWeights:
        return NormWeights(self.gamma, self.beta, self.gamma_c, self.beta_c)

    def stepper(self) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """A function from pre-activations [B, 4H] and memory [B, H] to the next h and c, without gradient."""
        gamma, beta, gamma_c, beta_c = self.weights()
        size = len(gamma_c)

        def step(a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
            normed = F.layer_norm(a.view(-1, 4, size), (size,), eps=EPSILON).view_as(a)
            y = torch.addcmul(beta, normed, gamma)
            y[:, : 3 * size].sigmoid_()
            i, f, o, g = y.split(size, 1)
            c = (f * c).addcmul_(i, g.tanh_())
            return F.layer_norm(c, (size,), gamma_c, beta_c, EPSILON).tanh_().mul_(o), c

        return step


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
    """Activated gates [N, B, 4H]; going back, the gradient of the pre-activations takes their place."""
    normed_c: Tensor
    """N(c') [N, B, H]"""
    scale_c: Tensor
    """[N, B, 1]"""

    @staticmethod
    def new(h: Tensor, c: Tensor, sizes: list[int]) -> "Tape":
        """An empty tape that starts from the state h, c [B, H]."""
        size = h.shape[1]
        return Tape(
            hidden=state_buffer(h, sizes),
            memory=state_buffer(c, sizes),
            normed=step_buffer(h, sizes, 4 * size),
            scale=step_buffer(h, sizes, 4, 1),
            gates=step_buffer(h, sizes, 4 * size),
            normed_c=step_buffer(h, sizes, size),
            scale_c=step_buffer(h, sizes, 1),
        )

    def forward(self, t: int, a: Tensor, mask: Tensor | None, weights: NormWeights) -> None:
        """Step t, from pre-activations [n, 4H]: fills every buffer at t, hidden and memory at t + 1."""
        n, size = a.shape[0], a.shape[1] // 4
        normed, gates = self.normed[t, :n], self.gates[t, :n]
        blocks, _, self.scale[t, :n] = torch.native_layer_norm(
            a.view(n, 4, size), (size,), None, None, EPSILON
        )
        normed.copy_(blocks.view(n, 4 * size))
        i, f, o, g = activate_gates(torch.addcmul(weights.beta, normed, weights.gamma, out=gates))
        if mask is not None:
            g.mul_(mask)
        c, h = self.memory[t + 1, :n], self.hidden[t + 1, :n]
        torch.mul(f, self.memory[t, :n], out=c).addcmul_(i, g)
        self.normed_c[t, :n], _, self.scale_c[t, :n] = torch.native_layer_norm(
            c, (size,), None, None, EPSILON
        )
        tanh_(torch.addcmul(weights.beta_c, self.normed_c[t, :n], weights.gamma_c, out=h)).mul_(o)

    def backward(
        self,
        t: int,
        dh: Tensor,
        dc: Tensor,
        mask: Tensor | None,
        keep: float,
        weights: NormWeights,
        d_weights: NormWeights,
    ) -> Tensor:
        """The gradient of step t with respect to its pre-activations [n, 4H], which is left in `gates[t]`.

        Takes the gradients dh and dc [n, H] of the state after the step; dc is overwritten by that of the
        memory before it, and the weights' gradients are added to `d_weights`.
        """
        n, size = dh.shape
        gates, normed, normed_c = self.gates[t, :n], self.normed[t, :n], self.normed_c[t, :n]
        u = tanh_(torch.addcmul(weights.beta_c, normed_c, weights.gamma_c))
        dy = torch.ops.aten.tanh_backward(dh * gates.chunk(4, 1)[2], u)
        d_weights.gamma_c.add_((dy * normed_c).sum(0))
        d_weights.beta_c.add_(dy.sum(0))
        dc.addcmul_(norm_backward(dy.mul_(weights.gamma_c), normed_c), self.scale_c[t, :n])

        gates_backward(gates, self.memory[t, :n], u.mul_(dh), dc, mask, keep)
        d_weights.gamma.add_((gates * normed).sum(0))
        d_weights.beta.add_(gates.sum(0))
        blocks = norm_backward(gates.mul_(weights.gamma).view(n, 4, size), normed.view(n, 4, size))
        torch.mul(blocks, self.scale[t, :n], out=gates.view(n, 4, size))
        return gates


def norm_backward(d_normed: Tensor, normed: Tensor) -> Tensor:
    """Gradient through N over the last axis, still to be multiplied by its scale.

    d - mean(d) - N mean(d N): the kernel of layer normalisation, given N as an input of mean 0, deviation 1.
    """
    shape = (*normed.shape[:-1], 1)
    zero, one = normed.new_zeros(shape), normed.new_ones(shape)
    kernel = torch.ops.aten.native_layer_norm_backward
    return kernel(d_normed, normed, normed.shape[-1:], zero, one, None, None, [True, False, False])[0]


class _Sequence(torch.autograd.Function):
    """The recurrence over time and, written out, its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        constant: Tensor,
        h: Tensor,
        c: Tensor,
        lengths: Tensor,
        mask: Tensor | None,
        keep: float,
        dtype: torch.dtype,
        weight_x: Tensor,
        weight_h: Tensor,
        *norm: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        sizes, weights = batch_sizes(lengths, len(x)), NormWeights(*norm)
        weight, project = Factor(weight_h.t(), len(h), dtype), input_product(weight_x, len(h), dtype)
        tape = Tape.new(h, c, sizes)
        for t, n in enumerate(sizes):
            a = project(x[t, :n], constant[:n], torch.empty_like(constant[:n]))
            weight.add_product(a, tape.hidden[t, :n])
            tape.forward(t, a, None if mask is None else mask[t, :n], weights)
        ctx.save_for_backward(x, mask, weight_x, weight_h, *weights, *tape)
        ctx.sizes, ctx.keep, ctx.dtype = sizes, keep, dtype
        return tape.hidden[1:], at_end(tape.hidden, lengths), at_end(tape.memory, lengths)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # type: ignore[override]
        x, mask, weight_x, weight_h, *rest = ctx.saved_tensors
        weights, tape = NormWeights(*rest[:4]), Tape(*rest[4:])
        d_weights = NormWeights(*(torch.zeros_like(weight) for weight in weights))
        d_outputs, d_hidden, d_memory = grad_outputs[0], grad_outputs[1].clone(), grad_outputs[2].clone()
        d_constant = torch.zeros_like(tape.gates[0])
        weight = Factor(weight_h, d_constant.shape[0], ctx.dtype)
        for t, n in reversed(list(enumerate(ctx.sizes))):
            dh = d_hidden[:n].add_(d_outputs[t, :n])
            step_mask = None if mask is None else mask[t, :n]
            da = tape.backward(t, dh, d_memory[:n], step_mask, ctx.keep, weights, d_weights)
            d_constant[:n].add_(da)
            dh.copy_(weight.product(da))
        flat = tape.gates.flatten(0, 1)
        d_x = input_gradient(flat, weight_x, ctx.dtype).view_as(x) if ctx.needs_input_grad[0] else None
        d_weight_x = weight_gradient(flat, x.flatten(0, 1), input_dtype(weight_x, ctx.dtype))
        d_weight_h = weight_gradient(flat, tape.hidden[:-1].flatten(0, 1), ctx.dtype)
        rest = (None, None, None, None, d_weight_x, d_weight_h, *d_weights)
        return d_x, d_constant, d_hidden, d_memory, *rest
