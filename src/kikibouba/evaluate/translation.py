"""How good a translator is: does it come back, look native, keep neighbours together, carry meaning.

Distances are measured in a base's *informative units*: every latent dimension standardised over the base's
aggregate posterior, then scaled by the root of its informativeness (the share of its variance that the
encoder determines), so that dimensions the base ignores count nothing.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
import torch
from torch.nn import functional as F

from kikibouba.bridges.latent_translation.model import LatentTranslation
from kikibouba.bridges.posteriors import Posteriors
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.nn.sliced_wasserstein import random_directions, sliced_wasserstein


@torch.no_grad()
def translated(bridge: LatentTranslation, z: np.ndarray, source: str, target: str) -> np.ndarray:
    """Latents of `source` [n, Z] → latents of `target` [n, Z'], deterministically."""
    device = next(bridge.parameters()).device
    return bridge.eval().translate(torch.tensor(z).to(device), source, target).cpu().numpy()


def informative_units(z: np.ndarray, posteriors: Posteriors) -> np.ndarray:
    """Latents [n, Z] → [n, Z] standardised and scaled by informativeness (see above)."""
    mean, std, informativeness = posteriors.statistics()
    return (z - mean) / std * np.sqrt(informativeness)


def cycle_consistency(bridge: LatentTranslation, source: Posteriors, target: str) -> float:
    """Mean cosine between posterior means and what is left of them after translating there and back."""
    mu = source.mu
    back = translated(bridge, translated(bridge, mu, source.domain, target), target, source.domain)
    a, b = (torch.from_numpy(informative_units(z, source)) for z in (mu, back))
    return F.cosine_similarity(a, b).mean().item()


def realism(
    bridge: LatentTranslation, source: Posteriors, target: Posteriors, seed: int = 0, means: bool = False
) -> float:
    """Sliced Wasserstein distance of translated to real latents, over that between two halves of real ones.

    1 = this measure cannot tell them from real ones. All three clouds have the same number of points: half
    the target's items, at most 1,000 (with more the ratio would grow, as two halves of one cloud come ever
    closer). Distances are in the target's informative units, over 1,024 random directions.

    Args:
        means: compare clouds of posterior means, translated and real, instead of posterior samples.
    """
    rng = np.random.default_rng(seed)
    n = min(len(target) // 2, len(source), 1_000)
    real, ours = rng.permutation(len(target))[: 2 * n], rng.permutation(len(source))[:n]
    z, native = (
        (source.mu[ours], target.mu[real]) if means else (source.sample(ours, rng), target.sample(real, rng))
    )
    arrived = translated(bridge, z, source.domain, target.domain)
    cloud, real_cloud = (torch.from_numpy(informative_units(v, target)) for v in (arrived, native))
    directions = random_directions(cloud.shape[1], 1_024, torch.Generator().manual_seed(seed))
    one, other = real_cloud[:n], real_cloud[n:]
    distance = (sliced_wasserstein(cloud, one, directions) + sliced_wasserstein(cloud, other, directions)) / 2
    return (distance / sliced_wasserstein(one, other, directions)).item()


def locality(
    bridge: LatentTranslation, source: Posteriors, target: Posteriors, neighbours: int = 10
) -> float:
    """Share of the nearest neighbours of an item, among the first 1,000, that are still so when translated.

    Chance is neighbours / (items - 1).
    """
    mu = source.mu[:1_000]
    before = informative_units(mu, source)
    after = informative_units(translated(bridge, mu, source.domain, target.domain), target)
    sets = [_nearest(points, neighbours) for points in (before, after)]
    kept = [len(np.intersect1d(a, b)) for a, b in zip(*sets, strict=True)]
    return float(np.mean(kept)) / neighbours


def _nearest(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of the nearest others of every point [n, D] → [n, count]."""
    cloud = torch.from_numpy(points)
    distance = torch.cdist(cloud, cloud).fill_diagonal_(float("inf"))
    return distance.topk(count, largest=False).indices.numpy()


def attribute_transfer(
    bridge: LatentTranslation,
    source: Posteriors,
    target: str,
    base: Base,
    pairs: Sequence[tuple[str, str]],
    limit: int = 500,
) -> dict[str, float]:
    """Rank correlation of attributes of the source items with those of their decoded translations.

    Args:
        base: the target's.
        pairs: (attribute of the source, attribute of the target).
        limit: measure the first so many items.

    Returns: `spearman source_attribute>target_attribute` → -1..1.
    """
    found = base.decoded_attributes(translated(bridge, source.mu[:limit], source.domain, target))
    return {f"spearman {a}>{b}": spearman(source.attributes[a][:limit], found[b]) for a, b in pairs}


def evaluate_translation(
    bridge: LatentTranslation,
    bases: Mapping[str, Base],
    posteriors: Mapping[str, Posteriors],
    pairs: Sequence[Sequence[str]] | None = None,
    limit: int = 500,
    seed: int = 0,
) -> dict[str, float]:
    """Every metric for every direction, on held-out posteriors.

    Args:
        bases: by domain; with none, attributes are not measured (nothing is decoded).
        posteriors: by domain, of a held-out split.
        pairs: rows of one attribute per domain, in the bridge's order; by default its own. To compare an
            unsupervised bridge, which has none, give those of another.
        limit: items decoded per direction.

    Returns: e.g. {"sketch>mel_2bar cycle": 0.93, "sketch>mel_2bar spearman density>density": 0.7, …}
    """
    names = bridge.config.domains
    pairs = bridge.config.attributes if pairs is None else pairs
    figures: dict[str, float] = {}
    for i, j in permutations(range(len(names)), 2):
        source, target = posteriors[names[i]], posteriors[names[j]]
        found = {
            "cycle": cycle_consistency(bridge, source, target.domain),
            "realism": realism(bridge, source, target, seed),
            "realism of means": realism(bridge, source, target, seed, means=True),
            "locality": locality(bridge, source, target),
        }
        if names[j] in bases:
            rows = [(row[i], row[j]) for row in pairs]
            found |= attribute_transfer(bridge, source, target.domain, bases[names[j]], rows, limit)
        figures |= {f"{names[i]}>{names[j]} {name}": value for name, value in found.items()}
    return figures
