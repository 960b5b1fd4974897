"""From a preset and a prepared dataset of sound to a network and the clips it learns from."""

import dataclasses

import numpy as np
from torch import nn

from kikibouba.config import Preset
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.train.checkpoint import build_module
from kikibouba.train.clips import ClipBatches
from kikibouba.train.data import adopt_representation


def network_and_clips(preset: Preset, dataset: Dataset, seed: int) -> tuple[nn.Module, ClipBatches, Preset]:
    """A network with its first weights, the clips it will hear, and the preset with its domains.

    A translation network gets a decoder for each domain that its preset names, or for each that there are
    recordings of to train on.

    Raises:
        KikiboubaError: another kind or coding; a domain that is unknown (says the nearest), or has nothing to
            train on; fewer than two domains to translate between.
    """
    preset = adopt_representation(preset, dataset)
    domains: tuple[str, ...] = ()
    if hasattr(preset.model, "domains"):
        domains = preset.model.domains or _trainable(dataset)
        for name in domains:
            if name not in dataset.categories:
                raise KikiboubaError(
                    f"{dataset.path} has no domain {name!r}{did_you_mean(name, dataset.categories)}"
                )
        if len(domains) < 2:
            raise KikiboubaError(
                f"{dataset.path} has {len(domains)} domain, and translating takes two: put the recordings "
                "of each into a folder of its own"
            )
        preset = dataclasses.replace(preset, model=dataclasses.replace(preset.model, domains=domains))
    clips = ClipBatches(
        dataset,
        preset.representation,
        batch_size=preset.train.batch_size,
        seed=seed,
        augment=preset.train.augment,
        domains=domains,
    )
    return build_module(preset, seed), clips, preset


def _trainable(dataset: Dataset) -> tuple[str, ...]:
    """The domains that occur in the training split, in the dataset's order."""
    codes = dataset.split("train").categories
    return () if codes is None else tuple(dataset.categories[i] for i in np.unique(codes[codes >= 0]))
