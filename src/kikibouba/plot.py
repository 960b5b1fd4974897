"""Pictures of what models do, as PNG bytes: training curves, latent maps, reconstructions, interpolations."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kikibouba.controls import controls_of
from kikibouba.data.artifacts import Artifact
from kikibouba.data.picture import rows_picture
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.generate import Mode, Model
from kikibouba.inputs import Source, read_anything, read_examples
from kikibouba.train.log import read_log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 144

SLIDERS = 8
"""Latents in a picture of them, at most."""


def plot_files(paths: Sequence[str | Path]) -> bytes:
    """Piano rolls and drawings of files, side by side, named."""
    artifacts: list[Artifact] = [read_anything(path) for path in paths]
    return rows_picture([artifacts], column_titles=[Path(path).name for path in paths])


def plot_reconstructions(
    model: Model, sources: Sequence[Source], temperature: float = 0.0, seed: int = 0
) -> bytes:
    """Above what the model sees of each source, below what it makes of it, told what the source tells it."""
    examples = [read_examples(source, model.representation)[0] for source in sources]
    originals = [model.to_artifact(example) for example in examples]
    if model.kind in ("audio", "embedding"):  # one sound is many latent vectors there; a note has a pitch
        rebuilt = [model.reconstruct(example, temperature, seed) for example in examples]
    else:
        told = controls_of(model.representation, examples)
        rebuilt = model.decode(model.encode(examples).mu, temperature, seed, told)
    titles = [Path(source).name if isinstance(source, str | Path) else "" for source in sources]
    return rows_picture([originals, rebuilt], row_titles=["original", "reconstruction"], column_titles=titles)


def plot_interpolation(
    model: Model,
    a: Source,
    b: Source,
    n: int = 7,
    mode: Mode = "slerp",
    temperature: float = 0.0,
    seed: int = 0,
) -> bytes:
    """The steps of `Model.interpolate` from left to right."""
    steps = model.interpolate(a, b, n, mode, temperature, seed)
    shares = [f"{share:.2f}" for share in np.linspace(0.0, 1.0, n)]
    return rows_picture([steps], column_titles=shares)


def plot_sliders(model: Model, temperature: float = 0.0, seed: int = 0) -> bytes:
    """What the first latents do, a row each: from two standard deviations less, left, to two more, right.

    All other latents stay where the examples' mean is. A model of many latents shows its first `SLIDERS`.
    """
    known = model.fitted_prior
    centre = np.zeros((1, model.z_size), np.float32) if known is None else known.mean[None]
    amounts, names = range(-2, 3), [f"z{number}" for number in range(1, min(model.z_size, SLIDERS) + 1)]
    if not names:
        raise KikiboubaError(f"{model.name} has no latent space (z_size 0), so no sliders")
    z = [model.shifted(centre, {name: amount}) for name in names for amount in amounts]
    artifacts = model.decode(np.concatenate(z), temperature, seed)
    rows = [artifacts[i : i + len(amounts)] for i in range(0, len(artifacts), len(amounts))]
    return rows_picture(rows, row_titles=names, column_titles=["-2", "-1", "0", "+1", "+2"])


def plot_curves(runs: Sequence[str | Path], term: str = "loss") -> bytes:
    """A term of the loss against training steps, for one or several runs: train thin, held-out thick.

    Args:
        runs: folders with a `log.jsonl`.
        term: any name in the log: loss, r_loss, kl_loss, accuracy, learning_rate, …

    Raises:
        KikiboubaError: no log, or no such term in it (says the nearest).
    """
    figure = figure_of(7, 4)
    axes = figure.add_subplot()
    for number, run in enumerate(runs):
        lines = read_log(Path(run))
        if not lines:
            raise KikiboubaError(
                f"{run} has no log.jsonl with lines in it: name the folder of a training run"
            )
        known = {name for line in lines for name in line} - {"step", "split"}
        if term not in known:
            raise KikiboubaError(f"the log of {run} has no {term!r}{did_you_mean(term, known)}")
        for split, width in (("train", 0.9), ("valid", 2.2)):
            points = [(line["step"], line[term]) for line in lines if line["split"] == split and term in line]
            if points:
                steps, values = zip(*points, strict=True)
                label = f"{Path(run).name} {'held-out' if split == 'valid' else split}"
                marker = "." if len(points) < 30 else ""
                axes.plot(steps, values, color=f"C{number}", linewidth=width, marker=marker, label=label)
    axes.set_xlabel("step")
    axes.set_ylabel(term)
    axes.grid(alpha=0.3)
    axes.legend()
    return png_of(figure)


def plot_latent_map(
    model: Model,
    dataset: Dataset,
    attribute: str | None = None,
    split: str = "test",
    limit: int = 2_000,
    seed: int = 0,
) -> bytes:
    """Posterior means of held-out examples in the plane of their two principal components.

    Args:
        model, dataset: of one kind; see `training.open_for`.
        attribute: measure that colours the points; by default the representation's first.
        split: which examples.
        limit: at most so many, chosen at random but always the same for a seed.

    Raises:
        KikiboubaError: no such split or attribute (says the nearest), or fewer than three examples.
    """
    examples = dataset.split(split)
    chosen = np.random.default_rng(seed).permutation(len(examples))[:limit]
    if len(chosen) < 3:
        raise KikiboubaError(f"{split} of {dataset.path} has {len(chosen)} examples; a map needs 3 or more")
    arrays = [examples[i] for i in chosen.tolist()]
    measures = model.representation.attributes(arrays)
    name = attribute or next(iter(measures))
    if name not in measures:
        raise KikiboubaError(f"{model.kind} has no attribute {name!r}{did_you_mean(name, measures)}")
    points, shares = principal_components(model.encode(arrays).mu)
    figure = figure_of(6, 5)
    axes = figure.add_subplot()
    dots: Any = axes.scatter(*points.T, c=measures[name], s=9, cmap="viridis", linewidths=0)
    figure.colorbar(dots, label=name)
    axes.set_xlabel(f"first component ({shares[0]:.0%} of variance)")
    axes.set_ylabel(f"second component ({shares[1]:.0%})")
    axes.set_title(f"{model.name}: {len(arrays)} examples of {split}", fontsize=10)
    return png_of(figure)


def principal_components(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points [n, Z] → (their first two principal components [n, 2], the shares of variance these hold [2]).

    The sign of a component is free; here its largest weight is positive, so that maps can be compared.
    """
    centred = np.asarray(z, np.float64) - z.mean(axis=0, dtype=np.float64)
    _, scale, axes = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(axes[:2]).argmax(axis=1)
    axes = axes[:2] * np.sign(axes[[0, 1], largest])[:, None]
    return centred @ axes.T, scale[:2] ** 2 / max(float((scale**2).sum()), 1e-300)


def figure_of(width: float, height: float) -> "Figure":
    """An empty figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def png_of(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG, the same ones each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
