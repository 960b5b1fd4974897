"""Step by step, how much of what a model says is right."""

from collections.abc import Sequence

import numpy as np

from kikibouba.data.layout import Layout, Part


def step_figures(layout: Layout, said: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> dict[str, float]:
    """Compare what was said with the truth, over the real steps of all examples.

    Args:
        layout: of both.
        said: n examples, [T] or [T, K]; what one says too little counts as wrong, what it says too much does
            not count.
        true: the n true ones.

    Returns: `accuracy`, the share of steps that are right: with several outputs (melody, bass, drums) the
        mean of `accuracy, NAME` of each. A step of several bits (drums that hit) is right if all of them are;
        then there are also `precision` and `recall` of the bits that are set.
    """
    pairs = [_aligned(layout, *pair) for pair in zip(said, true, strict=True)]
    rows, truth = (np.concatenate(column) for column in zip(*pairs, strict=True))
    figures: dict[str, float] = {}
    shares = []
    for k, part in enumerate(layout.outputs):
        ours, theirs = (columns[:, part.start : part.stop] for columns in (rows, truth))
        shares.append(float((ours == theirs).all(-1).mean()))
        if len(layout.outputs) > 1:
            figures[f"accuracy, {part.name or k}"] = shares[-1]
        if _stands_for_bits(part):
            bits, wanted = _bits(part, ours), _bits(part, theirs)
            both = (bits & wanted).sum()
            figures["precision"] = float(both / max(bits.sum(), 1))
            figures["recall"] = float(both / max(wanted.sum(), 1))
    return {"accuracy": float(np.mean(shares)), **figures}


def _aligned(layout: Layout, said: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as [T', K], at the steps that are real in the truth; NaN where nothing was said."""
    rows, truth = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (said, true))
    missing = max(len(truth) - len(rows), 0)
    rows = np.pad(rows, ((0, missing), (0, 0)), constant_values=np.nan)[: len(truth)]
    real = truth[:, 0] != layout.padding
    return rows[real], truth[real]


def _stands_for_bits(part: Part) -> bool:
    """Whether a step of this part is several things that are or are not there."""
    return part.table is None or bool((part.table.sum(1) > 1).any())


def _bits(part: Part, columns: np.ndarray) -> np.ndarray:
    """The bits [T, D] bool that columns [T, K] stand for; none where nothing was said."""
    if part.table is None:
        return columns > 0.5
    return part.table[np.nan_to_num(columns[:, 0]).astype(np.int64)] > 0.5
