"""How well a model rebuilds held-out examples: its losses, its accuracy, what survives a round trip."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from kikibouba.bridges.over_base import OverBase
from kikibouba.data.layout import Layout
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.groove import groove_figures
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.evaluate.steps import step_figures
from kikibouba.models.sketch_rnn.model import SketchRNN


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


def free_running(
    base: Base, arrays: Sequence[np.ndarray], rebuilt: Sequence[np.ndarray], seed: int = 0
) -> dict[str, float]:
    """How right a model of music is that hears only itself, from mu on: nothing for others.

    Args:
        rebuilt: the examples as it says them where it takes what is likeliest.

    Returns: for grooves `groove_figures`. For others "greedy …" of these, and "free-running …" of what it
        draws at temperature 1, as the paper measures; see `evaluate.steps`.
    """
    layout: Layout | None = getattr(base.representation, "layout", None)
    if layout is None:
        return {}
    if getattr(base.module.config, "decoder", None) == "groove":
        return groove_figures(rebuilt, arrays)
    figures = {}
    for word, said in (("greedy", rebuilt), ("free-running", base.rebuild(arrays, 1.0, seed))):
        figures |= {f"{word} {name}": value for name, value in step_figures(layout, said, arrays).items()}
    return figures


def teacher_forced(layout: Layout, terms: Mapping[str, float]) -> dict[str, float]:
    """The terms of a loss that say how good a model is, which hears the truth up to each step."""
    figures = {"reconstruction nats": terms["r_loss"], "KL bits": terms["kl_bits"]}
    names = {f"accuracy_output_{k}": f"accuracy, {part.name or k}" for k, part in enumerate(layout.outputs)}
    for name, value in terms.items():
        if name not in NO_MEASURES:
            figures[f"teacher-forced {names.get(name, name.replace('_', ' '))}"] = value
    return figures


NO_MEASURES = ("loss", "r_loss", "kl_loss", "kl_bits", "beta", "sampling_probability")
"""Terms of a loss with a figure of their own, or that measure nothing."""


def loss_figures(base: Base, arrays: Sequence[np.ndarray], seed: int = 0) -> dict[str, float]:
    """What the loss says: `sketch_losses`, `teacher_forced` for music, every term of any other model's.

    Nothing for a bridge over a model: its loss is about latent vectors.
    """
    if isinstance(base.module, OverBase):
        return {}
    if isinstance(base.module, SketchRNN):
        return sketch_losses(base, arrays, seed)
    terms = losses(base, arrays, seed)
    layout: Layout | None = getattr(base.representation, "layout", None)
    return terms if layout is None else teacher_forced(layout, terms)


def evaluate_model(
    base: Base, dataset: Any, split: str = "test", limit: int | None = 2_000, seed: int = 0
) -> dict[str, float]:
    """Held-out figures of a model.

    Args:
        base: the model and its representation.
        dataset: an open `kikibouba.data.store.Dataset`.
        split: which of its splits.
        limit: examples to measure, chosen at random but always the same for a seed. None = all.

    Returns: for music `greedy accuracy`, `free-running accuracy` (for grooves, `groove_figures`),
        `teacher-forced accuracy`, losses, and whatever else the model's loss tells; for sketches R, KL (see
        `sketch_losses`); for all with a z, the rank correlation of attributes that survives reconstruction.
    """
    examples = dataset.split(split)
    order = np.random.default_rng(seed).permutation(len(examples))[:limit]
    order = order[np.argsort(examples.lengths[order], kind="stable")]  # so batches hold little padding
    arrays = [examples[i] for i in order.tolist()]
    figures = {"examples": float(len(arrays))}
    if not base.module.z_size:
        return figures | loss_figures(base, arrays, seed)
    rebuilt = base.rebuild(arrays)
    figures |= free_running(base, arrays, rebuilt, seed) | loss_figures(base, arrays, seed)
    return figures | attributes_kept(base.representation, rebuilt, arrays)
