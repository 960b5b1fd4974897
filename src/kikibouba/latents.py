"""Latent vectors as files: what `encode` writes and `decode` reads: .npz, .json or .npy."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kikibouba.config import read_json
from kikibouba.data.files import read_bytes, write_bytes
from kikibouba.errors import KikiboubaError

SUFFIXES = (".npz", ".json", ".npy")


@dataclass(frozen=True, eq=False)
class Latents:
    """The posteriors of n examples, and whose latent space they lie in."""

    mu: np.ndarray
    """[n, Z] float32"""
    sigma: np.ndarray
    """[n, Z] float32, standard deviations"""
    model: str = ""
    """Name of the model that encoded them; "" if unknown."""
    sources: tuple[str, ...] = ()
    """The file that each example came from; () if unknown."""
    places: np.ndarray | None = None
    """[n, 4] float64: for windows of a whole piece, their `data.pieces.Place`; None if unknown."""

    def save(self, path: str | Path) -> Path:
        """Write `mu`, `sigma`, `model`, `sources` and, if known, `places`: arrays to .npz, lists to .json. An
        .npy holds `mu` only.

        Raises:
            KikiboubaError: another suffix, or no permission.
        """
        path = Path(path)
        if path.suffix == ".json":
            content = {"model": self.model, "sources": self.sources}
            content |= {"mu": self.mu.tolist(), "sigma": self.sigma.tolist()}
            content |= {} if self.places is None else {"places": self.places.tolist()}
            return write_bytes(path, json.dumps(content).encode())
        if path.suffix == ".npz":
            buffer = io.BytesIO()
            places = np.zeros((0, 4)) if self.places is None else self.places
            sources = np.array(self.sources, str)
            np.savez(buffer, mu=self.mu, sigma=self.sigma, model=self.model, sources=sources, places=places)
            return write_bytes(path, buffer.getvalue())
        if path.suffix == ".npy":
            buffer = io.BytesIO()
            np.save(buffer, self.mu)
            return write_bytes(path, buffer.getvalue())
        raise KikiboubaError(f"cannot write latent vectors to {path}; allowed: {', '.join(SUFFIXES)}")


def read_latents(path: str | Path) -> Latents:
    """The inverse of `Latents.save`. Files of your own need `mu` only.

    Raises:
        KikiboubaError: unreadable, without `mu`, or not [n, Z] finite numbers.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise KikiboubaError(f"cannot read latent vectors from {path}; allowed: {', '.join(SUFFIXES)}")
    found = read_json(path) if path.suffix == ".json" else _read_arrays(path)
    if not isinstance(found, dict) or "mu" not in found:
        raise KikiboubaError(f"{path} has no 'mu': is it a file that `kikibouba encode` wrote?")
    mu = _matrix(found["mu"], path)
    sigma = _matrix(found.get("sigma", np.zeros_like(mu)), path)
    if sigma.shape != mu.shape:
        raise KikiboubaError(f"{path}: mu is {list(mu.shape)}, but sigma {list(sigma.shape)}")
    places = _matrix(found["places"], path, np.float64) if len(found.get("places", ())) else None
    if places is not None and places.shape != (len(mu), 4):
        raise KikiboubaError(f"{path}: places are {list(places.shape)}, not [{len(mu)}, 4]")
    sources = tuple(map(str, found.get("sources", ())))
    return Latents(mu, sigma, str(found.get("model", "")), sources, places)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What is in an .npz; the array of an .npy as `mu`."""
    content = read_bytes(path, max_bytes=1_000_000_000)
    try:
        found = np.load(io.BytesIO(content), allow_pickle=False)
        return {"mu": found} if isinstance(found, np.ndarray) else dict(found)
    except Exception as error:  # zipfile and numpy raise many kinds on damaged files
        reason = " ".join(str(error).split())
        raise KikiboubaError(f"{path} is not a readable {path.suffix}: {reason}") from None


def _matrix(values: object, path: Path, dtype: type = np.float32) -> np.ndarray:
    try:
        array = np.atleast_2d(np.asarray(values, dtype))
    except (TypeError, ValueError):
        raise KikiboubaError(f"{path}: latent vectors must be rows of numbers, all of one length") from None
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise KikiboubaError(f"{path}: latent vectors must be finite numbers [n, Z], not {list(array.shape)}")
    return array
