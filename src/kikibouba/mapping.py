"""A map of what two models know: drawings and tunes on one plane, from round to spiky, from calm to busy.

Both kinds are sampled, and translated into one latent space. A place on the map is a projection of that
space: how far a latent vector lies along the attribute vectors of spikiness and density.
"""

from dataclasses import dataclass

import numpy as np

from kikibouba.bridges.attribute_vectors import read_vectors
from kikibouba.bridges.attributes import CORRESPONDENCES
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.data.artifacts import Artifact
from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model
from kikibouba.translator import Translator

AXES = ("spikiness", "density")
"""What lies along x and along y."""

TEMPERATURE = 0.3
"""Of the samples: cautious, so that they look and sound like something."""


@dataclass(frozen=True, eq=False)
class LatentMap:
    """n artifacts of a translator's kinds with their places."""

    places: np.ndarray
    """[n, 2] float32: standard deviations of spikiness and of density, 0 the mean."""
    kinds: list[str]
    artifacts: list[Artifact]
    z: np.ndarray
    """[n, Z] float32, in the latent space of `home`"""
    home: str
    """The translator's first domain."""


def latent_map(translator: Translator, each: int = 60, *, seed: int = 0) -> LatentMap:
    """Samples of every kind of a translator on one plane.

    Args:
        translator: its first base must have a fitted prior and attribute vectors.
        each: samples of each kind.
        seed: of the samples.

    Raises:
        KikiboubaError: the first base has no prior or no vectors for `AXES`.
    """
    home, base = next(iter(translator.bases.items()))
    project = Projection(base)
    kinds, artifacts, rows = [], [], []
    for number, (domain, model) in enumerate(translator.bases.items()):
        rng = np.random.default_rng([seed, number])
        prior = model.fitted_prior
        shape = (each, model.z_size)
        z = prior.sample(each, rng) if prior else rng.standard_normal(shape, dtype=np.float32)
        artifacts += model.decode(z, TEMPERATURE, seed)
        kinds += [model.kind] * each
        rows.append(z if domain == home else translator.translate_z(z, domain, home))
    z = np.concatenate(rows)
    return LatentMap(project(z), kinds, artifacts, z, home)


class Projection:
    """Latent vectors of a model → how spiky and how busy they promise to be."""

    def __init__(self, model: Model) -> None:
        """Raises KikiboubaError if the model lacks what it takes."""
        names = [CORRESPONDENCES[axis].get(model.kind, axis) for axis in AXES]
        if model.fitted_prior is None or model.vectors_file is None:
            raise KikiboubaError(f"{model.name} has no fitted prior or no attribute vectors, so no map")
        found = read_vectors(model.vectors_file, weights_hash(model.module)).only(names)
        vectors = np.stack([found.vectors[name] for name in found.vectors]).astype(np.float64)
        factor = model.fitted_prior.factor.astype(np.float64)
        self.mean = model.fitted_prior.mean
        readers = np.linalg.solve(factor @ factor.T, vectors.T)  # S⁻¹v reads off z what v adds to it
        self.readers = readers / np.sum(readers * vectors.T, axis=0)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """z [n, Z] → [n, 2] float32."""
        return ((z - self.mean) @ self.readers).astype(np.float32)
