"""How good a translator is: does it come back, look native, keep neighbours together, carry meaning.

Distances are measured in a base's *informative units*: every latent dimension standardised over the base's
aggregate posterior, then scaled by the root of its informativeness (the share of its variance that the
encoder determines), so that dimensions the base ignores count nothing.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kikibouba.bridges.latent_translation.choosing import best_way, translate_ways
from kikibouba.bridges.latent_translation.model import LatentTranslation
from kikibouba.bridges.posteriors import Posteriors
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.nn.sliced_wasserstein import random_directions, sliced_wasserstein

ENOUGH = 1_000
"""Points of a cloud, for measures that compare clouds or neighbours."""

WAYS = 8
"""Of translating, as `Translator.translate` tries."""

FEW = 500
"""Items that are translated in several ways."""

FEWEST = 11
"""Points that these measures are defined for: each has ten neighbours."""


class Bridge(Protocol):
    """Whatever translates latents: a trained bridge, or a baseline."""

    def translate(self, z: Tensor, source: str, target: str) -> Tensor:
        """Latents of `source` [n, Z] → latents of `target` [n, Z']."""
        ...


@torch.no_grad()
def translated(bridge: Bridge, z: np.ndarray, source: str, target: str) -> np.ndarray:
    """Latents of `source` [n, Z] → latents of `target` [n, Z'], deterministically."""
    rows = torch.tensor(z)
    if isinstance(bridge, nn.Module):
        rows = rows.to(next(bridge.eval().parameters()).device)
    return bridge.translate(rows, source, target).cpu().numpy()


def informative_units(z: np.ndarray, posteriors: Posteriors) -> np.ndarray:
    """Latents [n, Z] → [n, Z] standardised and scaled by informativeness (see above)."""
    mean, std, informativeness = posteriors.statistics()
    return (z - mean) / std * np.sqrt(informativeness)


def cycle_consistency(bridge: Bridge, source: Posteriors, target: str) -> float:
    """Mean cosine between posterior means and what is left of them after translating there and back."""
    there = translated(bridge, source.mu, source.domain, target)
    return likeness_at_home(bridge, source, source.mu, there, target)


def likeness_at_home(
    bridge: Bridge, source: Posteriors, z: np.ndarray, there: np.ndarray, target: str
) -> float:
    """Mean cosine between latents z [n, Z] and what comes back of their translations `there` [n, Z']."""
    back = translated(bridge, there, target, source.domain)
    a, b = (torch.from_numpy(informative_units(latents, source)) for latents in (z, back))
    return F.cosine_similarity(a, b).mean().item()


def likeness(z: np.ndarray, real: Posteriors, seed: int = 0, means: bool = False) -> float:
    """Sliced Wasserstein distance of latents to real ones, over that between two halves of the real ones.

    1 = this measure cannot tell them apart. All three clouds have the same number of points, at most 1,000
    (with more the ratio would grow, as two halves of one cloud come ever closer). Distances are in
    informative units, over 1,024 random directions.

    Args:
        z: [n, Z] in random order.
        real: of the same base.
        means: the real ones are posterior means instead of posterior samples.
    """
    rng = np.random.default_rng([seed, 1])
    n = min(len(z), len(real) // 2, ENOUGH)
    chosen = rng.permutation(len(real))[: 2 * n]
    native = real.mu[chosen] if means else real.sample(chosen, rng)
    cloud, halves = (torch.from_numpy(informative_units(v, real)) for v in (z[:n], native))
    directions = random_directions(cloud.shape[1], 1_024, torch.Generator().manual_seed(seed))
    to_each = [sliced_wasserstein(cloud, half, directions) for half in halves.split(n)]
    return (sum(to_each) / 2 / sliced_wasserstein(halves[:n], halves[n:], directions)).item()


def realism(
    bridge: Bridge, source: Posteriors, target: Posteriors, seed: int = 0, means: bool = False
) -> float:
    """`likeness` of translated latents to real ones of the target.

    Args:
        means: translate posterior means and compare with posterior means, instead of samples with samples.
    """
    z = _some(source, seed, means)
    return likeness(translated(bridge, z, source.domain, target.domain), target, seed, means)


def _some(posteriors: Posteriors, seed: int, means: bool = False) -> np.ndarray:
    """Latents of at most 1,000 items chosen at random. [n, Z]"""
    rng = np.random.default_rng([seed, 0])
    chosen = rng.permutation(len(posteriors))[:ENOUGH]
    return posteriors.mu[chosen] if means else posteriors.sample(chosen, rng)


def locality(bridge: Bridge, source: Posteriors, target: Posteriors, neighbours: int = 10) -> float:
    """Share of the nearest neighbours of an item, among 1,000, that are still so when translated.

    Chance is neighbours / (items - 1).
    """
    mu = _some(source, seed=0, means=True)
    there = translated(bridge, mu, source.domain, target.domain)
    return kept_neighbours(informative_units(mu, source), informative_units(there, target), neighbours)


def kept_neighbours(before: np.ndarray, after: np.ndarray, neighbours: int = 10) -> float:
    """Share of the nearest neighbours of points `before` [n, D] that are still so `after` [n, E]."""
    sets = [_nearest(points, neighbours) for points in (before, after)]
    kept = [len(np.intersect1d(a, b)) for a, b in zip(*sets, strict=True)]
    return float(np.mean(kept)) / neighbours


def distance_correlation(bridge: Bridge, source: Posteriors, target: Posteriors) -> float:
    """Rank correlation, over all pairs of at most 1,000 items, of their distance before and after."""
    mu = _some(source, seed=0, means=True)
    there = translated(bridge, mu, source.domain, target.domain)
    return kept_order(informative_units(mu, source), informative_units(there, target))


def kept_order(before: np.ndarray, after: np.ndarray) -> float:
    """Rank correlation of all distances between points `before` [n, D] and `after` [n, E]."""
    return spearman(*(torch.pdist(torch.from_numpy(points)).numpy() for points in (before, after)))


def _nearest(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of the nearest others of every point [n, D] → [n, count]."""
    cloud = torch.from_numpy(points)
    distance = torch.cdist(cloud, cloud).fill_diagonal_(float("inf"))
    return distance.topk(count, largest=False).indices.numpy()


def attribute_transfer(
    bridge: Bridge,
    source: Posteriors,
    target: str,
    base: Base,
    pairs: Sequence[tuple[str, str]],
    limit: int = ENOUGH,
) -> dict[str, float]:
    """Rank correlation of attributes of the source items with those of their decoded translations.

    Args:
        base: the target's.
        pairs: (attribute of the source, attribute of the target).
        limit: measure so many items, chosen at random (files follow one another by category).

    Returns: `spearman source_attribute>target_attribute` → -1..1.
    """
    chosen = np.random.default_rng(0).permutation(len(source))[:limit]
    found = base.decoded_attributes(translated(bridge, source.mu[chosen], source.domain, target))
    return {f"spearman {a}>{b}": spearman(source.attributes[a][chosen], found[b]) for a, b in pairs}


def best_way_figures(
    bridge: LatentTranslation,
    source: Posteriors,
    target: Posteriors,
    base: Base,
    limit: int = ENOUGH,
    ways: int = WAYS,
) -> dict[str, float]:
    """What `translate` does, which tries several ways and keeps the best: rank correlations of attributes,
    and the cosine of what comes back from there.

    Args:
        base: the target's.
        limit: items translated and decoded, chosen at random.
    """
    rows = np.random.default_rng(0).permutation(len(source))[:limit]
    z, found = by_best_way(bridge, source.take(rows), target.domain, base, ways)
    measured = base.representation.attributes(found)
    i, j = bridge.index(source.domain), bridge.index(target.domain)
    figures = {
        f"spearman {row[i]}>{row[j]}": spearman(source.attribute(row[i])[rows], measured[row[j]])
        for row in bridge.config.attributes
    }
    return {
        "cycle": likeness_at_home(bridge, source, source.mu[rows], z, target.domain),
        **figures,
    }


def by_best_way(
    bridge: LatentTranslation, source: Posteriors, target: str, base: Base, ways: int = WAYS
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Translations of the means of all items by `choosing.best_way`: latents [n, Z'], examples."""
    i = bridge.index(source.domain)
    names = [row[i] for row in bridge.config.attributes]
    values = (
        np.stack([source.attribute(name) for name in names], axis=1) if names else np.zeros((len(source), 0))
    )
    measure = base.representation.attributes
    found = translate_ways(bridge, source.mu, values, source.domain, target, ways, base.decode, measure)
    return best_way(found)


def unseen_figures(
    bridge: LatentTranslation,
    bases: Mapping[str, Base],
    posteriors: Mapping[str, Posteriors],
    limit: int = ENOUGH,
) -> dict[str, float]:
    """`best_way_figures` of items of the categories that training never saw (`ModelConfig.held_out`), for
    every direction from a domain with enough of them; {} if nothing was held out.
    """
    figures: dict[str, float] = {}
    for source, target in permutations(posteriors.values(), 2):
        if source.categories is None:
            continue
        unseen = np.flatnonzero(np.isin(source.categories, bridge.config.held_out))
        if len(unseen) >= FEWEST:
            found = best_way_figures(bridge, source.take(unseen), target, bases[target.domain], limit)
            found = {"items": float(len(unseen)), **found}
            figures |= {f"{source.domain}>{target.domain} unseen {name}": v for name, v in found.items()}
    return figures


def _check_enough(posteriors: Mapping[str, Posteriors]) -> None:
    for held_out in posteriors.values():
        if len(held_out) < FEWEST:
            raise KikiboubaError(
                f"{len(held_out)} held-out examples of {held_out.domain} are too few to measure it by; "
                f"give {FEWEST}, or hundreds to be sure"
            )


def evaluate_translation(
    bridge: LatentTranslation,
    bases: Mapping[str, Base],
    posteriors: Mapping[str, Posteriors],
    training: Mapping[str, Posteriors] | None = None,
    pairs: Sequence[Sequence[str]] | None = None,
    limit: int = ENOUGH,
    seed: int = 0,
) -> dict[str, float]:
    """Every metric for every direction, on held-out posteriors.

    Args:
        bases: by domain; with none, attributes are not measured (nothing is decoded).
        posteriors: by domain, of a held-out split.
        training: by domain, of the training split, which is all a bridge can know of what is real; a few
            held-out files may lie elsewhere. Adds `realism in training`, of what it learnt from on both
            sides, and `realism floor`: that of training latents, untranslated, among held-out ones.
        pairs: rows of one attribute per domain, in the bridge's order; by default its own. To compare an
            unsupervised bridge, which has none, give those of another.
        limit: items decoded per direction.

    Raises:
        KikiboubaError: fewer than 11 items of a domain.

    Returns: e.g. {"sketch>mel_2bar cycle": 0.93, "sketch>mel_2bar spearman density>density": 0.7, …}
    """
    names = bridge.config.domains
    _check_enough(posteriors)
    pairs = bridge.config.attributes if pairs is None else pairs
    figures: dict[str, float] = {}
    for i, j in permutations(range(len(names)), 2):
        source, target = posteriors[names[i]], posteriors[names[j]]
        found = {
            "cycle": cycle_consistency(bridge, source, target.domain),
            "locality": locality(bridge, source, target),
            "distances": distance_correlation(bridge, source, target),
            "realism": realism(bridge, source, target, seed),
            "realism of means": realism(bridge, source, target, seed, means=True),
        }
        if training is not None:
            known = training[names[j]]
            found["realism in training"] = realism(bridge, training[names[i]], known, seed)
            found["realism floor"] = likeness(_some(known, seed), target, seed)
        if names[j] in bases:
            rows = [(row[i], row[j]) for row in pairs]
            found |= attribute_transfer(bridge, source, target.domain, bases[names[j]], rows, limit)
            if rows and isinstance(bridge, LatentTranslation):
                best = best_way_figures(bridge, source, target, bases[names[j]], min(limit, FEW))
                found |= {f"best of {WAYS} {name}": value for name, value in best.items()}
        figures |= {f"{names[i]}>{names[j]} {name}": value for name, value in found.items()}
    return figures
