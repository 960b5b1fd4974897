"""WaveNet sample by sample: each layer keeps what it will need of the past, so that a sample costs the
same however long the sound is.

A layer of dilation d keeps its last (K - 1) d inputs in a ring: before input t is written to its slot, t
modulo the ring's length, that slot holds input t - (K - 1) d. The rings are the state; it passes from one
stretch of samples to the next, so nothing is heard where they meet.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from kikibouba.nn.wavenet import Layer, WaveNet


@dataclass
class State:
    """What B streams remember."""

    t: int
    """Samples so far."""
    recent: Tensor
    """[B, K - 1], the inputs before this one, the oldest first."""
    rings: list[Tensor]
    """For each layer [(K - 1) d, B, residual]."""


class CachedWaveNet:
    """A WaveNet's weights laid out for single samples, as they were when this was made."""

    def __init__(self, net: WaveNet) -> None:
        layers = cast(list[Layer], list(net.layers))
        self.kernel, self.dilations = net.kernel, net.dilations
        self.first = _dense(net.first_conv)
        self.residual = len(self.first[1])
        self.skip_first, self.fc, self.logits = map(_dense, (net.skip_conv, net.fc, net.logits))
        causal = [_dense(layer.causal) for layer in layers]
        # [2 R, K R]: the oldest tap first
        self.causal = [weight for weight, _ in causal]
        # [R + S, R]: both uses of u in one product
        self.out = [_stacked(_dense(layer.residual), _dense(layer.skip)) for layer in layers]
        told = [_dense(conv) for conv in (*(layer.condition for layer in layers), net.condition)]
        weight, bias = _stacked(*told)
        bias[: -len(told[-1][1])] += torch.cat([bias for _, bias in causal])
        self.conditions = weight, bias

    def start(self, batch: int) -> State:
        """The state before the first sample: zeros."""
        like = self.first[0]
        rings = [like.new_zeros((self.kernel - 1) * d, batch, self.residual) for d in self.dilations]
        return State(0, like.new_zeros(batch, self.kernel - 1), rings)

    def told(self, c: Tensor) -> Tensor:
        """What every layer adds for each frame of c [B, latent, F], biases included: [F, B, 2 R L + S]."""
        return torch.einsum("oc,bcf->fbo", self.conditions[0], c) + self.conditions[1]

    def step(self, x: Tensor, told: Tensor, state: State) -> Tensor:
        """The logits [B, 256] of the next sample.

        Args:
            x: [B], the sample before it, in the network's scale.
            told: [B, 2 R L + S], its frame of `told`.
            state: is moved on by one sample.
        """
        inputs = torch.cat([state.recent, x[:, None]], 1)
        h = torch.addmm(self.first[1], inputs, self.first[0].T)
        s = torch.addmm(self.skip_first[1], h, self.skip_first[0].T)
        wide = 2 * self.residual
        for number, (ring, d) in enumerate(zip(state.rings, self.dilations, strict=True)):
            slots = [(state.t - tap * d) % len(ring) for tap in range(self.kernel - 1, 0, -1)]
            taps = torch.cat([*(ring[slot] for slot in slots), h], 1)
            ring[slots[0]] = h
            a = torch.addmm(told[:, number * wide : (number + 1) * wide], taps, self.causal[number].T)
            u = torch.sigmoid(a[:, : self.residual]) * torch.tanh(a[:, self.residual :])
            both = torch.addmm(self.out[number][1], u, self.out[number][0].T)
            h, s = h + both[:, : self.residual], s + both[:, self.residual :]
        s = torch.addmm(self.fc[1] + told[:, len(self.dilations) * wide :], torch.relu(s), self.fc[0].T)
        state.recent, state.t = inputs[:, 1:], state.t + 1
        return torch.addmm(self.logits[1], torch.relu(s), self.logits[0].T)


def _dense(conv: torch.nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Weight [out, K · in], the oldest tap first, and bias of a convolution."""
    assert conv.bias is not None
    weight = conv.weight.detach().transpose(1, 2)
    return weight.reshape(len(weight), -1).contiguous(), conv.bias.detach()


def _stacked(*layers: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Weights and biases of layers that read the same, as one layer."""
    weights, biases = zip(*layers, strict=True)
    return torch.cat(weights), torch.cat(biases)
