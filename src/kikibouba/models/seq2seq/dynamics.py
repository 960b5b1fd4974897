"""Velocities for a score that has none: what ToneNet does, with an attention that runs.

    roll_1 … roll_T ─bidirectional LSTM→ h̄_1 … h̄_T ─LSTM, step by step in time→ h_1 … h_T
                                            └────────────attention────────────→ h̃_t → a velocity for each key

Source and target lie step on step, so the decoder reads h̄_t at step t, and nothing is fed back: all steps
run at once. Attention lets step t look at the rest of the window, where a phrase may come again.

ToneNet has one encoder and one decoder for each style, no projection (its velocities are LSTM outputs), and
a mean squared error over all cells, silent ones and padding included. Its attention file cannot run. Ours
shares the network, tells it the style and the place in the bar by embeddings, and counts onsets only: the
mean absolute error, which is what is reported.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from kikibouba.data.dynamics_roll import KEYS, ROLL
from kikibouba.models.base import Batch, LossParts
from kikibouba.models.seq2seq.config import ModelConfig
from kikibouba.nn.dropout import Dropout
from kikibouba.nn.lstm import LSTMLayer, lstm_layers, lstm_sequence
from kikibouba.nn.luong_attention import LuongAttention

LOUDEST = 127.0


class Heard(NamedTuple):
    """What the network makes of rolls."""

    velocity: Tensor
    """[B, T, 88], 0 to 127; it means something at onsets"""
    looks: Tensor
    """[B, T, T] attention; [B, T, 0] without"""


class DynamicsModel(nn.Module):
    """See above.

    Args:
        config: its widths, depths and attention; `embedding_size` is that of style and place.
        steps_per_bar: how many places there are in a bar; examples begin with one.
        styles: how many styles there are, at least 1.
    """

    z_size: Literal[0] = 0

    def __init__(self, config: ModelConfig, steps_per_bar: int, styles: int) -> None:
        super().__init__()
        self.config, self.steps_per_bar = config, steps_per_bar
        size, told = config.units, config.embedding_size
        self.place = nn.Embedding(steps_per_bar, told)
        self.style = nn.Embedding(styles, told)
        inputs = (ROLL + told, *[size] * (config.encoder_layers - 1))
        self.ahead = lstm_layers(inputs, [size // 2] * config.encoder_layers)
        self.back = lstm_layers(inputs, [size // 2] * config.encoder_layers)
        self.layers = lstm_layers(
            (size + told, *[size] * (config.decoder_layers - 1)), [size] * config.decoder_layers
        )
        self.attention = None
        if config.attention != "none":
            self.attention = LuongAttention(size, size, config.attention, config.attention_window)
        self.dropout = Dropout(config.dropout)
        self.to_velocity = nn.Linear(size, KEYS)

    def forward(self, x: Tensor, lengths: Tensor) -> Heard:
        """Rows [B, T, 265] of numbers, of which the velocities are not looked at; lengths [B] ≥ 1."""
        steps = torch.arange(x.shape[1], device=x.device)
        told = self.place(steps % self.steps_per_bar) + self.style(x[:, :1, -1])  # [B, T, told]
        mirror = torch.where(steps[:, None] < lengths, lengths - 1 - steps[:, None], steps[:, None])
        h = torch.cat([x[:, :, :ROLL].float(), told], -1).transpose(0, 1)
        for ahead, back in zip(self.ahead, self.back, strict=True):
            h = self.dropout(h)
            h = torch.cat([_run(ahead, h), _take(_run(back, _take(h, mirror)), mirror)], -1)
        memory = h
        h = torch.cat([h, told.transpose(0, 1)], -1)
        for layer in self.layers:
            h = _run(layer, self.dropout(h))
        h, looks = h.transpose(0, 1), h.new_zeros(x.shape[0], x.shape[1], 0)
        if self.attention is not None:
            h, looks = self.attention(h, self.attention.remember(memory.transpose(0, 1), lengths))
        return Heard(LOUDEST * torch.sigmoid(self.to_velocity(self.dropout(h))), looks)

    def loss(self, batch: Batch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """`loss`: mean absolute error of the velocities of onsets, in units of MIDI, 0 to 127; `rmse`."""
        onset = batch.x[:, :, 0:ROLL:2] > 0
        played = batch.x[:, :, ROLL : ROLL + KEYS][onset].float()
        error = self(batch.x, batch.lengths).velocity[onset] - played
        return {"loss": error.abs().mean(), "rmse": error.detach().square().mean().sqrt()}


def _run(layer: LSTMLayer, x: Tensor) -> Tensor:
    """[T, B, in] → h [T, B, H]."""
    return lstm_sequence(layer.gates(x), layer.w_h)[0]


def _take(x: Tensor, steps: Tensor) -> Tensor:
    """x [T, B, N] in the order of steps [T, B]."""
    return x.gather(0, steps[:, :, None].expand_as(x))
