"""The HyperLSTM (Ha, Dai & Le 2016): a small LSTM that rescales the weights of the main one at every step.

    v  = LayerNormLSTM([x ; h], v)                       the small LSTM, without dropout; it sees the main state h
    per gate:  alpha_x = (A v + a) B                     [H], by way of an embedding of a few dimensions
               alpha_h = (A v + a) B                     with its own A, a and B
               beta    = (A v) B                         likewise, without a
    a  = alpha_x (W_x x) + alpha_h (W_h h) + beta + b    element-wise products
    c', h' from a as in the layer-normalised LSTM

The state is h = [h main ; v] and c = [c main ; c small]; the outputs are the main h. One autograd node a sequence.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kikibouba.nn.layer_norm_lstm import GateNorm, NormWeights, Tape
from kikibouba.nn.recurrent_dropout_lstm import (
    at_end,
    batch_sizes,
    context_columns,
    dropout_mask,
    glorot_gates,
    orthogonal_gates,
)

KINDS = 12
"""Modulations a step: alpha_x, alpha_h and beta, each for the four gates."""


class HyperLSTM(nn.Module):
    """A layer over time. Its state is a pair h, c of [B, state_size], main and small LSTM side by side."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        dropout_keep: float = 1.0,
        num_units: int = 256,
        embedding_size: int = 32,
    ) -> None:
        super().__init__()
        self.hidden_size, self.state_size = hidden_size, hidden_size + num_units
        self.dropout_keep = dropout_keep
        self.weight_x = nn.Parameter(glorot_gates(input_size, hidden_size))
        self.weight_h = nn.Parameter(orthogonal_gates(hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        self.norm = GateNorm(hidden_size)
        # The small LSTM's inputs are x and h; their weights are drawn together and kept apart.
        small_x, small_main = glorot_gates(input_size + hidden_size, num_units).split(
            [input_size, hidden_size], 1
        )
        self.small_weight_x = nn.Parameter(small_x.clone())
        self.small_weight_main = nn.Parameter(small_main.clone())
        self.small_weight_h = nn.Parameter(orthogonal_gates(num_units))
        self.small_norm = GateNorm(num_units)
        # At first every alpha is 0.1 and every beta 0, whatever v.
        alphas, betas = 8 * embedding_size, 4 * embedding_size
        embed = torch.cat([torch.zeros(alphas, num_units), torch.randn(betas, num_units) * 0.01])
        self.embed_weight = nn.Parameter(embed)
        self.embed_bias = nn.Parameter(torch.ones(alphas))
        modulate = torch.zeros(KINDS, embedding_size, hidden_size)
        modulate[:8] = 0.1 / embedding_size
        self.modulate_weight = nn.Parameter(modulate)

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
        arguments = (x, *self.constant(context).split(self._widths, 1), h, c, *self.weights(x.shape[2]))
        return _Sequence.apply(
            *arguments, *self.norm.weights(), *self.small_norm.weights(), lengths, mask, keep
        )

    def constant(self, context: Tensor) -> Tensor:
        """The part of both LSTMs' input projections that is the same at every step: [B, 4H + 4 num_units]."""
        columns = [context_columns(weight, context) for weight in (self.weight_x, self.small_weight_x)]
        return F.linear(context, torch.cat(columns))

    def step(self, x: Tensor, h: Tensor, c: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
        """One step without dropout or gradient: x [B, I], `constant` from `constant()`. Returns the new h and c."""
        weights = self.weights(x.shape[1])
        sizes = [self.hidden_size, self.state_size - self.hidden_size]
        constant_x, small_constant = constant.split(self._widths, 1)
        (main, v), (c, small_c) = h.split(sizes, 1), c.split(sizes, 1)
        v, small_c = self.small_norm.step(weights.small(small_constant, x, main, v), small_c)
        a = weights.main(constant_x, x, weights.recurrent(main), weights.modulations(weights.embedding(v)))
        main, c = self.norm.step(a, c)
        return torch.cat([main, v], 1), torch.cat([c, small_c], 1)

    @property
    def _widths(self) -> list[int]:
        return [4 * self.hidden_size, 4 * (self.state_size - self.hidden_size)]

    def weights(self, x_size: int) -> "Weights":
        """The weights by role, without the columns of the context."""
        return Weights(
            self.weight_x[:, :x_size],
            self.weight_h,
            self.bias,
            self.small_weight_x[:, :x_size],
            self.small_weight_main,
            self.small_weight_h,
            self.embed_weight,
            self.embed_bias,
            self.modulate_weight,
        )


class Weights(NamedTuple):
    """The cell's weights but those of its normalisations, and the pieces of one step that use them."""

    x: Tensor
    """[4H, I]"""
    h: Tensor
    """[4H, H]"""
    bias: Tensor
    """[4H]"""
    small_x: Tensor
    """[4U, I]"""
    small_main: Tensor
    """[4U, H]"""
    small_h: Tensor
    """[4U, U]"""
    embed: Tensor
    """[12 E, U]: alpha_x, alpha_h and beta, each for the gates i, f, o, g"""
    embed_bias: Tensor
    """[8 E]: betas have none"""
    modulate: Tensor
    """[12, E, H]"""

    def small(self, constant: Tensor, x: Tensor, main: Tensor, v: Tensor) -> Tensor:
        """Pre-activations of the small LSTM [n, 4U]."""
        a = torch.addmm(constant, x, self.small_x.t())
        return a.addmm_(main, self.small_main.t()).addmm_(v, self.small_h.t())

    def recurrent(self, main: Tensor) -> Tensor:
        """W_h h [n, 4H]."""
        return torch.mm(main, self.h.t())

    def embedding(self, v: Tensor) -> Tensor:
        """A v + a [n, 12 E]."""
        embedding = torch.mm(v, self.embed.t())
        embedding[:, : len(self.embed_bias)].add_(self.embed_bias)
        return embedding

    def modulations(self, embedding: Tensor) -> Tensor:
        """alpha_x, alpha_h and beta [n, 3, 4H]."""
        by_kind = embedding.view(len(embedding), KINDS, -1).transpose(0, 1)
        return torch.bmm(by_kind, self.modulate).transpose(0, 1).reshape(len(embedding), 3, -1)

    def main(self, constant: Tensor, x: Tensor, recurrent: Tensor, modulations: Tensor) -> Tensor:
        """Pre-activations of the main LSTM [n, 4H]."""
        alpha_x, alpha_h, beta = modulations.unbind(1)
        a = torch.addcmul(beta, alpha_x, torch.addmm(constant, x, self.x.t()))
        return a.addcmul_(alpha_h, recurrent).add_(self.bias)


class _Sequence(torch.autograd.Function):
    """The recurrence over time and, written out, its gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, constant: Tensor, small_constant: Tensor, h: Tensor, c: Tensor, *rest: Any
    ) -> tuple[Tensor, Tensor, Tensor]:
        weights, norm, small_norm = Weights(*rest[:9]), NormWeights(*rest[9:13]), NormWeights(*rest[13:17])
        lengths, mask, keep = rest[17:]
        steps, batch, size = x.shape[0], x.shape[1], weights.h.shape[1]
        sizes = batch_sizes(lengths)
        main, small = Tape.new(h[:, :size], c[:, :size], steps), Tape.new(h[:, size:], c[:, size:], steps)
        recurrent = x.new_zeros(steps, batch, 4 * size)
        embedding = x.new_zeros(steps, batch, len(weights.embed))
        for t, n in enumerate(sizes):
            a = weights.small(small_constant[:n], x[t, :n], main.hidden[t, :n], small.hidden[t, :n])
            small.forward(t, a, None, small_norm)
            embedding[t, :n] = weights.embedding(small.hidden[t + 1, :n])
            recurrent[t, :n] = weights.recurrent(main.hidden[t, :n])
            modulations = weights.modulations(embedding[t, :n])
            a = weights.main(constant[:n], x[t, :n], recurrent[t, :n], modulations)
            main.forward(t, a, None if mask is None else mask[t, :n], norm)
        ctx.save_for_backward(
            x, constant, recurrent, embedding, mask, *weights, *norm, *small_norm, *main, *small
        )
        ctx.sizes, ctx.keep = sizes, keep
        last_h = torch.cat([at_end(main.hidden, lengths), at_end(small.hidden, lengths)], 1)
        last_c = torch.cat([at_end(main.memory, lengths), at_end(small.memory, lengths)], 1)
        return main.hidden[1:], last_h, last_c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, constant, recurrent, embedding, mask, *rest = ctx.saved_tensors
        weights, norm, small_norm = Weights(*rest[:9]), NormWeights(*rest[9:13]), NormWeights(*rest[13:17])
        main, small = Tape(*rest[17:25]), Tape(*rest[25:])
        size = weights.h.shape[1]
        d_norm = NormWeights(*(torch.zeros_like(weight) for weight in norm))
        d_small_norm = NormWeights(*(torch.zeros_like(weight) for weight in small_norm))
        d_main_h, d_v = (part.clone() for part in (grad_outputs[1][:, :size], grad_outputs[1][:, size:]))
        d_main_c, d_small_c = (
            part.clone() for part in (grad_outputs[2][:, :size], grad_outputs[2][:, size:])
        )
        d_a, d_input, d_recurrent = (torch.zeros_like(main.gates) for _ in range(3))
        d_small_a, d_embedding = torch.zeros_like(small.gates), torch.zeros_like(embedding)
        d_modulate = torch.zeros_like(weights.modulate)
        for t in reversed(range(len(ctx.sizes))):
            n = ctx.sizes[t]
            dh, dv, da = d_main_h[:n].add_(grad_outputs[0][t, :n]), d_v[:n], d_a[t, :n]
            step_mask = None if mask is None else mask[t, :n]
            main.backward(t, dh, d_main_c[:n], step_mask, ctx.keep, norm, d_norm, da)

            alpha_x, alpha_h, _ = weights.modulations(embedding[t, :n]).unbind(1)
            torch.mul(da, alpha_x, out=d_input[t, :n])
            torch.mul(da, alpha_h, out=d_recurrent[t, :n])
            scaled = torch.addmm(constant[:n], x[t, :n], weights.x.t()), recurrent[t, :n]
            d_modulations = torch.stack([da * scaled[0], da * scaled[1], da], 1)
            d_by_kind = d_modulations.view(n, KINDS, -1).transpose(0, 1)
            by_kind = embedding[t, :n].view(n, KINDS, -1).permute(1, 2, 0)
            d_modulate.baddbmm_(by_kind, d_by_kind)
            d_embedding[t, :n] = torch.bmm(d_by_kind, weights.modulate.mT).transpose(0, 1).reshape(n, -1)

            dv.addmm_(d_embedding[t, :n], weights.embed)
            small.backward(t, dv, d_small_c[:n], None, 1.0, small_norm, d_small_norm, d_small_a[t, :n])
            torch.mm(d_recurrent[t, :n], weights.h, out=dh).addmm_(d_small_a[t, :n], weights.small_main)
            torch.mm(d_small_a[t, :n], weights.small_h, out=dv)

        flat_x, before, v = x.flatten(0, 1), main.hidden[:-1].flatten(0, 1), small.hidden[1:].flatten(0, 1)
        flat_small = d_small_a.flatten(0, 1).t()
        d_embed = d_embedding.flatten(0, 1)
        d_weights = Weights(
            x=d_input.flatten(0, 1).t() @ flat_x,
            h=d_recurrent.flatten(0, 1).t() @ before,
            bias=d_a.sum((0, 1)),
            small_x=flat_small @ flat_x,
            small_main=flat_small @ before,
            small_h=flat_small @ small.hidden[:-1].flatten(0, 1),
            embed=d_embed.t() @ v,
            embed_bias=d_embed[:, : len(weights.embed_bias)].sum(0),
            modulate=d_modulate,
        )
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = d_input @ weights.x + d_small_a @ weights.small_x
        d_h, d_c = torch.cat([d_main_h, d_v], 1), torch.cat([d_main_c, d_small_c], 1)
        return (
            d_x,
            d_input.sum(0),
            d_small_a.sum(0),
            d_h,
            d_c,
            *d_weights,
            *d_norm,
            *d_small_norm,
            None,
            None,
            None,
        )
