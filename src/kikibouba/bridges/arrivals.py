"""What translations turn out to be once they are decoded, for critics to learn from while a bridge trains.

A critic that has seen real latents only can be fooled: a translated vector may lie a little beside the real
ones, where the critic reads one thing and the base's decoder makes another. So now and then the latest
translations are decoded and measured.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kikibouba.bridges.attributes import QuantileBins
from kikibouba.bridges.posteriors import Posteriors

CALIBRATION = 1000
"""Training items that are decoded to learn what a base makes of them."""

MOST = 4096
"""Latents that are remembered for each domain."""


class Scale(NamedTuple):
    """A base, and how what it decodes is labelled."""

    module: Any
    """A `LatentModel`."""
    representation: Any
    names: Sequence[str]
    """Attributes that are labelled."""
    bins: Sequence[QuantileBins]
    """The classes of each."""


@torch.no_grad()
def calibrated(
    module: Any, representation: Any, posteriors: Posteriors, names: Sequence[str], num_bins: int
) -> Scale:
    """A scale whose classes are equally filled by what the base makes of its own training items.

    What is decoded need not reach as far as what is real: a smoothing decoder draws no zigzag. To ask for a
    class that it never makes would be in vain; so the most jagged eighth is that of decoded ones.
    """
    rows = np.random.default_rng(0).permutation(len(posteriors))[:CALIBRATION]
    device = next(module.parameters()).device
    measured = _measured(module, representation, torch.from_numpy(posteriors.mu[rows]).to(device))
    bins = [QuantileBins(measured[name], num_bins, f"{name} of {posteriors.domain}") for name in names]
    return Scale(module, representation, names, bins)


def _measured(module: Any, representation: Any, z: Tensor) -> dict[str, np.ndarray]:
    """Attributes [n] of latents [n, Z], decoded with the likeliest choice throughout."""
    was_training = module.training
    with torch.autocast(z.device.type, enabled=False):
        x, lengths = module.eval().decode(z.float(), temperature=0.0)
    module.train(was_training)
    arrays = representation.split_batch(x.cpu().numpy(), lengths.cpu().numpy())
    return representation.attributes(arrays)


class Arrivals:
    """Latents of every domain with the labels of what they decode to: the latest `MOST` of each."""

    def __init__(self, scales: Sequence[Scale], num_labels: int) -> None:
        """Args:
        scales: of every domain, in order.
        num_labels: of an item; those behind the attributes (categories) cannot be measured and are -1.
        """
        self.scales, self.num_labels = scales, num_labels
        self.z: list[Tensor | None] = [None] * len(scales)
        self.labels: list[Tensor | None] = [None] * len(scales)

    @torch.no_grad()
    def add(self, k: int, z: Tensor, seed: int) -> None:
        """Decode latents [n, Z] of domain k and remember them with their labels.

        `seed` settles the classes of values that lie on the border between some.
        """
        scale, rng = self.scales[k], np.random.default_rng(seed)
        measured = _measured(scale.module, scale.representation, z)
        labels = np.full((len(z), self.num_labels), -1)
        for column, (name, bins) in enumerate(zip(scale.names, scale.bins, strict=True)):
            labels[:, column] = bins.label(measured[name], rng)
        new = z.detach().float(), torch.from_numpy(labels).to(z.device)
        for kept, latest in zip((self.z, self.labels), new, strict=True):
            before = kept[k]
            kept[k] = latest if before is None else torch.cat([before, latest])[-MOST:]

    def draw(self, k: int, count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Latents [count, Z] of domain k and their labels [count, L], drawn at random from what was added."""
        z, labels = self.z[k], self.labels[k]
        if z is None or labels is None:
            raise LookupError(f"nothing was added to domain {k}")
        rows = torch.randint(len(z), (count,), generator=generator, device=z.device)
        return z[rows], labels[rows]
