"""From examples to attribute vectors: encode, measure, fit, and set the lengths by decoding."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kikibouba import hub
from kikibouba.bridges.attribute_vectors import AttributeVectors, Method, fit_vectors
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.controls import controls_of
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.attribute_shift import calibrated, shift_figures
from kikibouba.generate import Model
from kikibouba.inputs import read_examples
from kikibouba.training import open_for

FEWEST = 20
"""Examples that directions can be read off, barely."""

LIMIT = 5_000
"""Examples that directions are read off, at most."""

DECODED = 200
"""Examples by which lengths are set."""


def attribute_vectors(
    model: Model | str | Path,
    data: str | Path | Sequence[str | Path],
    *,
    method: Method = "regression",
    orthogonal: bool = True,
    calibrate: bool = True,
    limit: int = LIMIT,
    seed: int = 0,
    device: str = "cpu",
) -> AttributeVectors:
    """The vectors of every attribute that the model's representation measures.

    Args:
        model: loaded, or as `hub.load` takes it.
        data: a prepared dataset, whose training examples are taken, or files.
        method, orthogonal: see `bridges.attribute_vectors.fit_vectors`.
        calibrate: set each vector's length by decoding, so that 1 really gives one standard deviation.
        limit: examples, at most, chosen at random by `seed`.

    Raises:
        KikiboubaError: no latent space, nothing to read, too few examples, or nothing in them varies.
    """
    if not isinstance(model, Model):
        model = hub.load_model(model, device)
    if not model.z_size:
        raise KikiboubaError(f"{model.name} has no latent space (z_size 0), so nothing can be moved in it")
    examples = read_all(model, data, "train", limit, seed)
    measured = model.representation.attributes(examples)
    deviations = {name: float(values.std()) for name, values in measured.items() if values.std() > 0}
    if not deviations:
        raise KikiboubaError(f"all {len(examples)} examples measure alike; give more, and different ones")
    mu = model.encode(examples).mu
    vectors = fit_vectors(mu, np.stack([measured[name] for name in deviations], 1), method, orthogonal)
    if calibrate:
        vectors = calibrated(mu[:DECODED], vectors, Meter(model, deviations, examples[:DECODED]))
    rows = dict(zip(deviations, vectors.astype(np.float32), strict=True))
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


def read_all(
    model: Model, data: str | Path | Sequence[str | Path], split: str, limit: int, seed: int = 0
) -> list[np.ndarray]:
    """Examples of a dataset's split, or all windows of files, in a random order that follows from `seed`."""
    folders = [data] if isinstance(data, str | Path) else list(data)
    rng = np.random.default_rng(seed)
    if len(folders) == 1 and Path(folders[0]).is_dir():
        split_examples = open_for(model, folders[0]).split(split)
        chosen = rng.permutation(len(split_examples))[:limit]
        examples = [split_examples[i] for i in chosen.tolist()]
    else:
        windows = [w for path in folders for w in read_examples(path, model.representation, whole=True)]
        examples = [windows[i] for i in rng.permutation(len(windows))[:limit].tolist()]
    if len(examples) < FEWEST:
        raise KikiboubaError(
            f"{len(examples)} examples are too few for attribute vectors; give {FEWEST}, better hundreds"
        )
    return examples
