"""Examples with the posteriors that a frozen base gives them."""

from collections.abc import Iterator
from typing import Any

import torch

from kikibouba.bridges.lc_music_vae.model import LCBatch
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.models.base import Batch
from kikibouba.train.data import SplitBatches


class LCBatches:
    """Batches for the training loop. Examples are varied anew each time, so each batch is encoded anew."""

    def __init__(self, examples: SplitBatches, base: Any) -> None:
        """`base`: a `LatentModel` in eval mode."""
        self.examples, self.base = examples, base

    @property
    def description(self) -> str:
        """What is trained on, for the card."""
        return self.examples.description

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what `batch` returns: a run goes on only with the same."""
        return self.examples.identity | {"base": weights_hash(self.base)}

    def batch(self, step: int, rank: int = 0, world: int = 1) -> LCBatch:
        """This process's share of the batch of a step; a pure function of (seed, step)."""
        return self._encoded(self.examples.batch(step, rank, world))

    def eval_batches(self) -> Iterator[LCBatch]:
        """The held-out examples, unvaried."""
        return map(self._encoded, self.examples.eval_batches())

    @torch.no_grad()
    def _encoded(self, batch: Batch) -> LCBatch:
        device = next(self.base.parameters()).device
        mu, sigma = self.base.encode(batch.x.to(device), batch.lengths.to(device))
        return LCBatch(*batch, mu.cpu(), sigma.cpu())
