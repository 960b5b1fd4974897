"""What latents turn out to be once they are decoded, for critics to learn from while a bridge trains.

A critic that has seen real latents only can be fooled: a translated vector may lie a little beside the real
ones, where the critic reads one thing and the base's decoder makes another. So thousands of natives are
decoded and measured before training, and now and then some of the latest translations.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kikibouba.bridges.attributes import QuantileBins
from kikibouba.bridges.posteriors import Posteriors

NATIVES = 4_000
"""Training items of a domain that are decoded, at most."""

LATEST = 4_096
"""Translations that are remembered for each domain."""

CHUNK = 512
"""Latents decoded together."""


class Known(NamedTuple):
    """Latents, and the classes of what they decode to."""

    z: Tensor
    """[n, Z] float32"""
    labels: Tensor
    """[n, L] int64, -1 = unlabelled"""


class Scale:
    """A base, and how what it decodes is labelled.

    The classes are equally filled by what the base makes of its own training items. What is decoded need not
    reach as far as what is real: a smoothing decoder draws no zigzag, and to ask for a class that it never
    makes would be in vain. So the most angular eighth is that of decoded drawings.
    """

    def __init__(
        self, module: Any, representation: Any, posteriors: Posteriors, names: Sequence[str],
        num_bins: int, num_labels: int,
    ) -> None:  # fmt: skip
        """Args:
        module: a `LatentModel`.
        representation: of what it decodes.
        posteriors: its training items, whose means are decoded.
        names: attributes that are labelled.
        num_bins: classes of each.
        num_labels: of an item; those behind the attributes (categories) cannot be measured and are -1.
        """
        self.module, self.representation, self.names = module, representation, names
        self.num_labels = num_labels
        rows = np.random.default_rng(0).permutation(len(posteriors))[:NATIVES]
        z = torch.from_numpy(posteriors.mu[np.sort(rows)]).to(next(module.parameters()).device)
        measured = self._measure(z)
        self.bins = {
            name: QuantileBins(measured[name], num_bins) for name in names if _varies(measured[name])
        }
        if silent := ", ".join(name for name in names if name not in self.bins):
            warnings.warn(
                f"{posteriors.domain} decodes all of its training items to the same {silent}, so nothing is "
                "learnt about that from what is decoded",
                stacklevel=2,
            )
        self.natives = Known(z, self._labels(measured, z, seed=0))

    def known(self, z: Tensor, seed: int) -> Known:
        """Latents [n, Z] with the classes of what they decode to.

        `seed` settles the classes of values that lie on the border between some.
        """
        z = z.detach().float()
        return Known(z, self._labels(self._measure(z), z, seed))

    @torch.no_grad()
    def _measure(self, z: Tensor) -> dict[str, np.ndarray]:
        """Attributes [n] of latents [n, Z], decoded with the likeliest choice throughout."""
        was_training = self.module.training
        self.module.eval()
        arrays: list[np.ndarray] = []
        with torch.autocast(z.device.type, enabled=False):
            for chunk in z.split(CHUNK):
                x, lengths = self.module.decode(chunk, temperature=0.0)
                arrays += self.representation.split_batch(x.cpu().numpy(), lengths.cpu().numpy())
        self.module.train(was_training)
        return self.representation.attributes(arrays)

    def _labels(self, measured: dict[str, np.ndarray], z: Tensor, seed: int) -> Tensor:
        rng = np.random.default_rng(seed)
        labels = np.full((len(z), self.num_labels), -1)
        for column, name in enumerate(self.names):
            if name in self.bins:
                labels[:, column] = self.bins[name].label(measured[name], rng)
        return torch.from_numpy(labels).to(z.device)


def _varies(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return bool(len(finite)) and finite.min() < finite.max()


class Arrivals:
    """What natives and the latest translations of every domain decode to."""

    def __init__(self, scales: Sequence[Scale]) -> None:
        """`scales` of every domain, in order."""
        self.scales = scales
        self.latest: list[Known | None] = [None] * len(scales)

    def add(self, k: int, z: Tensor, seed: int) -> None:
        """Decode translations [n, Z] into domain k, and remember them."""
        new, before = self.scales[k].known(z, seed), self.latest[k]
        if before is not None:
            new = Known(*(torch.cat(parts)[-LATEST:] for parts in zip(before, new, strict=True)))
        self.latest[k] = new

    def draw(self, k: int, count: int, generator: torch.Generator | None = None) -> Known:
        """`count` natives of domain k drawn at random, then as many translations, once there are any."""
        drawn = []
        for pool in (self.scales[k].natives, self.latest[k]):
            if pool is not None:
                rows = torch.randint(len(pool.z), (count,), generator=generator, device=pool.z.device)
                drawn.append(Known(pool.z[rows], pool.labels[rows]))
        return Known(*(torch.cat(parts) for parts in zip(*drawn, strict=True)))
