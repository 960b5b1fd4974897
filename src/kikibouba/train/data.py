"""Batches of a dataset as a pure function of the step, so that a resumed run sees what an uninterrupted one
sees.

An epoch is a permutation drawn from (seed, epoch). Where examples differ in length it is cut into pools of
batches, each pool is sorted by length and cut into batches of similar lengths, and the batches are
shuffled: padding nearly vanishes, and yet every example may meet every other.
"""

import dataclasses
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch

from kikibouba.config import Preset, representation_to_dict
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch

POOL = 50
"""Batches whose examples are sorted by length together."""

NOT_STORED = (
    "transpose_range",
    "rotate",
    "swap_classes",
    "drop_class_prob",
    "drop_hit_prob",
    "random_scale_factor",
    "augment_stroke_prob",
    "roll_output",
    "pitch_classes_in_use",
    "humanize",
    "tapify",
    "fixed_velocities",
    "add_instruments",
    "max_note_dropout_probability",
    "hits_as_controls",
    "split_instruments",
    "clip",
    "detune",
    "detune_semitones",
)
"""Fields of representations that say how stored examples are varied and shown to a model, so that a preset
may change them for a prepared dataset.
"""

SHAPE = ("steps", "depth", "max_length", "chords", "condition_on_key", "coding")
"""What a model must know of its representation: examples of another shape cannot be trained on."""


class TrainingData(Protocol):
    """What the training loop asks of its data. A batch is any NamedTuple of tensors, the first axis being
    examples.
    """

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Any:
        """Rank `rank`'s share of the batch of a step; always the same for the same arguments."""
        ...

    def eval_batches(self) -> Iterator[Any]:
        """The held-out examples, in a fixed order; none at all if there is no held-out split."""
        ...


class SplitBatches:
    """The training data of one split of a prepared dataset.

    Args:
        dataset: an open dataset.
        split: the split that `batch` draws from.
        batch_size: examples per step, over all ranks. A smaller split makes smaller batches, see
            `batch_size`.
        seed: of the order of examples and of augmentation.
        augment: vary examples at random (`Representation.augment`).
        eval_split: the split of `eval_batches`; by default "valid" if `split` is "train", else `split`
            itself.
        representation: augments and collates; by default the dataset's own.
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str = "train",
        batch_size: int = 512,
        seed: int = 0,
        augment: bool = False,
        eval_split: str | None = None,
        representation: Any = None,
    ) -> None:
        self.examples = dataset.split(split)
        self.dataset = dataset
        self.representation = representation or dataset.representation
        self.batch_size = min(batch_size, len(self.examples))
        if self.batch_size < batch_size and split == "train":
            n = self.batch_size
            warnings.warn(f"{split} has {n} examples only: batches of {n}, not {batch_size}", stacklevel=2)
        self.seed, self.augment = seed, augment
        self.eval_split = eval_split or ("valid" if split == "train" else split)
        self.batches_per_epoch = len(self.examples) // self.batch_size
        self._batches_of_epoch = lru_cache(maxsize=2)(self._shuffle)

    @property
    def description(self) -> str:
        """What is trained on, for the card: how much of what, in which folder, made from which files."""
        meta = self.dataset.meta
        counts = ", ".join(f"{count} {name}" for name, count in meta["counts"].items())
        kind, files = self.dataset.representation.kind, meta["files"]
        return (
            f"{counts} examples of {kind} from {files} files, prepared in `{self.dataset.path}` "
            f"(fingerprint of the files: {meta['fingerprint'][:16]})"
        )

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides what `batch` returns: a run goes on only with the same."""
        return {
            "files": self.dataset.meta["fingerprint"][:16],
            "counts": self.dataset.meta["counts"],
            "representation": representation_to_dict(self.representation),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "augment": self.augment,
        }

    def _shuffle(self, epoch: int) -> np.ndarray:
        """The examples of every batch of an epoch, int [batches, batch_size]; a remainder is left out."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.examples))[: self.batches_per_epoch * self.batch_size]
        if len(self.examples) < 2**31:
            order = order.astype(np.int32)  # millions of examples: half the memory
        lengths = self.examples.lengths
        if lengths.min() == lengths.max():
            return order.reshape(-1, self.batch_size)
        lengths = lengths[order]
        pools = np.arange(len(order)) // (POOL * self.batch_size)
        batches = order[np.lexsort((lengths, pools))].reshape(-1, self.batch_size)
        return rng.permutation(batches)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """Every `world`-th example of the batch of a step, from number `rank` on; see `TrainingData`."""
        epoch, number = divmod(step, self.batches_per_epoch)
        arrays = [self.examples[i] for i in self._batches_of_epoch(epoch)[number].tolist()]
        if self.augment:
            # One stream for the whole batch, drawn by every rank, so that sharing it out changes nothing.
            rng = np.random.default_rng([self.seed, epoch, number])
            arrays = [self.representation.augment(array, rng) for array in arrays]
        if world > len(arrays):
            raise KikiboubaError(f"{len(arrays)} examples cannot be shared by {world} processes; use fewer")
        return self._collate(arrays[rank::world])

    def eval_batches(self) -> Iterator[Batch]:
        """All examples of the held-out split, sorted by length, unvaried; see `TrainingData`."""
        if self.eval_split not in self.dataset.splits:
            return
        examples = self.dataset.split(self.eval_split)
        order = np.argsort(examples.lengths, kind="stable")
        for first in range(0, len(order), self.batch_size):
            yield self._collate([examples[i] for i in order[first : first + self.batch_size].tolist()])

    def _collate(self, arrays: list[np.ndarray]) -> Batch:
        x, lengths = self.representation.collate(arrays)
        if x.dtype.kind in "ui":
            x = x.astype(np.int64)
        return Batch(torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(lengths.astype(np.int64)))


class Prefetch:
    """Makes the next step's batch in a thread while the model is busy with this one. Use in a `with`
    block.
    """

    def __init__(self, data: TrainingData, rank: int, world: int) -> None:
        self._make = lambda step: data.batch(step, rank, world)
        self._thread = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[Any]] | None = None

    def batch(self, step: int) -> Any:
        """`data.batch(step)`, made in advance if steps are asked for in order."""
        if self._next is not None and self._next[0] == step:
            batch = self._next[1].result()
        else:
            batch = self._make(step)
        self._next = (step + 1, self._thread.submit(self._make, step + 1))
        return batch

    def __enter__(self) -> "Prefetch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)


def adopt_representation(preset: Preset, dataset: Dataset) -> Preset:
    """The preset with the representation its dataset was made with, but for what is not stored, which stays
    the preset's.

    Raises:
        KikiboubaError: the dataset holds another kind of content, or examples of another shape than the
            model reads.
    """
    wanted, found = preset.representation, dataset.representation
    if wanted.kind != found.kind:
        raise KikiboubaError(
            f"{dataset.path} holds {found.kind} examples, but {preset.name} learns {wanted.kind}; "
            f"make a dataset with `kikibouba prepare {wanted.kind} …`"
        )
    kept = {name: getattr(wanted, name) for name in NOT_STORED if hasattr(wanted, name)}
    found = dataclasses.replace(found, **kept)
    for name in SHAPE:
        ours: Any = getattr(wanted, name, None)
        theirs: Any = getattr(found, name, None)
        if ours != theirs and not (name == "max_length" and theirs < ours):  # shorter ones are no trouble
            raise KikiboubaError(
                f"{dataset.path} was prepared with {name} {theirs}, but {preset.name} expects {ours}; "
                "prepare it again with the settings of this preset"
            )
    return dataclasses.replace(preset, representation=found)
