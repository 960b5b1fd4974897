"""Every checkpoint that Magenta wrote, imported by its folder alone: posteriors, greedy samples, drawings.

(tests/parity goes further: losses, gradients, five training steps.)
"""

from pathlib import Path

import numpy as np
import torch

from interop.test_golden_magenta_js import TOLERANCE, labels_of, said
from kikibouba.importing import import_checkpoint
from kikibouba.models.music_vae.columns import dense
from kikibouba.models.music_vae.model import MusicVAE
from kikibouba.models.music_vae.stack import NO_NOISE
from kikibouba.nn.mixture_density import split_output


def posterior(model: MusicVAE, rows: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """mu, sigma of features [B, T, W]; lengths [B], or [B, S] of each of S segments."""
    batch, steps = rows.shape[:2]
    segments = lengths.reshape(batch, -1)
    each = steps // segments.shape[1]
    real = (np.arange(each) < segments[..., None]).reshape(batch, steps)
    x, real = torch.from_numpy(rows).transpose(0, 1), torch.from_numpy(real).t()
    with torch.no_grad():
        e = model.encoder(dense, x, real, NO_NOISE)
        sigma = torch.nn.functional.softplus(model.encoder.sigma(e))
        return model.encoder.mu(e).numpy(), sigma.numpy()


def folders(shared: Path) -> list[Path]:
    return [path.parent for path in sorted((shared / "golden" / "magenta_tf").glob("*/golden.npz"))]


def test_posteriors(shared):
    tested = 0
    for folder in folders(shared):
        arrays = np.load(folder / "golden.npz")
        if "inputs" not in arrays or "mu" not in arrays:
            continue
        model = import_checkpoint(folder).module
        rows, lengths = arrays["inputs"].astype(np.float32), arrays["lengths"]
        if "controls" in arrays:
            rows = np.concatenate([rows, arrays["controls"]], -1)
        whole = np.ones(len(rows), bool)
        if model.config.encoder == "lstm":  # the original sums up shorter examples where they have ended
            whole = lengths == lengths.max()
        for ours, name in zip(posterior(model, rows, lengths), ("mu", "sigma"), strict=True):
            np.testing.assert_allclose(
                ours[whole], arrays[name][whole], atol=TOLERANCE, rtol=TOLERANCE, err_msg=folder.name
            )
        tested += 1
    assert tested >= 10


def test_greedy_samples(shared):
    tested = 0
    for folder in folders(shared):
        arrays = np.load(folder / "golden.npz")
        if "samples" not in arrays:
            continue
        model, controls = import_checkpoint(folder).module, None
        z = torch.from_numpy(arrays["sample_z"])
        if "sample_c_input" in arrays:
            controls = labels_of(model.layout.controls, arrays["sample_c_input"]).expand(len(z), -1, -1)
        decoded, _ = model.decode(z, 0.0, controls=controls, stops=False)
        theirs = said(model.layout.outputs, arrays["samples"])
        ours = decoded.reshape(*decoded.shape[:2], -1)[..., : theirs.shape[-1]]
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE, err_msg=folder.name)
        tested += 1
    assert tested >= 10


def test_sketch_rnn(shared):
    """Posterior, and the distribution of every row of four drawings, for each kind of cell."""
    tested = 0
    for folder in folders(shared):
        arrays = np.load(folder / "golden.npz")
        if "pen_logits" not in arrays:
            continue
        model = import_checkpoint(folder).module
        order = np.argsort(-arrays["sequence_lengths"], kind="stable")  # packed: longest first
        x = torch.from_numpy(arrays["input_data"][order])
        z = torch.zeros(len(x), 0)
        if model.z_size:
            z = torch.from_numpy(arrays["batch_z"][order])
            with torch.no_grad():
                q = model.encode(x[:, 1:], torch.from_numpy(arrays["sequence_lengths"][order]).long())
            np.testing.assert_allclose(q.mu, arrays["mu"][order], atol=TOLERANCE, err_msg=folder.name)
            np.testing.assert_allclose(q.sigma, arrays["sigma"][order], atol=TOLERANCE, err_msg=folder.name)
        rows = x[:, :-1].transpose(0, 1)
        with torch.no_grad():
            pen, mixture = split_output(model._outputs(z, rows, torch.full((len(x),), len(rows)), None))
        ours = {
            "pen_logits": pen,
            "pi": mixture.log_pi.softmax(-1),
            "mu1": mixture.mu_x,
            "mu2": mixture.mu_y,
            "sigma1": mixture.log_sigma_x.exp(),
            "sigma2": mixture.log_sigma_y.exp(),
            "corr": mixture.correlation_logit.tanh(),
        }
        for name, value in ours.items():
            theirs = arrays[name].reshape(len(x), len(rows), -1)[order]
            np.testing.assert_allclose(
                value.transpose(0, 1), theirs, atol=TOLERANCE, rtol=TOLERANCE, err_msg=f"{folder.name} {name}"
            )
        tested += 1
    assert tested >= 4


def test_what_magenta_trained(shared):
    """A model from the original's command-line trainer: posterior and decoding of real melodies."""
    folder = shared / "golden" / "magenta_tf" / "trained_cat-mel_2bar"
    arrays = np.load(folder / "golden.npz")
    module = import_checkpoint(folder).module
    labels = torch.from_numpy(arrays["labels"].astype(np.int64))
    with torch.no_grad():
        q = module.encode(labels, torch.full((len(labels),), labels.shape[1]))
    np.testing.assert_allclose(q.mu, arrays["mu"], atol=TOLERANCE)
    np.testing.assert_allclose(q.sigma, arrays["sigma"], atol=TOLERANCE)
    decoded, _ = module.decode(torch.from_numpy(arrays["sample_z"]), 0.0)
    assert np.array_equal(decoded, arrays["sample_labels"])
