"""Linear layers for what needs digits that LSTMs do not: z, and the parameters of mixtures."""

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """Stays in float32 under autocast."""

    def forward(self, input: Tensor) -> Tensor:
        """[…, in] → […, out]."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input)


def narrow_linear(in_features: int, out_features: int) -> Linear:
    """The layers around z start near zero: normal weights of deviation 0.001, no bias."""
    layer = Linear(in_features, out_features)
    nn.init.normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)
    return layer
