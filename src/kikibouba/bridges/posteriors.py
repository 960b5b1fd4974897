"""What a bridge learns from: the posteriors of frozen bases, computed once and kept as memory-mapped arrays.

dataset ─base.encode→ mu, sigma [N, Z], and the attributes of every item, cached under the weights' hash
"""

import contextlib
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from kikibouba.data.files import write_bytes
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.models.base import Batch


class Statistics(NamedTuple):
    """Moments per dimension [Z] float32 of an aggregate posterior, the mixture of all items' posteriors."""

    mean: np.ndarray
    std: np.ndarray
    informativeness: np.ndarray
    """var(mu) / (var(mu) + mean(sigma²)): the variance that the encoder determines; 0 = collapsed."""


@dataclass(frozen=True)
class Posteriors:
    """The posteriors of one base over one split of a dataset."""

    domain: str
    """Name of the base."""
    kind: str
    """Of its representation: "melody", "drums" or "sketch"."""
    base_hash: str
    mu: np.ndarray
    """[N, Z] float32, possibly memory-mapped"""
    sigma: np.ndarray
    """[N, Z] float32, standard deviations"""
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    """Name → [N] float"""
    categories: np.ndarray | None = None
    """[N] of str, "" for none: what kind of thing each item is, where that is known"""

    def __len__(self) -> int:
        return len(self.mu)

    def sample(self, indices: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """z = mu + sigma * eps of those items. [len(indices), Z] float32"""
        mu = self.mu[indices]
        return mu + self.sigma[indices] * rng.standard_normal(mu.shape, dtype=np.float32)

    def take(self, indices: np.ndarray) -> "Posteriors":
        """Those items alone; a copy."""
        return replace(
            self,
            mu=self.mu[indices],
            sigma=self.sigma[indices],
            attributes={name: values[indices] for name, values in self.attributes.items()},
            categories=None if self.categories is None else self.categories[indices],
        )

    def attribute(self, name: str) -> np.ndarray:
        """Values [N] of an attribute. Raises KikiboubaError naming the nearest."""
        if name not in self.attributes:
            hint = did_you_mean(name, self.attributes)
            raise KikiboubaError(f"{self.domain!r} has no attribute {name!r}{hint}")
        return self.attributes[name]

    def statistics(self) -> Statistics:
        """Moments of the aggregate posterior; a dimension that never varies gets std 1."""
        between = self.mu.var(axis=0, dtype=np.float64)
        total = between + np.mean(np.square(self.sigma, dtype=np.float64), axis=0)
        total = np.where(total > 0, total, 1.0)
        mean = self.mu.mean(axis=0, dtype=np.float64)
        return Statistics(*(v.astype(np.float32) for v in (mean, np.sqrt(total), between / total)))


def weights_hash(module: nn.Module) -> str:
    """SHA-256 (first 16 hex digits) of a module's weights rounded to half precision.

    The rounding makes a model and its fp16 file on disk the same model.
    """
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().to("cpu", torch.float16).numpy().tobytes())
    return digest.hexdigest()[:16]


def check_weights(what: str, name: str, expected: str, module: nn.Module) -> None:
    """Raise KikiboubaError unless a module has the weights that something was trained on.

    Args:
        what: was trained, e.g. "the translator".
        name: of the base that `module` should be.
        expected: its `weights_hash` then; "" if nobody noted it.
    """
    if expected and expected != (found := weights_hash(module)):
        raise KikiboubaError(
            f"{what} was trained on other weights of {name!r} ({expected}, not {found}): "
            f"load the base it belongs to, or train {what.replace('the ', 'a ', 1)} for this one"
        )


def encode_dataset(
    domain: str,
    base: Any,
    dataset: Any,
    split: str,
    cache: Path,
    limit: int | None = None,
    batch_size: int = 256,
) -> Posteriors:
    """The posteriors of a frozen base over a dataset's split, from the cache if they are there.

    Args:
        domain: name of the base.
        base: a `LatentModel` module; its device is used.
        dataset: an open `kikibouba.data.store.Dataset`.
        split: "train", "valid" or "test".
        cache: folder of caches; ours is `<cache>/<domain>-<split>-<key>/`, complete or absent.
        limit: take that many items, chosen at random but always the same. None = all.
    """
    base_hash = weights_hash(base)
    source = json.dumps([base_hash, dataset.meta, split, limit], sort_keys=True, default=str)
    folder = Path(cache) / f"{domain}-{split}-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        _write(folder, base, dataset.representation, dataset.split(split), limit, batch_size)
    attributes = _attributes(folder, dataset.representation, dataset.split(split), limit)
    mu, sigma = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("mu", "sigma"))
    return Posteriors(domain, dataset.representation.kind, base_hash, mu, sigma, attributes)


def choice(count: int, limit: int | None) -> np.ndarray:
    """Which of `count` examples `encode_dataset` takes: all, or `limit` chosen at random, in order."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, limit, replace=False))


def in_batches(lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Numbers of examples in batches of at most `size`, alike in length: little padding."""
    by_length = np.argsort(lengths, kind="stable")
    return np.array_split(by_length, -(-len(by_length) // size))


def _write(
    folder: Path, base: Any, representation: Any, examples: Any, limit: int | None, batch_size: int
) -> None:
    """Encode `examples` into `folder`, which appears only when complete."""
    chosen = choice(len(examples), limit)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder.parent) as name:
        hidden = Path(name) / folder.name
        hidden.mkdir()
        shape = (len(chosen), base.z_size)
        mu, sigma = (
            np.lib.format.open_memmap(hidden / f"{part}.npy", mode="w+", dtype=np.float32, shape=shape)
            for part in ("mu", "sigma")
        )
        for rows in in_batches(examples.lengths[chosen], batch_size):
            mu[rows], sigma[rows] = encode(base, representation, [examples[i] for i in chosen[rows]])
        mu.flush()
        sigma.flush()
        with contextlib.suppress(FileExistsError, OSError):  # another process may have been faster
            os.rename(hidden, folder)


def _attributes(folder: Path, representation: Any, examples: Any, limit: int | None) -> dict[str, np.ndarray]:
    """The attributes of the items in a cache, measured if they are not there: an older version knew fewer."""
    paths = {name: folder / f"attribute_{name}.npy" for name in representation.attributes([])}
    if not all(path.is_file() for path in paths.values()):
        chosen = choice(len(examples), limit)
        for name, values in representation.attributes(examples[i] for i in chosen).items():
            buffer = io.BytesIO()
            np.save(buffer, values)
            write_bytes(paths[name], buffer.getvalue())
    return {name: np.load(path) for name, path in paths.items()}


@torch.no_grad()
def encode(base: Any, representation: Any, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Examples → (mu, sigma) [n, Z] float32 of a base's encoder, as one batch."""
    posterior = base.eval().encode(*to_batch(representation, arrays, next(base.parameters()).device))
    return posterior.mu.cpu().numpy(), posterior.sigma.cpu().numpy()


def to_batch(representation: Any, arrays: Sequence[np.ndarray], device: torch.device) -> Batch:
    """Examples → what a model takes; labels become int64, whatever they are stored as."""
    x, lengths = representation.collate(arrays)
    tensor = torch.from_numpy(x.astype(np.int64) if x.dtype.kind in "ui" else x)
    return Batch(tensor.to(device), torch.from_numpy(lengths.astype(np.int64)).to(device))
