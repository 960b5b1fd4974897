"""LSTM layers on top of each other, with the original's input dropout and residual connections.

    x_0 = the stack's input
    p   = drop(x_k), with residual connections [drop(x_k) W + b] where the sizes differ
    h   = LSTM(p)
    x_k+1 = h, with residual connections h + p

"The sizes differ" always holds for the first layer of a stack, as in the original.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from kikibouba.models.music_vae.columns import dense
from kikibouba.nn.factor import Factor
from kikibouba.nn.lstm import LSTMLayer, lstm_sequence, lstm_step
from kikibouba.nn.recurrent_dropout_lstm import dropout_mask

Read = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x [T, B, …], weight [W, N], bias [N]) → features of x @ weight + bias [T, B, N]."""

State = tuple[Tensor, Tensor]
"""(c, h) of a layer, [B, H] each."""


class Noise(NamedTuple):
    """What makes a training step harder than it need be. By default nothing does."""

    keep: float = 1.0
    """Share of its inputs that a layer sees, drawn anew for each element and step; the rest are zero."""
    sampling_probability: float = 0.0
    """Share of a decoder's inputs that are its own draws."""
    generator: torch.Generator | None = None

    def drop(self, x: Tensor) -> Tensor:
        """x with a share of its elements zero, and the others larger by as much."""
        return x if self.keep >= 1 else x * dropout_mask(tuple(x.shape), self.keep, x, self.generator)


NO_NOISE = Noise()


class StackLayer(LSTMLayer):
    """An LSTM layer that may add its input to its output.

    Args:
        input_size: width of the input.
        hidden_size: H.
        residual: add the input to the output.
        projects: first bring the input to H, by an affine layer.
    """

    def __init__(self, input_size: int, hidden_size: int, residual: bool, projects: bool) -> None:
        super().__init__(hidden_size if projects else input_size, hidden_size)
        self.input_width, self.residual = input_size, residual
        self.projection = glorot_linear(input_size, hidden_size) if projects else None

    def entry(self) -> tuple[Tensor, Tensor]:
        """Weight and bias by which an input is multiplied first."""
        if self.projection is None:
            return self.input_weights()
        return self.projection.weight.t(), self.projection.bias

    def run(
        self, read: Read, x: Tensor, h0: Tensor | None = None, c0: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A whole sequence x [T, B, …] → (output [T, B, H], h [T, B, H], c_T [B, H])."""
        gates = read(x, *self.entry())
        if self.projection is not None:
            x, gates = gates, self.gates(gates)
        h, c = lstm_sequence(gates, self.w_h, h0, c0)
        return (h + x if self.residual else h), h, c


def stack_layers(input_size: int, sizes: Sequence[int], residual: bool = False) -> Sequence[StackLayer]:
    """Layers of the given sizes as an `nn.ModuleList`."""
    before = (input_size, *sizes[:-1])
    layers = [
        StackLayer(n_in, n, residual, residual and (k == 0 or n_in != n))
        for k, (n_in, n) in enumerate(zip(before, sizes, strict=True))
    ]
    return cast(Sequence[StackLayer], nn.ModuleList(layers))


def run_stack(
    layers: Sequence[StackLayer], read: Read, x: Tensor, states: Sequence[State] | None, noise: Noise
) -> tuple[Tensor, list[State]]:
    """All layers over a whole sequence.

    Args:
        layers: the stack.
        read: how x enters the first of them.
        x: [T, B, …]
        states: before the first step; None for zeros.
        noise: its dropout is applied to the input of every layer.

    Returns:
        (output of the top layer [T, B, H], the state of each layer after the last step).
    """
    ends = []
    for k, layer in enumerate(layers):
        c0, h0 = states[k] if states else (None, None)
        x, h, c = layer.run(read, noise.drop(x), h0, c0)
        ends.append((c, h[-1]))
        read = dense
    return x, ends


class Steps:
    """A stack one step at a time, without gradient. Calling it makes a step from `states` and renews them.

    Args:
        layers: the stack, whose weights are made ready here.
        rows: B, how many examples go side by side.
    """

    states: list[State]

    def __init__(self, layers: Sequence[StackLayer], rows: int) -> None:
        self.layers = layers
        self.w_h = [Factor(layer.w_h, rows) for layer in layers]
        self.inputs = [  # None: the first layer is given the product
            (Factor(layer.w_x, rows), layer.run_time_bias().repeat(rows, 1))
            if k > 0 or layer.projection is not None
            else None
            for k, layer in enumerate(layers)
        ]

    def __call__(self, x: Tensor) -> Tensor:
        """What the first layer's `entry` made of the input [B, N] → output of the top layer [B, H]."""
        for k, (layer, inputs, w_h) in enumerate(zip(self.layers, self.inputs, self.w_h, strict=True)):
            if layer.projection is not None and k > 0:
                x = layer.projection(x)
            gates = x if inputs is None else inputs[0].product(x, plus=inputs[1])
            c, h = self.states[k]
            h, c = lstm_step(gates, w_h, h, c)
            self.states[k], x = (c, h), (h + x if layer.residual else h)
        return x


def glorot_linear(in_features: int, out_features: int) -> nn.Linear:
    """An affine layer with Glorot-uniform weights and bias 0."""
    layer = nn.Linear(in_features, out_features)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def latent_linear(in_features: int, out_features: int) -> nn.Linear:
    """An affine layer into or out of the latent space: weights ~ N(0, 0.001²), bias 0, as in the original."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of a weight without elements if there is no z
        layer = nn.Linear(in_features, out_features)
        nn.init.normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)
    return layer


def in_segments(x: Tensor, steps: int) -> Tensor:
    """x [T, B, …] cut into segments of so many steps, side by side: [steps, S B, …], a segment's examples
    together.
    """
    return x.unflatten(0, (-1, steps)).transpose(0, 1).flatten(1, 2)


def in_time(x: Tensor, batch: int) -> Tensor:
    """The inverse of `in_segments`: [steps, S B, …] → [S steps, B, …]."""
    return x.unflatten(1, (-1, batch)).transpose(0, 1).flatten(0, 1)
