"""Two made-up latent spaces whose contents are known: attributes are directions, some dimensions noise."""

import numpy as np

from kikibouba.bridges.posteriors import Posteriors


class ToyDomain:
    """Factors ~ N(0, 1), bent and rotated into the first dimensions of z; the others are noise."""

    def __init__(
        self, name: str, size: int, informative: int, noise: float, names: tuple[str, str], seed: int
    ):
        rng = np.random.default_rng(seed)
        self.name, self.size, self.noise, self.names = name, size, noise, names
        self.rotation = np.linalg.qr(rng.standard_normal((informative, informative)))[0]
        self.scales = np.linspace(0.5, 2.0, informative)

    def posteriors(self, count: int, seed: int) -> Posteriors:
        """`count` items; the first two factors are the attributes, the others lean on the first."""
        informative = len(self.scales)
        factors = np.random.default_rng(seed).standard_normal((count, informative))
        bent = factors.copy()
        bent[:, 2:] += 0.5 * np.abs(factors[:, :1])
        mu, sigma = np.zeros((count, self.size), np.float32), np.ones((count, self.size), np.float32)
        mu[:, :informative] = (bent @ self.rotation) * self.scales
        sigma[:, :informative] = self.noise * self.scales
        attributes = {name: factors[:, i] for i, name in enumerate(self.names)}
        return Posteriors(self.name, "toy", f"hash of {self.name}", mu, sigma, attributes)

    def attributes(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Read the attributes off latents [n, size]: what decoding and measuring does with real bases."""
        factors = (z[:, : len(self.scales)] / self.scales) @ self.rotation.T
        return {name: factors[:, i] for i, name in enumerate(self.names)}


SHAPES = ToyDomain("shapes", size=24, informative=12, noise=0.5, names=("spiky", "busy"), seed=1)
SOUNDS = ToyDomain("sounds", size=40, informative=16, noise=0.3, names=("jagged", "dense"), seed=2)
ATTRIBUTES = (("spiky", "jagged"), ("busy", "dense"))
