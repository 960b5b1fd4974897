"""What is exported, run by the real @magenta/music and @magenta/sketch under node: same notes, same strokes.

`make test` installs them (tests/interop/node); without them these tests are skipped.
"""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import kikibouba as kb
from kikibouba.exporting import export
from kikibouba.importing import import_checkpoint
from kikibouba.nn.mixture_density import split_output

NODE = Path(__file__).parent / "node"
pytestmark = pytest.mark.node


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if not (NODE / "node_modules" / "@magenta").is_dir():
        pytest.skip(
            "the JavaScript libraries are not installed: npm ci --ignore-scripts in tests/interop/node"
        )


def run(script: str, path: Path, given: dict | None = None) -> dict:
    """Call a script of tests/interop/node."""
    text = json.dumps(given or {})
    done = subprocess.run(
        ["node", str(NODE / script), str(path)], input=text, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["mel_2bar", "drums_2bar"])
def test_music_vae(name, tmp_path):
    """Greedy decoding of two z, and (from a melody's z back) the mean of the posterior."""
    model = kb.load(name)
    export(model, "magenta-js", tmp_path / "js")
    z = np.random.default_rng(4).standard_normal((2, model.z_size), np.float32)
    ours = model.decode_arrays(z)
    inputs = np.stack(ours).astype(np.int64)
    (part,) = model.representation.layout.inputs
    theirs = run("music_vae.js", tmp_path / "js", {"z": z.tolist(), "tensors": part.table[inputs].tolist()})
    assert np.array_equal(np.argmax(theirs["decoded"], -1), inputs)
    np.testing.assert_allclose(theirs["mu"], model.encode(ours).mu, rtol=1e-4, atol=1e-5)
    for array, notes in zip(ours, theirs["notes"], strict=True):
        found = model.representation.to_sequence(array).notes
        steps = np.rint(np.column_stack([found["start"], found["end"]]) * 8).astype(int)
        pairs = zip(found["pitch"].tolist(), steps.tolist(), strict=True)
        assert sorted((n[0], n[1], n[2]) for n in notes) == sorted((p, a, b) for p, (a, b) in pairs)


def greedy(module: torch.nn.Module, info: dict, scale: float) -> np.ndarray:
    """What a decoder without z draws from the state that `info` names: rows (dx, dy, pen down, pen up)."""
    step = module.decoder.stepper(torch.zeros(1, 0))
    h, c = (torch.tensor(info["initial_state"][name])[None] for name in "hc")
    row, rows = torch.tensor([[0.0, 0, 1, 0, 0]]), []
    with torch.inference_mode():
        while len(rows) < info["max_seq_len"]:
            h, c = step(row, h, c)
            pen, mixture = split_output(module.output(h))
            if rows == []:
                pen[0, 2] = -torch.inf
            if (state := int(pen.argmax())) == 2:
                break
            k = int(mixture.log_pi.argmax())
            offset = torch.stack([mixture.mu_x[0, k], mixture.mu_y[0, k]])
            row = torch.cat([offset, torch.eye(3)[state]])[None]
            rows.append([*(offset * scale).tolist(), state == 0, state == 1])
    return np.array(rows)


@pytest.mark.parametrize("seed", [0, 3])
def test_sketch_rnn(seed, tmp_path):
    """A drawing with z built in: equal to ours with the weights as the file rounds them; with our own weights
    the same rows and pen states, and nearly the same offsets (of a drawing 255 units wide).
    """
    model = kb.load("sketch")
    z = model.fitted_prior.sample(1, np.random.default_rng(seed))[0]
    (path,) = export(model, "sketch-rnn-js", tmp_path, z=z)
    theirs = np.array(run("sketch_rnn.js", path)["strokes"])
    info = json.loads(path.read_text())[0]
    rounded = greedy(import_checkpoint(path).module, info, model.representation.scale_factor)
    assert np.array_equal(rounded[:, 2:], theirs[:, 2:4])
    np.testing.assert_allclose(rounded[:, :2], theirs[:, :2], atol=2e-3)
    ours = model.decode_arrays(z)[0]
    ours[:, :2] *= model.representation.scale_factor
    assert np.array_equal(ours[:, 2], theirs[:, 3])
    np.testing.assert_allclose(ours[:, :2], theirs[:, :2], atol=2)


def test_a_published_model_comes_back(shared, tmp_path):
    """Import and export: the library draws from our file what it draws from the published one."""
    source = shared / "golden" / "sketchrnn_js" / "models" / "bird.gen.json"
    model = kb.load(source)
    (path,) = export(model, "sketch-rnn-js", tmp_path)
    assert run("sketch_rnn.js", path) == run("sketch_rnn.js", source)
