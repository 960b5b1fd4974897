"""The HyperLSTM (Ha, Dai & Le 2016): a small LSTM that rescales the weights of the main one at every step.

    v  = LayerNormLSTM([x ; h], v)                       the small LSTM, without dropout; h is the main state
    per gate:  alpha_x = (A v + a) B                     [H], by way of an embedding of a few dimensions
               alpha_h = (A v + a) B                     with its own A, a and B
               beta    = (A v) B                         likewise, without a
    a  = alpha_x (W_x x) + alpha_h (W_h h) + beta + b    element-wise products
    c', h' from a as in the layer-normalised LSTM

The state is h = [h main ; v] and c = [c main ; c small]; the outputs are the main h. As in the other cells, a
sequence is one autograd node.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kikibouba.nn.layer_norm_lstm import GateNorm, NormWeights, Tape
from kikibouba.nn.recurrent_dropout_lstm import (
    Step,
    add_product,
    at_end,
    batch_sizes,
    context_columns,
    dropout_mask,
    glorot_gates,
    orthogonal_gates,
    product_dtype,
    step_buffer,
    weight_gradient,
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
        dtype = product_dtype(x)
        with torch.autocast(x.device.type, enabled=False):
            mask = dropout_mask((*x.shape[:2], self.hidden_size), keep, x, generator) if keep < 1 else None
            weights = *self.weights(x.shape[2]), *self.norm.weights(), *self.small_norm.weights()
            constants = self.constant(context).split(self._widths, 1)
            return _Sequence.apply(x, *constants, h, c, lengths, mask, keep, dtype, *weights)

    def constant(self, context: Tensor) -> Tensor:
        """The part of both LSTMs' input projections that is the same at every step: [B, 4H + 4 num_units]."""
        columns = [context_columns(weight, context) for weight in (self.weight_x, self.small_weight_x)]
        return F.linear(context, torch.cat(columns))

    def stepper(self, context: Tensor) -> Step:
        """What decoding calls once a row, without dropout or gradient."""
        weights = self.weights(self.weight_x.shape[1] - context.shape[1])
        finish, finish_small = self.norm.stepper(), self.small_norm.stepper()
        constant, small_constant = self.constant(context).split(self._widths, 1)
        sizes = [self.hidden_size, self.state_size - self.hidden_size]

        def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
            (main, v), (main_c, small_c) = h.split(sizes, 1), c.split(sizes, 1)
            v, small_c = finish_small(weights.small(small_constant, x, main, v), small_c)
            modulations = weights.modulations(weights.embedding(v))
            main, main_c = finish(weights.main(constant, x, weights.recurrent(main), modulations), main_c)
            return torch.cat([main, v], 1), torch.cat([main_c, small_c], 1)

        return step

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

    def in_type(self, dtype: torch.dtype) -> "Weights":
        """The same with the large matrices in another type."""
        names = ("h", "small_main", "small_h", "modulate")
        return self._replace(**{name: getattr(self, name).to(dtype) for name in names})

    def small(self, constant: Tensor, x: Tensor, main: Tensor, v: Tensor) -> Tensor:
        """Pre-activations of the small LSTM [n, 4U]."""
        a = torch.addmm(constant, x, self.small_x.t())
        return add_product(add_product(a, main, self.small_main.t()), v, self.small_h.t())

    def recurrent(self, main: Tensor) -> Tensor:
        """W_h h [n, 4H]."""
        return main.to(self.h.dtype) @ self.h.t()

    def embedding(self, v: Tensor) -> Tensor:
        """A v + a [n, 12 E]."""
        embedding = v @ self.embed.t()
        embedding[:, : len(self.embed_bias)].add_(self.embed_bias)
        return embedding

    def modulations(self, embedding: Tensor) -> Tensor:
        """alpha_x, alpha_h and beta [3, n, 4H]."""
        n, size = len(embedding), self.modulate.shape[2]
        out = embedding.new_empty(3, n, 4, size, dtype=self.modulate.dtype)
        by_kind = embedding.to(out.dtype).view(n, KINDS, -1).transpose(0, 1)
        for kind in range(3):
            gates = slice(4 * kind, 4 * kind + 4)
            out[kind] = torch.bmm(by_kind[gates], self.modulate[gates]).transpose(0, 1)
        return out.view(3, n, 4 * size)

    def modulations_backward(self, d_modulations: Tensor, embedding: Tensor, d_modulate: Tensor) -> Tensor:
        """The gradient of the embedding [n, 12 E]; that of `modulate` is added to `d_modulate`."""
        _, n, width = d_modulations.shape
        d_by_kind = d_modulations.view(3, n, 4, width // 4).transpose(1, 2).reshape(KINDS, n, width // 4)
        by_kind = embedding.view(n, KINDS, -1).permute(1, 2, 0)
        d_modulate.baddbmm_(by_kind, d_by_kind)
        d_embedding = torch.bmm(d_by_kind.to(self.modulate.dtype), self.modulate.mT)
        return d_embedding.transpose(0, 1).reshape(n, -1).to(embedding.dtype)

    def main(self, constant: Tensor, x: Tensor, recurrent: Tensor, modulations: Tensor) -> Tensor:
        """Pre-activations of the main LSTM [n, 4H]."""
        alpha_x, alpha_h, beta = modulations
        a = torch.addmm(constant, x, self.x.t()).mul_(alpha_x)
        return a.addcmul_(alpha_h, recurrent).add_(beta).add_(self.bias)


class _Sequence(torch.autograd.Function):
    """The recurrence over time and, written out, its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        constant: Tensor,
        small_constant: Tensor,
        h: Tensor,
        c: Tensor,
        lengths: Tensor,
        mask: Tensor | None,
        keep: float,
        dtype: torch.dtype,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        weights, norm, small_norm = _by_role(parameters)
        fast = weights.in_type(dtype)
        sizes, size = batch_sizes(lengths, len(x)), weights.h.shape[1]
        main, small = Tape.new(h[:, :size], c[:, :size], sizes), Tape.new(h[:, size:], c[:, size:], sizes)
        recurrent = step_buffer(x, sizes, 4 * size)
        embedding = step_buffer(x, sizes, len(weights.embed))
        for t, n in enumerate(sizes):
            a = fast.small(small_constant[:n], x[t, :n], main.hidden[t, :n], small.hidden[t, :n])
            small.forward(t, a, None, small_norm)
            embedding[t, :n] = weights.embedding(small.hidden[t + 1, :n])
            recurrent[t, :n] = fast.recurrent(main.hidden[t, :n])
            a = fast.main(constant[:n], x[t, :n], recurrent[t, :n], fast.modulations(embedding[t, :n]))
            main.forward(t, a, None if mask is None else mask[t, :n], norm)
        ctx.save_for_backward(x, constant, recurrent, embedding, mask, *parameters, *main, *small)
        ctx.sizes, ctx.keep, ctx.dtype = sizes, keep, dtype
        last_h = torch.cat([at_end(main.hidden, lengths), at_end(small.hidden, lengths)], 1)
        last_c = torch.cat([at_end(main.memory, lengths), at_end(small.memory, lengths)], 1)
        return main.hidden[1:], last_h, last_c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:  # type: ignore[override]
        x, constant, recurrent, embedding, mask, *rest = ctx.saved_tensors
        weights, norm, small_norm = _by_role(rest[:17])
        main, small = Tape(*rest[17:24]), Tape(*rest[24:])
        fast = weights.in_type(ctx.dtype)
        d_outputs, d_h, d_c = grad_outputs[0], grad_outputs[1].clone(), grad_outputs[2].clone()
        parts = [weights.h.shape[1], weights.small_h.shape[1]]
        (d_main, d_v), (d_main_c, d_small_c) = d_h.split(parts, 1), d_c.split(parts, 1)
        d_norm = NormWeights(*(torch.zeros_like(weight) for weight in norm))
        d_small_norm = NormWeights(*(torch.zeros_like(weight) for weight in small_norm))
        d_modulate = torch.zeros_like(weights.modulate)
        for t, n in reversed(list(enumerate(ctx.sizes))):
            dh, dv = d_main[:n].add_(d_outputs[t, :n]), d_v[:n]
            step_mask = None if mask is None else mask[t, :n]
            da = main.backward(t, dh, d_main_c[:n], step_mask, ctx.keep, norm, d_norm)
            projected = torch.addmm(constant[:n], x[t, :n], weights.x.t())
            alpha_x, alpha_h, _ = fast.modulations(embedding[t, :n])
            d_alphas = torch.stack([da * projected, da * recurrent[t, :n], da])
            # The steps' gradients of W_x x and W_h h replace what is no longer needed.
            torch.mul(da, alpha_x, out=main.normed[t, :n])
            torch.mul(da, alpha_h, out=recurrent[t, :n])
            embedding[t, :n] = fast.modulations_backward(d_alphas, embedding[t, :n], d_modulate)

            dv.addmm_(embedding[t, :n], weights.embed)
            d_small = small.backward(t, dv, d_small_c[:n], None, 1.0, small_norm, d_small_norm)
            d_small = d_small.to(ctx.dtype)
            dh.copy_(recurrent[t, :n].to(ctx.dtype) @ fast.h).add_(d_small @ fast.small_main)
            dv.copy_(d_small @ fast.small_h)

        d_weights = _weight_gradients(x, main, small, recurrent, embedding, d_modulate, ctx.dtype)
        d_x = None
        if ctx.needs_input_grad[0]:
            d_x = main.normed @ weights.x + small.gates @ weights.small_x
        rest = (None, None, None, None, *d_weights, *d_norm, *d_small_norm)
        return d_x, main.normed.sum(0), small.gates.sum(0), d_h, d_c, *rest


def _weight_gradients(
    x: Tensor,
    main: Tape,
    small: Tape,
    d_recurrent: Tensor,
    d_embedding: Tensor,
    d_modulate: Tensor,
    dtype: torch.dtype,
) -> Weights:
    """The gradients of the weights, all steps at once, from the tapes after the backward pass.

    `main.gates` and `small.gates` now hold the gradients of pre-activations, `main.normed` that of W_x x.
    """
    d_input, d_small, d_embed = (
        main.normed.flatten(0, 1),
        small.gates.flatten(0, 1),
        d_embedding.flatten(0, 1),
    )
    x, before = x.flatten(0, 1), main.hidden[:-1].flatten(0, 1)
    return Weights(
        x=d_input.t() @ x,
        h=weight_gradient(d_recurrent.flatten(0, 1), before, dtype),
        bias=main.gates.sum((0, 1)),
        small_x=d_small.t() @ x,
        small_main=weight_gradient(d_small, before, dtype),
        small_h=weight_gradient(d_small, small.hidden[:-1].flatten(0, 1), dtype),
        embed=weight_gradient(d_embed, small.hidden[1:].flatten(0, 1), dtype),
        embed_bias=d_embed[:, : d_embed.shape[1] * 8 // KINDS].sum(0),
        modulate=d_modulate,
    )


def _by_role(parameters: Sequence[Tensor]) -> tuple[Weights, NormWeights, NormWeights]:
    """The cell's weights, those of the main and of the small LSTM's normalisations."""
    return Weights(*parameters[:9]), NormWeights(*parameters[9:13]), NormWeights(*parameters[13:])
