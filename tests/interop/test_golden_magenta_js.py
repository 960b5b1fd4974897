"""Every magenta.js checkpoint of the reference data, against what the original library computed with it.

Values within 1e-5 of the original's, greedy decoding identical. What an encoder reads is the original's own
tensor: its drum converters write "nothing is hit" one step early, which no example of ours does.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import kikibouba as kb
from interop.checkpoints import write_deeplearn_js
from kikibouba.data.layout import Part
from kikibouba.errors import KikiboubaError
from kikibouba.importing import import_checkpoint
from kikibouba.interop.magenta_js import read_magenta_js
from kikibouba.models.music_vae.columns import dense
from kikibouba.models.music_vae.model import MusicVAE
from kikibouba.models.music_vae.stack import NO_NOISE

TOLERANCE = 1e-5
PITCHES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


def golden(shared: Path) -> Path:
    return shared / "golden" / "musicvae_js"


def said(parts: tuple[Part, ...], tensor: np.ndarray) -> np.ndarray:
    """The original's decoded tensor [B, T, D] as our columns [B, T, K]."""
    if all(part.table is None for part in parts):
        return tensor
    columns, start = [], 0
    for part in parts:
        rows = tensor[..., start : start + part.width]
        start += part.width
        distance = ((rows[..., None, :] - part.table) ** 2).sum(-1)
        assert (distance.min(-1) == 0).all()
        columns.append(distance.argmin(-1))
    return np.stack(columns, -1)


def labels_of(parts: tuple[Part, ...], rows: np.ndarray) -> Tensor:
    """Rows of features [T, W] as columns of labels [1, T, K]."""
    return torch.from_numpy(said(parts, rows[None])).long()


def mean(model: MusicVAE, rows: np.ndarray) -> np.ndarray:
    """mu of the features [T, W] that the original read; a row of zeros is no step."""
    x = torch.from_numpy(rows)[:, None]
    real = torch.from_numpy(rows[:, : model.inputs.widths[0]].any(-1))[:, None]
    if model.layout.padding is None:
        real = torch.ones_like(real)
    with torch.no_grad():
        return model.encoder.mu(model.encoder(dense, x, real, NO_NOISE)).numpy()


def test_tiny_checkpoints(shared):
    folders = sorted((golden(shared) / "tiny_checkpoints").iterdir())
    assert folders
    for folder in folders:
        arrays = np.load(golden(shared) / "golden_tiny" / f"{folder.name}.npz")
        model = import_checkpoint(folder).module
        rows, told = arrays["input_tensor"], None
        if "controls" in arrays:
            rows = np.concatenate([rows, arrays["controls"]], 1)
            told = labels_of(model.layout.controls, arrays["controls"]).expand(len(arrays["z"]), -1, -1)
            more = model.steps - told.shape[1]  # split drums: the library decodes the first steps only
            told = torch.cat([told, told[:, -1:].expand(-1, more, -1)], 1)
        np.testing.assert_allclose(mean(model, rows), arrays["mu"], atol=TOLERANCE, err_msg=folder.name)
        z = torch.from_numpy(arrays["z"])
        decoded, _ = model.decode(z, 0.0, controls=told, stops=False)
        ours = decoded.reshape(*decoded.shape[:2], -1).numpy()
        theirs = said(model.layout.outputs, arrays["decoded_tensor"])
        ours = ours[:, : theirs.shape[1]]
        np.testing.assert_allclose(ours[..., : theirs.shape[-1]], theirs, atol=TOLERANCE, err_msg=folder.name)
        check_logits(model, z, decoded, arrays, folder.name)


def check_logits(model: MusicVAE, z: Tensor, decoded: Tensor, arrays, name: str) -> None:
    """The raw outputs in free running are those of teacher forcing with what was said."""
    x = decoded.reshape(*decoded.shape[:2], -1).transpose(0, 1)
    before = model.layout.inputs[0].start  # 0; a groove's outputs follow its inputs
    if model.layout.outputs[0].start != before:
        padding = x.new_zeros(*x.shape[:2], model.layout.outputs[0].start)
        x = torch.cat([padding, x], -1)
    with torch.no_grad():
        raw, _ = model.teacher_forced(z, x)
    batch = len(z)
    if raw.shape[1] != batch:
        raw = raw.unflatten(1, (-1, batch)).transpose(0, 1).flatten(0, 1)
    theirs = np.concatenate([arrays[key] for key in sorted(arrays) if key.startswith("logits_")], -1)
    ours = raw.transpose(0, 1)[:, : theirs.shape[1]].numpy()
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCE, err_msg=name)


def test_notes(shared):
    """What the library turns into notes, by way of our own converters; grooves with velocities and timing."""
    told = json.loads((golden(shared) / "golden_tiny" / "meta.json").read_text())
    for folder in sorted((golden(shared) / "tiny_checkpoints").iterdir()):
        model, wanted = kb.load(folder), told[folder.name]
        z = np.load(golden(shared) / "golden_tiny" / f"{folder.name}.npz")["z"]
        controls = None
        if wanted["controls"]:
            chords, key = wanted["controls"].get("chordProgression", ()), wanted["controls"].get("key")
            controls = model.controls_from_text(" ".join(chords), "" if key is None else PITCHES[key])
        for tune, decoded in zip(model.decode(z, controls=controls), wanted["decoded"], strict=True):
            ours, theirs = tune.notes.notes, decoded["notes"]
            if model.kind == "groove":
                found = np.column_stack([ours[name] for name in ("start", "pitch", "velocity")])
                theirs = [[note["startTime"], note["pitch"], note["velocity"]] for note in theirs]
                np.testing.assert_allclose(in_order(found), in_order(theirs), atol=1e-5, err_msg=folder.name)
                continue
            steps = 2 * model.representation.steps_per_quarter  # a second
            found = np.column_stack([ours["start"] * steps, ours["end"] * steps, ours["pitch"]])
            theirs = [[note["s"], note["e"], note["pitch"]] for note in theirs]
            assert np.array_equal(in_order(found.round()), in_order(theirs)), folder.name


def in_order(notes) -> np.ndarray:
    notes = np.reshape(notes, (-1, 3))
    return notes[np.lexsort(notes.T)]


def test_mel_2bar_small(shared):
    """The real weights, in every precision that is there: latent means, tokens, logits."""
    folders = sorted((golden(shared) / "checkpoints").glob("mel_2bar_small*"))
    assert folders
    notes = json.loads((golden(shared) / "golden_note_sequences.json").read_text())
    for folder in folders:
        arrays = np.load(golden(shared) / f"golden_{folder.name}.npz")
        original = read_magenta_js(folder)
        for key in [key for key in arrays if key.startswith("weight_head/")]:
            head = original.variables[key.removeprefix("weight_head/")].ravel()[:32]
            assert np.array_equal(head, arrays[key])
        model = kb.load(folder)
        z = arrays["z"]
        assert np.array_equal(np.stack(model.decode_arrays(z)), arrays["greedy/tokens"])
        for tune, decoded in zip(model.decode(z), notes[folder.name]["decode_greedy"], strict=True):
            ours = tune.notes.notes
            found = np.column_stack([ours["pitch"], ours["start"] * 8, ours["end"] * 8])
            assert np.array_equal(in_order(found), in_order(decoded["notes"]))
        names = [key for key in arrays if key.startswith("encode/tokens/")]
        mu = model.encode([arrays[key].astype(np.uint8) for key in names]).mu
        np.testing.assert_allclose(mu, arrays["encode/mu"], atol=TOLERANCE)
        assert np.array_equal(np.stack(model.decode_arrays(mu)), arrays["reconstruct/tokens"])
        x = torch.from_numpy(arrays["forced/tokens"]).long().expand(2, -1).t()[..., None]
        with torch.no_grad():
            raw, _ = model.module.teacher_forced(torch.from_numpy(z[:2]), x)
        np.testing.assert_allclose(raw.transpose(0, 1).numpy(), arrays["forced/logits"], atol=2e-5)


def test_the_real_decoder_alone(shared, tmp_path):
    """mel_2bar_small as it was published in 2017, of which the two encoder kernels are lost."""
    weights = dict(np.load(golden(shared) / "mel_2bar_small_real_weights.npz"))
    converter = {"type": "MelodyConverter", "args": {"numSteps": 32, "minPitch": 21, "maxPitch": 108}}
    kernel = "encoder/cell_0/bidirectional_rnn/{}/multi_rnn_cell/cell_0/lstm_cell/kernel"
    lost = {kernel.format(way): np.zeros((602, 2048), np.float32) for way in ("fw", "bw")}
    folder = write_deeplearn_js(tmp_path / "mel_small", weights | lost, converter)
    for name in lost:
        (folder / name.replace("/", "_")).unlink()
    with pytest.raises(KikiboubaError, match=r"2 of 16 variables are missing: .*bw.*kernel.*allow-partial"):
        import_checkpoint(folder)
    imported = import_checkpoint(folder, allow_partial="decoder")
    assert "encoder/cell_0/bidirectional_rnn/fw/multi_rnn_cell" in imported.notes[0]
    arrays = np.load(golden(shared) / "golden_mel_2bar_small_q2.npz")  # float32 and q2 say the same
    tokens, _ = imported.module.decode(torch.from_numpy(arrays["z"]), 0.0)
    assert np.array_equal(tokens.numpy(), arrays["greedy/tokens"])
    with pytest.raises(KikiboubaError, match="without its encoder"):
        imported.module.encode(tokens, torch.full((8,), 32))
