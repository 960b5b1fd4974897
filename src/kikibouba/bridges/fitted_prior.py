"""Where a model's latent vectors really lie: one normal distribution fitted to its aggregate posterior.

A VAE is sampled from N(0, 1), as if training had filled exactly that. It never does: some directions stay
empty, and what is decoded from there is noise. A full-covariance normal fitted afterwards costs one pass
over the data and samples where examples are ("ex-post density estimation", Ghosh et al. 2020,
arXiv:1903.12436).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy

from kikibouba.data.files import write_bytes
from kikibouba.errors import KikiboubaError

FILE_NAME = "prior.safetensors"


@dataclass(frozen=True, eq=False)
class FittedPrior:
    """N(mean, factor factorᵀ)."""

    mean: np.ndarray
    """[Z] float32"""
    factor: np.ndarray
    """[Z, Z] float32, lower triangular"""

    @classmethod
    def fit(cls, mu: np.ndarray, sigma: np.ndarray) -> "FittedPrior":
        """The normal with the moments of the mixture of posteriors N(mu, sigma²), [n, Z] each, n >= 2."""
        mean = mu.mean(0, dtype=np.float64)
        centred = mu - mean
        covariance = centred.T @ centred / len(mu) + np.diag(np.square(sigma, dtype=np.float64).mean(0))
        return cls(mean.astype(np.float32), np.linalg.cholesky(covariance).astype(np.float32))

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n draws, [n, Z] float32."""
        return self.mean + rng.standard_normal((n, len(self.mean)), dtype=np.float32) @ self.factor.T

    def as_stored(self) -> "FittedPrior":
        """As it will be when it is loaded again: its numbers in half precision."""
        rounded = (column.astype(np.float16).astype(np.float32) for column in (self.mean, self.factor))
        return FittedPrior(*rounded)

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint folder, in half precision."""
        arrays = {"mean": self.mean.astype(np.float16), "factor": self.factor.astype(np.float16)}
        write_bytes(folder / FILE_NAME, safetensors.numpy.save(arrays))


def load_prior(folder: Path, z_size: int) -> FittedPrior | None:
    """The fitted prior of a checkpoint folder, None if it has none.

    Raises:
        KikiboubaError: the file is damaged or of another model.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        arrays = safetensors.numpy.load_file(path)
        mean, factor = (arrays[name].astype(np.float32) for name in ("mean", "factor"))
    except (safetensors.SafetensorError, KeyError, OSError) as error:
        raise KikiboubaError(f"{path} is damaged: {error}; delete it to sample from N(0, 1)") from None
    if mean.shape != (z_size,) or factor.shape != (z_size, z_size):
        raise KikiboubaError(f"{path} is of another model: its z has {mean.size} dimensions, not {z_size}")
    return FittedPrior(mean, factor)
