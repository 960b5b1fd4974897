"""Directions in a latent space along which what is decoded becomes denser, higher, more jagged, …

A vector v of an attribute is such that z + v decodes to something with one standard deviation more of it.
Directions are read off examples: their latent means z and measured attributes a, standardised. Two ways:

    difference    mean z of the upper quarter by a, minus that of the lower quarter
    regression    a = (z - mean) W + noise by least squares; V = (WᵀSW)⁻¹ WᵀS, S the covariance of z: for each
                  attribute the smallest change of z, measured by S, that raises the prediction of it by one
                  and that of the others by nothing

A difference takes along whatever goes with an attribute in the data (high melodies are smooth ones).
Made orthogonal, it is fitted to all attributes at once, z = a V + noise, so that each vector changes its own
while the others stay. After Carter & Nielsen 2017 ("attribute vectors"), as MusicVAE uses them (Roberts et
al. 2018, section 5.3).
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import safetensors
import safetensors.numpy

from kikibouba.data.files import read_bytes, write_bytes
from kikibouba.errors import KikiboubaError, did_you_mean

FILE_NAME = "attributes.safetensors"
"""Beside a model: its vectors."""

SUFFIXES = (".npz", ".safetensors")

Method = Literal["regression", "difference"]

ALIASES = {"note_density": "density"}
"""Other names people know an attribute by."""

RIDGE = 1e-3
"""Added to the covariance of z, in parts of its mean variance, so that dead dimensions do no harm."""


@dataclass(frozen=True, eq=False)
class AttributeVectors:
    """Attribute vectors of one model."""

    vectors: dict[str, np.ndarray]
    """Attribute → [Z] float32: what to add to z for one standard deviation more."""
    deviations: dict[str, float]
    """Attribute → that standard deviation, in the attribute's own unit."""
    model_hash: str
    """Of the weights they belong to (`posteriors.weights_hash`)."""

    def shift(self, amounts: Mapping[str, float]) -> np.ndarray:
        """What to add to z [Z] for so many standard deviations of each attribute.

        Raises:
            KikiboubaError: no vector for an attribute; names the nearest.
        """
        total = np.zeros_like(next(iter(self.vectors.values())))
        for name, amount in amounts.items():
            total += np.float32(amount) * self.vectors[self.find(name)]
        return total

    def find(self, name: str) -> str:
        """The attribute meant by a name or an alias."""
        known = ALIASES.get(name, name)
        if known not in self.vectors:
            raise KikiboubaError(f"there is no vector for {name!r}{did_you_mean(known, self.vectors)}")
        return known

    def only(self, names: Iterable[str]) -> "AttributeVectors":
        """Some of them."""
        chosen = [self.find(name) for name in names]
        deviations = {name: self.deviations[name] for name in chosen}
        return AttributeVectors({name: self.vectors[name] for name in chosen}, deviations, self.model_hash)

    def save(self, path: str | Path) -> Path:
        """Write .npz or .safetensors: names, `vectors` [K, Z], `deviations` [K], and the model's hash."""
        path = Path(path)
        vectors, deviations = np.stack(list(self.vectors.values())), np.array(list(self.deviations.values()))
        if path.suffix == ".safetensors":
            words = {"names": " ".join(self.vectors), "model_hash": self.model_hash}
            arrays = {"vectors": vectors, "deviations": deviations}
            return write_bytes(path, safetensors.numpy.save(arrays, words))
        if path.suffix == ".npz":
            buffer = io.BytesIO()
            names, own_hash = np.array(list(self.vectors)), np.array(self.model_hash)
            np.savez(buffer, names=names, vectors=vectors, deviations=deviations, model_hash=own_hash)
            return write_bytes(path, buffer.getvalue())
        raise KikiboubaError(f"cannot write attribute vectors to {path}; allowed: {', '.join(SUFFIXES)}")


def read_vectors(path: str | Path, model_hash: str) -> AttributeVectors:
    """The inverse of `AttributeVectors.save`.

    Args:
        model_hash: of the model they are to be used with.

    Raises:
        KikiboubaError: no such file, damaged, or of another model.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise KikiboubaError(f"cannot read attribute vectors from {path}; allowed: {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise KikiboubaError(f"there is no file {path}")
    try:
        names, vectors, deviations, found_hash = (_npz if path.suffix == ".npz" else _safetensors)(path)
        if vectors.ndim != 2 or not len(vectors) or not np.isfinite(vectors).all():
            raise ValueError("no finite vectors")
        by_name = dict(zip(names, vectors.astype(np.float32), strict=True))
        found = AttributeVectors(by_name, dict(zip(names, deviations.tolist(), strict=True)), found_hash)
    except Exception as error:  # zipfile, numpy and safetensors raise many kinds on damaged files
        what = " ".join(str(error).split())
        raise KikiboubaError(
            f"{path} holds no attribute vectors ({what}): make them with `kikibouba attribute`"
        ) from None
    if found_hash != model_hash:
        raise KikiboubaError(
            f"{path} is of a model with other weights ({found_hash}, not {model_hash}): "
            "make it again with `kikibouba attribute`"
        )
    return found


Content = tuple[list[str], np.ndarray, np.ndarray, str]
"""Names, vectors, deviations and hash, as they stand in a file."""


def _npz(path: Path) -> Content:
    with np.load(io.BytesIO(read_bytes(path, max_bytes=100_000_000)), allow_pickle=False) as file:
        return file["names"].tolist(), file["vectors"], file["deviations"], str(file["model_hash"])


def _safetensors(path: Path) -> Content:
    with safetensors.safe_open(path, "np") as file:
        words = file.metadata()
        vectors, deviations = file.get_tensor("vectors"), file.get_tensor("deviations")
        return words["names"].split(), vectors, deviations, words["model_hash"]


def fit_vectors(
    mu: np.ndarray, values: np.ndarray, method: Method = "regression", orthogonal: bool = True
) -> np.ndarray:
    """Vectors as the data suggest them; how far they really move what is decoded, decoding will tell.

    Args:
        mu: [n, Z] latent means.
        values: [n, K] attributes of the same examples, each varying.
        method: see the module's text.
        orthogonal: each vector moves its own attribute and leaves the others alone, as far as is known.

    Returns:
        [K, Z] float64, in steps of one standard deviation.
    """
    if method not in get_args(Method):
        raise KikiboubaError(f"unknown method {method!r}; allowed: {', '.join(get_args(Method))}")
    z = mu - mu.mean(0, dtype=np.float64)
    a = (values - values.mean(0)) / values.std(0)
    if method == "difference":
        if orthogonal:
            return np.linalg.solve(a.T @ a, a.T @ z)
        return np.stack([_difference(z, column) for column in a.T])
    covariance = z.T @ z / len(z)
    eye = np.eye(z.shape[1])
    ridge = covariance + RIDGE * np.trace(covariance) / len(eye) * eye
    weights = np.linalg.solve(ridge, z.T @ a / len(z))
    together = weights.T @ covariance @ weights
    if not orthogonal:
        together = np.diag(np.diag(together))
    return np.linalg.solve(together, weights.T @ covariance)


def _difference(z: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Mean z [Z] of the upper quarter less that of the lower, for a difference in `a` of one."""
    low, high = a <= np.quantile(a, 0.25), a >= np.quantile(a, 0.75)
    return (z[high].mean(0) - z[low].mean(0)) / max(a[high].mean() - a[low].mean(), 1e-9)
