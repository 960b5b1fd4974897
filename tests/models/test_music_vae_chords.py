"""A MusicVAE that is told chords writes over the chords it is told."""

import numpy as np
import torch

from kikibouba.data.chords import chord_class
from kikibouba.data.melody import FIRST_PITCH, MelodyRepresentation
from kikibouba.models.base import Batch
from kikibouba.models.music_vae.config import ModelConfig
from kikibouba.models.music_vae.model import build

ONE_BAR = MelodyRepresentation(bars=1, chords="triad")
CHORDS = ("C", "Eb", "Gm", "Bdim")


def example(chord: str) -> np.ndarray:
    """The root of a chord, in the octave of middle C, held for a bar."""
    row = np.zeros((16, 2), np.uint8)
    row[:, 1] = chord_class(chord)
    row[0, 0] = 60 - ONE_BAR.min_pitch + FIRST_PITCH + (chord_class(chord) - 1) % 12
    return row


def test_the_same_z_says_other_notes_over_other_chords() -> None:
    torch.manual_seed(0)
    model = build(ModelConfig(z_size=2, enc_rnn_size=(4,), dec_rnn_size=(32,), max_beta=1.0), ONE_BAR)
    x, lengths = map(torch.from_numpy, ONE_BAR.collate([example(chord) for chord in CHORDS]))
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    generator = torch.Generator().manual_seed(0)
    for step in range(120):
        optimizer.zero_grad()
        model.loss(Batch(x, lengths), step, generator)["loss"].backward()
        optimizer.step()
    told = torch.from_numpy(np.stack([ONE_BAR.controls_from_text(chord) for chord in CHORDS]))
    with torch.inference_mode():
        said, _ = model.decode(torch.zeros(len(CHORDS), 2), 0.0, None, told)
    assert torch.equal(said, x)
