"""What a translator should beat: six ways from one latent space into another without a shared one.

All are fitted to the training posteriors of both domains, and translate as a bridge does. Coordinates c
[n, R] are latents in informative units (`translation.informative_units`) on the R principal axes of their
training means, scaled to variance 1: the R strongest dimensions of any two bases can be set side by side.

    random      a training item of the target, drawn at random
    nearest     the training item of the target whose coordinates are nearest to the source's
    attributes  the training item of the target whose attributes have the same quantiles, nearly, as those
                that a ridge regression reads off the source's z
    procrustes  c → c Q, with the orthogonal Q that brings pairs of items as near as it can, Q = U Vᵀ where
                Xᵀ Y = U S Vᵀ for coordinates X, Y [n, R] of the pairs
    cca         c → c Uₐ Vₐᵀ: the first a canonical directions alone, a the number of attributes
    cyclegan    two networks that fool two critics (least squares) and lead home again (10 times the absolute
                error)

Nobody paired the items. For procrustes and cca each item of the source is paired with the item of the target
whose attributes have the nearest quantiles.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, permutations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kikibouba.bridges.posteriors import Posteriors
from kikibouba.evaluate.rank_correlation import ranks
from kikibouba.evaluate.translation import informative_units

R = 32
"""Principal axes that are compared."""
MOST_PAIRS = 5_000
RIDGE = 1e-2
"""Of the regression of attributes on standardised z, for each item."""
GAN_STEPS, GAN_BATCH, GAN_WIDTH, GAN_CYCLE = 1_000, 256, 256, 10.0

Move = Callable[[np.ndarray, str, str], np.ndarray]
"""Latents [n, Z] of one domain, its name, another's → latents [n, Z'] of the other."""


class Baseline:
    """A function that translates as a bridge does; `seconds` is what fitting it took."""

    def __init__(self, move: Move, seconds: float = 0.0) -> None:
        self.move, self.seconds = move, seconds

    def translate(self, z: Tensor, source: str, target: str) -> Tensor:
        """Latents of `source` [n, Z] → latents of `target` [n, Z'] float32."""
        found = self.move(z.detach().cpu().numpy(), source, target)
        return torch.from_numpy(np.asarray(found, np.float32))


class Axes:
    """The R strongest directions of a base's latents, as coordinates of variance 1 and back."""

    def __init__(self, posteriors: Posteriors, count: int) -> None:
        self.posteriors = posteriors
        units = informative_units(posteriors.mu, posteriors)
        self.centre = units.mean(axis=0)
        _, scale, axes = np.linalg.svd(units - self.centre, full_matrices=False)
        self.axes = axes[:count]
        self.scale = scale[:count] / np.sqrt(len(units))
        self.inverse = np.where(self.scale > 1e-6 * scale[0], 1 / np.maximum(self.scale, 1e-12), 0.0)

    def coordinates(self, z: np.ndarray) -> np.ndarray:
        """Latents [n, Z] → [n, R]."""
        return (informative_units(z, self.posteriors) - self.centre) @ self.axes.T * self.inverse

    def latents(self, coordinates: np.ndarray) -> np.ndarray:
        """Coordinates [n, R] → the latents [n, Z] with these and no others."""
        units = coordinates * self.scale @ self.axes + self.centre
        mean, std, informativeness = self.posteriors.statistics()
        weights = np.sqrt(informativeness)
        return mean + std * np.divide(units, weights, out=np.zeros_like(units), where=weights > 1e-3)


def fit_baselines(
    training: Sequence[Posteriors], attributes: Sequence[Sequence[str]], seed: int = 0
) -> dict[str, Baseline]:
    """All baselines by name, between every two domains.

    Args:
        training: posteriors of every domain.
        attributes: rows of what corresponds, a name per domain; at least one.
        seed: of pairings, draws and networks.
    """
    by_name = {posteriors.domain: posteriors for posteriors in training}
    count = min(R, *(p.mu.shape[1] for p in training), *(len(p) for p in training))
    quantiles = {
        p.domain: np.stack([_quantiles(p.attribute(row[k])) for row in attributes], axis=1)
        for k, p in enumerate(training)
    }
    axes = {name: Axes(posteriors, count) for name, posteriors in by_name.items()}
    places = {name: axes[name].coordinates(posteriors.mu) for name, posteriors in by_name.items()}
    drawn = np.random.default_rng(seed)

    def random(z: np.ndarray, source: str, target: str) -> np.ndarray:
        return by_name[target].mu[drawn.integers(len(by_name[target]), size=len(z))]

    def nearest(z: np.ndarray, source: str, target: str) -> np.ndarray:
        return by_name[target].mu[_nearest(axes[source].coordinates(z), places[target])]

    found = {"random": Baseline(random), "nearest": Baseline(nearest)}
    begin = time.perf_counter()
    found["attributes"] = Baseline(_by_attributes(by_name, quantiles))
    found["attributes"].seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    turns = _turns(by_name, places, quantiles, seed)
    seconds = time.perf_counter() - begin
    for name, kept in (("procrustes", count), ("cca", len(attributes))):
        found[name] = Baseline(_linear(axes, turns, kept), seconds)
    begin = time.perf_counter()
    found["cyclegan"] = Baseline(_cyclegan(axes, places, seed))
    found["cyclegan"].seconds = time.perf_counter() - begin
    return found


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Values [n] → where each stands among them all, 0..1; a value that is missing stands in the middle."""
    known = np.isfinite(values)
    found = np.full(len(values), 0.5)
    found[known] = ranks(values[known]) / max(known.sum() - 1, 1)
    return found


def _nearest(points: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The index of the nearest of `among` [m, D] for each of `points` [n, D]. [n]"""
    there = torch.from_numpy(np.ascontiguousarray(among, np.float32))
    chunks = torch.from_numpy(np.ascontiguousarray(points, np.float32)).split(512)
    return torch.cat([torch.cdist(chunk, there).argmin(dim=1) for chunk in chunks]).numpy()


def _by_attributes(by_name: Mapping[str, Posteriors], quantiles: Mapping[str, np.ndarray]) -> Move:
    weights = {}
    for name, posteriors in by_name.items():
        x = _with_one(informative_units(posteriors.mu, posteriors))
        penalty = RIDGE * len(x) * np.eye(x.shape[1])
        weights[name] = np.linalg.solve(x.T @ x + penalty, x.T @ quantiles[name])

    def move(z: np.ndarray, source: str, target: str) -> np.ndarray:
        read = _with_one(informative_units(z, by_name[source])) @ weights[source]
        spread = _with_one(informative_units(by_name[source].mu, by_name[source])) @ weights[source]
        told = [np.searchsorted(np.sort(s), r) / len(s) for r, s in zip(read.T, spread.T, strict=True)]
        return by_name[target].mu[_nearest(np.stack(told, axis=1), quantiles[target])]

    return move


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


Turns = Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]]
"""For two domains U and V [R, R] of Xᵀ Y = U S Vᵀ."""


def _turns(
    by_name: Mapping[str, Posteriors],
    places: Mapping[str, np.ndarray],
    quantiles: Mapping[str, np.ndarray],
    seed: int,
) -> Turns:
    found = {}
    for source, target in permutations(by_name, 2):
        rows = np.random.default_rng([seed, 1]).permutation(len(by_name[source]))[:MOST_PAIRS]
        partners = _nearest(quantiles[source][rows], quantiles[target])
        u, _, v = np.linalg.svd(places[source][rows].T @ places[target][partners])
        found[source, target] = u, v.T
    return found


def _linear(axes: Mapping[str, Axes], turns: Turns, kept: int) -> Move:
    def move(z: np.ndarray, source: str, target: str) -> np.ndarray:
        u, v = turns[source, target]
        return axes[target].latents(axes[source].coordinates(z) @ u[:, :kept] @ v[:, :kept].T)

    return move


def _cyclegan(axes: Mapping[str, Axes], places: Mapping[str, np.ndarray], seed: int) -> Move:
    """Networks trained against each other, between the coordinates of every two domains."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = next(iter(places.values())).shape[1]
        makers = {pair: _network(size, size) for pair in permutations(places, 2)}
        critics = {pair: _network(size, 1) for pair in makers}
        rng = np.random.default_rng([seed, 2])
        making, judging = (
            torch.optim.Adam(chain(*(n.parameters() for n in networks.values())), 1e-3, (0.5, 0.999))
            for networks in (makers, critics)
        )
        for _ in range(GAN_STEPS):
            real = {
                name: torch.from_numpy(points[rng.integers(len(points), size=GAN_BATCH)]).float()
                for name, points in places.items()
            }
            made = {pair: real[pair[0]] + maker(real[pair[0]]) for pair, maker in makers.items()}
            loss = torch.zeros(())
            for (a, b), there in made.items():
                home = there + makers[b, a](there)
                loss = (
                    loss + (critics[a, b](there) - 1).square().mean() + GAN_CYCLE * F.l1_loss(home, real[a])
                )
            making.zero_grad()
            loss.backward()
            making.step()
            loss = torch.zeros(())
            for (a, b), critic in critics.items():
                loss = (
                    loss + (critic(real[b]) - 1).square().mean() + critic(made[a, b].detach()).square().mean()
                )
            judging.zero_grad()
            loss.backward()
            judging.step()

    @torch.no_grad()
    def move(z: np.ndarray, source: str, target: str) -> np.ndarray:
        here = torch.from_numpy(axes[source].coordinates(z)).float()
        return axes[target].latents((here + makers[source, target](here)).numpy())

    return move


def _network(size: int, out: int) -> nn.Sequential:
    """Two hidden layers. A maker's output is added to its input, so it begins near the identity."""
    return nn.Sequential(
        nn.Linear(size, GAN_WIDTH),
        nn.ReLU(),
        nn.Linear(GAN_WIDTH, GAN_WIDTH),
        nn.ReLU(),
        nn.Linear(GAN_WIDTH, out),
    )
