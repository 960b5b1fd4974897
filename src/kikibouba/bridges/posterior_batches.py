"""From cached posteriors to a bridge ready to train: `assemble(config, train, valid)`."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from kikibouba.bridges.attributes import QuantileBins, nearest, resolve, resolve_categories
from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.latent_translation.model import LatentTranslation, TranslationBatch
from kikibouba.bridges.posteriors import Posteriors, check_weights
from kikibouba.errors import KikiboubaError, did_you_mean


class PosteriorBatches:
    """Batches for the training loop: one item of every domain per row, unpaired; z = mu + sigma * eps, fresh.

    The author's batches are class-balanced even when unsupervised, which leaks labels; ours are random. Where
    only some items are labelled (categories, or `labelled` not 1), the share of labelled ones differs between
    domains, and clouds extended by labels could never coincide: so half of the rows then hold labelled items,
    of one class in all domains, and the labels of the other half are hidden.
    """

    def __init__(
        self,
        train: Sequence[Posteriors],
        valid: Sequence[Posteriors],
        config: ModelConfig,
        batch_size: int,
        seed: int = 0,
        num_eval_batches: int = 4,
    ):
        """Args:
        train, valid: the splits' posteriors of every domain, in one order.
        config: says what labels there are, all spelled out; bins are quantiles of labelled training items.
        batch_size: rows per step, over all processes.

        Raises:
            KikiboubaError: an attribute that tells nothing apart, or a class without a labelled item.
        """
        self.train, self.valid = train, valid
        self.batch_size, self.seed, self.num_eval_batches = batch_size, seed, num_eval_batches
        self.always = len(config.attributes) if config.labelled == 1 else 0
        """Labels that every row keeps; those behind them are told in half of the rows only."""
        self.train_labels, self.valid_labels = [], []
        for k, (fit, held_out) in enumerate(zip(train, valid, strict=True)):
            names = [correspondence[k] for correspondence in config.attributes]
            known = _known(fit, config, k, seed)
            bins = [
                QuantileBins(fit.attribute(name)[known], config.num_bins, f"{name} of {fit.domain}")
                for name in names
            ]
            labels = _labels(fit, names, bins, config, k, seed)
            labels[~known, self.always :] = -1
            self.train_labels.append(labels)
            self.valid_labels.append(_labels(held_out, names, bins, config, k, seed))
        self.pools = self.valid_pools = None
        if self.always < len(config.classes):
            self.pools = [_pools(labels, config) for labels in self.train_labels]
            self.valid_pools = [_pools(labels, config) for labels in self.valid_labels]
            for fit, pools in zip(train, self.pools, strict=True):
                for number, pool in enumerate(pools):
                    if not len(pool):
                        what = "/".join(config.categories[number]) if config.categories else "at all"
                        raise KikiboubaError(
                            f"no training item of {fit.domain} is labelled {what}: label more"
                        )

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
        whole = self._draw(self.train, self.train_labels, self.pools, [self.seed, 0, step])
        return TranslationBatch(*(columns[rank::world] for columns in whole))

    def eval_batches(self) -> Iterator[TranslationBatch]:
        """Held-out batches, the same at every call."""
        for i in range(self.num_eval_batches):
            yield self._draw(self.valid, self.valid_labels, self.valid_pools, [self.seed, 1, i])

    def _draw(
        self,
        domains: Sequence[Posteriors],
        labels: Sequence[np.ndarray],
        pools: Sequence[Sequence[np.ndarray]] | None,
        key: list[int],
    ) -> TranslationBatch:
        rng = np.random.default_rng(key)
        rows = [rng.integers(len(domain), size=self.batch_size) for domain in domains]
        told = np.ones(self.batch_size, bool)
        if pools is not None:
            told = rng.permutation(self.batch_size) % 2 == 0
            common = [c for c in range(len(pools[0])) if all(len(pool[c]) for pool in pools)]
            if common:
                classes = rng.choice(common, size=told.sum())
                for row, pool in zip(rows, pools, strict=True):
                    row[told] = [rng.choice(pool[c]) for c in classes]
        z = [domain.sample(i, rng) for domain, i in zip(domains, rows, strict=True)]
        mu = [domain.mu[i] for domain, i in zip(domains, rows, strict=True)]
        picked = np.stack([known[i] for known, i in zip(labels, rows, strict=True)], axis=1)
        picked[~told, :, self.always :] = -1
        columns = np.concatenate(z, axis=1), np.concatenate(mu, axis=1), picked
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
        config: its domains become the bases' names, sizes and hashes, and its `attributes` and `categories`
            are spelled out.
        train, valid: posteriors of every domain, in one order.
        seed: of initial weights, label ties and batches.

    Raises:
        KikiboubaError: labels that are unknown, too few or all the same; see `attributes` and
            `PosteriorBatches`.
    """
    train, valid = _without(config.held_out, train), _without(config.held_out, valid, strict=False)
    config = dataclasses.replace(
        config,
        domains=tuple(p.domain for p in train),
        z_sizes=tuple(p.mu.shape[1] for p in train),
        base_hashes=tuple(p.base_hash for p in train),
        attributes=resolve(config.attributes, [p.kind for p in train]),
        categories=resolve_categories(
            config.categories, [_names(p) for p in train], [p.domain for p in train]
        ),
    )
    batches = PosteriorBatches(train, valid, config, batch_size, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        bridge = LatentTranslation(config)
    for k, posteriors in enumerate(train):
        for number, row in enumerate(config.attributes):
            bridge.domain(k).set_quantiles(number, posteriors.attribute(row[k]))
        mean, std, informativeness = map(torch.from_numpy, posteriors.statistics())
        if config.standardise:
            bridge.domain(posteriors.domain).set_units(mean, std)
        if config.informativeness:
            bridge.domain(posteriors.domain).informativeness.copy_(informativeness)
    return bridge, batches


def check_base(config: ModelConfig, domain: str, base: nn.Module) -> None:
    """Raise KikiboubaError unless `base` has the weights that this bridge was trained on."""
    if domain not in config.domains:
        raise KikiboubaError(
            f"this translator does not know {domain!r}{did_you_mean(domain, config.domains)}"
        )
    if config.base_hashes:
        expected = config.base_hashes[config.domains.index(domain)]
        check_weights("the translator", domain, expected, base)


def _names(posteriors: Posteriors) -> set[str]:
    """The categories that occur."""
    return set() if posteriors.categories is None else set(np.unique(posteriors.categories).tolist()) - {""}


def _without(held_out: Sequence[str], domains: Sequence[Posteriors], strict: bool = True) -> list[Posteriors]:
    """Posteriors without the items of some categories.

    Raises:
        KikiboubaError: a domain keeps nothing; if `strict`, also for a name that no domain has.
    """
    if not held_out:
        return list(domains)
    known = set().union(*map(_names, domains))
    for name in held_out if strict else ():
        if name not in known:
            raise KikiboubaError(f"held_out names {name!r}, which no example is{nearest(name, known)}")
    kept = [
        p if p.categories is None else p.take(np.flatnonzero(~np.isin(p.categories, held_out)))
        for p in domains
    ]
    for posteriors in kept:
        if not len(posteriors):
            raise KikiboubaError(f"held_out leaves no example of {posteriors.domain} to learn from")
    return kept


def _known(posteriors: Posteriors, config: ModelConfig, k: int, seed: int) -> np.ndarray:
    """Which training items keep their labels: random ones, with a category if there are any. [N] bool"""
    could = np.ones(len(posteriors), bool)
    if config.categories:
        could = category_classes(posteriors, config, k) >= 0
    if config.labelled == 1:
        return np.ones(len(posteriors), bool)
    wanted = config.labelled * could.sum() if config.labelled < 1 else config.labelled
    chosen = np.random.default_rng([seed, 3]).permutation(np.flatnonzero(could))[: round(wanted)]
    if not len(chosen):
        raise KikiboubaError(
            f"labelled = {config.labelled:g} leaves nothing of {posteriors.domain} labelled; give a share up "
            "to 1 or a number above it, or take away `attributes` and `categories`"
        )
    return np.isin(np.arange(len(posteriors)), chosen)


def category_classes(posteriors: Posteriors, config: ModelConfig, k: int) -> np.ndarray:
    """Class of every item by its category, -1 for none of those named. [N] int64"""
    classes = np.full(len(posteriors), -1)
    if posteriors.categories is not None:
        for number, row in enumerate(config.categories):
            classes[np.isin(posteriors.categories, row[k].split("+"))] = number
    return classes


def _labels(
    posteriors: Posteriors,
    names: Sequence[str],
    bins: Sequence[QuantileBins],
    config: ModelConfig,
    k: int,
    seed: int,
) -> np.ndarray:
    """Class of every item for every attribute, then by its category. [N, labels] int64"""
    rng = np.random.default_rng([seed, 2])
    columns = [b.label(posteriors.attribute(name), rng) for name, b in zip(names, bins, strict=True)]
    if config.categories:
        columns.append(category_classes(posteriors, config, k))
    return np.stack(columns, axis=1) if columns else np.zeros((len(posteriors), 0), dtype=np.int64)


def _pools(labels: np.ndarray, config: ModelConfig) -> list[np.ndarray]:
    """Numbers of the labelled items, by category where there are categories, else all together."""
    if config.categories:
        return [np.flatnonzero(labels[:, -1] == number) for number in range(len(config.categories))]
    return [np.flatnonzero((labels >= 0).any(axis=1))]
