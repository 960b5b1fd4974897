"""ONNX graphs in onnxruntime: what they compute is what the models compute."""

import json
import sys

import numpy as np
import pytest
import torch

import kikibouba as kb
from interop.small_models import MUSIC, OTHERS, music_model, sketch_model, some_z
from kikibouba.errors import KikiboubaError
from kikibouba.exporting import export
from kikibouba.hub import bundled
from kikibouba.models.music_vae.model import time_first

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

WHOLE = [n for n in ("mel_2bar", "drums_2bar", "hier_drums_4bar", "groove_humanize_2bar") if n in bundled()]


def run(path, **inputs) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    return session.run(None, {name: np.asarray(value) for name, value in inputs.items()})


@pytest.fixture(params=[*MUSIC, *OTHERS, *WHOLE])
def model(request):
    return kb.load(request.param) if request.param in WHOLE else music_model(request.param)


def some_controls(model, batch: int) -> torch.Tensor | None:
    parts = model.representation.layout.controls
    if not parts:
        return None
    generator = torch.Generator().manual_seed(0)
    if parts[0].table is None:
        width = sum(part.stop - part.start for part in parts)
        return torch.randint(0, 2, (batch, model.representation.steps, width), generator=generator).float()
    columns = [
        torch.randint(len(p.table), (batch, model.representation.steps), generator=generator) for p in parts
    ]
    return torch.stack(columns, -1)


def test_music_vae(model, tmp_path):
    """Whole decoding, the encoder with examples of several lengths, and the preset beside them."""
    files = {path.name: path for path in export(model, "onnx", tmp_path)}
    z, told = some_z(model, 3), some_controls(model, 3)
    decoded, lengths = model.module.decode(torch.from_numpy(z), 0.0, controls=told)
    said = time_first(decoded).transpose(0, 1)[..., : -told.shape[-1] if told is not None else None]
    (x,) = run(files["decode.onnx"], z=z, **({"controls": told} if told is not None else {}))
    np.testing.assert_allclose(x.reshape(said.shape), said, atol=1e-4)
    if not model.preset.model.encoder_level_lengths:
        lengths = lengths - torch.tensor([0, 3, 15])
    if model.module.encoder is not None:
        with torch.no_grad():
            q = model.module.encode(decoded, lengths)
        mu, sigma = run(files["encoder.onnx"], x=decoded.numpy(), lengths=lengths.numpy())
        np.testing.assert_allclose(mu, q.mu, atol=1e-4)
        np.testing.assert_allclose(sigma, q.sigma, atol=1e-4)
    assert json.loads(files["preset.json"].read_text())["representation"]["kind"] == model.kind


def test_steps_of_a_music_vae(model, tmp_path):
    """Step after step the graph says what the model says, from the same raw outputs."""
    files = {path.name: path for path in export(model, "onnx", tmp_path)}
    if "decoder_step.onnx" not in files:
        pytest.skip("several decoders")
    z, told = some_z(model, 2), some_controls(model, 2)
    decoded, _ = model.module.decode(torch.from_numpy(z), 0.0, controls=told)
    said = time_first(decoded)[..., : -told.shape[-1] if told is not None else None]
    controls = said[..., :0] if told is None else told.transpose(0, 1)
    decoder = model.module.decoder
    with torch.no_grad():
        raw, _ = decoder(torch.from_numpy(z), decoder.shift_right(said), controls)
    step = onnxruntime.InferenceSession(str(files["decoder_step.onnx"]))
    state, row = run(files["decoder_start.onnx"], z=z)
    for t in range(8):
        given = {"said": row, "z": z, "state": state}
        if told is not None:
            given["controls"] = told[:, t].numpy()
        ours, row, state = step.run(None, given)
        np.testing.assert_allclose(ours, raw[t], atol=1e-4)
        np.testing.assert_allclose(row, said[t], atol=1e-4)


@pytest.mark.parametrize("which", ["bundled", "small", "unconditional"])
def test_sketch_rnn(which, tmp_path):
    """Whole drawings (rows and lengths), the posterior, and rows one by one."""
    model = kb.load("sketch") if which == "bundled" else sketch_model(which == "small", num_mixture=3)
    files = {path.name: path for path in export(model, "onnx", tmp_path)}
    z = model.fitted_prior.sample(4, np.random.default_rng(0)) if which == "bundled" else some_z(model, 4)
    rows, lengths = model.module.decode(torch.from_numpy(z), 0.0)
    x, ends = run(files["decode.onnx"], z=z)
    assert np.array_equal(ends, lengths)
    np.testing.assert_allclose(x, rows, atol=1e-4)
    if which != "unconditional":
        with torch.no_grad():
            q = model.module.encode(rows, lengths)
        mu, sigma = run(files["encoder.onnx"], x=x, lengths=ends)
        np.testing.assert_allclose(mu, q.mu, atol=1e-4)
        np.testing.assert_allclose(sigma, q.sigma, atol=1e-4)
    step = onnxruntime.InferenceSession(str(files["decoder_step.onnx"]))
    state, row = run(files["decoder_start.onnx"], z=z)
    for t in range(int(ends.min())):
        _, row, state = step.run(None, {"row": row, "z": z, "state": state})
        if t == 0:  # where whole decoding forbids the end
            row = rows[:, 0].numpy()
        np.testing.assert_allclose(row, rows[:, t], atol=1e-4)


def test_what_onnx_lacks(tmp_path, monkeypatch):
    model = sketch_model(dec_model="layer_norm")
    with pytest.raises(KikiboubaError, match="plain LSTM cells"):
        export(model, "onnx", tmp_path / "a")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(KikiboubaError, match=r"pip install 'kikibouba\[onnx\]'"):
        export(model, "onnx", tmp_path / "a")
    assert not (tmp_path / "a").exists()
