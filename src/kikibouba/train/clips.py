"""Clips of recordings as a pure function of the step: every batch mixes the domains evenly.

Each clip comes from a recording drawn uniformly among those of its domain, long or short, and begins at a
uniformly drawn sample, as in UMTN. What the encoder hears of it may be varied (see `data.audio`).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from kikibouba.config import representation_to_dict
from kikibouba.data.audio import AudioRepresentation
from kikibouba.data.store import Dataset, Split
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import ClipBatch

EVAL_CLIPS = 16
"""Clips of each domain that held-out figures are of."""


class ClipBatches:
    """The training data of a prepared dataset of sound; see `train.data.TrainingData`.

    Args:
        dataset: of kind audio.
        representation: says how long a clip is and how it is varied.
        batch_size: clips a step, over all ranks.
        seed: of all choices.
        augment: vary what the encoder hears.
        domains: the categories to train on, in the order of the decoders; empty: all are one domain.

    Raises:
        KikiboubaError: a domain without a recording as long as a clip.
    """

    def __init__(
        self,
        dataset: Dataset,
        representation: AudioRepresentation,
        batch_size: int = 32,
        seed: int = 0,
        augment: bool = False,
        domains: tuple[str, ...] = (),
    ) -> None:
        self.dataset, self.representation = dataset, representation
        self.batch_size, self.seed, self.augment, self.domains = batch_size, seed, augment, domains
        self.train = dataset.split("train")
        self.valid = dataset.split("valid") if "valid" in dataset.splits else None
        self._members = self._recordings(self.train)
        for name, members in zip(domains or ("sound",), self._members, strict=True):
            if not len(members):
                raise KikiboubaError(
                    f"{dataset.path} has no training recording of {name} as long as a clip: record more, "
                    "list it in train.txt, or lower representation.clip"
                )

    def _recordings(self, split: Split) -> list[np.ndarray]:
        """For each domain the numbers of its recordings that are long enough."""
        enough = split.lengths >= self.representation.clip
        if not self.domains:
            return [np.flatnonzero(enough)]
        codes = [self.dataset.categories.index(name) for name in self.domains]
        found = np.full(len(split), -1) if split.categories is None else split.categories
        return [np.flatnonzero(enough & (found == code)) for code in codes]

    @property
    def description(self) -> str:
        """What is trained on, for the card."""
        meta = self.dataset.meta
        hours = len(self.train.rows) / 16_000 / 3600
        of = f" of {', '.join(self.domains)}" if self.domains else ""
        return (
            f"{hours:.2f} hours{of}, {len(self.train)} recordings, prepared in `{self.dataset.path}` "
            f"(fingerprint of the files: {meta['fingerprint'][:16]})"
        )

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what `batch` returns."""
        return {
            "files": self.dataset.meta["fingerprint"][:16],
            "counts": self.dataset.meta["counts"],
            "representation": representation_to_dict(self.representation),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "augment": self.augment,
            "domains": list(self.domains),
        }

    def batch(self, step: int, rank: int = 0, world: int = 1) -> ClipBatch:
        """Every `world`-th clip of the batch of a step; domains differ by at most one clip in number."""
        if world > self.batch_size:
            raise KikiboubaError(f"{self.batch_size} clips cannot be shared by {world} processes; use fewer")
        rng = np.random.default_rng([self.seed, step])
        count = len(self._members)
        domains = rng.permutation((np.arange(self.batch_size) + step * self.batch_size) % count)
        own = list(range(self.batch_size))[rank::world]
        return self._assemble(self.train, self._members, domains[own], [[self.seed, step, i] for i in own])

    def eval_batches(self) -> Iterator[ClipBatch]:
        """`EVAL_CLIPS` clips of each held-out domain, unvaried; see `TrainingData`."""
        if self.valid is None:
            return
        members = self._recordings(self.valid)
        domains = [domain for domain, rows in enumerate(members) if len(rows) for _ in range(EVAL_CLIPS)]
        for first in range(0, len(domains), self.batch_size):
            part = np.array(domains[first : first + self.batch_size])
            keys = [[0, first + i, 1] for i in range(len(part))]
            yield self._assemble(self.valid, members, part, keys, vary=False)

    def _assemble(
        self,
        split: Split,
        members: list[np.ndarray],
        domains: np.ndarray,
        keys: list[list[int]],
        vary: bool = True,
    ) -> ClipBatch:
        """A clip of each domain, drawn with a generator of its key."""
        length = self.representation.clip
        x = np.empty((len(domains), length), np.int64)
        heard = np.empty_like(x)
        for row, (domain, key) in enumerate(zip(domains.tolist(), keys, strict=True)):
            rng = np.random.default_rng(key)
            recording = split[int(rng.choice(members[domain]))]
            start = int(rng.integers(len(recording) - length, endpoint=True))
            clip = recording[start : start + length]
            x[row] = clip
            heard[row] = self.representation.augment(clip, rng) if self.augment and vary else clip
        return ClipBatch(torch.from_numpy(x), torch.from_numpy(heard), torch.from_numpy(domains))
