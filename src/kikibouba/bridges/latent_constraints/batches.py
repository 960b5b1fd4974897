"""From cached posteriors to constraints ready to train: `assemble(config, train, valid, …)`."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from kikibouba.bridges.latent_constraints.classes import (
    FEWEST,
    Classes,
    Labels,
    classes_of,
    levels,
    named,
    varies,
)
from kikibouba.bridges.latent_constraints.config import ModelConfig
from kikibouba.bridges.latent_constraints.model import ConstraintBatch, LatentConstraints
from kikibouba.bridges.posteriors import Posteriors
from kikibouba.errors import KikiboubaError, did_you_mean


class ConstraintBatches:
    """Batches for the training loop: random items, z = mu + sigma * eps drawn anew, and their classes."""

    def __init__(
        self,
        train: tuple[Posteriors, np.ndarray],
        valid: tuple[Posteriors, np.ndarray],
        batch_size: int,
        seed: int = 0,
        num_eval_batches: int = 8,
    ) -> None:
        """`train`, `valid`: posteriors and the classes [n, A] of their items."""
        self.train, self.valid = train, valid
        self.batch_size, self.seed, self.num_eval_batches = batch_size, seed, num_eval_batches

    @property
    def description(self) -> str:
        """What is trained on, for the card."""
        posteriors = self.train[0]
        return f"{len(posteriors)} posteriors of {posteriors.domain} ({posteriors.base_hash})"

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what `batch` returns: a run goes on only with the same."""
        posteriors, labels = self.train
        return {
            "base": [posteriors.domain, posteriors.base_hash, len(posteriors)],
            "labels": hashlib.sha256(labels.tobytes()).hexdigest(),
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def batch(self, step: int, rank: int = 0, world: int = 1) -> ConstraintBatch:
        """This process's share of the batch of a step; a pure function of (seed, step)."""
        whole = self._draw(*self.train, [self.seed, 0, step])
        return ConstraintBatch(*(column[rank::world] for column in whole))

    def eval_batches(self) -> Iterator[ConstraintBatch]:
        """Held-out batches, the same at every call."""
        for i in range(self.num_eval_batches):
            yield self._draw(*self.valid, [self.seed, 1, i])

    def _draw(self, posteriors: Posteriors, labels: np.ndarray, key: list[int]) -> ConstraintBatch:
        rng = np.random.default_rng(key)
        rows = rng.integers(len(posteriors), size=self.batch_size)
        z = posteriors.sample(rows, rng)
        return ConstraintBatch(torch.from_numpy(z), torch.from_numpy(labels[rows]))


def assemble(
    config: ModelConfig,
    train: tuple[Posteriors, Labels],
    valid: tuple[Posteriors, Labels],
    label_names: Mapping[str, tuple[str, ...]],
    batch_size: int,
    seed: int = 0,
) -> tuple[LatentConstraints, ConstraintBatches]:
    """Constraints fitted to their base (size, hash, classes, sigma; weights untrained), and their batches.

    Args:
        config: its attributes, () = all there are, become classes of the training items.
        train, valid: posteriors of one base, and labels besides the attributes these carry.
        label_names: of some labels their classes in order.
        seed: of initial weights and batches.

    Raises:
        KikiboubaError: an attribute that does not exist or does not vary; labels of fewer than two classes.
    """
    posteriors, labels = train
    chosen = config.attributes or _all_that_vary(posteriors, labels, label_names)
    classes = {name: _classes(name, posteriors, labels, label_names) for name in chosen}
    config = dataclasses.replace(
        config,
        base=posteriors.domain,
        base_hash=posteriors.base_hash,
        z_size=posteriors.mu.shape[1],
        attributes=tuple(classes),
        classes=tuple(found.names for found in classes.values()),
        thresholds=tuple(found.thresholds for found in classes.values()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = LatentConstraints(config)
    module.sigma.copy_(torch.from_numpy(posteriors.sigma.mean(axis=0)))
    parts = [(part, classes_of(config, part.attributes, named)) for part, named in (train, valid)]
    return module, ConstraintBatches(parts[0], parts[1], batch_size, seed)


def _all_that_vary(
    posteriors: Posteriors, labels: Labels, label_names: Mapping[str, tuple[str, ...]]
) -> list[str]:
    """What is measured and has values to tell apart, and all that a user labelled."""
    names = [name for name, values in posteriors.attributes.items() if varies(values)]
    for name, values in labels.items():
        found, counts = np.unique(values[values != ""], return_counts=True)
        if name not in label_names or len(found[counts >= FEWEST]) > 1:
            names.append(name)
    if not names:
        raise KikiboubaError(f"the {len(posteriors)} examples measure alike; give more, and different ones")
    return names


def _classes(
    name: str, posteriors: Posteriors, labels: Labels, label_names: Mapping[str, tuple[str, ...]]
) -> Classes:
    if name in labels:
        return named(name, labels[name], label_names.get(name, ()))
    if name in posteriors.attributes:
        return levels(name, posteriors.attributes[name])
    hint = did_you_mean(name, [*posteriors.attributes, *labels])
    raise KikiboubaError(f"examples of {posteriors.kind} have no attribute or label {name!r}{hint}")
