"""Train the toy model; as a program: `python -m toy_family.train OUT DATA '{"num_steps": 30}'`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from kikibouba.config import Preset
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError
from kikibouba.train.data import SplitBatches
from kikibouba.train.loop import fit
from toy_family.make import toy_dataset, toy_preset
from toy_family.model import ToyModel


def train(
    out: Path, data: Path, preset: Preset, kind: type[ToyModel] = ToyModel, **options: Any
) -> dict[str, Any]:
    """`fit` the toy model, always from the same initial weights."""
    torch.manual_seed(1)
    dataset = Dataset(data) if (data / "meta.json").exists() else toy_dataset(data)
    batches = SplitBatches(dataset, batch_size=preset.train.batch_size, seed=5, augment=preset.train.augment)
    return fit(kind(preset.model), batches, preset.train, out, preset=preset, seed=3, **options)


class SlowModel(ToyModel):
    """Takes its time, so that a test can interrupt it."""

    def loss(self, *arguments: Any) -> dict[str, torch.Tensor]:
        """As ToyModel, 20 ms later."""
        time.sleep(0.02)
        return super().loss(*arguments)


if __name__ == "__main__":
    recipe = json.loads(sys.argv[3])
    preset = toy_preset(**{name: value for name, value in recipe.items() if name != "slow"})
    try:
        train(Path(sys.argv[1]), Path(sys.argv[2]), preset, SlowModel if recipe.get("slow") else ToyModel)
    except KikiboubaError as error:
        sys.exit(str(error))
