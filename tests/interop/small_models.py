"""Small untrained models of every kind, for export."""

from dataclasses import replace

import numpy as np
import torch

from kikibouba.config import Preset, find_preset
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.groove import GrooveRepresentation
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.melody_outline import MelodyOutlineRepresentation
from kikibouba.data.multitrack import MultitrackRepresentation
from kikibouba.data.sketch import SketchRepresentation
from kikibouba.data.trio import TrioRepresentation
from kikibouba.generate import Model
from kikibouba.models.music_vae.config import ModelConfig
from kikibouba.models.sketch_rnn.config import ModelConfig as SketchConfig
from kikibouba.train.checkpoint import build_module

SIZES = {"z_size": 6, "enc_rnn_size": (7,), "dec_rnn_size": (9, 9), "latent_init": "clear"}
HIERARCHY = {"encoder_level_lengths": (16, 4), "decoder_level_lengths": (4, 16), "conductor_rnn_size": (8,)}

MUSIC = {
    "melody": (MelodyRepresentation(), ModelConfig(**SIZES)),
    "melody_chords_key": (
        MelodyRepresentation(chords="triad", condition_on_key=True, skip_polyphony=True),
        ModelConfig(**SIZES),
    ),
    "melody_hierarchical": (MelodyRepresentation(bars=4), ModelConfig(**SIZES, **HIERARCHY)),
    "drums": (DrumsRepresentation(), ModelConfig(**SIZES)),
    "drums_hierarchical": (DrumsRepresentation(bars=4), ModelConfig(**SIZES, **HIERARCHY)),
    "drums_nade": (
        DrumsRepresentation(pitch_classes="reduced_2018", roll_output=True),
        ModelConfig(**SIZES, decoder="nade", nade_num_hidden=11),
    ),
    "drums_bits": (DrumsRepresentation(roll_output=True), ModelConfig(**SIZES, decoder="bits")),
    "drums_one_hot": (DrumsRepresentation(one_hot_input=True), ModelConfig(**SIZES)),
    "groove": (GrooveRepresentation(), ModelConfig(**SIZES, decoder="groove")),
    "groove_humanize": (
        GrooveRepresentation(humanize=True, hits_as_controls=True),
        ModelConfig(**SIZES, decoder="groove"),
    ),
    "groove_tap": (
        GrooveRepresentation(tapify=True, fixed_velocities=True),
        ModelConfig(**SIZES, decoder="groove"),
    ),
    "trio": (TrioRepresentation(bars=4), ModelConfig(**SIZES, **HIERARCHY, decoder="split")),
    "trio_flat": (TrioRepresentation(bars=1), ModelConfig(**SIZES, decoder="split")),
    "multitrack": (
        MultitrackRepresentation(max_instruments=4, events_per_instrument=16, chords="triad"),
        ModelConfig(**SIZES, **HIERARCHY),
    ),
    "shape": (MelodyOutlineRepresentation("shape"), ModelConfig(**SIZES)),
    "rhythm": (
        MelodyOutlineRepresentation("rhythm", condition_on_key=True),
        ModelConfig(**SIZES, decoder="bits", control_rnn_size=(5,)),
    ),
}
"""Name → what it is; magenta.js can run all of them."""


OTHERS = {
    "lstm_encoder": (MelodyRepresentation(), ModelConfig(**SIZES, encoder="lstm")),
    "two_layers": (
        DrumsRepresentation(),
        ModelConfig(**SIZES | {"enc_rnn_size": (7, 5), "dec_rnn_size": (9, 8)}),
    ),
    "flat_trio": (TrioRepresentation(bars=1), ModelConfig(**SIZES)),
    "drums_full": (
        DrumsRepresentation(pitch_classes="full", roll_output=True),
        ModelConfig(**SIZES, decoder="nade", nade_num_hidden=11),
    ),
    "hierarchical_decoder": (
        DrumsRepresentation(bars=4),
        ModelConfig(**SIZES, decoder_level_lengths=(2, 2, 16)),
    ),
    "decoder_alone": (MelodyRepresentation(), ModelConfig(**SIZES, encoder="none")),
}
"""What magenta.js cannot run."""


def music_model(name: str, seed: int = 0) -> Model:
    """One of `MUSIC` or `OTHERS`, its weights larger than fresh ones, so that they matter."""
    representation, config = (MUSIC | OTHERS)[name]
    preset = Preset(name, "music_vae", representation, config)
    module = build_module(preset, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return Model(preset, module, name)


def sketch_model(conditional: bool = True, seed: int = 0, **sizes) -> Model:
    """A Sketch-RNN with plain LSTM cells."""
    config = SketchConfig(
        conditional=conditional, z_size=4, enc_rnn_size=6, dec_rnn_size=8, max_length=30, **sizes
    )
    preset = Preset("sketch", "sketch_rnn", SketchRepresentation(scale_factor=20.0, max_length=30), config)
    module = build_module(preset, seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return Model(preset, module, "sketch")


def translation_module(domains: int) -> torch.nn.Module:
    """A music translation network of a few channels."""
    small = find_preset("umtn_small")
    sizes = {"latent": 3, "encoder_channels": 4, "channels": 5, "classifier_channels": 6}
    stacks = {"encoder_blocks": 3, "encoder_layers": 2, "blocks": 4, "layers": 2}
    sizes["pitch"] = 0.0  # as the original
    names = tuple(f"domain_{k}" for k in range(domains))
    return build_module(replace(small, model=replace(small.model, domains=names, **sizes, **stacks)), seed=1)


def some_z(model: Model, n: int, seed: int = 0) -> np.ndarray:
    """[n, Z] float32 from N(0, 1)."""
    return np.random.default_rng(seed).standard_normal((n, model.z_size), np.float32)
