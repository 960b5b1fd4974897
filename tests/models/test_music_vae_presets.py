"""Every MusicVAE preset, made small, learns from real pieces, comes back bit by bit and makes a file."""

from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from kikibouba.config import preset_from_dict, preset_to_dict
from kikibouba.data.midi import read_midi
from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model
from kikibouba.models.base import Batch
from kikibouba.models.music_vae.config import PRESETS
from kikibouba.train.checkpoint import build_module, load_checkpoint, save_checkpoint
from kikibouba.train.optimizer import TensorFlowAdam

EXAMPLES = 6


@cache
def examples(folder: Path, representation) -> list[np.ndarray]:
    """The first ones of songs with singer, bass and drums. Not every song has bars that are simple enough."""
    found: list[np.ndarray] = []
    for path in sorted(folder.glob("*.mid")):
        (item,) = representation.read(path)
        with suppress(KikiboubaError):
            found += representation.windows(item)
        if len(found) >= EXAMPLES:
            break
    return found[:EXAMPLES]


@pytest.mark.filterwarnings("ignore:this model plays the hits it is told")
@pytest.mark.parametrize("name", PRESETS)
def test_preset_from_real_pieces_to_a_file(name, shared, tmp_path):
    whole = PRESETS[name]
    small = replace(
        whole.model,
        z_size=6,
        enc_rnn_size=(8,) * len(whole.model.enc_rnn_size),
        dec_rnn_size=(10,) * len(whole.model.dec_rnn_size),
        nade_num_hidden=5,
    )
    preset = replace(whole, model=small)
    representation = preset.representation
    arrays = examples(shared / "golden" / "converters" / "trio_midi", representation)
    assert len(arrays) == EXAMPLES
    rng = np.random.default_rng(0)
    x, lengths = representation.collate([representation.augment(array, rng) for array in arrays])
    batch = Batch(torch.from_numpy(x), torch.from_numpy(lengths))

    module = build_module(preset, seed=1)
    optimizer = TensorFlowAdam(module.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for step in range(3):
        optimizer.zero_grad()
        loss = module.loss(batch, step, generator)["loss"]
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    assert losses[-1] < losses[0]

    save_checkpoint(tmp_path / name, module, preset, {}, "")
    loaded_preset, loaded = load_checkpoint(tmp_path / name)
    assert loaded_preset == preset == preset_from_dict(preset_to_dict(preset))
    for key, value in module.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    module.eval()
    assert torch.equal(module.encode(*batch).mu, loaded.encode(*batch).mu)

    (artifact,) = Model(loaded_preset, loaded, name).sample(1, temperature=1.0, seed=3)
    artifact.save(tmp_path / "sample.mid")
    again = read_midi(tmp_path / "sample.mid")
    assert len(again.notes) == len(artifact.notes.notes)
