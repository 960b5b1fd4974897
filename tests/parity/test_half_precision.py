"""What `load(…, precision="fp16")` may change: of 100 melodies, said one by one, one at most."""

import copy

import numpy as np
import pytest
import torch

from kikibouba.data.melody import MelodyRepresentation
from kikibouba.interop.magenta_tf import music_vae_from_tf
from kikibouba.models.music_vae.config import ModelConfig
from kikibouba.models.music_vae.model import build
from kikibouba.nn.lstm import halve_weights


@pytest.fixture(scope="module")
def models(shared):
    """Google's trained mel_2bar_small, as it is and in half precision."""
    weights = dict(np.load(shared / "golden" / "musicvae_js" / "mel_2bar_small_real_weights.npz"))
    exact = build(ModelConfig(), MelodyRepresentation())
    exact.load_state_dict(music_vae_from_tf(weights), strict=False)
    half = copy.deepcopy(exact)
    assert halve_weights(half) == 4
    return exact, half


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_nearly_all_melodies_are_the_same(models, temperature):
    z = torch.randn(100, 256, generator=torch.Generator().manual_seed(0))
    said = [
        [model.decode(row[None], temperature, torch.Generator().manual_seed(0))[0][0] for row in z]
        for model in models
    ]
    same = [bool((a == b).all()) for a, b in zip(*said, strict=True)]
    assert sum(same) >= 99


def test_scores_hardly_move(models):
    z = torch.randn(20, 256, generator=torch.Generator().manual_seed(0))
    x = models[0].decode(z, 0.0)[0].t()[..., None]
    exact, half = (model.teacher_forced(z, x)[0] for model in models)
    assert (exact - half).norm() < 1e-3 * exact.norm()
