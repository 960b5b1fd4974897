"""Many files, or a prepared dataset, as latent vectors: what `kikibouba encode` calls, here or on a cluster.

    files and datasets ─tasks_of→ Task, … ─Encoder→ Part, … ─gather→ Latents

A task is encoded as one batch wherever that happens, so that the numbers do not depend on where.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kikibouba.bridges.posteriors import in_batches
from kikibouba.data.store import Dataset, Split
from kikibouba.errors import KikiboubaError
from kikibouba.generate import BATCH, Model
from kikibouba.hub import default_model, model_for
from kikibouba.inputs import is_readable, read_piece
from kikibouba.latents import Latents
from kikibouba.training import open_for


class Task(NamedTuple):
    """What is encoded in one go: a file, or some examples of a dataset."""

    path: str
    input: int
    """Its place among the inputs; tasks of one dataset have the same."""
    whole: bool = False
    """Of a file: every window, not the first example alone."""
    split: str = ""
    """Of a dataset; "" for a file."""
    rows: tuple[int, ...] = ()
    """Which examples of the split."""


class Part(NamedTuple):
    """The posteriors of a task."""

    mu: np.ndarray
    """[n, Z] float32"""
    sigma: np.ndarray
    """[n, Z] float32"""
    places: np.ndarray
    """[n, 4] float64, see `Latents.places`; [0, 4] if unknown"""
    rows: np.ndarray
    """[n] int64: which example of a dataset each is of; of a file which of its own"""
    skipped: str = ""
    """Why a file gave nothing."""


NOWHERE = np.zeros((0, 4))


def tasks_of(
    inputs: Sequence[str | Path], whole: bool = False, split: str = "train", batch_size: int = BATCH
) -> list[Task]:
    """What there is to encode.

    Args:
        inputs: files, folders of files (searched through), datasets.
        whole: all of a file, not its first example alone.
        split: of datasets.
        batch_size: examples of a dataset in a task; those alike in length are together.

    Raises:
        KikiboubaError: a folder with nothing to read, a dataset without that split.
    """
    tasks: list[Task] = []
    for path in map(Path, inputs):
        number = tasks[-1].input + 1 if tasks else 0
        if is_dataset(path):
            batches = in_batches(Dataset.open(path).split(split).lengths, batch_size)
            tasks += [Task(str(path), number, split=split, rows=tuple(rows.tolist())) for rows in batches]
            continue
        files = [path]
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if is_readable(p.name) and p.is_file())
            if not files:
                raise KikiboubaError(f"nothing to read in {path}: no drawing, no music, no sound")
        tasks += [Task(str(file), number + i, whole) for i, file in enumerate(files)]
    return tasks


def is_dataset(path: Path) -> bool:
    """Whether `prepare` wrote this folder."""
    return (path / "meta.json").is_file()


def model_of(tasks: Sequence[Task]) -> str:
    """Name of the bundled model that can encode the first task that can be read.

    Raises:
        KikiboubaError: there is no such model, or no such task; why the first one is none.
    """
    errors = []
    for task in tasks:
        try:
            return model_for(task.path) if task.split else default_model(task.path)
        except KikiboubaError as error:
            errors.append(error)
    raise errors[0]


class Encoder:
    """Encodes tasks with a model; keeps the examples at hand that it took some of last."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._opened: tuple[str, str] | None = None
        self._examples: Split | None = None

    def __call__(self, task: Task) -> Part:
        """The posteriors of a task.

        Raises:
            KikiboubaError: the dataset does not suit the model. A file that does not is `skipped`.
        """
        if task.split:
            return self._rows(task)
        try:
            if not task.whole:
                mu, sigma = self.model.encode(task.path)
                return Part(mu, sigma, NOWHERE, np.arange(len(mu)))
            piece = read_piece(task.path, self.model.representation)
            mu, sigma = self.model.encode(piece.arrays)
            return Part(mu, sigma, np.array(piece.places).reshape(-1, 4), np.arange(len(mu)))
        except KikiboubaError as error:
            nothing = np.zeros((0, 0), np.float32)
            return Part(nothing, nothing, NOWHERE, np.arange(0), str(error))

    def _rows(self, task: Task) -> Part:
        """Examples of a dataset: one vector each; of a model of sound, one a latent frame."""
        examples = self._split(task.path, task.split)
        groups = [[row] for row in task.rows] if self.model.kind == "audio" else [task.rows]
        found = [self.model.encode([examples[row] for row in rows]) for rows in groups]
        mu, sigma = (np.concatenate(column) for column in zip(*found, strict=True))
        rows = (
            np.repeat(np.array(task.rows), [len(one.mu) for one in found]) if len(groups) > 1 else task.rows
        )
        return Part(mu, sigma, NOWHERE, np.array(rows))

    def _split(self, path: str, split: str) -> Split:
        if self._examples is None or self._opened != (path, split):
            self._opened, self._examples = (path, split), open_for(self.model, path).split(split)
        return self._examples


def gather(model: str, tasks: Sequence[Task], parts: Sequence[Part]) -> Latents:
    """All posteriors in the order of the inputs, those of a dataset in its own.

    Args:
        model: name of the model that encoded them.
        tasks, parts: in one order.

    Raises:
        KikiboubaError: there is none.
    """
    found = [(task, part) for task, part in zip(tasks, parts, strict=True) if not part.skipped]
    if not found:
        raise KikiboubaError(parts[0].skipped if len(parts) == 1 else "none of the inputs could be encoded")
    mu, sigma, places, rows = (np.concatenate([part[k] for _, part in found]) for k in range(4))
    inputs = np.concatenate([np.full(len(part.mu), task.input) for task, part in found])
    order = np.lexsort((rows, inputs))
    names = _Names()
    sources = [name for task, part in found for name in names.of(task, part.rows)]
    return Latents(
        mu[order],
        sigma[order],
        model,
        tuple(sources[i] for i in order),
        places[order] if len(places) == len(mu) else None,
    )


class _Names:
    """The file that each example came from."""

    def __init__(self) -> None:
        self._of_dataset: dict[tuple[str, str], list[str]] = {}

    def of(self, task: Task, rows: np.ndarray) -> list[str]:
        """One for each of some rows of a task."""
        if not task.split:
            return [task.path] * len(rows)
        key = task.path, task.split
        if key not in self._of_dataset:
            self._of_dataset[key] = [
                source["file"]
                for source in Dataset.open(task.path).sources()
                for _ in range(source["counts"].get(task.split, 0))
            ]
        return [self._of_dataset[key][row] for row in rows.tolist()]
