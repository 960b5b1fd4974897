"""Bundled models in miniature: every kind and translator, untrained, small enough to make in a second."""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from kikibouba.bridges.latent_translation.config import ModelConfig
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.config import Preset, find_preset, load_preset
from kikibouba.train.checkpoint import build_module, load_checkpoint, save_checkpoint

SMALL = {
    "mel_2bar": ["model.z_size=6", "model.enc_rnn_size=[8]", "model.dec_rnn_size=[12]"],
    "drums_2bar": ["model.z_size=5", "model.enc_rnn_size=[8]", "model.dec_rnn_size=[12]"],
    "sketch": [
        *("model.z_size=4", "model.enc_rnn_size=8", "model.dec_rnn_size=12", "model.num_mixture=2"),
        "representation.scale_factor=20.0",
    ],
}
"""Base → settings (`--set`) over its preset."""

PAIRS = (("sketch", "mel_2bar"), ("sketch", "drums_2bar"), ("mel_2bar", "drums_2bar"))


def make_weights(folder: Path) -> Path:
    """Write the three bases (fp16) and the three translators into a folder; returns it."""
    for name, settings in SMALL.items():
        preset = load_preset(name, dict(setting.split("=") for setting in settings))
        save_checkpoint(folder / name, build_module(preset), preset, {}, f"# {name}\n\nA tiny one.\n", "fp16")
    for pair in PAIRS:
        make_translator(folder, pair)
    return folder


def make_translator(folder: Path, pair: tuple[str, str]) -> Path:
    """Write an untrained translator between two bases that lie in the folder."""
    bases = [load_checkpoint(folder / name)[1] for name in pair]
    config = ModelConfig(
        domains=pair,
        z_sizes=tuple(base.z_size for base in bases),
        base_hashes=tuple(weights_hash(base) for base in bases),
        attributes=(),
        shared_size=6,
        width=8,
        layers=1,
        adaptor_size=8,
    )
    preset: Preset = dataclasses.replace(find_preset("translation"), model=config)
    save_checkpoint(folder / "-".join(pair), build_module(preset), preset, {}, "# translator\n")
    return folder / "-".join(pair)


def notes_of(tune) -> np.ndarray:
    """Pitch, start and end of a tune's notes, [n, 3]."""
    notes = tune.notes.notes
    return np.stack([notes["pitch"], notes["start"], notes["end"]], axis=1)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Whether two modules hold equal weights."""
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )
