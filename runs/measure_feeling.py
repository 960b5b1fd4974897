"""Quantiles of the attributes behind `kikibouba.feelings`, of held-out data: prints the table kept
there.

python runs/measure_feeling.py datasets/sketch datasets/melody datasets/drums
"""

import sys

import numpy as np

from kikibouba.bridges.attributes import CORRESPONDENCES
from kikibouba.data.store import Dataset
from kikibouba.feelings import GRID

LIMIT = 4_000


def main() -> None:
    for path in sys.argv[1:]:
        dataset = Dataset.open(path)
        examples = dataset.split("test")
        chosen = np.random.default_rng(0).permutation(len(examples))[:LIMIT]
        measured = dataset.representation.attributes([examples[i] for i in chosen.tolist()])
        for name, attributes in CORRESPONDENCES.items():
            values = measured[attributes[dataset.representation.kind]]
            row = ", ".join(f"{value:.3g}" for value in np.quantile(values, GRID))
            print(f'    ("{dataset.representation.kind}", "{name}"): ({row}),')


if __name__ == "__main__":
    main()
