"""Latents → examples → perceptual attributes: how what a model decodes is measured."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from kikibouba.bridges.posteriors import to_batch
from kikibouba.data.layout import Layout
from kikibouba.models.base import Batch


class Base(NamedTuple):
    """A trained model and what makes its arrays measurable."""

    module: Any
    """A `LatentModel`."""
    representation: Any
    """Its `Representation`."""

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.module.parameters()).device

    def batches(self, arrays: Sequence[np.ndarray], batch_size: int = 256) -> Iterator[Batch]:
        """Examples in order, as batches on the model's device."""
        for first in range(0, len(arrays), batch_size):
            yield to_batch(self.representation, arrays[first : first + batch_size], self.device)

    @torch.no_grad()
    def decode(self, z: np.ndarray, batch_size: int = 256) -> list[np.ndarray]:
        """Latents [n, Z] → n examples, decoded greedily (temperature 0)."""
        arrays: list[np.ndarray] = []
        for chunk in torch.tensor(z).split(batch_size):
            x, lengths = self.module.eval().decode(chunk.to(self.device), temperature=0.0)
            arrays += self.representation.split_batch(x.cpu().numpy(), lengths.cpu().numpy())
        return arrays

    @torch.no_grad()
    def rebuild(
        self, arrays: Sequence[np.ndarray], temperature: float = 0.0, seed: int = 0, batch_size: int = 256
    ) -> list[np.ndarray]:
        """Examples → the means of their posteriors → examples, decoded at a temperature, 0 being greedily.

        Where a model is told something at each step (chords, keys, hits), it is told that of each example.
        """
        generator = torch.Generator(self.device).manual_seed(seed)
        rebuilt: list[np.ndarray] = []
        layout: Layout | None = getattr(self.representation, "layout", None)
        controls = layout.controls if layout else ()
        for batch in self.batches(arrays, batch_size):
            mu = self.module.eval().encode(*batch).mu
            if controls:
                told = torch.cat([batch.x[..., part.start : part.stop] for part in controls], -1)
                x, lengths = self.module.decode(mu, temperature, generator, told)
            else:
                x, lengths = self.module.decode(mu, temperature, generator)
            rebuilt += self.representation.split_batch(x.cpu().numpy(), lengths.cpu().numpy())
        return rebuilt

    def decoded_attributes(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Attributes [n] by name of latents [n, Z] decoded greedily."""
        return self.representation.attributes(self.decode(z))
