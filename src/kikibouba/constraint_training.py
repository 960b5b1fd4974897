"""From a frozen base and prepared data to trained constraints: what `kikibouba train` calls for them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kikibouba import hub
from kikibouba.bridges.fitted_prior import FittedPrior
from kikibouba.bridges.latent_constraints.batches import ConstraintBatches, assemble
from kikibouba.bridges.latent_constraints.classes import Labels, classes_in, measured_labels
from kikibouba.bridges.latent_constraints.config import ModelConfig
from kikibouba.bridges.latent_constraints.model import Judge, LatentConstraints
from kikibouba.bridges.lc_music_vae.batches import LCBatches
from kikibouba.bridges.posteriors import Posteriors, choice, encode_dataset, weights_hash
from kikibouba.config import Preset
from kikibouba.data.labels import labels_of, read_label_columns
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model
from kikibouba.train.checkpoint import build_module
from kikibouba.train.data import SplitBatches
from kikibouba.train.loop import fit
from kikibouba.training import TRAIN_POSTERIORS, VALID_POSTERIORS, open_for


def train_constraints(
    preset: Preset,
    base: str | Path,
    data: str | Path,
    out: str | Path,
    labels: str | Path | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    max_minutes: float | None = None,
    num_steps: int | None = None,
    resume: bool = True,
    tensorboard: bool = False,
) -> dict[str, Any]:
    """Train latent constraints, or an LCMusicVAE, over a frozen model.

    Args:
        preset: of the family latent_constraints or lc_music_vae.
        base: bundled name or folder of the model.
        data: a prepared dataset of its kind.
        out: folder of the run; it also gets the cached `posteriors/`.
        labels: a CSV of labels, see `data.labels.read_label_columns`: its columns can then be asked for too.
        seed: of initial weights, batches and noise.
        device, max_minutes, num_steps, resume, tensorboard: as for `train.loop.fit`.

    Returns:
        The run's metrics, see `train.loop.fit`.

    Raises:
        KikiboubaError: no latent space, data of another kind, attributes that do not exist or vary, labels of
            unknown files or of one class; whatever `fit` raises.
    """
    model = hub.load_model(base, device)
    if not model.z_size:
        raise KikiboubaError(f"{base} has no latent space (z_size 0), so there is nothing to constrain")
    dataset = open_for(model, data)
    if preset.family == "lc_music_vae":
        if labels is not None:
            raise KikiboubaError(f"{preset.name} learns from music alone; leave out --labels")
        module, batches, preset = _lc(preset, model, str(base), dataset, seed)
    else:
        tables = {} if labels is None else read_label_columns(labels)
        module, batches, preset = _constraints(preset, model, str(base), dataset, Path(out), tables, seed)
    return fit(
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


def _constraints(
    preset: Preset,
    model: Model,
    base: str,
    dataset: Dataset,
    out: Path,
    tables: Mapping[str, Mapping[str, str]],
    seed: int,
) -> tuple[LatentConstraints, ConstraintBatches, Preset]:
    """Untrained constraints, their batches, and the preset as its base has it. The prior goes into `out`."""
    if "valid" not in dataset.splits:
        raise KikiboubaError(f"{dataset.path} has no valid examples to check on; prepare more files")
    train, valid = (
        _posteriors(model, base, dataset, split, out / "posteriors", limit, tables)
        for split, limit in (("train", TRAIN_POSTERIORS), ("valid", VALID_POSTERIORS))
    )
    names = getattr(model.representation, "LABELS", {})
    module, batches = assemble(preset.model, train, valid, names, preset.train.batch_size, seed)
    module.judge = judge_for(model, module.config)
    out.mkdir(parents=True, exist_ok=True)
    FittedPrior.fit(train[0].mu, train[0].sigma).save(out)  # new ones start there
    return module, batches, dataclasses.replace(preset, model=module.config)


def _posteriors(
    model: Model,
    base: str,
    dataset: Dataset,
    split: str,
    cache: Path,
    limit: int,
    tables: Mapping[str, Mapping[str, str]],
) -> tuple[Posteriors, Labels]:
    """Posteriors of at most `limit` examples with their attributes, and the labels of the same examples."""
    found = encode_dataset(Path(base).name, model.module, dataset, split, cache, limit)
    found = dataclasses.replace(found, domain=base)
    examples = dataset.split(split)
    chosen = choice(len(examples), limit)
    labels = measured_labels(model.representation, [examples[i] for i in chosen.tolist()])
    for name, table in tables.items():
        labels[name] = labels_of(dataset, split, table)[chosen]
    return found, labels


def judge_for(model: Model, config: ModelConfig) -> Judge:
    """What decodes and measures latent vectors."""

    def judge(z: Tensor) -> Tensor:
        arrays = model.decode_arrays(z.cpu().numpy())
        return torch.from_numpy(classes_in(config, model.representation, arrays)).to(z.device)

    return judge


def _lc(
    preset: Preset, model: Model, base: str, dataset: Dataset, seed: int
) -> tuple[nn.Module, LCBatches, Preset]:
    """An untrained LCMusicVAE, its batches, and the preset as its base has it."""
    train = preset.train
    examples = SplitBatches(dataset, batch_size=train.batch_size, seed=seed, augment=train.augment)
    config = dataclasses.replace(
        preset.model, base=base, base_hash=weights_hash(model.module), z_size=model.z_size
    )
    preset = dataclasses.replace(preset, model=config, representation=model.representation)
    return build_module(preset, seed), LCBatches(examples, model.module), preset
