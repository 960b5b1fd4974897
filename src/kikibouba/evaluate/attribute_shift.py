"""Do attribute vectors do what they promise: ask for more of something, decode, measure."""

from collections.abc import Callable, Sequence

import numpy as np

from kikibouba.evaluate.rank_correlation import spearman

SHIFTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Standard deviations asked for."""

Measured = Callable[[np.ndarray], np.ndarray]
"""Latents [n, Z] → the attributes [n, K] of what they decode to, in standard deviations."""


def shift_figures(
    mu: np.ndarray, vectors: np.ndarray, measured: Measured, names: Sequence[str]
) -> dict[str, float]:
    """What asking for each attribute does to it and to the others.

    Args:
        mu: [n, Z] latent means of examples that the vectors were not made from.
        vectors: [K, Z].
        measured: decodes and measures.
        names: of the K attributes.

    Returns: for each attribute the rank correlation of what was asked with the change that was measured
        (`NAME moved`), the mean change for one standard deviation asked (`NAME gain`, 1 is ideal), and the
        largest rank correlation, in size, with the change of any other attribute (`NAME others`).
    """
    before = measured(mu)
    figures = {}
    for k, name in enumerate(names):
        change = np.stack([measured(mu + shift * vectors[k]) - before for shift in SHIFTS])
        change = change.round(9)  # equal changes must have equal ranks
        asked = np.repeat(SHIFTS, len(mu))
        moved = [spearman(asked, change[..., j].ravel()) for j in range(len(names))]
        others = [abs(value) for j, value in enumerate(moved) if j != k]
        figures |= {
            f"{name} moved": moved[k],
            f"{name} gain": float(np.polyfit(SHIFTS, change[..., k].mean(1), 1)[0]),
            f"{name} others": max(others, default=0.0),
        }
    return figures


def calibrated(mu: np.ndarray, vectors: np.ndarray, measured: Measured) -> np.ndarray:
    """Vectors [K, Z] lengthened, at most threefold, so that asking for one standard deviation gives it.

    Decoders answer less than linearly, each attribute in its own way, so a few lengths are tried.

    Args:
        mu: [n, Z] latent means of examples; the training examples may serve.
        vectors, measured: as for `shift_figures`.
    """
    out = vectors.copy()
    for k, vector in enumerate(vectors):
        answers = {}
        for factor in (1.0, 1.25, 1.5, 2.0, 2.5, 3.0):
            up, down = (measured(mu + sign * factor * vector)[:, k] for sign in (1, -1))
            answers[factor] = float(np.mean(up - down) / 2)
        out[k] *= min(answers, key=lambda factor: abs(answers[factor] - 1))
    return out
