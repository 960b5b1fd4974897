"""Use one trained model: sample, reconstruct, interpolate, encode, decode.

    source ─read_examples→ arrays ─collate→ x ─encode→ z ─decode→ x ─split_batch→ arrays → artifacts

Everything is a function of its arguments: the same seed gives the same result on the same machine.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from kikibouba.bridges.fitted_prior import FittedPrior
from kikibouba.config import Preset
from kikibouba.data.artifacts import Artifact
from kikibouba.errors import KikiboubaError
from kikibouba.inputs import Source, read_examples

BATCH = 256
"""Examples that pass through a model together."""

Mode = Literal["slerp", "lerp"]
Prior = Literal["fitted", "standard"]


class Posterior(NamedTuple):
    """What a model thinks of n examples: q(z|x) = N(mu, sigma²) for each."""

    mu: np.ndarray
    """[n, Z] float32"""
    sigma: np.ndarray
    """[n, Z] float32, standard deviations"""


class Model:
    """A trained model of one kind of content: the network, and what its arrays mean."""

    def __init__(
        self,
        preset: Preset,
        module: Any,
        name: str,
        device: str = "cpu",
        fitted_prior: FittedPrior | None = None,
    ) -> None:
        """`module` is a `LatentModel` in eval mode on `device`; `name` is how the user knows it."""
        self.preset, self.module, self.name, self.device = preset, module, name, device
        self.fitted_prior = fitted_prior
        own = preset.representation
        self.representation = own.in_use() if hasattr(own, "in_use") else own

    @property
    def kind(self) -> str:
        """ "melody", "drums" or "sketch"."""
        return self.representation.kind

    @property
    def z_size(self) -> int:
        """Z, the number of dimensions of a latent vector."""
        return self.module.z_size

    def __repr__(self) -> str:
        return f"Model({self.name!r}, {self.kind}, z_size={self.z_size})"

    def encode(self, source: Source | Sequence[np.ndarray], every: bool = False) -> Posterior:
        """The posterior of the first example in a source, of every one (see `inputs.read_examples`), or
        of examples.

        Raises:
            KikiboubaError: nothing this model can read in it.
        """
        given = isinstance(source, Sequence) and not isinstance(source, str)
        examples = list(source) if given else read_examples(source, self.representation, every)  # type: ignore
        if not examples:
            raise KikiboubaError("there is nothing to encode: the list of examples is empty")
        parts = [self._encode(examples[i : i + BATCH]) for i in range(0, len(examples), BATCH)]
        return Posterior(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    @torch.inference_mode()
    def _encode(self, examples: Sequence[np.ndarray]) -> Posterior:
        x, lengths = (torch.from_numpy(a).to(self.device) for a in self.representation.collate(examples))
        mu, sigma = self.module.encode(x, lengths)
        return Posterior(mu.cpu().numpy(), sigma.cpu().numpy())

    def decode(self, z: np.ndarray, temperature: float = 0.0, seed: int = 0) -> list[Artifact]:
        """Latent vectors → artifacts.

        Args:
            z: [n, Z] or [Z] float.
            temperature: 0 takes what is likeliest; 1 is what the model learnt.
            seed: of the choices made at a temperature above 0.

        Raises:
            KikiboubaError: another shape, or NaN.
        """
        return [self.representation.to_artifact(array) for array in self.decode_arrays(z, temperature, seed)]

    def decode_arrays(self, z: np.ndarray, temperature: float = 0.0, seed: int = 0) -> list[np.ndarray]:
        """`decode`, to arrays of the representation."""
        rows = np.atleast_2d(np.asarray(z, np.float32))
        if rows.ndim != 2 or rows.shape[1] != self.z_size:
            raise KikiboubaError(f"z has shape {np.shape(z)}, but {self.name} decodes [n, {self.z_size}]")
        if not np.isfinite(rows).all():
            raise KikiboubaError("z holds NaN or infinite values")
        if not 0 <= temperature < np.inf:
            raise KikiboubaError(f"temperature {temperature} must be 0 or more; 1 is what the model learnt")
        generator = _generator(self.device, seed)
        chunks = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
        return [array for chunk in chunks for array in self._decode(chunk, temperature, generator)]

    @torch.inference_mode()
    def _decode(self, z: np.ndarray, temperature: float, generator: torch.Generator) -> list[np.ndarray]:
        x, lengths = self.module.decode(torch.from_numpy(z).to(self.device), temperature, generator)
        return self.representation.split_batch(x.cpu().numpy(), lengths.cpu().numpy())

    def sample(
        self, n: int = 1, temperature: float = 0.5, seed: int = 0, prior: Prior = "fitted"
    ) -> list[Artifact]:
        """n new artifacts, decoded from random z.

        Args:
            n: how many.
            temperature: of decoding; see `decode`.
            seed: of z and of decoding.
            prior: "fitted" draws z where the training examples lie (see `FittedPrior`), if the model knows
                that; "standard" from N(0, 1), as the originals do.
        """
        if n < 1:
            raise KikiboubaError(f"cannot make {n} samples; ask for 1 or more")
        check_seed(seed)
        rng = np.random.default_rng([seed, 1])
        if prior == "fitted" and self.fitted_prior is not None:
            z = self.fitted_prior.sample(n, rng)
        else:
            z = rng.standard_normal((n, self.z_size), dtype=np.float32)
        return self.decode(z, temperature, seed)

    def reconstruct(self, source: Source, temperature: float = 0.0, seed: int = 0) -> Artifact:
        """The first example of a source through z (the posterior's mean) and back."""
        return self.decode(self.encode(source).mu, temperature, seed)[0]

    def interpolate(
        self,
        a: Source,
        b: Source,
        n: int = 7,
        mode: Mode = "slerp",
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[Artifact]:
        """n artifacts from a to b in equal steps between the means of their posteriors; ends included."""
        start, end = self.encode(a).mu[0], self.encode(b).mu[0]
        return self.decode(interpolate_latents(start, end, n, mode), temperature, seed)


def interpolate_latents(a: np.ndarray, b: np.ndarray, n: int, mode: Mode = "slerp") -> np.ndarray:
    """n points from a to b, both included.

    slerp, as MusicVAE and Sketch-RNN do it: with w the angle between a and b, t = 0 … 1 in equal steps,
    sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b. lerp: (1 - t) a + t b. Where the vectors are
    (nearly) parallel or opposite, or one of them is zero, slerp has no plane to turn in and lerp takes
    its place (the originals give NaN).

    Args:
        a, b: [Z] float.
        n: at least 2.

    Returns:
        [n, Z] float32.
    """
    if n < 2:
        raise KikiboubaError(f"an interpolation has at least 2 points, its ends; {n} is too few")
    if mode not in ("slerp", "lerp"):
        raise KikiboubaError(f"unknown mode {mode!r}; allowed: slerp, lerp")
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    t = np.linspace(0.0, 1.0, n)[:, None]
    if mode == "slerp" and (lengths := np.linalg.norm(a) * np.linalg.norm(b)) > 0:
        angle = np.arccos(np.clip(a @ b / lengths, -1.0, 1.0))
        if np.sin(angle) > 1e-6:
            points = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
            return points.astype(np.float32)
    return ((1 - t) * a + t * b).astype(np.float32)


def check_seed(seed: int) -> None:
    """Raise KikiboubaError unless a seed is 0 or more."""
    if seed < 0:
        raise KikiboubaError(f"seed {seed} must be 0 or more")


def _generator(device: str, seed: int) -> torch.Generator:
    check_seed(seed)
    return torch.Generator(device).manual_seed(seed)
