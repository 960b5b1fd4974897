"""From a preset and prepared data to a trained model or translator: what `kikibouba train` calls."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kikibouba import hub
from kikibouba.bridges.attributes import correspondences
from kikibouba.bridges.posterior_batches import assemble
from kikibouba.bridges.posteriors import Posteriors, encode_dataset
from kikibouba.config import Preset
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model
from kikibouba.train.checkpoint import build_module
from kikibouba.train.data import SplitBatches, adopt_representation
from kikibouba.train.loop import fit

TRAIN_POSTERIORS, VALID_POSTERIORS = 50_000, 5_000
"""Most examples of each base that a translator learns from and is checked on."""

MEANING = ("scale_factor", "pitch_classes", "min_pitch", "keep_first_offset")
"""Settings of a representation that change what its numbers mean."""


def train_model(preset: Preset, data: str | Path, out: str | Path, **options: Any) -> dict[str, Any]:
    """Train a model of one kind of content.

    Args:
        preset: its representation is replaced by the dataset's, augmentation apart.
        data: a prepared dataset.
        out: folder of the run.
        options: of `train.loop.fit`: seed, device, max_minutes, num_steps, resume, tensorboard.

    Returns:
        The run's metrics, see `train.loop.fit`.

    Raises:
        KikiboubaError: the dataset holds another kind or shape; whatever `fit` raises.
    """
    dataset = Dataset.open(data)
    preset = adopt_representation(preset, dataset)
    seed = options.get("seed", 0)
    batches = SplitBatches(
        dataset,
        batch_size=preset.train.batch_size,
        seed=seed,
        augment=preset.train.augment,
        representation=preset.representation,
    )
    return fit(build_module(preset, seed), batches, preset.train, out, preset=preset, **options)


def train_translator(
    preset: Preset,
    bases: Sequence[str | Path],
    data: Sequence[str | Path],
    out: str | Path,
    **options: Any,
) -> dict[str, Any]:
    """Train a bridge between frozen models.

    Args:
        preset: of family latent_translation. Where it aligns attributes, and its own are not of these
            kinds, those that correspond between the kinds are taken (`bridges.attributes`).
        bases: bundled names or folders of at least two models.
        data: for each base a dataset of its kind, in the same order.
        out: folder of the run; the bases' posteriors are cached in `out/posteriors`.
        options: as for `train_model`.
    """
    if preset.representation is not None:
        raise KikiboubaError(f"{preset.name} is a model, not a translator: it takes no --bases")
    if len(bases) < 2 or len(bases) != len(data) or len(set(map(str, bases))) < len(bases):
        raise KikiboubaError(
            "a translator needs two or more different bases, and for each a dataset in the same order"
        )
    device = options.get("device", "cpu")
    models = [hub.load_model(base, device) for base in bases]
    datasets = [open_for(model, folder) for model, folder in zip(models, data, strict=True)]

    def posteriors(split: str, limit: int) -> list[Posteriors]:
        return [
            encode_dataset(str(base), model.module, dataset, split, Path(out) / "posteriors", limit)
            for base, model, dataset in zip(bases, models, datasets, strict=True)
        ]

    seed, train = options.get("seed", 0), posteriors("train", TRAIN_POSTERIORS)
    config = dataclasses.replace(preset.model, attributes=_attributes(preset, models, train))
    valid = posteriors("valid", VALID_POSTERIORS)
    bridge, batches = assemble(config, train, valid, preset.train.batch_size, seed)
    preset = dataclasses.replace(preset, model=bridge.config)
    return fit(bridge, batches, preset.train, out, preset=preset, **options)


def _attributes(
    preset: Preset, models: Sequence[Model], train: Sequence[Posteriors]
) -> tuple[tuple[str, ...], ...]:
    """The preset's attributes if the bases have them; else, if it wants any, those that correspond."""
    wanted = preset.model.attributes
    fits = all(
        len(row) == len(train) and all(name in p.attributes for name, p in zip(row, train, strict=True))
        for row in wanted
    )
    return wanted if fits else correspondences([model.kind for model in models])


def open_for(model: Model, folder: str | Path) -> Dataset:
    """A dataset that a trained model can be shown.

    Raises:
        KikiboubaError: it holds another kind, or was prepared with other settings than the model's.
    """
    dataset = Dataset.open(folder)
    adopt_representation(model.preset, dataset)
    for name in MEANING:
        ours, theirs = (getattr(r, name, None) for r in (model.representation, dataset.representation))
        if ours != theirs:
            raise KikiboubaError(
                f"{folder} was prepared with {name} {theirs}, but {model.name} was trained with {ours}: "
                f"prepare it again with --set representation.{name}={ours}"
            )
    return dataset
