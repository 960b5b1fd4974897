"""Sounds of one length: windows of recordings, for models that see a sound as one vector."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kikibouba.data.audio import AudioRepresentation
from kikibouba.data.audio_files import SAMPLE_RATE
from kikibouba.data.store import Dataset, Split
from kikibouba.errors import KikiboubaError, did_you_mean


@dataclass(frozen=True)
class SoundWindows(AudioRepresentation):
    """Codes of exactly `window` samples; what is shorter is filled up with silence."""

    window: int = SAMPLE_RATE
    every: int = 0
    """Samples from the beginning of one window to that of the next; 0: a recording's first window only."""

    def windows(self, item: np.ndarray) -> list[np.ndarray]:
        """The windows of a recording. Raises KikiboubaError if it is silent."""
        (codes,) = AudioRepresentation.windows(dataclasses.replace(self, clip=1), item)
        return [self.fitted(codes[start:]) for start in self.starts(len(codes))]

    def starts(self, length: int) -> range:
        """Where the windows of a recording of so many samples begin; the last may reach half beyond it."""
        return range(0, max(length - self.window // 2, 1), self.every) if self.every else range(1)

    def fitted(self, codes: np.ndarray) -> np.ndarray:
        """Codes [N] cut, or filled up with silence, to [window]."""
        codes = codes[: self.window]
        return np.pad(codes, (0, self.window - len(codes)), constant_values=self.silence)

    def collate(self, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Codes [N] each → (x [B, window] uint8, lengths [B] int64)."""
        return super().collate([self.fitted(array) for array in arrays])


class WindowedDataset(Dataset):
    """A dataset of whole recordings, seen through windows."""

    def __init__(self, path: str | Path, representation: SoundWindows) -> None:
        super().__init__(path)
        if self.representation.coding != representation.coding:
            raise KikiboubaError(
                f"{path} was prepared with coding {self.representation.coding}, not {representation.coding}: "
                f"prepare it again with --set representation.coding={representation.coding}"
            )
        self.representation = representation

    def split(self, name: str) -> Split:
        """The windows of "train", "valid" or "test"; an error names the splits there are."""
        if name not in self.splits:
            raise KikiboubaError(f"{self.path} has no {name!r} examples{did_you_mean(name, self.splits)}")
        return _Windows(self.path, name, self.representation)


class _Windows(Split):
    def __init__(self, folder: Path, name: str, representation: SoundWindows) -> None:
        super().__init__(folder, name)
        self.representation = representation
        places = [
            (recording, start)
            for recording, length in enumerate(np.diff(self.offsets).tolist())
            for start in representation.starts(length)
        ]
        recordings, starts = np.array(places, np.int64).T
        self.begins = self.offsets[recordings] + starts
        self.ends = self.offsets[recordings + 1]
        if self.categories is not None:
            self.categories = np.asarray(self.categories)[recordings]

    def __len__(self) -> int:
        return len(self.begins)

    def __getitem__(self, i: int) -> np.ndarray:
        """Window i, uint8 [window]."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.name} has {len(self)} windows, no number {i}")
        return self.representation.fitted(self.rows[self.begins[i] : self.ends[i]])

    @property
    def lengths(self) -> np.ndarray:
        """Samples of each window: all the same."""
        return np.broadcast_to(np.int64(self.representation.window), len(self))
