"""How well a model rebuilds held-out examples: its losses, its accuracy, what survives a round trip."""

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kikibouba.data.layout import Layout
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.groove import groove_figures
from kikibouba.evaluate.rank_correlation import spearman


@torch.no_grad()
def losses(base: Base, arrays: Sequence[np.ndarray], seed: int = 0) -> dict[str, float]:
    """Mean of every term of the model's loss, in eval mode, over examples. `accuracy` is teacher-forced.

    z is drawn from the posterior, as in training, from a generator seeded with `seed`.
    """
    generator = torch.Generator(base.device).manual_seed(seed)
    model, sums = base.module.eval(), {}
    for batch in base.batches(arrays):
        for name, value in model.loss(batch, 10**9, generator).items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(batch.lengths)
    return {name: value / len(arrays) for name, value in sums.items()}


def greedy_accuracy(layout: Layout, rebuilt: Sequence[np.ndarray], arrays: Sequence[np.ndarray]) -> float:
    """Share of steps all of whose labels (or bits) are right in what `Base.rebuild` made of examples."""
    outputs = [column for part in layout.outputs for column in range(part.start, part.stop)]
    right = steps = 0
    for said, true in zip(rebuilt, arrays, strict=True):
        said, true = (a.reshape(len(a), -1) for a in (said, true))
        real = true[:, 0] != layout.padding
        both = min(len(said), len(true))
        right += int(((said[:both] == true[:both])[:, outputs].all(-1) & real[:both]).sum())
        steps += int(real.sum())
    return right / steps


def sketch_losses(base: Base, arrays: Sequence[np.ndarray], seed: int = 0) -> dict[str, float]:
    """Sketch-RNN's R and KL as its original evaluation graph counts them, and in nats per drawing.

    Only the drawing's own rows count (`pad_loss="real_rows"`). R is per row of `max_length`, the KL per
    dimension of z, so neither compares between models that differ in these; the totals do.

    Returns: R, KL (without the floor), "R nats", "KL nats", "ELBO nats" (their sum, to be small).
    """
    config = dataclasses.replace(base.module.config, pad_loss="real_rows")
    as_evaluated = copy.copy(base.module)  # shares the weights
    as_evaluated.config = config
    found = losses(Base(as_evaluated, base.representation), arrays, seed)
    r_nats, kl_nats = found["r_loss"] * config.max_length, found["kl_raw"] * config.z_size
    return {
        "R": found["r_loss"],
        "KL": found["kl_raw"],
        "R nats": r_nats,
        "KL nats": kl_nats,
        "ELBO nats": r_nats + kl_nats,
    }


def attributes_kept(
    representation: Any, rebuilt: Sequence[np.ndarray], arrays: Sequence[np.ndarray]
) -> dict[str, float]:
    """Rank correlation of every attribute before and after greedy reconstruction: a translator's ceiling."""
    before, after = representation.attributes(arrays), representation.attributes(rebuilt)
    return {f"{name} kept": spearman(before[name], after[name]) for name in before}


def evaluate_model(
    base: Base, dataset: Any, split: str = "test", limit: int | None = 2_000, seed: int = 0
) -> dict[str, float]:
    """Held-out figures of a model.

    Args:
        base: the model and its representation.
        dataset: an open `kikibouba.data.store.Dataset`.
        split: which of its splits.
        limit: examples to measure, chosen at random but always the same for a seed. None = all.

    Returns: for music `greedy accuracy` (for grooves, `groove_figures`), `teacher-forced accuracy` and
        losses; for sketches R, KL (see `sketch_losses`); for all, the rank correlation of attributes that
        survives reconstruction.
    """
    examples = dataset.split(split)
    order = np.random.default_rng(seed).permutation(len(examples))[:limit]
    order = order[np.argsort(examples.lengths[order], kind="stable")]  # so batches hold little padding
    arrays = [examples[i] for i in order.tolist()]
    rebuilt, kind = base.rebuild(arrays), base.representation.kind
    if kind == "sketch":
        figures = sketch_losses(base, arrays, seed)
    else:
        found = losses(base, arrays, seed)
        if kind == "groove":
            figures = groove_figures(rebuilt, arrays)
        else:
            figures = {"greedy accuracy": greedy_accuracy(base.representation.layout, rebuilt, arrays)}
        figures |= {
            "teacher-forced accuracy": found["accuracy"],
            "reconstruction nats": found["r_loss"],
            "KL bits": found["kl_bits"],
        }
    kept = attributes_kept(base.representation, rebuilt, arrays)
    return {"examples": float(len(arrays)), **figures, **kept}
