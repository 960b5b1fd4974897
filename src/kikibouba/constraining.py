"""Ask a model for something: more notes, a higher register, the key of C. What `kikibouba constrain` calls.

source or prior → z ─actor, or search→ z* ─base.decode→ artifact, measured: is it what was asked for?
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from kikibouba import hub
from kikibouba.bridges.latent_constraints.best_of import Moved, best_of
from kikibouba.bridges.latent_constraints.classes import asked, classes_in
from kikibouba.bridges.latent_constraints.config import ModelConfig
from kikibouba.bridges.latent_constraints.model import LatentConstraints
from kikibouba.bridges.latent_constraints.search import CLOSE, FREE, search
from kikibouba.bridges.over_base import OverBase
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.controls import controls_of
from kikibouba.data.artifacts import Artifact
from kikibouba.data.pieces import join
from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model, Prior, check_seed
from kikibouba.inputs import Source, read_piece

Method = Literal["actor", "optimize"]

TRIES = 8
"""How often a result is drawn anew that does not measure up to what was asked."""

SAMPLES = 8
"""Made without a source, unless it is said how many."""


def constrain(
    model: Model | str | Path | None = None,
    source: Source | None = None,
    attributes: Mapping[str, str | float] | None = None,
    *,
    keep_close: bool = True,
    n: int | None = None,
    method: Method | None = None,
    prior: Prior = "fitted",
    temperature: float = 0.0,
    seed: int = 0,
    tries: int = TRIES,
    device: str = "cpu",
) -> list[Artifact]:
    """Artifacts that have what is asked for, made anew or from a source.

    Args:
        model: constraints (loaded, bundled name or folder), or a model that bundled constraints belong to; by
            default the bundled one for the kind of `source`.
        source: what to change; its first example is taken. None: start from the prior.
        attributes: name → "low", "mid", "high", a number (the range it falls into), or a class such as "C".
            None: only what is realistic is asked for.
        keep_close: stay as near to the start as what is asked for allows.
        n: how many; default 1 from a source, else 8. Of a source the first starts from the mean of its
            posterior, the others from draws.
        method: "actor": one pass through a network; "optimize": a search in z, slower and closer. By default
            the actor; if it is to stay close, the search, and the actor where half of the tries have failed.
        prior: where to start without a source; see `Model.sample`.
        temperature: of decoding.
        seed: of all that is drawn.
        tries: a result that measures as something else is drawn anew, so many times in all; the best stays.

    Raises:
        KikiboubaError: no constraints for this model, nothing learnt about an attribute, nothing usable in
            the source.

    Warns: when something asked for was not reached.
    """
    found = load_constraints(model, source, device)
    count = n if n is not None else (SAMPLES if source is None else 1)
    if count < 1:
        raise KikiboubaError(f"cannot make {count} results; ask for 1 or more")
    posterior = None if source is None else found.encode(source)
    told = None if source is None else found.controls_of(source)

    def start(number: int) -> np.ndarray:
        """Where the try of that number starts from, [n, Z]; the first of all from the mean of the source."""
        rng = np.random.default_rng([seed, number, 1])
        noise = rng.standard_normal((count, found.z_size), dtype=np.float32)
        if posterior is not None:
            noise[0] *= number > 0
            return posterior.mu[:1] + posterior.sigma[:1] * noise
        if prior == "fitted" and found.fitted_prior is not None:
            return found.fitted_prior.sample(count, rng)
        return noise

    moved = _made(found, start, attributes, keep_close, method, temperature, seed, told, tries)
    return [found.representation.to_artifact(array) for array in moved.arrays]


def constrain_whole(
    model: Model | str | Path | None,
    source: Source,
    attributes: Mapping[str, str | float] | None = None,
    *,
    keep_close: bool = True,
    method: Method | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    tries: int = TRIES,
    device: str = "cpu",
) -> Artifact:
    """All of a source, window by window, each at its place and in the tempo of the piece; see `constrain`."""
    found = load_constraints(model, source, device)
    piece = read_piece(source, found.representation)
    mu, sigma = found.encode(piece.arrays)
    told = controls_of(found.representation, piece.arrays)

    def start(number: int) -> np.ndarray:
        noise = np.random.default_rng([seed, number, 2]).standard_normal(mu.shape, dtype=np.float32)
        return mu + sigma * noise * (number > 0)

    moved = _made(found, start, attributes, keep_close, method, temperature, seed, told, tries)
    artifacts = [found.representation.to_artifact(array) for array in moved.arrays]
    return join(artifacts, piece, None if piece.places else found.seconds)


def load_constraints(
    model: Model | str | Path | None = None, source: Source | None = None, device: str = "cpu"
) -> Model:
    """Constraints over their base, as one model.

    Raises:
        KikiboubaError: a model without constraints, or no way to guess which one is meant.
    """
    if model is None:
        if source is None:
            raise KikiboubaError("name a model, or a file to start from")
        model = hub.default_model(source)
    found = model if isinstance(model, Model) else hub.load_model(model, device)
    if not has_constraints(found):
        own_hash = weights_hash(found.module)
        for name in hub.bundled():
            preset = hub.read_preset(name)
            if isinstance(preset.model, ModelConfig) and preset.model.base_hash == own_hash:
                return hub.load_model(name, device)
        raise KikiboubaError(
            f"there are no constraints for {found.name}: make them with `kikibouba train constraints --bases "
            f"{found.name} --data … -o …`, and name that folder"
        )
    return found


def constraints_of(model: Model) -> LatentConstraints:
    """The critics and the actor of loaded constraints."""
    return model.module.bridge


def has_constraints(model: Model) -> bool:
    """Whether a model is constraints over their base."""
    return isinstance(model.module, OverBase) and isinstance(model.module.bridge, LatentConstraints)


def move(
    model: Model, z: np.ndarray, labels: np.ndarray, keep_close: bool = True, method: Method = "actor"
) -> np.ndarray:
    """Latent vectors [n, Z] of the base moved to where they have labels [A] or [n, A], -1 = free."""
    if method not in get_args(Method):
        raise KikiboubaError(f"unknown method {method!r}; allowed: {', '.join(get_args(Method))}")
    bridge = constraints_of(model)
    start = torch.from_numpy(np.asarray(z, np.float32)).to(model.device)
    wanted = torch.from_numpy(np.broadcast_to(labels, (len(z), labels.shape[-1])).copy()).to(model.device)
    if method == "optimize":
        return search(bridge, start, wanted, CLOSE if keep_close else FREE).cpu().numpy()
    with torch.no_grad():
        return bridge.act(start, wanted, keep_close).cpu().numpy()


def decode_moved(
    model: Model, z: np.ndarray, temperature: float = 0.0, seed: int = 0, controls: np.ndarray | None = None
) -> list[np.ndarray]:
    """Latent vectors of the base [n, Z], moved or not, as the base decodes them."""
    base = model.module.base
    return Model(model.preset, base, model.name, model.device).decode_arrays(z, temperature, seed, controls)


def _made(
    model: Model,
    start: Callable[[int], np.ndarray],
    attributes: Mapping[str, str | float] | None,
    keep_close: bool,
    method: Method | None,
    temperature: float,
    seed: int,
    controls: np.ndarray | None,
    tries: int,
) -> Moved:
    """The best of several tries, from `start(number of the try)` [n, Z] each; warns of what is missed."""
    check_seed(seed)
    if tries < 1:
        raise KikiboubaError(f"cannot make anything in {tries} tries; allow 1 or more")
    config = constraints_of(model).config
    labels, ordered = asked(config, attributes or {}), np.array([bool(t) for t in config.thresholds])

    def attempt(number: int) -> Moved:
        begin = start(number)
        searches = keep_close and 2 * number < tries
        z = move(model, begin, labels, keep_close, method or ("optimize" if searches else "actor"))
        arrays = decode_moved(model, z, temperature, seed + number, controls)
        return Moved(begin, z, arrays, classes_in(config, model.representation, arrays))

    moved = best_of(tries, labels, ordered, attempt)
    misses = moved.misses(labels, ordered) > 0
    if misses.any():
        names = ", ".join(config.attributes[i] for i in range(len(labels)) if misses[:, i].any())
        warnings.warn(
            f"{misses.any(1).sum()} of {len(misses)} results are not what was asked in {names}; try another "
            "seed, more tries, or without staying close",
            stacklevel=3,
        )
    return moved
