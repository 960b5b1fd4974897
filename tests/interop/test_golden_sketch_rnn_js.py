"""Every model of sketch-rnn-js in the reference data, against what the original libraries computed with it.

The values agree far within the step of 0.0003 in which the format stores weights.
"""

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import kikibouba as kb
from kikibouba.errors import KikiboubaError
from kikibouba.importing import import_checkpoint
from kikibouba.interop.sketch_rnn_js import read_sketch_rnn_js, write_sketch_rnn_js
from kikibouba.models.sketch_rnn.model import SketchRNN
from kikibouba.nn.mixture_density import split_output

PIXELS = 2
"""Both libraries draw at half size."""


def published(shared) -> list:
    found = sorted((shared / "golden" / "sketchrnn_js" / "models").glob("*.gen.json"))
    assert found
    return found


def outputs(model: SketchRNN, z: torch.Tensor, rows: np.ndarray, scale: float) -> torch.Tensor:
    """Raw outputs [N, 3 + 6M] after each of the rows [N, 5], in pixels."""
    inputs = torch.from_numpy(rows / [scale, scale, 1, 1, 1]).float()[:, None]
    with torch.no_grad():
        return model._outputs(z, inputs, torch.tensor([len(inputs)]), None)[:, 0]


def test_published_decoders(shared):
    """Weights, raw outputs for two drawings, and the drawings' settings."""
    for path in published(shared):
        name = path.name.partition(".")[0]
        info = json.loads(path.read_text())[0]
        arrays = np.load(shared / "golden" / "sketchrnn_js" / "magenta_sketch" / f"{name}.npz")
        variables = list(read_sketch_rnn_js(path).variables.values())
        for i, value in enumerate(variables):
            assert np.array_equal(value.ravel()[:16], arrays[f"weight_head_{i}"])
        preset, module, *_ = import_checkpoint(path)
        assert preset.representation.scale_factor == pytest.approx(info["scale_factor"])
        assert preset.model.max_length == info["max_seq_len"]
        for drawing in ("sheep", "hand"):
            raw = outputs(
                module, torch.zeros(1, 0), arrays[f"{drawing}/inputs"], info["scale_factor"] / PIXELS
            )
            np.testing.assert_allclose(raw, arrays[f"{drawing}/raw"], atol=1e-4, err_msg=name)


def test_published_decoders_draw_what_the_library_drew(shared):
    """Its drawings again, from the random numbers that it used: every pen state, every offset."""
    for path in published(shared):
        name = path.name.partition(".")[0]
        arrays = np.load(shared / "golden" / "sketchrnn_js" / "magenta_sketch" / f"{name}.npz")
        preset, module, *_ = import_checkpoint(path)
        for temperature in (0.25, 0.65):
            wanted = arrays[f"sample_T{temperature}/strokes"]
            chance = iter(arrays[f"sample_T{temperature}/uniforms"].tolist())
            drawn = drawn_by_chance(module, len(wanted), temperature, chance)
            drawn[:, :2] *= preset.representation.scale_factor / PIXELS
            assert np.array_equal(drawn[:, 2:], wanted[:, 2:]), name
            np.testing.assert_allclose(drawn[:, :2], wanted[:, :2], atol=0.01, err_msg=name)


def drawn_by_chance(module: SketchRNN, rows: int, temperature: float, chance: Iterator[float]) -> np.ndarray:
    """[rows, 5] in the model's units, as the libraries draw: a number between 0 and 1 for the component, one
    for the pen, and pairs of them by the polar method for the offset.
    """
    step, row, drawn = module.decoder.stepper(torch.zeros(1, 0)), torch.tensor([[0.0, 0, 1, 0, 0]]), []
    h = c = torch.zeros(1, module.config.dec_rnn_size)
    for _ in range(rows):
        with torch.inference_mode():
            h, c = step(row, h, c)
            pen, mixture = split_output(module.output(h))
        softer = 0.5 + 0.5 * temperature
        k = int((mixture.log_pi[0] / softer).softmax(-1).cumsum(-1).ge(next(chance)).byte().argmax())
        state = int((pen[0] / softer).softmax(-1).cumsum(-1).ge(next(chance)).byte().argmax())
        radius = 0.0
        while not 0 < radius < 1:
            a, b = 2 * next(chance) - 1, 2 * next(chance) - 1
            radius = a * a + b * b
        z1, z2 = (x * math.sqrt(-2 * math.log(radius) / radius) for x in (a, b))
        mu_x, mu_y, log_x, log_y, logit = (float(part[0, k]) for part in mixture[1:])
        rho = math.tanh(logit)
        dx = math.exp(log_x) * math.sqrt(temperature) * (math.sqrt(1 - rho * rho) * z1 + rho * z2) + mu_x
        dy = math.exp(log_y) * math.sqrt(temperature) * z2 + mu_y
        row = torch.tensor([[dx, dy, state == 0, state == 1, state == 2]]).float()
        drawn.append(row[0].numpy())
    return np.array(drawn)


def test_published_decoders_draw(shared):
    """Something with several strokes, of the size of a drawing, and different for each seed."""
    for path in published(shared)[:3]:
        model = kb.load(path)
        drawings = [drawing.strokes for drawing in model.sample(3, temperature=0.25, seed=1)]
        for strokes in drawings:
            size = np.ptp(np.cumsum(strokes[:, :2], 0), 0).max()
            assert strokes[:, 2].sum() >= 2
            assert 100 < size < 2000
        assert len({len(strokes) for strokes in drawings}) > 1
        with pytest.raises(KikiboubaError, match="no encoder"):
            model.encode(model.sample(1, seed=1)[0])


def test_whole_models(shared):
    """Posterior, first state, and the distribution of every row (from zeros, as sketch-rnn-js begins)."""
    found = sorted((shared / "golden" / "sketchrnn_js" / "sketch_rnn_js").glob("*.vae.json"))
    assert found
    for path in found:
        arrays = np.load(path.with_name(path.name.replace(".vae.json", ".npz")))
        preset, module, *_ = import_checkpoint(path)
        scale = preset.representation.scale_factor / PIXELS
        for drawing in ("sheep", "hand"):
            rows = arrays[f"{drawing}/stroke5"]
            x = torch.from_numpy(rows / [scale, scale, 1, 1, 1]).float()[None]
            with torch.no_grad():
                q = module.encode(x, torch.tensor([len(rows)]))
                h, c = module._start(q.mu)
            np.testing.assert_allclose(q.mu[0], arrays[f"{drawing}/mu"], atol=1e-5)
            np.testing.assert_allclose(q.sigma[0], arrays[f"{drawing}/sigma"], atol=1e-5)
            np.testing.assert_allclose(h[0], arrays[f"{drawing}/h0"], atol=1e-5)
            np.testing.assert_allclose(c[0], arrays[f"{drawing}/c0"], atol=1e-5)
            pen, mixture = split_output(outputs(module, q.mu, np.vstack([np.zeros((1, 5)), rows]), scale))
            ours = {
                "pen": pen.softmax(-1),
                "pi": mixture.log_pi.softmax(-1),
                "muX": mixture.mu_x,
                "muY": mixture.mu_y,
                "sigmaX": mixture.log_sigma_x.exp(),
                "sigmaY": mixture.log_sigma_y.exp(),
                "corr": mixture.correlation_logit.tanh(),
            }
            for name, value in ours.items():
                np.testing.assert_allclose(value, arrays[f"{drawing}/T1.0/{name}"], atol=1e-4, rtol=1e-4)


def test_other_ways_to_write_the_same(shared, tmp_path):
    """Our writer gives the published file back; lists of numbers and JavaScript read like base64."""
    path = published(shared)[0]
    published_file = json.loads(path.read_text())
    original = read_sketch_rnn_js(path)
    again = write_sketch_rnn_js(tmp_path / "a.gen.json", original.variables, original.spec)
    assert json.loads(again.read_text()) == published_file
    info, dims, blobs = published_file
    lists = [np.rint(v.ravel() / (10 / 32767)).astype(int).tolist() for v in original.variables.values()]
    (tmp_path / "a.gen.full.json").write_text(json.dumps([info, dims, lists]))
    (tmp_path / "a.gen.js").write_text(f"var model_raw_data='{json.dumps([info, dims, blobs])}';\n")
    for name in ("a.gen.full.json", "a.gen.js"):
        read = read_sketch_rnn_js(tmp_path / name)
        assert read.spec == original.spec
        assert all(np.array_equal(read.variables[key], value) for key, value in original.variables.items())
