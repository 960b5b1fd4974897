"""The WaveNet autoencoder of NSynth (Engel et al. 2017): sound → a few numbers each 32 ms → sound.

    x = (code - 128) / 128
    z = encoder(x)                                  [latent, T / hop]; sees past and future
    p(code_t | codes before, z) = softmax(decoder(x one sample late, z))
    loss = mean over samples of -ln p(code_t | …)

docs/sound.md sets the equations beside this code. Nothing is drawn between encoder and decoder: z is numbers,
not a distribution.
"""

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.data.audio import AudioRepresentation
from kikibouba.models.base import ClipBatch, LossParts, Turn
from kikibouba.models.wavenet_autoencoder.config import LEARNING_RATES, ModelConfig
from kikibouba.nn.wavenet import DilatedEncoder, WaveNet, delayed, dilations


class WaveNetAutoencoder(nn.Module):
    """Encoder and decoder."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.z_size, self.hop = config.latent, config.hop
        self.encoder = DilatedEncoder(
            dilations(config.encoder_blocks, config.encoder_layers),
            config.encoder_channels,
            config.latent,
            config.hop,
            relu_first=True,
        )
        self.decoder = WaveNet(
            dilations(config.blocks, config.layers),
            config.residual,
            config.skip,
            config.latent,
            config.kernel,
        )
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                _unit_scale(module)

    def inputs(self, codes: Tensor) -> Tensor:
        """Codes 0..255 → what the network reads, in [-1, 1)."""
        return (codes.float() - 128.0) / 128.0

    def encode(self, codes: Tensor) -> Tensor:
        """Codes [B, T] → z [B, latent, T // hop]."""
        return self.encoder(self.inputs(codes))

    def wavenet(self, domain: int = 0) -> WaveNet:
        """The decoder; there is one for everything."""
        return self.decoder

    def forward(self, codes: Tensor, z: Tensor) -> Tensor:
        """Teacher-forced logits [B, 256, T] of codes [B, T], T = frames · hop."""
        return self.decoder(delayed(self.inputs(codes)), z)

    def loss(self, batch: ClipBatch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """Nats a sample, and bits."""
        nats = F.cross_entropy(self(batch.x, self.encode(batch.heard)).float(), batch.x)
        return {"loss": nats, "bits": nats.detach() / math.log(2)}

    def turns(self) -> list[Turn]:
        """One optimiser; its learning rate falls in the original's steps, see `LEARNING_RATES`."""
        return [Turn("autoencoder", list(self.parameters()), self.loss, _share_at)]


def _share_at(step: int) -> float:
    return [share for begin, share in LEARNING_RATES if begin <= step][-1]


def _unit_scale(conv: nn.Conv1d) -> None:
    """The original's initial weights: uniform within ±√(3 / (kernel · inputs)); biases 0."""
    bound = math.sqrt(3.0 / (conv.in_channels * conv.kernel_size[0]))
    nn.init.uniform_(conv.weight, -bound, bound)
    nn.init.zeros_(cast(Tensor, conv.bias))


def build(config: ModelConfig, representation: AudioRepresentation) -> WaveNetAutoencoder:
    """The network of a preset."""
    return WaveNetAutoencoder(config)
