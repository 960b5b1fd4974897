"""Principal components, each scaled to variance 1: frames of many numbers as few numbers of equal weight.

    y = (x - mean) componentsᵀ / scale        x ≈ mean + (y scale) components

With as many components as numbers the second is the exact inverse of the first. As scikit-learn's
PCA(whiten=True), but for the sign of components, whose largest weight is positive here.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kikibouba.errors import KikiboubaError

LEAST = 1e-12
"""Share of the largest variance below which a direction is taken to have that much, as no noise is."""


class Whitening(NamedTuple):
    """A fitted transformation of [..., W] to [..., n] and back."""

    mean: np.ndarray
    """[W] float32"""
    components: np.ndarray
    """[n, W] float32, orthonormal rows, from the largest variance to the smallest"""
    scale: np.ndarray
    """[n] float32, standard deviations"""

    def apply(self, x: np.ndarray) -> np.ndarray:
        """[..., W] → [..., n]."""
        return (x - self.mean) @ self.components.T / self.scale

    def undo(self, y: np.ndarray) -> np.ndarray:
        """[..., n] → [..., W]."""
        return self.mean + (y * self.scale) @ self.components


def fit_whitening(blocks: Iterable[np.ndarray], count: int) -> Whitening:
    """The `count` principal components of frames.

    Args:
        blocks: frames [R, W], in parts of any length, which are seen one after the other.
        count: n, how many components.

    Raises:
        KikiboubaError: more components than numbers in a frame, or not more frames than components.
    """
    frames, total, squares, first = 0, np.zeros(0), np.zeros(0), np.zeros(0)
    for block in blocks:
        if not frames:
            width = block.shape[1]
            first, total, squares = block[0].astype(np.float64), np.zeros(width), np.zeros((width, width))
        shifted = block - first  # a shift by any frame keeps the sums of squares small
        frames, total, squares = frames + len(block), total + shifted.sum(0), squares + shifted.T @ shifted
    if count > len(total) > 0:
        raise KikiboubaError(
            f"n_pca_components = {count} is more than the {len(total)} numbers of a frame; allowed: 1 to "
            f"{len(total)}"
        )
    if frames <= count:
        raise KikiboubaError(
            f"{count} principal components need more than {count} training frames, and there are {frames}: "
            "prepare more recordings, or lower model.n_pca_components"
        )
    covariance = (squares - np.outer(total, total) / frames) / (frames - 1)
    variances, axes = np.linalg.eigh(covariance)
    order = np.argsort(variances)[::-1][:count]
    components = axes[:, order].T
    components *= np.sign(components[np.arange(count), np.abs(components).argmax(axis=1)])[:, None]
    scale = np.sqrt(np.maximum(variances[order], max(LEAST * variances[-1], 1e-30)))
    mean = first + total / frames
    return Whitening(*(part.astype(np.float32) for part in (mean, components, scale)))
