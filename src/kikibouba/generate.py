"""Use one trained model: sample, reconstruct, interpolate, encode, decode.

    source ─read_examples→ arrays ─collate→ x ─encode→ z ─decode→ x ─split_batch→ arrays → artifacts

Everything is a function of its arguments: the same seed gives the same result on the same machine.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from kikibouba.bridges.attribute_vectors import SUFFIXES, AttributeVectors, read_vectors
from kikibouba.bridges.fitted_prior import FittedPrior
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.config import Preset
from kikibouba.controls import controls_for, controls_from_text, controls_of
from kikibouba.data.artifacts import Artifact
from kikibouba.data.notes import DEFAULT_QPM
from kikibouba.data.pieces import join
from kikibouba.data.windows import QUARTERS_PER_BAR
from kikibouba.errors import KikiboubaError
from kikibouba.inputs import Source, read_examples, read_piece

BATCH = 256
"""Examples that pass through a model together."""

MOST = 10
"""Standard deviations of an attribute that can be asked for; beyond three, what is decoded grows odd."""

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
        vectors_file: Path | None = None,
        source: str = "",
    ) -> None:
        """`module` is a `LatentModel` in eval mode on `device`; `name` is how the user knows it.
        `vectors_file` is where its attribute vectors are, if anywhere. `source` is what `load` finds it by,
        where that is more than the name.
        """
        self.preset, self.module, self.name, self.device = preset, module, name, device
        self.fitted_prior, self.vectors_file, self.source = fitted_prior, vectors_file, source or name
        own = preset.representation
        self.representation = own.in_use() if hasattr(own, "in_use") else own

    @property
    def kind(self) -> str:
        """Of its representation: "melody", "drums", "sketch", …"""
        return self.representation.kind

    @property
    def z_size(self) -> int:
        """Z, the number of dimensions of a latent vector."""
        return self.module.z_size

    def __repr__(self) -> str:
        return f"Model({self.name!r}, {self.kind}, z_size={self.z_size})"

    def encode(self, source: Source | Sequence[np.ndarray], whole: bool = False) -> Posterior:
        """The posterior of the first example in a source, of all of it (see `inputs.read_examples`), or of
        examples.

        Raises:
            KikiboubaError: nothing this model can read in it.
        """
        return self._encode_all(self._examples(source, whole))

    def _examples(self, source: Source | Sequence[np.ndarray], whole: bool = False) -> list[np.ndarray]:
        given = isinstance(source, Sequence) and not isinstance(source, str)
        examples = list(source) if given else read_examples(source, self.representation, whole)  # type: ignore
        if not examples:
            raise KikiboubaError("there is nothing to encode: the list of examples is empty")
        return examples

    def _encode_all(self, examples: Sequence[np.ndarray]) -> Posterior:
        parts = [self._encode(examples[i : i + BATCH]) for i in range(0, len(examples), BATCH)]
        return Posterior(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    @torch.inference_mode()
    def _encode(self, examples: Sequence[np.ndarray]) -> Posterior:
        x, lengths = (torch.from_numpy(a).to(self.device) for a in self.representation.collate(examples))
        mu, sigma = self.module.encode(x, lengths)
        return Posterior(mu.cpu().numpy(), sigma.cpu().numpy())

    def controls_of(self, source: Source) -> np.ndarray | None:
        """What the model is told at each step of the first example in a source, [T, C]: chords, keys, hits.
        None if it is told nothing.
        """
        found = self._controls_of(self._examples(source))
        return None if found is None else found[0]

    def _controls_of(self, examples: Sequence[np.ndarray]) -> np.ndarray | None:
        """What the model is told about examples, [n, T, C]; None if it is told nothing."""
        return controls_of(self.representation, examples)

    def _told(self, controls: np.ndarray | None, n: int) -> np.ndarray | None:
        """Controls as the network takes them for n examples; what is usual where none are given."""
        if controls is None and hasattr(self.representation, "usual_controls"):
            controls = self.representation.usual_controls()
        return None if controls is None else controls_for(self.representation, controls, n)

    def to_artifact(self, array: np.ndarray) -> Artifact:
        """An example as something to see, hear and save."""
        return self.representation.to_artifact(array)

    def controls_from_text(self, chords: str, key: str = "") -> np.ndarray:
        """Chords such as "C G Am F", and a key such as "Am", as what the model is told, [T, C].

        Raises:
            KikiboubaError: the model is told no chords or no key, or one cannot be read.
        """
        return controls_from_text(self.representation, chords, key)

    def decode(
        self, z: np.ndarray, temperature: float = 0.0, seed: int = 0, controls: np.ndarray | None = None
    ) -> list[Artifact]:
        """Latent vectors → artifacts.

        Args:
            z: [n, Z] or [Z] float.
            temperature: 0 takes what is likeliest; 1 is what the model learnt.
            seed: of the choices made at a temperature above 0.
            controls: what the model is told at each step, for all [T, C] or for each [n, T, C]; see
                `controls_of`. None: nothing.

        Raises:
            KikiboubaError: another shape, or NaN; controls for a model that takes none.
        """
        return [self.to_artifact(array) for array in self.decode_arrays(z, temperature, seed, controls)]

    def decode_arrays(
        self, z: np.ndarray, temperature: float = 0.0, seed: int = 0, controls: np.ndarray | None = None
    ) -> list[np.ndarray]:
        """`decode`, to arrays of the representation."""
        rows = np.atleast_2d(np.asarray(z, np.float32))
        if rows.ndim != 2 or rows.shape[1] != self.z_size:
            raise KikiboubaError(f"z has shape {np.shape(z)}, but {self.name} decodes [n, {self.z_size}]")
        if not np.isfinite(rows).all():
            raise KikiboubaError("z holds NaN or infinite values")
        if not 0 <= temperature < np.inf:
            raise KikiboubaError(f"temperature {temperature} must be 0 or more; 1 is what the model learnt")
        told = self._told(controls, len(rows))
        generator = _generator(self.device, seed)
        arrays: list[np.ndarray] = []
        for i in range(0, len(rows), BATCH):
            part = None if told is None else told[i : i + BATCH]
            arrays += self._decode(rows[i : i + BATCH], temperature, generator, part)
        return arrays

    @torch.inference_mode()
    def _decode(
        self, z: np.ndarray, temperature: float, generator: torch.Generator, controls: np.ndarray | None
    ) -> list[np.ndarray]:
        given = torch.from_numpy(z).to(self.device)
        if controls is None:  # models that take none have no such argument
            x, lengths = self.module.decode(given, temperature, generator)
        else:
            told = torch.from_numpy(controls).to(self.device)
            x, lengths = self.module.decode(given, temperature, generator, told)
        return self.representation.split_batch(x.cpu().numpy(), lengths.cpu().numpy())

    def shifted(self, z: np.ndarray, attributes: Mapping[str, float] | None) -> np.ndarray:
        """Latent vectors [n, Z] moved towards more, or less, of some attributes.

        Args:
            attributes: name → standard deviations more (negative: less), e.g. {"density": 1.5}. A name is
                one of the model's own vectors, a file of `kikibouba attribute` that holds one,
                "FILE:NAME", or "z1", "z2", … for a single latent dimension.

        Raises:
            KikiboubaError: no such vector (says the nearest), or a file of another model.
        """
        for name, amount in (attributes or {}).items():
            if not abs(amount) <= MOST:
                allowed = f"give standard deviations from -{MOST} to {MOST}"
                raise KikiboubaError(f"{amount:g} is no amount of {name!r}; {allowed}")
            if re.fullmatch(r"z\d+", name):
                z = z + np.float32(amount) * self._one_latent(int(name[1:]))
            else:
                vectors, name = self._vectors(name)
                z = z + vectors.shift({name: amount})
        return z

    def _one_latent(self, number: int) -> np.ndarray:
        """One standard deviation of a latent dimension, counted from 1, as what to add to z, [Z] float32."""
        if not 1 <= number <= self.z_size:
            raise KikiboubaError(f"{self.name} has no latent z{number}; allowed: z1 to z{self.z_size}")
        step = np.zeros(self.z_size, np.float32)
        known = self.fitted_prior
        step[number - 1] = 1.0 if known is None else np.linalg.norm(known.factor[number - 1])
        return step

    def _vectors(self, name: str) -> tuple[AttributeVectors, str]:
        """The vectors in which a name, a file, or "FILE:NAME" is to be found, and its name there."""
        own_hash = weights_hash(self.module)
        file, _, inside = name.rpartition(":")
        if file.endswith(SUFFIXES):
            return read_vectors(file, own_hash), inside
        if name.endswith(SUFFIXES):
            vectors = read_vectors(name, own_hash)
            first, *others = vectors.vectors
            if others:
                held = ", ".join(vectors.vectors)
                raise KikiboubaError(f"{name} holds {held}: say which one, e.g. {name}:{first}")
            return vectors, first
        if self.vectors_file is None:
            raise KikiboubaError(
                f"{self.name} has no attribute vectors: make them with `kikibouba attribute {name} --model "
                f"{self.name} --data … -o {name}.npz`, and name that file"
            )
        return read_vectors(self.vectors_file, own_hash), name

    def sample(
        self,
        n: int = 1,
        temperature: float = 0.5,
        seed: int = 0,
        prior: Prior = "fitted",
        *,
        controls: np.ndarray | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> list[Artifact]:
        """n new artifacts, decoded from random z.

        Args:
            n: how many.
            temperature: of decoding; see `decode`.
            seed: of z and of decoding.
            prior: "fitted" draws z where the training examples lie (see `FittedPrior`), if the model knows
                that; "standard" from N(0, 1), as the originals do.
            controls: see `decode`.
            attributes: see `shifted`.
        """
        arrays = self.sample_arrays(n, temperature, seed, prior, controls=controls, attributes=attributes)
        return [self.to_artifact(array) for array in arrays]

    def sample_arrays(
        self,
        n: int = 1,
        temperature: float = 0.5,
        seed: int = 0,
        prior: Prior = "fitted",
        *,
        controls: np.ndarray | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> list[np.ndarray]:
        """`sample`, to arrays of the representation."""
        if n < 1:
            raise KikiboubaError(f"cannot make {n} samples; ask for 1 or more")
        check_seed(seed)
        rng = np.random.default_rng([seed, 1])
        if prior == "fitted" and self.fitted_prior is not None:
            z = self.fitted_prior.sample(n, rng)
        else:
            z = rng.standard_normal((n, self.z_size), dtype=np.float32)
        return self.decode_arrays(self.shifted(z, attributes), temperature, seed, controls)

    def reconstruct(
        self,
        source: Source,
        temperature: float = 0.0,
        seed: int = 0,
        *,
        whole: bool = False,
        controls: np.ndarray | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> Artifact:
        """A source through z (the posterior's mean) and back.

        Args:
            source: its first example is taken.
            temperature, seed: see `decode`.
            whole: take all of it: every bar of a piece, at its place and in its tempo; every drawing of a
                file, side by side.
            controls: see `decode`; by default those of the source.
            attributes: see `shifted`.
        """
        if not whole:
            example = self._examples(source)
            return self._rebuilt(example, temperature, seed, controls, attributes)[0]
        piece = read_piece(source, self.representation)
        artifacts = self._rebuilt(piece.arrays, temperature, seed, controls, attributes)
        return join(artifacts, piece, None if piece.places else self.seconds)

    def _rebuilt(
        self,
        examples: Sequence[np.ndarray],
        temperature: float,
        seed: int,
        controls: np.ndarray | None,
        attributes: Mapping[str, float] | None,
    ) -> list[Artifact]:
        """Examples through z and back, told what they were told themselves unless `controls` are given."""
        z = self.shifted(self._encode_all(examples).mu, attributes)
        told = self._controls_of(examples) if controls is None else controls
        return self.decode(z, temperature, seed, told)

    @property
    def seconds(self) -> float | None:
        """How long what it decodes lasts, at 120 quarter notes a minute; None for drawings."""
        bars = getattr(self.representation, "bars", None)
        return None if bars is None else bars * QUARTERS_PER_BAR * 60.0 / DEFAULT_QPM

    def interpolate(
        self,
        a: Source,
        b: Source,
        n: int = 7,
        mode: Mode = "slerp",
        temperature: float = 0.0,
        seed: int = 0,
        *,
        controls: np.ndarray | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> list[Artifact]:
        """n artifacts from a to b in equal steps between the means of their posteriors; ends included.

        Args:
            a, b: the first example of each is taken.
            controls: see `decode`; by default each step is told what the nearer end is.
            attributes: see `shifted`.
        """
        ends = [*self._examples(a)[:1], *self._examples(b)[:1]]
        start, end = self._encode_all(ends).mu
        z = self.shifted(interpolate_latents(start, end, n, mode), attributes)
        told = self._controls_of(ends) if controls is None else controls
        if told is not None and controls is None:
            told = told[(np.arange(n) >= n / 2).astype(int)]
        return self.decode(z, temperature, seed, told)


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
