"""The pictures by which an Embedding RNN is judged, as PNG bytes: the six of the original's analysis.

fig1a, fig1b   notes, and their reconstructions
fig2           frames as they are; as the model sees them; as it rebuilds them; the difference
fig3           mixtures of a note and its reconstruction, and how far each is from the note
fig4           reconstructions, and how far each is from its note
fig5           notes and reconstructions as paths in the plane of the notes' two principal components
fig6           squared errors of experiments, sorted by their medians
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from kikibouba.bridges.posteriors import to_batch
from kikibouba.data.audio_picture import draw_frames
from kikibouba.data.store import Dataset
from kikibouba.embeddings import MIXES, EmbeddingModel
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.embedding import rebuild, squared_errors
from kikibouba.plot import figure_of, png_of, principal_components
from kikibouba.training import open_for

COMPARED = 3
"""Notes in fig2."""


class Study(NamedTuple):
    """Some held-out notes, and what a model makes of them; frames are float32 [T, W]."""

    names: list[str]
    examples: list[np.ndarray]
    """[T, W + 3]"""
    originals: list[np.ndarray]
    rebuilt: list[np.ndarray]
    seen: list[np.ndarray]
    """The originals as the network sees them, [T, channels]."""
    seen_rebuilt: list[np.ndarray]
    seconds_per_frame: float


def study(model: EmbeddingModel, folder: Any, split: str = "test", n: int = 6, seed: int = 0) -> Study:
    """n notes of a dataset, evenly spread over a split, and their reconstructions.

    Raises:
        KikiboubaError: the dataset does not suit the model, or the model is unconditional.
    """
    if not model.z_size:
        raise KikiboubaError(f"{model.name} is unconditional: it rebuilds nothing; `kikibouba sample` it")
    dataset = open_for(model, folder)
    examples, names = dataset.split(split), names_of(dataset, split)
    chosen = np.unique(np.linspace(0, len(examples) - 1, n).round().astype(int)).tolist()
    arrays = [np.array(examples[i]) for i in chosen]
    width = model.representation.width
    originals = [array[:, :width] for array in arrays]
    rebuilt = rebuild(Base(model.module, model.representation), arrays, 0.0, seed)
    seen, again = (_seen(model, arrays, frames) for frames in (originals, rebuilt))
    step = model.representation.seconds_per_frame
    return Study([names[i] for i in chosen], arrays, originals, rebuilt, seen, again, step)


def names_of(dataset: Dataset, split: str) -> list[str]:
    """What the examples of a split are called: their files, without folder and suffix."""
    found = []
    for source in dataset.sources():
        name, count = source["file"].rpartition("/")[2].rpartition(".")[0], source["counts"].get(split, 0)
        found += [name] if count == 1 else [f"{name} {number + 1}" for number in range(count)]
    return found


@torch.no_grad()
def _seen(
    model: EmbeddingModel, arrays: Sequence[np.ndarray], frames: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Frames as the network sees them."""
    rows = [np.concatenate([own, one[:, own.shape[1] :]], 1) for own, one in zip(frames, arrays, strict=True)]
    x = to_batch(model.representation, rows, torch.device(model.device)).x
    return list(model.module.sequence_of(x[..., : model.representation.width]).cpu().numpy())


def figures(found: Study) -> dict[str, bytes]:
    """Name → PNG of all figures but the last."""
    differences = [again - original for again, original in zip(found.rebuilt, found.originals, strict=True)]
    inner = [again - seen for again, seen in zip(found.seen_rebuilt, found.seen, strict=True)]
    columns = {
        "frames": found.originals,
        "as the model sees them": found.seen,
        "rebuilt": found.seen_rebuilt,
        "difference": inner,
    }
    compared = [{name: frames[i] for name, frames in columns.items()} for i in range(len(found.names))]
    mixed = [share * found.originals[0] + (1 - share) * found.rebuilt[0] for share in MIXES]
    rows = [{"mixture": one, "difference": one - found.originals[0]} for one in mixed]
    pairs = [{"rebuilt": one, "difference": two} for one, two in zip(found.rebuilt, differences, strict=True)]
    step = found.seconds_per_frame
    return {
        "fig1a": _grid([{name: one} for name, one in zip(found.names, found.originals, strict=True)], step),
        "fig1b": _grid([{name: one} for name, one in zip(found.names, found.rebuilt, strict=True)], step),
        "fig2": _grid(compared[:COMPARED], step, found.names),
        "fig3": _grid(rows, step, [f"{share:g} of the note" for share in MIXES]),
        "fig4": _grid(pairs, step, found.names),
        "fig5": _paths(found),
    }


def _grid(
    cells: Sequence[Mapping[str, np.ndarray]], step: float, row_titles: Sequence[str] | None = None
) -> bytes:
    """Frames with titles: a row for each mapping; single ones in rows of three."""
    rows = [list(cell.items()) for cell in cells]
    if row_titles is None:
        flat = [pair for row in rows for pair in row]
        rows = [flat[i : i + 3] for i in range(0, len(flat), 3)]
    columns = max(map(len, rows))
    figure = figure_of(3.2 * columns, 1.9 * len(rows))
    for number, (row, line) in enumerate(
        zip(rows, figure.subplots(len(rows), columns, squeeze=False), strict=True)
    ):
        for axes, (title, frames) in zip(line, row, strict=False):
            draw_frames(axes, frames, step)
            axes.set_title(title, fontsize=8)
            axes.tick_params(labelsize=6)
        if row_titles is not None:
            line[0].set_ylabel(row_titles[number], fontsize=7)
        for axes in line[len(row) :]:
            axes.set_axis_off()
    return png_of(figure)


def _paths(found: Study) -> bytes:
    """Frames one after the other in the plane of the originals' two principal components."""
    originals = np.concatenate(found.originals)
    points, shares = principal_components(originals)
    _, _, directions = np.linalg.svd(originals - originals.mean(0), full_matrices=False)
    signs = np.sign((points * ((originals - originals.mean(0)) @ directions[:2].T)).sum(0))
    figure = figure_of(9, 2.8 * -(-len(found.names) // 3))
    grid = figure.subplots(-(-len(found.names) // 3), 3, squeeze=False).ravel()
    for axes, name, original, again in zip(grid, found.names, found.originals, found.rebuilt, strict=False):
        for frames, color, label in ((original, "C0", "note"), (again, "C1", "rebuilt")):
            path = (frames - originals.mean(0)) @ directions[:2].T * signs
            axes.plot(*path.T, color=color, linewidth=0.8, label=label)
            axes.plot(*path[0], "o", color=color, markersize=3)
        axes.set_title(name, fontsize=8)
        axes.tick_params(labelsize=6)
    grid[0].legend(fontsize=7)
    figure.supxlabel(f"first component ({shares[0]:.0%} of variance)", fontsize=8)
    figure.supylabel(f"second component ({shares[1]:.0%})", fontsize=8)
    for axes in grid[len(found.names) :]:
        axes.set_axis_off()
    return png_of(figure)


def errors_of(
    models: Sequence[EmbeddingModel], folder: Any, split: str = "test", limit: int = 500
) -> dict[str, np.ndarray]:
    """Experiment → the squared errors of its reconstructions of notes of a split, float64 [n]."""
    found = {}
    for model in models:
        examples = open_for(model, folder).split(split)
        arrays = [np.array(examples[i]) for i in range(min(limit, len(examples)))]
        found[model.name] = squared_errors(Base(model.module, model.representation), arrays)
    return found


def box_plot(errors: Mapping[str, np.ndarray]) -> bytes:
    """fig6: the squared errors of experiments side by side, sorted by their medians, on a log scale."""
    names = sorted(errors, key=lambda name: float(np.median(errors[name])))
    figure = figure_of(max(4.0, 1.0 + 0.8 * len(names)), 4)
    axes = figure.add_subplot()
    axes.boxplot([errors[name] for name in names])
    axes.set_xticks(range(1, len(names) + 1), names, rotation=30, ha="right", fontsize=8)
    axes.set_yscale("log")
    axes.set_ylabel("mean squared error of a note")
    axes.grid(alpha=0.3, axis="y")
    return png_of(figure)
