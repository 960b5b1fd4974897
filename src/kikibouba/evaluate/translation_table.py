"""Methods × metrics: a translator beside baselines, judged in latent space and by what they decode to.

attributes  mean rank correlation of the attributes that should correspond, source items against decoded
            translations
transfer    share of labels (thirds of every attribute; categories) that a classifier of decoded examples,
            which knows the data and no translator, finds as they were in the source
frechet     Fréchet distance of decoded translations to real examples, in that classifier's features
cycle       mean cosine of latents and what comes back; `translation.cycle_consistency`
distances   rank correlation of pairwise distances before and after
neighbours  share of the ten nearest neighbours that are kept
diversity   mean distance of decoded translations from each other, over that of real examples; 1 is right
distinct    share of decoded translations that equal no other
seconds     of training
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch

from kikibouba.bridges.attributes import QuantileBins
from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.latent_translation.model import LatentTranslation
from kikibouba.bridges.posterior_batches import category_classes
from kikibouba.bridges.posteriors import Posteriors
from kikibouba.evaluate.classifiers import Classifier, accuracy, frechet_distance, train_classifier
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.evaluate.translation import (
    Bridge,
    by_best_way,
    informative_units,
    kept_neighbours,
    kept_order,
    likeness_at_home,
    translated,
)

THIRDS = 3
"""Low, middle, high: classes of an attribute for classifiers."""

WEIGHTS = {
    "attributes": 3,
    "transfer": 2,
    "frechet": 2,
    "cycle": 2,
    "distances": 1,
    "neighbours": 1,
    "diversity": 1,
    "distinct": 1,
    "seconds": 1,
}
"""What each metric counts for; docs/latent_translation.md says why."""

BESIDE = ("ours, one way", "reality")
"""Rows of a table that are there to compare with, and take no part in the contest."""

SMALLER_IS_BETTER = ("frechet", "seconds")

CLOSE = {"frechet": 0.05, "seconds": 0.05}
"""Two figures tie if the worse is off by no more than this share of the better."""
TIE = 0.02
"""All others tie if they are no further apart than this."""


class Domain(NamedTuple):
    """A base, its data, and a judge of what is decoded in it."""

    base: Base
    training: Posteriors
    held_out: Posteriors
    examples: Sequence[np.ndarray]
    """The held-out items themselves, in the order of `held_out`."""
    labels: np.ndarray
    """[n, labels] of the held-out items, -1 = unlabelled."""
    judge: Classifier


def prepare_domain(
    k: int,
    config: ModelConfig,
    base: Base,
    training: Posteriors,
    held_out: Posteriors,
    examples: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    cache: Path | None = None,
) -> Domain:
    """A domain ready to judge in, with its classifier trained.

    Args:
        k: its number in the bridge.
        config: the bridge's, for what labels there are.
        training, held_out: posteriors with attributes and categories.
        examples: of the training and of the held-out items.
        cache: file of the classifier's weights.
    """
    names = [row[k] for row in config.attributes]
    bins = [QuantileBins(training.attribute(name), THIRDS, name) for name in names]
    rng = np.random.default_rng(0)

    def labels(posteriors: Posteriors) -> np.ndarray:
        columns = [b.label(posteriors.attribute(name), rng) for name, b in zip(names, bins, strict=True)]
        if config.categories:
            columns.append(category_classes(posteriors, config, k))
        return np.stack(columns, axis=1)

    classes = [THIRDS] * len(names) + [len(config.categories)] * bool(config.categories)
    judge = train_classifier(base.representation, examples[0], labels(training), classes, cache)
    return Domain(base, training, held_out, examples[1], labels(held_out), judge)


def figures_of(
    bridge: Bridge,
    source: Domain,
    target: Domain,
    pairs: Sequence[tuple[str, str]],
    limit: int | None,
    ways: int = 1,
) -> dict[str, float]:
    """All metrics but `seconds`, of translations of at most `limit` held-out items.

    Args:
        pairs: attributes of source and target that should correspond.
        ways: above 1, `choosing.best_way` of so many; then `bridge` must be a `LatentTranslation`.
    """
    rows = np.random.default_rng(0).permutation(len(source.held_out))[:limit]
    here, there = source.held_out.take(rows), target.held_out
    if ways > 1:
        z, found = by_best_way(cast(LatentTranslation, bridge), here, there.domain, target.base, ways)
    else:
        z = translated(bridge, here.mu, here.domain, there.domain)
        found = target.base.decode(z)
    measured = target.base.representation.attributes(found)
    correlations = [spearman(here.attribute(a), measured[b]) for a, b in pairs]
    before, after = informative_units(here.mu, source.held_out), informative_units(z, there)
    return {
        "attributes": float(np.mean(correlations)) if correlations else float("nan"),
        "transfer": accuracy(target.judge.classify(found), source.labels[rows]),
        **_as_clouds(found, target, limit),
        "cycle": likeness_at_home(bridge, source.held_out, here.mu, z, there.domain),
        "distances": kept_order(before, after),
        "neighbours": kept_neighbours(before, after),
    }


def figures_of_reality(target: Domain, limit: int | None) -> dict[str, float]:
    """What real items reach when they are encoded and decoded: no translation can hope for more."""
    rows = np.random.default_rng(0).permutation(len(target.held_out))[:limit]
    found = target.base.decode(target.held_out.mu[rows])
    return {
        "transfer": accuracy(target.judge.classify(found), target.labels[rows]),
        **_as_clouds(found, target, limit),
    }


def _as_clouds(found: Sequence[np.ndarray], target: Domain, limit: int | None) -> dict[str, float]:
    rows = np.random.default_rng(1).permutation(len(target.examples))[:limit]
    real, ours = (
        target.judge.features(arrays) for arrays in ([target.examples[i] for i in rows.tolist()], found)
    )
    spreads = [torch.pdist(torch.from_numpy(cloud)).mean().item() for cloud in (ours, real)]
    return {
        "frechet": frechet_distance(ours, real),
        "diversity": spreads[0] / spreads[1],
        "distinct": len({array.tobytes() for array in found}) / len(found),
    }


def best_or_tied(table: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """For every method of a table (method → metric → value) the share of `WEIGHTS` on which it is the best or
    ties with it. A metric that is NaN for all counts for nobody.
    """
    shares = dict.fromkeys(table, 0.0)
    total = 0.0
    for metric, weight in WEIGHTS.items():
        losses = {name: _loss(metric, figures.get(metric, float("nan"))) for name, figures in table.items()}
        known = {name: loss for name, loss in losses.items() if np.isfinite(loss)}
        if not known:
            continue
        total += weight
        best = min(known.values())
        slack = CLOSE.get(metric, 0.0) * best + (0.0 if metric in CLOSE else TIE)
        for name, loss in known.items():
            shares[name] += weight * (loss <= best + slack)
    return {name: share / max(total, 1.0) for name, share in shares.items()}


def _loss(metric: str, value: float) -> float:
    """What is to be small."""
    if metric == "diversity":
        return abs(value - 1)
    return value if metric in SMALLER_IS_BETTER else -value
