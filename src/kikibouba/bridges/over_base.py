"""A bridge over one base as a model of its own: x ─base→ z ─bridge→ z' ─bridge→ z ─base→ x.

What comes out is a model of the base's kind with latent vectors of the bridge, so everything that uses a
model (sample, reconstruct, interpolate, ...) uses it unchanged.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kikibouba.bridges.posteriors import check_weights
from kikibouba.models.base import Normal


class OneBaseBridge(Protocol):
    """`z → z' → z` over the latent space of one frozen base; an `nn.Module`.

    The `ModelConfig` of its family has the fields `base` (a name as `kikibouba.load` takes it) and
    `base_hash` (`posteriors.weights_hash` of the base's network).
    """

    z_size: int
    """Of z', which may have another size than z."""

    def encode(self, q: Normal) -> Normal:
        """The base's posterior over z → the bridge's over z', [B, z_size]."""
        ...

    def decode(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """z' [B, z_size] → z of the base [B, Z], in the base's units; `generator` if it is drawn."""
        ...


class OverBase(nn.Module):
    """A bridge and its frozen base, composed: a `LatentModel` but for the loss, since it is not trained as a
    whole. The base is shared with whoever else uses it, never copied.
    """

    def __init__(self, bridge: Any, base: Any) -> None:
        """`bridge`: a `OneBaseBridge`. `base`: a `LatentModel`, on the same device."""
        super().__init__()
        self.bridge, self.base = bridge, base

    @property
    def z_size(self) -> int:
        """Size of the bridge's latent vectors."""
        return self.bridge.z_size

    @property
    def config(self) -> Any:
        """The base's `ModelConfig`: it decides what is decoded, and how."""
        return self.base.config

    def encode(self, x: Tensor, lengths: Tensor) -> Normal:
        """The posterior q(z'|x) of a batch laid out as in `models.base.Batch`."""
        return self.bridge.encode(self.base.encode(x, lengths))

    def decode(
        self,
        z: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        controls: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """z' [B, z_size] → (x, lengths); see `LatentModel.decode`."""
        told = () if controls is None else (controls,)  # models that take none have no such argument
        return self.base.decode(self.bridge.decode(z, generator), temperature, generator, *told)


def over_base(config: Any, bridge: Any, base: nn.Module) -> OverBase:
    """A trained bridge put over its base, in eval mode.

    Args:
        config: the bridge's `ModelConfig`.

    Raises:
        KikiboubaError: `base` has other weights than the bridge was trained on.
    """
    check_weights("the bridge", config.base, config.base_hash, base)
    return OverBase(bridge, base).eval()
