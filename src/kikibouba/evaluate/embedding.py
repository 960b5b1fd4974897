"""How near an Embedding RNN's reconstructions are to held-out notes, beside what needs no model.

    mse                     of reconstructions: the mean of the posterior, decoded to what is likeliest
    mse, mean frame         of the training frames' mean, for every frame
    mse, first frame        of the note's own first frame, through the components and back, for every frame
    mse, mean note          of the mean of the training notes, frame by frame
    mse, pitch              of the mean of the training notes of the same pitch, where there are any
    mse, components only    of the note itself, through what the model sees of it and back

All are means over frames and their numbers, and then over notes.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kikibouba.data.whitening import Whitening, fit_whitening
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.reconstruction import losses

TRAINING = 5_000
"""Training notes that the baselines know, at most."""


def evaluate_embedding(
    base: Base, dataset: Any, split: str = "test", limit: int | None = 2_000, seed: int = 0
) -> dict[str, float]:
    """Figure → value; see above.

    Args:
        base: the model and its representation.
        dataset: an open `kikibouba.data.store.Dataset`.
        split: which of its splits; the baselines know "train".
        limit: notes measured, chosen at random but always the same for a seed. None = all.
        seed: of that choice, and of the noise in the losses.

    Returns: besides those above, `examples`, `mse median`, and the terms of the loss, teacher-forced.
    """
    examples, training = dataset.split(split), dataset.split("train")
    chosen = np.random.default_rng(seed).permutation(len(examples))[:limit]
    arrays = [examples[i] for i in np.sort(chosen).tolist()]
    figures = {"examples": float(len(arrays))}
    if base.module.z_size:
        own = squared_errors(base, arrays)
        figures |= {"mse": float(own.mean()), "mse median": float(np.median(own))}
    known = [training[i] for i in range(min(len(training), TRAINING))]
    figures |= {
        f"mse, {name}": float(np.mean(errors)) for name, errors in baselines(base, arrays, known).items()
    }
    return figures | losses(base, arrays, seed)


def squared_errors(
    base: Base, arrays: Sequence[np.ndarray], temperature: float = 0.0, seed: int = 0
) -> np.ndarray:
    """The mean squared error of each note's reconstruction, float64 [n]."""
    width = base.module.width
    rebuilt = rebuild(base, arrays, temperature, seed)
    return np.array([_error(again, one[:, :width]) for again, one in zip(rebuilt, arrays, strict=True)])


@torch.no_grad()
def rebuild(
    base: Base, arrays: Sequence[np.ndarray], temperature: float = 0.0, seed: int = 0
) -> list[np.ndarray]:
    """Notes → the means of their posteriors → frames [T, W], told the notes' own pitches."""
    generator, width = torch.Generator(base.device).manual_seed(seed), base.module.width
    rebuilt: list[np.ndarray] = []
    for batch in base.batches(arrays):
        mu = base.module.eval().encode(*batch).mu
        x, _ = base.module.decode(mu, temperature, generator, batch.x[:, 0, width:])
        rebuilt += list(x[..., :width].cpu().numpy())
    return rebuilt


@torch.no_grad()
def baselines(
    base: Base, arrays: Sequence[np.ndarray], training: Sequence[np.ndarray]
) -> dict[str, list[float]]:
    """What needs no model → the squared error for each note."""
    width = base.module.width
    notes = np.stack([one[:, :width] for one in training]).astype(np.float64)
    pitches = np.array([one[0, width] for one in training])
    mean_note = notes.mean(0)
    mean_frame = mean_note.mean(0)
    components = _fitted(base.module, training)
    found: dict[str, list[float]] = {"mean frame": [], "first frame": [], "mean note": []}
    for array in arrays:
        frames, pitch = array[:, :width].astype(np.float64), array[0, width]
        first = frames[0] if components is None else components.undo(components.apply(frames[0]))
        same = notes[pitches == pitch]
        found["mean frame"].append(_error(mean_frame, frames))
        found["first frame"].append(_error(first, frames))
        found["mean note"].append(_error(mean_note, frames))
        if pitch >= 0 and len(same):
            found.setdefault("pitch", []).append(_error(same.mean(0), frames))
        if components is not None:
            x = torch.from_numpy(array[None, :, :width].copy()).to(base.device)
            kept = base.module.frames_of(base.module.sequence_of(x))[0].cpu().numpy()
            found.setdefault("components only", []).append(_error(kept, frames))
    return found


def _fitted(module: Any, training: Sequence[np.ndarray]) -> Whitening | None:
    """As many components of the training frames as the model has of what it sees; None if it has none."""
    if not module.config.pca_dim_reduce:
        return None
    return fit_whitening((one[:, : module.width] for one in training), module.config.n_pca_components)


def _error(guess: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(np.square(guess - truth, dtype=np.float64)))
