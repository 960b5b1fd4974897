"""A dataset of drawings in the units of a model that was trained on other drawings."""

import dataclasses
from pathlib import Path

import numpy as np

from kikibouba.data.store import Dataset, Split
from kikibouba.errors import KikiboubaError, did_you_mean


class RescaledDataset(Dataset):
    """Stroke-3 examples divided by another `scale_factor` than the one they were prepared with."""

    def __init__(self, path: str | Path, scale_factor: float) -> None:
        """`scale_factor`: the model's."""
        super().__init__(path)
        self.factor = self.representation.scale_factor / scale_factor
        self.representation = dataclasses.replace(self.representation, scale_factor=scale_factor)

    def split(self, name: str) -> Split:
        """The examples of "train", "valid" or "test"; an error names the splits there are."""
        if name not in self.splits:
            raise KikiboubaError(f"{self.path} has no {name!r} examples{did_you_mean(name, self.splits)}")
        return _RescaledSplit(self.path, name, self.factor)


class _RescaledSplit(Split):
    def __init__(self, folder: Path, name: str, factor: float) -> None:
        super().__init__(folder, name)
        self.factor = np.array([factor, factor, 1.0], np.float32)

    def __getitem__(self, i: int) -> np.ndarray:
        """Example i, [N, 3] float32."""
        return super().__getitem__(i) * self.factor
