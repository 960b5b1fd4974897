"""WaveNet (van den Oord et al. 2016) as NSynth and UMTN have it, and the dilated encoder in front of it.

    h = first_conv(x)                         causal, kernel K
    s = skip_conv(h)
    layer l:  a = causal(h) + condition(c)    causal, kernel K, dilation d_l
              u = σ(a₁) · tanh(a₂)            the sigmoid takes the first half of the channels
              h ← h + residual(u);  s ← s + skip(u)
    s = fc(relu(s)) + condition(c)
    logits = logits(relu(s))

x is what was said so far, one sample late: x[t] is sample t - 1. Every causal convolution is preceded by
zeros. The condition c has one frame for many samples; its 1 × 1 convolutions run once a frame (the originals
repeat c and run them once a sample, with the same result). NSynth: K = 3, 512 channels, skips of 256. UMTN:
K = 2, 128 and 128.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 256


class CausalConv(nn.Conv1d):
    """A convolution that sees the present and the past only: weight[..., -1] multiplies x[t], weight[..., 0]
    the oldest, x[t - (K - 1) dilation].
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, dilation=dilation)
        self.past = (kernel - 1) * dilation

    def forward(self, input: Tensor) -> Tensor:
        """[B, inputs, T] → [B, outputs, T]."""
        return super().forward(F.pad(input, (self.past, 0)))


class Layer(nn.Module):
    """One gated layer."""

    def __init__(self, residual: int, skip: int, latent: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.causal = CausalConv(residual, 2 * residual, kernel, dilation)
        self.condition = nn.Conv1d(latent, 2 * residual, 1)
        self.residual = nn.Conv1d(residual, residual, 1)
        self.skip = nn.Conv1d(residual, skip, 1)

    def forward(self, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """h [B, residual, T] and c [B, latent, frames] → the next h, and what s gains [B, skip, T]."""
        g, t = add_frames(self.causal(h), self.condition(c)).chunk(2, dim=1)
        u = torch.sigmoid(g) * torch.tanh(t)
        return h + self.residual(u), self.skip(u)


class WaveNet(nn.Module):
    """The decoder: a distribution over 256 classes for each sample, given those before it and a condition.

    Args:
        dilations: of each layer, e.g. 1, 2, 4, …, 512, 1, 2, …
        residual, skip: channels of h and s.
        latent: channels of c.
        kernel: K.
    """

    def __init__(
        self, dilations: Sequence[int], residual: int, skip: int, latent: int, kernel: int = 2
    ) -> None:
        super().__init__()
        self.first_conv = CausalConv(1, residual, kernel)
        self.skip_conv = nn.Conv1d(residual, skip, 1)
        self.layers = nn.ModuleList(Layer(residual, skip, latent, kernel, d) for d in dilations)
        self.fc = nn.Conv1d(skip, skip, 1)
        self.condition = nn.Conv1d(latent, skip, 1)
        self.logits = nn.Conv1d(skip, CLASSES, 1)
        self.dilations, self.kernel = tuple(dilations), kernel

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        """Teacher-forced logits of every sample at once.

        Args:
            x: [B, T], the samples before each, in the network's scale; see `delayed`.
            c: [B, latent, frames]; T is a multiple of frames.

        Returns:
            [B, 256, T].
        """
        h = self.first_conv(x[:, None])
        s = self.skip_conv(h)
        for layer in cast(list[Layer], self.layers):
            h, skip = layer(h, c)
            s = s + skip
        s = add_frames(self.fc(torch.relu(s)), self.condition(c))
        return self.logits(torch.relu(s))

    @property
    def receptive_field(self) -> int:
        """How many samples before a sample its distribution depends on."""
        return (self.kernel - 1) * (sum(self.dilations) + 1) + 1


class DilatedEncoder(nn.Module):
    """Samples → latent frames, seeing past and future: start (kernel 3), residual layers, 1 × 1, mean of each
    frame.

        layer:  h ← h + conv_1x1(relu(dilated_conv(h)))          UMTN
                h ← h + conv_1x1(relu(dilated_conv(relu(h))))    NSynth, and what UMTN's paper says

    Args:
        dilations: of each layer.
        channels: of h.
        latent: channels of the result.
        hop: samples a frame.
        relu_first: as NSynth.
    """

    def __init__(
        self, dilations: Sequence[int], channels: int, latent: int, hop: int, relu_first: bool = False
    ) -> None:
        super().__init__()
        self.start = nn.Conv1d(1, channels, 3, padding=1)
        self.dilated_convs = nn.ModuleList(
            nn.ModuleDict(
                {
                    "dilated_conv": nn.Conv1d(channels, channels, 3, dilation=d, padding=d),
                    "conv_1x1": nn.Conv1d(channels, channels, 1),
                }
            )
            for d in dilations
        )
        self.conv_1x1 = nn.Conv1d(channels, latent, 1)
        self.hop, self.relu_first = hop, relu_first

    def forward(self, x: Tensor) -> Tensor:
        """[B, T] in the network's scale → [B, latent, T // hop]; samples after the last whole frame
        are heard, but give no frame.
        """
        h = self.start(x[:, None])
        for layer in cast(list[nn.ModuleDict], self.dilated_convs):
            u = layer["dilated_conv"](torch.relu(h) if self.relu_first else h)
            h = h + layer["conv_1x1"](torch.relu(u))
        return F.avg_pool1d(self.conv_1x1(h), self.hop)


def dilations(blocks: int, layers: int) -> tuple[int, ...]:
    """1, 2, 4, … 2^(layers - 1), over and over again, `blocks` times."""
    return tuple(2**i for i in range(layers)) * blocks


def delayed(x: Tensor) -> Tensor:
    """[B, T] one sample late: 0, x[0], …, x[T - 2]. The 0 is silence in the network's scale or nearly so."""
    return F.pad(x, (1, -1))


def add_frames(x: Tensor, frames: Tensor) -> Tensor:
    """x [B, C, T] + frames [B, C, F], each of them for T / F samples."""
    b, channels, count = frames.shape
    return (x.view(b, channels, count, -1) + frames[..., None]).view(b, channels, -1)
