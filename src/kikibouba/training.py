"""From a preset and prepared data to a trained model or translator: what `kikibouba train` calls."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from kikibouba import hub
from kikibouba.bridges.arrivals import Arrivals, Scale
from kikibouba.bridges.attributes import resolve
from kikibouba.bridges.fitted_prior import FittedPrior
from kikibouba.bridges.latent_translation.config import ModelConfig as TranslationConfig
from kikibouba.bridges.latent_translation.model import LatentTranslation
from kikibouba.bridges.posterior_batches import PosteriorBatches, assemble
from kikibouba.bridges.posteriors import Posteriors, choice, encode_dataset
from kikibouba.config import Preset
from kikibouba.data.labels import labels_of, read_labels
from kikibouba.data.rescaled import RescaledDataset
from kikibouba.data.sound_windows import SoundWindows, WindowedDataset
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.generate import Model
from kikibouba.sound_training import network_and_clips
from kikibouba.train.checkpoint import build_module
from kikibouba.train.clips import ClipBatches
from kikibouba.train.data import SplitBatches, adopt_representation
from kikibouba.train.loop import fit
from kikibouba.translator import Translator

TRAIN_POSTERIORS, VALID_POSTERIORS = 50_000, 5_000
"""Most examples of each base that a translator learns from and is checked on."""

PRIOR_EXAMPLES = 5_000
"""Most examples that the prior is fitted to."""

MEANING = (
    *("pitch_classes", "min_pitch", "keep_first_offset"),
    *("source", "width", "frames", "hop", "vocoder_hash"),
)
"""Settings of a representation that change what its numbers mean."""


def train_model(
    preset: Preset,
    data: str | Path,
    out: str | Path,
    start_from: str | Path | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    max_minutes: float | None = None,
    num_steps: int | None = None,
    resume: bool = True,
    tensorboard: bool = False,
) -> dict[str, Any]:
    """Train a model of one kind of content.

    Args:
        preset: its representation is replaced by the dataset's, augmentation apart.
        data: a prepared dataset.
        out: folder of the run.
        start_from: a trained model (bundled name or folder) whose weights to start from.
        seed: of the initial weights, of the order of examples and of all noise.
        device, max_minutes, num_steps, resume, tensorboard: as for `train.loop.fit`.

    Returns:
        The run's metrics, see `train.loop.fit`.

    Raises:
        KikiboubaError: the dataset holds another kind or shape; whatever `fit` raises.
    """
    module, batches, preset = _model_and_batches(preset, data, start_from, seed)
    metrics = fit(
        module,
        batches,
        preset.train,
        out,
        preset=preset,
        seed=seed,
        device=device,
        max_minutes=max_minutes,
        num_steps=num_steps,
        resume=resume,
        tensorboard=tensorboard,
    )
    if os.environ.get("RANK", "0") == "0" and module.z_size and preset.representation.kind != "audio":
        fit_prior(out, batches.dataset)
    return metrics


def _model_and_batches(
    preset: Preset, data: str | Path, start_from: str | Path | None, seed: int
) -> tuple[nn.Module, SplitBatches | ClipBatches, Preset]:
    """A network with its first weights, the batches it will see, and the preset as the dataset has it."""
    dataset = Dataset.open(data)
    batches: SplitBatches | ClipBatches
    if preset.representation.kind == "audio":
        module, batches, preset = network_and_clips(preset, dataset, seed)
    else:
        preset = adopt_representation(preset, dataset)
        batches = SplitBatches(
            dataset,
            batch_size=preset.train.batch_size,
            seed=seed,
            augment=preset.train.augment,
            representation=preset.representation,
        )
        module = build_module(preset, seed)
        fit_to = getattr(module, "fit_to", None)  # what it has to know of the examples before the first step
        if fit_to is not None:
            fit_to(dataset.split("train"))
    if start_from is not None:
        copy_weights(start_from, module)
    return module, batches, preset


def fit_prior(folder: str | Path, dataset: Dataset) -> None:
    """Note beside a model where the latent vectors of its training examples lie; see `FittedPrior`."""
    model = hub.load_model(folder)
    if model.z_size:
        examples = dataset.split("train")
        chosen = np.random.default_rng(0).permutation(len(examples))[:PRIOR_EXAMPLES]
        FittedPrior.fit(*model.encode([examples[i] for i in np.sort(chosen)])).save(Path(folder))


def copy_weights(source: str | Path, module: Any) -> None:
    """Give a network the weights of a trained model; one with `weights_from` knows what it can use of them.

    Raises:
        KikiboubaError: they are of another architecture.
    """
    found = hub.load(source)
    if isinstance(found, Translator):
        raise KikiboubaError(f"cannot start from {source}: it joins two models, and is none itself")
    same = type(found.module) is type(module) and hasattr(module, "weights_from")
    weights = module.weights_from(found.module) if same else found.module.state_dict()
    own = module.state_dict()
    for name in [*own, *weights]:
        shapes = [tuple(t[name].shape) if name in t else None for t in (weights, own)]
        if shapes[0] != shapes[1]:
            raise KikiboubaError(
                f"cannot start from {source}: its {name} has shape {shapes[0]}, this preset's {shapes[1]}; "
                "use the preset it was trained with"
            )
    module.load_state_dict(weights)


def train_translator(
    preset: Preset,
    bases: Sequence[str | Path],
    data: Sequence[str | Path],
    out: str | Path,
    *,
    labels: Mapping[str, str | Path] | None = None,
    seed: int = 0,
    device: str = "cpu",
    max_minutes: float | None = None,
    num_steps: int | None = None,
    resume: bool = True,
    tensorboard: bool = False,
) -> dict[str, Any]:
    """Train a bridge between frozen models.

    Args:
        preset: of family latent_translation.
        bases: bundled names or folders of at least two models.
        data: for each base a dataset of its kind, in the same order.
        out: folder of the run; the bases' posteriors are cached in `out/posteriors`.
        labels: base → file of its examples' categories (`data.labels.read_labels`), where these are not those
            stored in its dataset.
        seed: of the initial weights, of the order of examples and of all noise.
        device, max_minutes, num_steps, resume, tensorboard: as for `train.loop.fit`.
    """
    cache = Path(out) / "posteriors"
    bridge, batches = _bridge_and_batches(preset, bases, data, labels or {}, cache, seed, device)
    preset = dataclasses.replace(preset, model=bridge.config)
    return fit(
        bridge,
        batches,
        preset.train,
        out,
        preset=preset,
        seed=seed,
        device=device,
        max_minutes=max_minutes,
        num_steps=num_steps,
        resume=resume,
        tensorboard=tensorboard,
    )


def _bridge_and_batches(
    preset: Preset,
    bases: Sequence[str | Path],
    data: Sequence[str | Path],
    labels: Mapping[str, str | Path],
    cache: Path,
    seed: int,
    device: str,
) -> tuple[LatentTranslation, PosteriorBatches]:
    """A bridge that knows its bases, and batches of their posteriors, which are kept in `cache`."""
    if preset.representation is not None:
        raise KikiboubaError(f"{preset.name} is a model, not a translator: it takes no --bases")
    if len(bases) < 2 or len(bases) != len(data) or len(set(map(str, bases))) < len(bases):
        raise KikiboubaError(
            "a translator needs two or more different bases, and for each a dataset in the same order"
        )
    names = [str(base) for base in bases]
    for name in labels:
        if name not in names:
            raise KikiboubaError(
                f"labels are given for {name!r}, which is no base{did_you_mean(name, names)}"
            )
    tables = {base: read_labels(path) for base, path in labels.items()}
    models = [hub.load_model(base, device) for base in bases]
    datasets = [open_for(model, folder) for model, folder in zip(models, data, strict=True)]
    # What can be known to be wrong is said before minutes of encoding.
    resolve(preset.model.attributes, [model.kind for model in models])

    def posteriors(split: str, limit: int) -> list[Posteriors]:
        return [
            labelled_posteriors(name, model, dataset, split, cache, limit, tables.get(name))
            for name, model, dataset in zip(names, models, datasets, strict=True)
        ]

    train, valid = posteriors("train", TRAIN_POSTERIORS), posteriors("valid", VALID_POSTERIORS)
    bridge, batches = assemble(preset.model, train, valid, preset.train.batch_size, seed)
    config = bridge.config
    quick = all(model.kind != "audio" for model in models)  # a second of sound takes a WaveNet a second
    if config.attributes and config.decode_every and config.transfer_weight and quick:
        bridge.arrivals = _arrivals(models, batches, config)
    return bridge, batches


def _arrivals(models: Sequence[Model], batches: PosteriorBatches, config: TranslationConfig) -> Arrivals:
    """What the bases decode, labelled as the bridge's attributes are."""
    return Arrivals(
        [
            Scale(
                model.module,
                model.representation,
                batches.train[k],
                [row[k] for row in config.attributes],
                config.num_bins,
                len(config.classes),
            )
            for k, model in enumerate(models)
        ]
    )


def labelled_posteriors(
    name: str,
    model: Model,
    dataset: Dataset,
    split: str,
    cache: Path,
    limit: int | None,
    table: Mapping[str, str] | None = None,
) -> Posteriors:
    """`encode_dataset` by a model, with the categories of the examples: those of `table`, a labels file, or
    else those stored in the dataset.
    """
    categories = labels_of(dataset, split, table)
    found = encode_dataset(name, model.module, dataset, split, cache, limit)
    return dataclasses.replace(found, categories=categories[choice(len(categories), limit)])


def open_for(model: Model, folder: str | Path) -> Dataset:
    """A dataset in the units of a trained model, so that the model can be shown its examples.

    Raises:
        KikiboubaError: it holds another kind, or was prepared with other settings than the model's.
    """
    dataset = Dataset.open(folder)
    adopted = adopt_representation(model.preset, dataset)
    for name in MEANING:
        ours, theirs = (getattr(r, name, None) for r in (model.preset.representation, dataset.representation))
        if ours != theirs:
            raise KikiboubaError(
                f"{folder} was prepared with {name} {theirs}, but {model.name} was trained with {ours}: "
                f"prepare it again with --set representation.{name}={ours}"
            )
    dataset.representation = adopted.representation
    if isinstance(model.representation, SoundWindows):
        return WindowedDataset(folder, model.representation)
    factor = getattr(model.representation, "scale_factor", 1.0)
    return RescaledDataset(folder, factor) if factor != 1.0 else dataset
