"""What is exported, run by the real @magenta/music and @magenta/sketch under node: same notes, same strokes.

`make test` installs them (tests/interop/node); without them these tests are skipped.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import kikibouba as kb
from interop.small_models import MUSIC, music_model
from interop.test_golden_magenta_js import mean
from kikibouba.config import Preset
from kikibouba.data.chords import chord_class
from kikibouba.data.groove import GrooveRepresentation
from kikibouba.data.layout import Part
from kikibouba.exporting import export
from kikibouba.generate import Model
from kikibouba.hub import bundled
from kikibouba.importing import import_checkpoint
from kikibouba.interop.magenta_js import write_magenta_js
from kikibouba.interop.magenta_tf import music_vae_to_tf
from kikibouba.models.music_vae.config import ModelConfig
from kikibouba.nn.mixture_density import split_output
from kikibouba.train.checkpoint import build_module

NODE = Path(__file__).parent / "node"
BUNDLED = [name for name in ("mel_2bar", "drums_2bar", "groove_humanize_2bar") if name in bundled()]
pytestmark = pytest.mark.node


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if not (NODE / "node_modules" / "@magenta").is_dir():
        pytest.skip(
            "the JavaScript libraries are not installed: npm ci --ignore-scripts in tests/interop/node"
        )


def run(script: str, *arguments: str, given: object = None) -> Any:
    """Call a script of tests/interop/node."""
    done = subprocess.run(
        ["node", str(NODE / script), *arguments],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = [line for line in done.stderr.splitlines() if len(line) < 300]  # the others are minified code
    assert done.returncode == 0, "\n".join(lines)[-2000:]
    return json.loads(done.stdout)


CHORDS = ["C", "Am", "F", "Gdim"]
CONTROLS = {
    "melody_chords_key": {"chordProgression": CHORDS, "key": 3},
    "multitrack": {"chordProgression": ["F#m"]},
    "rhythm": {"key": 7},
}
"""What the library is told; the functions below say the same in our columns."""


HITS = torch.from_numpy(np.random.default_rng(5).integers(0, 2, (32, 9))).float()


def told(name: str, model: Model, batch: int) -> torch.Tensor | None:
    """Chords spread evenly over the steps; over each track of a multitrack bar, after its program."""
    if getattr(model.representation, "hits_as_controls", False):
        return HITS.expand(batch, -1, -1)
    if name not in CONTROLS:
        return None
    steps, columns = model.representation.steps, []
    if chords := CONTROLS[name].get("chordProgression"):
        labels = [chord_class(chord) for chord in chords]
        if name == "multitrack":
            tracks = model.representation.max_instruments
            columns.append(([0] + labels * (steps // tracks - 1)) * tracks)
        else:
            columns.append([labels[step * len(labels) // steps] for step in range(steps)])
    if "key" in CONTROLS[name]:
        columns.append([CONTROLS[name]["key"]] * steps)
    return torch.tensor(columns).t().expand(batch, -1, -1)


def features(parts: Sequence[Part], x: np.ndarray) -> np.ndarray:
    """Columns [B, T, K] as the vectors that the library reads and says [B, T, W]; no step at all is zeros."""
    seen = []
    for part in parts:
        if part.table is None:
            seen.append(x[..., part.start : part.stop])
        else:
            table = np.vstack([part.table, np.zeros((1, part.table.shape[1]))])
            seen.append(table[np.minimum(x[..., part.start], len(part.table)).astype(int)])
    return np.concatenate(seen, -1)


def test_music_vae(tmp_path):
    """Every kind that the library can run, and the bundled models, in one go: what is said greedily for a
    z, and the posterior's mean for what was said.
    """
    models = {name: music_model(name) for name in MUSIC} | {name: kb.load(name) for name in BUNDLED}
    jobs, ours, examples = [], {}, {}
    for name, model in models.items():
        export(model, "magenta-js", tmp_path / name)
        z = np.random.default_rng(4).standard_normal((1, model.z_size), np.float32)
        layout, controls = model.representation.layout, told(name, model, 1)
        said, lengths = model.module.decode(torch.from_numpy(z), 0.0, controls=controls)
        (examples[name],) = model.representation.split_batch(said.numpy(), lengths.numpy())
        raw, _ = model.module.decode(torch.from_numpy(z), 0.0, controls=controls, stops=False)
        x = said.reshape(1, model.representation.steps, -1)
        if name == "multitrack":
            x[..., 0] = some_tracks(model)
        with torch.no_grad():
            mu = model.module.encode(x if x.shape[-1] > 1 else x[..., 0], lengths).mu
        outputs = [replace(part, start=part.start - layout.outputs[0].start) for part in layout.outputs]
        shifted = [replace(p, stop=p.stop - layout.outputs[0].start) for p in outputs]
        spoken = features(shifted, raw.reshape(x.shape).numpy())
        ours[name] = spoken, mu.numpy()
        tensors = features(layout.inputs, x.numpy())
        job = {"folder": str(tmp_path / name), "z": z.tolist(), "controls": CONTROLS.get(name)}
        if getattr(model.representation, "hits_as_controls", False):
            job["controls"] = {"extraControls": {"hits": HITS.tolist()}}
        jobs.append(job | {"tensors": tensors.tolist()})
    for name, theirs in zip(ours, run("music_vae.js", given=jobs), strict=True):
        spoken, mu = ours[name]
        np.testing.assert_allclose(theirs["decoded"], spoken, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(theirs["mu"], mu, atol=1e-4, err_msg=name)
        if name in ("melody", "drums", "groove", "mel_2bar", "drums_2bar"):
            check_notes(models[name], examples[name], theirs["notes"][0])


def test_drums_one_by_one(tmp_path):
    """Grooves whose drums are said one after the other, and told nothing, the hit, the next drum, or both.
    The library encodes them whole, and decodes a ninth of the rows; those are ours.
    """
    jobs, ours = [], []
    for extra in (0, 1, 9, 10):
        told = {"hits_as_controls": extra in (1, 10), "tells_drum": extra >= 9}
        groove = GrooveRepresentation(split_instruments=True, **told)
        config = ModelConfig(z_size=4, enc_rnn_size=(5,), dec_rnn_size=(6, 6), decoder="groove")
        weights = build_module(Preset("split", "music_vae", groove, config), 0).state_dict()
        spec = {"type": "MusicVAE", "extraControls": [{"name": "told", "depth": extra}] if extra else []}
        spec["dataConverter"] = {
            "type": "GrooveConverter",
            "args": {"numSteps": 32, "stepsPerQuarter": 4, "splitInstruments": True},
        }
        folder = tmp_path / str(extra)
        write_magenta_js(folder, music_vae_to_tf(weights), spec)
        model = import_checkpoint(folder).module
        rng = np.random.default_rng(extra)
        z, x = rng.standard_normal((2, 4), np.float32), rng.random((model.steps, 3), np.float32)
        controls = rng.integers(0, 2, (model.steps, extra)).astype(np.float32)
        heard = torch.from_numpy(controls).expand(2, -1, -1) if extra else None
        said, _ = model.decode(torch.from_numpy(z), 0.0, controls=heard, stops=False)
        ours.append((said.reshape(2, model.steps, -1)[:, :32, :3], mean(model, np.hstack([x, controls]))))
        job = {"folder": str(folder), "z": z.tolist(), "tensors": [x.tolist()]}
        jobs.append(job | ({"controls": {"extraControls": {"told": controls.tolist()}}} if extra else {}))
    for (said, mu), theirs in zip(ours, run("music_vae.js", given=jobs), strict=True):
        np.testing.assert_allclose(theirs["decoded"], said, atol=1e-5)
        np.testing.assert_allclose(theirs["mu"], mu, atol=1e-5)


@pytest.mark.parametrize("precision", ["uint16", "uint8"])
def test_quantised_weights(precision, tmp_path):
    """The library makes of the numbers in the files what we make of them."""
    export(music_model("melody"), "magenta-js", tmp_path / "js", precision)
    model = import_checkpoint(tmp_path / "js").module
    z = np.random.default_rng(4).standard_normal((3, model.z_size), np.float32)
    said, lengths = model.decode(torch.from_numpy(z), 0.0)
    with torch.no_grad():
        mu = model.encode(said, lengths).mu
    tensors = features(model.layout.inputs, said[..., None].numpy())
    job = {"folder": str(tmp_path / "js"), "z": z.tolist(), "tensors": tensors.tolist()}
    (theirs,) = run("music_vae.js", given=[job])
    assert np.array_equal(theirs["decoded"], tensors)
    np.testing.assert_allclose(theirs["mu"], mu, atol=1e-4)


def some_tracks(model: Model) -> torch.Tensor:
    """Labels of tracks of several lengths, each with its end, which the library's encoder needs."""
    r, layout = model.representation, model.representation.layout
    tracks = np.random.default_rng(6).integers(0, 400, (r.max_instruments, r.events_per_instrument))
    for k, track in enumerate(tracks):
        track[3 + k] = layout.end
        track[4 + k :] = layout.padding
    return torch.from_numpy(tracks.ravel())


def check_notes(model: Model, example: np.ndarray, notes: list[list]) -> None:
    """The library turns what was said into the notes that we make of it."""
    found = model.representation.to_sequence(example).notes
    if model.kind == "groove":
        assert sorted(note[0] for note in notes) == sorted(found["pitch"].tolist())
        assert sorted(note[5] for note in notes) == sorted(found["velocity"].tolist())
        np.testing.assert_allclose(sorted(n[3] for n in notes), sorted(found["start"]), atol=2e-3)
        return
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
    theirs = np.array(run("sketch_rnn.js", str(path))["strokes"])
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
    assert run("sketch_rnn.js", str(path)) == run("sketch_rnn.js", str(source))
