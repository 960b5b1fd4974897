"""From cached posteriors to a bridge ready to train: `assemble(config, train, valid)`."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from kikibouba.bridges.attributes import QuantileBins, resolve
from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.latent_translation.model import LatentTranslation, TranslationBatch
from kikibouba.bridges.posteriors import Posteriors, weights_hash
from kikibouba.errors import KikiboubaError, did_you_mean


class PosteriorBatches:
    """Batches for the training loop: one item of every domain per row, unpaired; z = mu + sigma * eps, fresh.

    The author's batches are class-balanced even when unsupervised, which leaks labels; ours are random.
    """

    def __init__(
        self,
        train: Sequence[Posteriors],
        valid: Sequence[Posteriors],
        attributes: Sequence[Sequence[str]],
        num_bins: int,
        batch_size: int,
        seed: int = 0,
        num_labelled: int | None = None,
        num_eval_batches: int = 4,
    ):
        """Args:
        train, valid: the splits' posteriors of every domain, in one order.
        attributes, num_bins: as in `ModelConfig`; bins are the training set's quantiles.
        batch_size: rows per step, over all processes.
        num_labelled: semi-supervision: only so many training items of a domain keep their labels. None = all.
        """
        self.train, self.valid = train, valid
        self.batch_size, self.seed, self.num_eval_batches = batch_size, seed, num_eval_batches
        self.train_labels, self.valid_labels = [], []
        for k, (fit, held_out) in enumerate(zip(train, valid, strict=True)):
            names = [correspondence[k] for correspondence in attributes]
            bins = [QuantileBins(fit.attribute(name), num_bins) for name in names]
            labels = _labels(fit, names, bins, seed)
            if num_labelled is not None:
                labels[num_labelled:] = -1
            self.train_labels.append(labels)
            self.valid_labels.append(_labels(held_out, names, bins, seed))

    @property
    def description(self) -> str:
        """What is trained on, for the card."""
        return ", ".join(f"{len(p)} posteriors of {p.domain} ({p.base_hash})" for p in self.train)

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what `batch` returns: a run goes on only with the same."""
        return {
            "bases": {p.domain: [p.base_hash, len(p)] for p in self.train},
            "labels": hashlib.sha256(b"".join(labels.tobytes() for labels in self.train_labels)).hexdigest(),
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def batch(self, step: int, rank: int = 0, world: int = 1) -> TranslationBatch:
        """This process's share of the batch of a step; a pure function of (seed, step)."""
        whole = self._draw(self.train, self.train_labels, [self.seed, 0, step])
        return TranslationBatch(*(columns[rank::world] for columns in whole))

    def eval_batches(self) -> Iterator[TranslationBatch]:
        """Held-out batches, the same at every call."""
        for i in range(self.num_eval_batches):
            yield self._draw(self.valid, self.valid_labels, [self.seed, 1, i])

    def _draw(
        self, domains: Sequence[Posteriors], labels: Sequence[np.ndarray], key: list[int]
    ) -> TranslationBatch:
        rng = np.random.default_rng(key)
        rows = [rng.integers(len(domain), size=self.batch_size) for domain in domains]
        z = [domain.sample(i, rng) for domain, i in zip(domains, rows, strict=True)]
        mu = [domain.mu[i] for domain, i in zip(domains, rows, strict=True)]
        picked = [known[i] for known, i in zip(labels, rows, strict=True)]
        columns = np.concatenate(z, axis=1), np.concatenate(mu, axis=1), np.stack(picked, axis=1)
        return TranslationBatch(*map(torch.from_numpy, columns))


def assemble(
    config: ModelConfig,
    train: Sequence[Posteriors],
    valid: Sequence[Posteriors],
    batch_size: int = 512,
    seed: int = 0,
) -> tuple[LatentTranslation, PosteriorBatches]:
    """A bridge fitted to its bases (latent sizes, hashes, statistics; weights untrained), and its batches.

    Args:
        config: its domains become the bases' names, sizes and hashes, and its `attributes` are spelled out.
        train, valid: posteriors of every domain, in one order.
        seed: of initial weights, label ties and batches.
    """
    config = dataclasses.replace(
        config,
        domains=tuple(p.domain for p in train),
        z_sizes=tuple(p.mu.shape[1] for p in train),
        base_hashes=tuple(p.base_hash for p in train),
        attributes=resolve(config.attributes, [p.kind for p in train]),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        bridge = LatentTranslation(config)
    for posteriors in train:
        mean, std, informativeness = map(torch.from_numpy, posteriors.statistics())
        if config.standardise:
            bridge.domain(posteriors.domain).set_units(mean, std)
        if config.informativeness:
            bridge.domain(posteriors.domain).informativeness.copy_(informativeness)
    return bridge, PosteriorBatches(train, valid, config.attributes, config.num_bins, batch_size, seed)


def check_base(config: ModelConfig, domain: str, base: nn.Module) -> None:
    """Raise KikiboubaError unless `base` has the weights that this bridge was trained on."""
    if domain not in config.domains:
        raise KikiboubaError(
            f"this translator does not know {domain!r}{did_you_mean(domain, config.domains)}"
        )
    if not config.base_hashes:
        return
    expected, found = config.base_hashes[config.domains.index(domain)], weights_hash(base)
    if expected != found:
        raise KikiboubaError(
            f"the translator was trained on other weights of {domain!r} ({expected}, not {found}): "
            "load the base it belongs to, or train a translator for this one"
        )


def _labels(
    posteriors: Posteriors, names: Sequence[str], bins: Sequence[QuantileBins], seed: int
) -> np.ndarray:
    """Class of every item for every attribute. [N, attributes] int64"""
    rng = np.random.default_rng([seed, 2])
    columns = [b.label(posteriors.attribute(name), rng) for name, b in zip(names, bins, strict=True)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(posteriors), 0), dtype=np.int64)
