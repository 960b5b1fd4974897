"""Judges of translations that no translator has seen: classifiers of examples, trained on the data itself.

example ─collate→ [T, C] ─convolutions over time→ features [F] ─linear→ a class for each label

A translation is right for such a judge if it sounds (or looks) like what it should have become, whatever its
latent vector says; and its features are where real and translated examples are compared as clouds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from kikibouba.bridges.posteriors import to_batch
from kikibouba.models.music_vae.columns import Columns

STROKE5 = 5
FEATURES = 64
"""F, the width of all layers."""
STEPS, BATCH, LEARNING_RATE = 500, 128, 2e-3


class Classifier(nn.Module):
    """Three convolutions, mean and maximum over time, one hidden layer, a linear output for every label."""

    def __init__(self, representation: Any, classes: Sequence[int]) -> None:
        """`classes` of every label. What it sees of an example is what its representation's `layout` says an
        encoder sees, or stroke-5 rows.
        """
        super().__init__()
        self.representation = representation
        layout = getattr(representation, "layout", None)
        self.columns = Columns(layout.inputs) if layout else None
        width = self.columns.width if self.columns else STROKE5
        self.convolutions = nn.ModuleList(
            nn.Conv1d(n, FEATURES, kernel_size=5, stride=stride, padding=2)
            for n, stride in ((width, 1), (FEATURES, 2), (FEATURES, 2))
        )
        self.hidden = nn.Linear(2 * FEATURES, FEATURES)
        self.outputs = nn.ModuleList(nn.Linear(FEATURES, n) for n in classes)

    def penultimate(self, arrays: Sequence[np.ndarray]) -> Tensor:
        """What the outputs see of each example. [n, F] float32, gradients flow"""
        x, lengths = to_batch(self.representation, arrays, self.hidden.weight.device)
        if self.columns is not None:
            x = self.columns.features(x if x.ndim == 3 else x[..., None])
        real = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        h = (x * real[..., None]).transpose(1, 2)
        for layer in self.convolutions:
            h = F.relu(layer(h))
            real = real[:, :: cast(nn.Conv1d, layer).stride[0]]
            h = h * real[:, None]
        mean = h.sum(dim=-1) / real.sum(dim=-1, keepdim=True).clamp(min=1)
        return F.relu(self.hidden(torch.cat([mean, h.amax(dim=-1)], dim=-1)))

    @torch.no_grad()
    def features(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """`penultimate` of any number of examples. [n, F]"""
        parts = [self.penultimate(arrays[i : i + 256]) for i in range(0, len(arrays), 256)]
        return torch.cat(parts).cpu().numpy()

    @torch.no_grad()
    def classify(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        """The likeliest class of every label. [n, labels] int64"""
        features = torch.from_numpy(self.features(arrays)).to(self.hidden.weight.device)
        return torch.stack([output(features).argmax(dim=-1) for output in self.outputs], dim=1).cpu().numpy()


def accuracy(found: np.ndarray, labels: np.ndarray) -> float:
    """Share of right classes among all that are labelled; both [n, labels] int, -1 = unlabelled; NaN if none
    is.
    """
    known = labels >= 0
    return float((found == labels)[known].mean()) if known.any() else float("nan")


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """|mean_a - mean_b|² + tr(A + B - 2 (A B)^½) of two clouds [n, F] with covariances A and B; 0 = alike.

    The trace of the root is the sum of the singular values of A^½ B^½, which needs no complex root.
    """
    roots, means = [], []
    for cloud in (a, b):
        cloud = np.asarray(cloud, np.float64)
        values, axes = np.linalg.eigh(np.cov(cloud, rowvar=False))
        roots.append((axes * np.sqrt(values.clip(min=0))) @ axes.T)
        means.append(cloud.mean(axis=0))
    cross = np.linalg.svd(roots[0] @ roots[1], compute_uv=False).sum()
    traces = sum(float(np.square(root).sum()) for root in roots)
    return max(float(np.square(means[0] - means[1]).sum() + traces - 2 * cross), 0.0)


def train_classifier(
    representation: Any,
    arrays: Sequence[np.ndarray],
    labels: np.ndarray,
    classes: Sequence[int],
    cache: Path | None = None,
    steps: int = STEPS,
    seed: int = 0,
) -> Classifier:
    """A classifier of examples, trained for some seconds.

    Args:
        arrays: examples of the representation.
        labels: [n, labels] int64, -1 = unlabelled.
        classes: of every label.
        cache: file to find the weights in, or to write them to; its name must tell all that decides on them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = Classifier(representation, classes)
    if cache is not None and cache.is_file():
        found.load_state_dict(load_file(cache))
        return found.eval()
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(found.parameters(), lr=LEARNING_RATE)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    for _ in range(steps):
        rows = rng.integers(len(arrays), size=BATCH)
        features = found.penultimate([arrays[i] for i in rows])
        wanted = torch.from_numpy(labels[rows])
        loss = sum(
            F.cross_entropy(output(features), wanted[:, i], ignore_index=-1, reduction="sum") / BATCH
            for i, output in enumerate(found.outputs)
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore
        optimizer.step()
        decay.step()
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_file(found.state_dict(), cache)
    return found.eval()
