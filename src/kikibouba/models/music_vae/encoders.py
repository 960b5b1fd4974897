"""What reads an example and sums it up in one vector.

`BidirectionalEncoder` reads it forwards and backwards, `ForwardEncoder` forwards only, and
`HierarchicalEncoder` first sums up short segments, then reads these sums as a sequence, and so on.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from kikibouba.models.music_vae.columns import dense
from kikibouba.models.music_vae.stack import (
    Noise,
    Read,
    StackLayer,
    in_segments,
    latent_linear,
    run_stack,
    stack_layers,
)


class Encoder(nn.Module):
    """What all encoders have. `forward` is (read, x, real, noise) → [B, size], see `BidirectionalEncoder`."""

    mu: nn.Linear
    sigma: nn.Linear

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def add_posterior(self, z_size: int) -> None:
        """Give it the layers that make mu and sigma of its sum, under the names they have in checkpoints."""
        self.mu = latent_linear(self.size, z_size)
        self.sigma = latent_linear(self.size, z_size)


class BidirectionalEncoder(Encoder):
    """One LSTM reads forwards, one backwards; both outputs are the next layer's input. The sum is the last
    h of the topmost two (without the residual connection, as in the original).
    """

    def __init__(self, input_size: int, sizes: Sequence[int], residual: bool = False) -> None:
        super().__init__(2 * sizes[-1])
        inputs = (input_size, *(2 * size for size in sizes[:-1]))
        self.forward_layers = _single_layers(inputs, sizes, residual)
        self.backward_layers = _single_layers(inputs, sizes, residual)

    def forward(self, read: Read, x: Tensor, real: Tensor, noise: Noise) -> Tensor:
        """Sum up a sequence.

        Args:
            read: how x enters a layer.
            x: [T, B, …]
            real: [T, B] bool, False after the end of an example.
            noise: its dropout is applied to the input of every layer and direction.

        Returns:
            [B, size]; zeros where nothing is real.
        """
        lengths = lengths_of(real)
        backwards = reversal(lengths, len(x))

        def both(k: int, read: Read, x: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], ...]:
            forwards = self.forward_layers[k].run(read, noise.drop(x))
            return forwards, self.backward_layers[k].run(read, noise.drop(take_steps(x, backwards)))

        (out_fw, h_fw, _), (out_bw, h_bw, _) = both(0, read, x)
        for k in range(1, len(self.forward_layers)):
            x = torch.cat([out_fw, take_steps(out_bw, backwards)], -1)
            (out_fw, h_fw, _), (out_bw, h_bw, _) = both(k, dense, x)
        return torch.cat([last_step(h_fw, lengths), last_step(h_bw, lengths)], -1)


class ForwardEncoder(Encoder):
    """An LSTM stack that reads forwards; the sum is its output at the last real step.

    Departs from the original, which takes the output at the last step of the batch's longest example, and
    so zeros for every shorter one.
    """

    def __init__(self, input_size: int, sizes: Sequence[int], residual: bool = False) -> None:
        super().__init__(sizes[-1])
        self.layers = stack_layers(input_size, sizes, residual)

    def forward(self, read: Read, x: Tensor, real: Tensor, noise: Noise) -> Tensor:
        """See `BidirectionalEncoder.forward`."""
        out, _ = run_stack(self.layers, read, x, None, noise)
        return last_step(out, lengths_of(real))


class HierarchicalEncoder(Encoder):
    """Level 0 sums up each segment of `level_lengths[0]` steps, level 1 each `level_lengths[1]` of these
    sums, and so on; the product of all is T.
    """

    def __init__(self, level_lengths: Sequence[int], levels: Sequence[Encoder]) -> None:
        super().__init__(levels[-1].size)
        self.level_lengths = tuple(level_lengths)
        self.levels = cast(Sequence[Encoder], nn.ModuleList(levels))

    def forward(self, read: Read, x: Tensor, real: Tensor, noise: Noise) -> Tensor:
        """See `BidirectionalEncoder.forward`. Every segment counts above level 0, empty ones as zeros."""
        batch = x.shape[1]
        for level, steps in zip(self.levels, self.level_lengths, strict=True):
            sums = level(read, in_segments(x, steps), in_segments(real, steps), noise)
            x, read = sums.unflatten(0, (-1, batch)), dense
            real = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        return x[0]


class Listener(nn.Module):
    """Controls as a decoder hears them that knows what comes: both outputs of LSTMs that read them forwards
    and backwards, at every step.
    """

    def __init__(self, input_size: int, sizes: Sequence[int]) -> None:
        super().__init__()
        inputs = (input_size, *(2 * size for size in sizes[:-1]))
        self.forward_layers = _single_layers(inputs, sizes, residual=False)
        self.backward_layers = _single_layers(inputs, sizes, residual=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features [T, B, input_size] → [T, B, 2 sizes[-1]]."""
        for fw, bw in zip(self.forward_layers, self.backward_layers, strict=True):
            x = torch.cat([fw.run(dense, x)[0], bw.run(dense, x.flip(0))[0].flip(0)], -1)
        return x


def _single_layers(inputs: Sequence[int], sizes: Sequence[int], residual: bool) -> Sequence[StackLayer]:
    """Each layer a stack of its own, so that with residual connections all of them project."""
    pairs = zip(inputs, sizes, strict=True)
    return cast(Sequence[StackLayer], nn.ModuleList(StackLayer(*pair, residual, residual) for pair in pairs))


def lengths_of(real: Tensor) -> Tensor:
    """[B] int64: steps up to the last real one. `real` is [T, B] bool."""
    return (torch.arange(1, len(real) + 1, device=real.device)[:, None] * real).amax(0)


def last_step(x: Tensor, lengths: Tensor) -> Tensor:
    """x [T, B, N] at the last step of each example [B, N]; 0 for a length of 0."""
    last = x[(lengths - 1).clamp(min=0), torch.arange(len(lengths), device=x.device)]
    return last * (lengths > 0)[:, None]


def reversal(lengths: Tensor, steps: int) -> Tensor:
    """Which step to read at each step [T, B] so that the real part of each example runs backwards."""
    t = torch.arange(steps, device=lengths.device)[:, None]
    return torch.where(t < lengths, lengths - 1 - t, t)


def take_steps(x: Tensor, index: Tensor) -> Tensor:
    """x [T, B, …] at steps index [T, B]."""
    return x[index, torch.arange(x.shape[1], device=x.device)]
