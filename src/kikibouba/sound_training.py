"""From a preset and a prepared dataset of sound to a network and the clips it learns from, or to vectors."""

import dataclasses
import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kikibouba import hub
from kikibouba.bridges.fitted_prior import FittedPrior
from kikibouba.bridges.posteriors import choice, to_batch, weights_hash
from kikibouba.bridges.sound_vectors.model import OverSound, SoundVectors, frames_for, over_sound, windows_for
from kikibouba.config import Preset
from kikibouba.data.sound_windows import WindowedDataset
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.sounds import SoundModel
from kikibouba.train.checkpoint import build_module, model_card, save_checkpoint
from kikibouba.train.clips import ClipBatches
from kikibouba.train.data import adopt_representation

MOST_SOUNDS = 10_000
"""Sounds that vectors are fitted to, at most."""


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
        _warn_of_few(dataset, domains)
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


def _warn_of_few(dataset: Dataset, domains: Sequence[str]) -> None:
    """Say which domains have one recording to train on, or none."""
    codes = dataset.split("train").categories
    counts = np.bincount([] if codes is None else codes[codes >= 0], minlength=len(dataset.categories))
    for name, count in zip(dataset.categories, counts.tolist(), strict=True):
        if count == 1 and name in domains:
            warnings.warn(
                f"{name} has one recording to train on, which its decoder will learn by heart: add more",
                stacklevel=3,
            )
        if count == 0:
            warnings.warn(f"{name} has no recording to train on, and gets no decoder", stacklevel=3)


def fit_sound_vectors(
    preset: Preset, base: str | Path, data: str | Path, out: str | Path, *, seed: int = 0, device: str = "cpu"
) -> dict[str, Any]:
    """Find vectors for sounds of one length: the principal axes of what a model of sound encodes them to.

    Args:
        preset: of the family sound_vectors.
        base: name or folder of a WaveNet autoencoder or a music translation network.
        data: a prepared dataset of recordings, in the base's coding.
        out: folder of the model.
        seed: of nothing; it is noted.

    Returns:
        Metrics: the share of the frames' variance that the vectors keep, of training and held-out sounds.

    Raises:
        KikiboubaError: the base is no model of sound, or has no such domain; other data; too few sounds.
    """
    began, model = time.monotonic(), hub.load_model(base, device)
    if not isinstance(model, SoundModel):
        raise KikiboubaError(f"{base} is a model of {model.kind}; sound vectors are over a model of sound")
    plays = preset.model.plays
    if plays and plays not in model.domains:
        raise KikiboubaError(f"{base} cannot play {plays!r}{did_you_mean(plays, model.domains)}")
    config = dataclasses.replace(
        preset.model,
        base=model.source,
        base_hash=weights_hash(model.module),
        frame_size=model.z_size,
        frames=frames_for(preset.model, model.hop),
        plays=plays or "".join(model.domains[:1]),
    )
    preset = dataclasses.replace(preset, model=config)
    dataset = WindowedDataset(data, windows_for(config, model.preset.representation, model.hop))
    vectors = SoundVectors(config).to(device)
    whole = over_sound(config, vectors, model.module)
    frames = {name: _frames(whole, dataset, name) for name in dataset.splits}
    kept = {"train": {"kept": vectors.fit(frames["train"])}}
    for name in frames.keys() - {"train"}:
        kept[name] = {"kept": vectors.kept(frames[name])}
    seconds = time.monotonic() - began
    figures = {f"kept, {name}": value["kept"] for name, value in kept.items()}
    card = model_card(
        preset,
        data=f"{len(frames['train'])} sounds of {data}; base: {config.base}",
        licence="that of the recordings and of the base",
        command=shlex.join(sys.argv),
        seed=seed,
        minutes=seconds / 60,
        figures=figures,
        weaknesses=("what differs between sounds in more ways than a vector has numbers is lost",),
    )
    metrics = {**kept, "seconds": round(seconds, 2), "seed": seed, "sounds": len(frames["train"])}
    save_checkpoint(out, vectors, preset, metrics, card)
    q = vectors.encode(frames["train"])
    FittedPrior.fit(q.mu.cpu().numpy(), q.sigma.cpu().numpy()).save(Path(out))
    return metrics


@torch.no_grad()
def _frames(whole: OverSound, dataset: WindowedDataset, split: str) -> Tensor:
    """The latent frames [n, F · S] of the sounds of a split, `MOST_SOUNDS` at most."""
    sounds = dataset.split(split)
    device = whole.bridge.mean.device
    batches = np.array_split(chosen := choice(len(sounds), MOST_SOUNDS), -(-len(chosen) // 64))
    return torch.cat(
        [
            whole.frames(to_batch(dataset.representation, [sounds[i] for i in rows], device).x)
            for rows in batches
        ]
    )
