"""Toy representations; like the real ones they know no torch."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from kikibouba.data.representation import Item
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class ToyRepresentation:
    """Text files of numbers; an example is the run 0, 1, … n - 1 for each number n."""

    kind: ClassVar[str] = "toy"
    suffixes: ClassVar[tuple[str, ...]] = (".txt",)
    steps: int = 8
    max_length: int = 8
    transpose_range: tuple[int, ...] = (0, 3)

    def read(self, path: Path) -> list[str]:
        text = path.read_text()
        if "crash" in text:
            os.abort()
        if "slow" in text:
            time.sleep(0.1)
            text = text.replace("slow", "")
        if "bug" in text:
            raise IndexError("a parser's own mistake")
        if "bad" in text:
            raise KikiboubaError(f"{path}: {text.removeprefix('bad: ')}")
        return [text]

    def windows(self, item: str) -> list[np.ndarray]:
        return [np.arange(int(n), dtype=np.uint8) for n in item.split()]

    def warnings(self, item: str) -> list[str]:
        return ["off the grid"] if "9" in item else []

    def augment(self, array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return array + rng.integers(self.transpose_range[1] + 1, dtype=np.uint8)

    def collate(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([len(array) for array in arrays])
        x = np.zeros((len(arrays), lengths.max()), np.uint8)
        for row, array in zip(x, arrays, strict=True):
            row[: len(array)] = array
        return x, lengths


@dataclass(frozen=True)
class ToySketches:
    """Text files of lines "split category n"; an example is a zigzag of n rows of stroke-3."""

    kind: ClassVar[str] = "toy_sketches"
    names_splits: ClassVar[bool] = True
    scale_factor: float = 1.0

    def read_many(self, path: Path, problems: list[str]) -> Iterator[Item]:
        for number, line in enumerate(path.read_text().splitlines()):
            split, category, n = line.split()
            if n == "?":
                problems.append(f"line {number}: not a number")
            else:
                named = (None if word == "-" else word for word in (split, category))
                yield Item(int(n), *named, where=f"line {number}")

    def windows(self, item: int) -> list[np.ndarray]:
        if item > 20:
            raise KikiboubaError("too long")
        strokes = np.zeros((item, 3), np.float32)
        strokes[:, 0], strokes[:, 1], strokes[-1, 2] = 10 + item, 5 * (-1) ** np.arange(item), 1
        return [strokes]


@dataclass(frozen=True)
class ToyGrooves:
    """Text files of numbers; an example is 32 rows of 27 columns for each, all of that value."""

    kind: ClassVar[str] = "toy_grooves"

    def read(self, path: Path) -> list[str]:
        return [path.read_text()]

    def windows(self, item: str) -> list[np.ndarray]:
        values = np.array(item.split(), np.float32)
        return list(np.tile(values[:, None, None], (1, 32, 27)))
