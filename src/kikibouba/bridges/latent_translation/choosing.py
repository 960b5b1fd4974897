"""Translate several ways, and keep the way that carries the attributes best once it is decoded.

A shared vector is a distribution: z' ~ N(mu', sigma'²). The first way leads through its mean, the others
through draws from around it, of `SPREAD` times the deviation. What each decodes to is measured, and of every
item that translation is kept whose attributes stand among the target's training items where the source's
stand among its own:

    argmin over ways of  Σ over attributes of |rank_B(of what is decoded) - rank_A(of the source)|
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from kikibouba.bridges.latent_translation.model import LatentTranslation
from kikibouba.models.base import Normal

SPREAD = 0.5
"""Of the draws, in standard deviations sigma': wider ones offer more to choose from, and remember less."""

Decode = Callable[[np.ndarray], list[np.ndarray]]
"""Latents [n, Z] → n examples."""
Measure = Callable[[Sequence[np.ndarray]], dict[str, np.ndarray]]
"""n examples → attribute name → [n]."""


class Ways(NamedTuple):
    """Translations of n items in several ways."""

    z: np.ndarray
    """[ways, n, Z'] float32; the first way leads through the mean"""
    examples: list[list[np.ndarray]]
    """[ways][n], decoded"""
    distance: np.ndarray
    """[ways, n]: how far the attributes are from where they should stand; 0 where the bridge knows none"""


@torch.no_grad()
def translate_ways(
    bridge: LatentTranslation,
    mu: np.ndarray,
    attributes: np.ndarray,
    source: str,
    target: str,
    ways: int,
    decode: Decode,
    measure: Measure,
    seed: int = 0,
) -> Ways:
    """Translations of posterior means `mu` [n, Z], decoded and measured.

    Args:
        attributes: [n, attributes of the bridge] of the source items, in the bridge's order.
        ways: 1 = through the mean alone.
        decode, measure: of the target's base.
        seed: of the draws.
    """
    here, there = bridge.index(source), bridge.index(target)
    device = next(bridge.parameters()).device
    shared = bridge.eval().encode(torch.tensor(mu).to(device), source)
    generator = torch.Generator(device).manual_seed(seed)
    near = Normal(shared.mu, SPREAD * shared.sigma)
    points = [shared.mu, *(near.sample(generator) for _ in range(ways - 1))]
    z = bridge.decode(torch.cat(points), target).cpu().numpy()
    examples = decode(z)
    distance = np.zeros(len(z))
    if rows := bridge.config.attributes:
        wanted = np.tile(bridge.domain(here).rank(attributes), (ways, 1))
        measured = measure(examples)
        found = bridge.domain(there).rank(np.stack([measured[row[there]] for row in rows], axis=1))
        distance = np.nansum(np.abs(found - wanted), axis=1)
    n = len(mu)
    return Ways(
        z.reshape(ways, n, -1),
        [examples[way * n : (way + 1) * n] for way in range(ways)],
        distance.reshape(ways, n),
    )


def best_way(ways: Ways) -> tuple[np.ndarray, list[np.ndarray]]:
    """Of every item the translation that carries its attributes best: latents [n, Z'], examples."""
    chosen = ways.distance.argmin(axis=0)
    items = np.arange(len(chosen))
    return ways.z[chosen, items], [ways.examples[way][item] for item, way in enumerate(chosen.tolist())]
