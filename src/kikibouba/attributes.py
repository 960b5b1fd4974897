"""From examples to attribute vectors: encode, measure, fit, and set the lengths by decoding."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from kikibouba import hub
from kikibouba.bridges.attribute_vectors import AttributeVectors, Method, fit_vectors
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.controls import controls_of
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.attribute_shift import calibrated, shift_figures
from kikibouba.generate import Model
from kikibouba.inputs import read_windows
from kikibouba.training import open_for

FEWEST = 20
"""Examples that directions can be read off, barely."""

LIMIT = 5_000
"""Examples that directions are read off, at most."""

DECODED = 200
"""Examples by which lengths are set."""

FLAT = 0.01
"""An attribute whose deviation is a smaller share of its largest value does not vary (a drawing's size)."""

HELD_OUT = 300
"""Examples that vectors are tried on, at most."""


def attribute_vectors(
    model: Model | str | Path,
    data: str | Path | Sequence[str | Path],
    *,
    method: Method | Literal["best"] = "best",
    orthogonal: bool = True,
    calibrate: bool = True,
    limit: int = LIMIT,
    seed: int = 0,
    device: str = "cpu",
) -> AttributeVectors:
    """The vectors of every attribute that the model's representation measures.

    Args:
        model: loaded, or as `hub.load` takes it.
        data: a prepared dataset, or files; see `shared_out`.
        method, orthogonal: see `bridges.attribute_vectors.fit_vectors`. "best" tries all methods and takes
            for each attribute the vector that moves it most and others least, by `shift_figures`.
        calibrate: set each vector's length by decoding, so that 1 really gives one standard deviation.
        limit: examples, at most, chosen at random by `seed`.

    Raises:
        KikiboubaError: no latent space, nothing to read, too few examples, or nothing in them varies.
    """
    if not isinstance(model, Model):
        model = hub.load_model(model, device)
    examples, _ = shared_out(model, data, limit, seed)
    return vectors_from_examples(model, examples, method=method, orthogonal=orthogonal, calibrate=calibrate)


def vectors_from_examples(
    model: Model,
    examples: Sequence[np.ndarray],
    *,
    method: Method | Literal["best"] = "best",
    orthogonal: bool = True,
    calibrate: bool = True,
) -> AttributeVectors:
    """`attribute_vectors` of examples that are at hand."""
    if not model.z_size:
        raise KikiboubaError(f"{model.name} has no latent space (z_size 0), so nothing can be moved in it")
    measured = model.representation.attributes(examples)
    varies = {name: values.std() > FLAT * np.abs(values).max() for name, values in measured.items()}
    deviations = {name: float(values.std()) for name, values in measured.items() if varies[name]}
    if not deviations:
        raise KikiboubaError(f"all {len(examples)} examples measure alike; give more, and different ones")
    mu, values = model.encode(examples).mu, np.stack([measured[name] for name in deviations], 1)
    meter, names = Meter(model, deviations, examples[:DECODED]), list(deviations)
    tried, merits = [], []
    for one in get_args(Method) if method == "best" else (method,):
        vectors = fit_vectors(mu, values, one, orthogonal)
        tried.append(calibrated(mu[:DECODED], vectors, meter) if calibrate else vectors)
        if method == "best":
            figures = shift_figures(mu[:DECODED], tried[-1], meter, names)
            merits.append([figures[f"{name} moved"] - figures[f"{name} others"] for name in names])
    best = np.argmax(merits, axis=0) if merits else np.zeros(len(names), int)
    rows = {name: tried[best[k]][k].astype(np.float32) for k, name in enumerate(names)}
    return AttributeVectors(rows, deviations, weights_hash(model.module))


class Meter:
    """Decodes latent vectors and measures what comes out, in standard deviations."""

    def __init__(self, model: Model, deviations: Mapping[str, float], examples: Sequence[np.ndarray]) -> None:
        """`examples`: those that the latent vectors are variations of, for their chords and the like."""
        self.model, self.deviations = model, deviations
        self.controls = controls_of(model.representation, examples)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """[n, Z], one row for each example → [n, K]."""
        arrays = self.model.decode_arrays(z, controls=self.controls)
        measured = self.model.representation.attributes(arrays)
        return np.stack([measured[name] / self.deviations[name] for name in self.deviations], 1)


def measure_vectors(
    model: Model, vectors: AttributeVectors, examples: Sequence[np.ndarray]
) -> dict[str, float]:
    """What the vectors do to held-out examples: see `evaluate.attribute_shift.shift_figures`."""
    rows = np.stack(list(vectors.vectors.values()))
    meter = Meter(model, vectors.deviations, examples)
    return shift_figures(model.encode(examples).mu, rows, meter, list(vectors.vectors))


def shared_out(
    model: Model, data: str | Path | Sequence[str | Path], limit: int = LIMIT, seed: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Examples to read vectors off, at most `limit`, and others to try them on, at most `HELD_OUT`.

    Of a dataset these are the splits for training and for testing (or validation). Where there is but one,
    and of the windows of files, bar by bar, a fifth is held out.

    Raises:
        KikiboubaError: nothing to read, or fewer than `FEWEST` examples.
    """
    folders = [data] if isinstance(data, str | Path) else list(data)
    rng = np.random.default_rng(seed)
    if len(folders) == 1 and Path(folders[0]).is_dir():
        dataset = open_for(model, folders[0])
        splits = [dataset.split(name) for name in ("train", "test", "valid") if name in dataset.splits]
        if len(splits) > 1:
            return _some(splits[0], limit, rng), _some(splits[1], HELD_OUT, rng)
        pool: Any = splits[0]
    else:
        pool = [window for path in folders for window in read_windows(path, model.representation)]
    chosen = _some(pool, limit + HELD_OUT, rng)
    fifth = min(len(chosen) // 5, HELD_OUT)
    return chosen[fifth:], chosen[:fifth]


def _some(examples: Any, limit: int, rng: np.random.Generator) -> list[np.ndarray]:
    """At most `limit` of a sequence of examples, in a random order."""
    if len(examples) < FEWEST:
        raise KikiboubaError(
            f"{len(examples)} examples are too few for attribute vectors; give {FEWEST}, better hundreds"
        )
    return [examples[i] for i in rng.permutation(len(examples))[:limit].tolist()]
