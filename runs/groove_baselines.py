"""How far one gets with grooves without listening: errors of flat performances and of medians.

python runs/groove_baselines.py datasets/groove
"""

import sys

import numpy as np

from kikibouba.data.groove_inputs import DRUMS
from kikibouba.data.store import Dataset
from kikibouba.evaluate.groove import MILLISECONDS


def hits_and_values(dataset: Dataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Hits [n, T, 9] bool, and velocities (of 127) and offsets (ms) of all cells [2, n, T, 9]."""
    examples = dataset.split(split)
    rows = np.array([examples[i] for i in range(len(examples))])
    hits, velocities, offsets = np.split(rows, [DRUMS, 2 * DRUMS], axis=-1)
    return hits > 0, np.array([127 * velocities, MILLISECONDS * offsets])


def medians(hit: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[2, T, 9]: of the hits of every drum in every step; of every drum where it has none in a step."""
    known = np.where(hit, values, np.nan)
    of_drum = np.nanmedian(known, axis=(1, 2), keepdims=True)[:, 0]
    found = of_drum + np.zeros(values.shape[2:])
    for t, c in np.argwhere(hit.any(0)):
        found[:, t, c] = np.nanmedian(known[:, :, t, c], axis=1)
    return found


def main() -> None:
    """Print the mean error over all hits of the test split."""
    dataset = Dataset.open(sys.argv[1])
    (hit, values), (wanted, truth) = (hits_and_values(dataset, split) for split in ("train", "test"))
    flat = np.array([np.median(truth[0][wanted]), 0.0])[:, None, None]
    of_drum = np.nanmedian(np.where(hit, values, np.nan), axis=(1, 2))[:, None]
    for name, said in (
        ("flat", flat),
        ("median for each drum", of_drum),
        ("median for each drum and step", medians(hit, values)),
    ):
        velocity, offset = np.abs(said[:, None] - truth)[:, wanted].mean(1)
        print(f"{name:<32} velocity {velocity:.1f}  offset {offset:.1f} ms")


if __name__ == "__main__":
    main()
