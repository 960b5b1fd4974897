"""Toy presets and datasets; makes the toys known by name, as real families and representations are."""

from pathlib import Path
from typing import Any

import numpy as np

from kikibouba import config
from kikibouba.config import Preset, TrainConfig
from kikibouba.data.store import Dataset, DatasetWriter
from toy_family.config import ModelConfig
from toy_family.data import ToyRepresentation

config.REPRESENTATIONS["toy"] = "toy_family.data:ToyRepresentation"
config.REPRESENTATIONS["toy_sketches"] = "toy_family.data:ToySketches"
config.REPRESENTATIONS["toy_grooves"] = "toy_family.data:ToyGrooves"
config.FAMILIES["toy"] = "toy_family"


def toy_preset(noise: float = 0.1, **train: Any) -> Preset:
    """A preset with a quick recipe."""
    recipe = {"batch_size": 8, "num_steps": 30, "log_every": 1, "eval_every": 10, "save_every": 10} | train
    return Preset("toy", "toy", ToyRepresentation(), ModelConfig(noise), TrainConfig(**recipe))


def toy_dataset(folder: Path, train: int = 64, valid: int = 16) -> Dataset:
    """Examples of 1 to 8 rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with DatasetWriter(folder) as writer:
        for split, count in (("train", train), ("valid", valid)):
            if count:
                lengths = rng.integers(1, 9, count)
                writer.add(split, np.concatenate([np.arange(n, dtype=np.uint8) for n in lengths]), lengths)
        return writer.close({"representation": {"kind": "toy"}, "categories": []})
