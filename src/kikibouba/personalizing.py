"""Personalise: a frozen model learns one song, or a few, and makes more of their kind.

songs ─base.encode→ posteriors ─a MidiMe bridge learns them→ bridge over base: a `Model` with four sliders
"""

import dataclasses
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch

from kikibouba import hub
from kikibouba.bridges.fitted_prior import FittedPrior
from kikibouba.bridges.midime.learning import LatentBatches, Logged, Progress, learn
from kikibouba.bridges.midime.model import MidiMe
from kikibouba.bridges.over_base import OverBase
from kikibouba.bridges.posteriors import encode_dataset, weights_hash
from kikibouba.config import Preset, all_presets, find_preset, read_json
from kikibouba.data.files import write_text
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.generate import Model
from kikibouba.inputs import Source
from kikibouba.models.base import Normal
from kikibouba.personal_songs import FEWEST, Songs, read_songs, varied
from kikibouba.train.checkpoint import build_module, load_checkpoint, model_card, save_checkpoint
from kikibouba.train.loop import fit
from kikibouba.training import TRAIN_POSTERIORS, VALID_POSTERIORS, open_for

PRESET = "personal"

HALVED = 475_000
"""Numbers in a network from which on it is used, and kept, in half precision, to stay below 2 MB."""


Slider = dict[str, float]
"""What a latent does: its `share` of all that the latents do (`MidiMe.effects`), and its rank correlation
with each attribute, by name, over the songs.
"""


class Personal(NamedTuple):
    """A personalised model, and how it came about."""

    model: Model
    songs: Songs
    """What it learnt from; variations apart."""
    sliders: list[Slider]
    """Of z1, z2, …"""
    log: list[Logged]


def personalize(
    base: Model | str | Path,
    songs: Source | Sequence[Source],
    *,
    preset: str | Preset = PRESET,
    out: str | Path | None = None,
    steps: int | None = None,
    augment: bool = False,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Model:
    """A model of the base's kind that makes more of what some songs, or drawings, are like.

    Its latent vectors have four dimensions, the one that does most first: `mine.decode([1.5, 0, 0, 0])` sets
    them, `mine.sample(8, attributes={"z1": 1.5})` moves samples along the first.

    Args:
        base: loaded, or as `hub.load` takes it; it stays as it is, and is used and not copied.
        songs: files, tunes, drawings or examples; one or several.
        preset: "personal", or one of the originals: "midime", "ae-cat-mel_2bar_big".
        out: folder to keep the bridge in, for `load`. It names the base and does not hold it.
        steps: of training; by default the preset's.
        augment: where there are fewer than `FEWEST` examples, learn from variations too: what the
            representation makes of them (melodies are transposed), drawn from the base's posteriors.
        seed: of the initial weights and all noise.
        device: of the base, where it is not loaded yet.
        progress: called after each step with (steps done, steps in all, loss).

    Raises:
        KikiboubaError: the base is a translator or has no latent space; nothing usable in any song, or too
            little of it; `out` holds something else. Of several songs, those that cannot be read are skipped
            with a warning.
    """
    made = make_personal(
        base,
        songs,
        preset=preset,
        out=out,
        steps=steps,
        augment=augment,
        seed=seed,
        device=device,
        progress=progress,
    )
    return made.model


def make_personal(
    base: Model | str | Path,
    songs: Source | Sequence[Source],
    *,
    preset: str | Preset = PRESET,
    out: str | Path | None = None,
    steps: int | None = None,
    augment: bool = False,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Personal:
    """`personalize`, with what there is to know about the model."""
    began = time.monotonic()
    recipe = _recipe(preset, steps)
    if out is not None:
        check_out(Path(out))
    base = base if isinstance(base, Model) else hub.load_model(base, device)
    found = read_songs(songs, base.representation, 1 if augment else FEWEST, seed)
    examples = found.examples
    if len(examples) < FEWEST:
        examples = varied(examples, base.representation, seed)
        recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, learn_from="samples"))
    recipe = over(recipe, base)
    q = Normal(*(torch.from_numpy(column).to(base.device) for column in base.encode(examples)))
    bridge = cast(MidiMe, build_module(recipe, seed)).to(base.device)
    bridge.set_units(q.mu)
    log = learn(bridge, LatentBatches(q, None, recipe.train.batch_size, seed), recipe.train, seed, progress)
    prior, sliders = _tidy(bridge, q, base.representation.attributes(examples))
    if out is not None:
        _save_new(Path(out), recipe, bridge, prior, found, sliders, log, seed, time.monotonic() - began)
    composed = dataclasses.replace(recipe, representation=base.preset.representation)
    name, source = ("personal", "") if out is None else (Path(out).name, str(out))
    module = OverBase(bridge, base.module).eval()
    return Personal(Model(composed, module, name, base.device, prior, None, source), found, sliders, log)


def _recipe(preset: str | Preset, steps: int | None) -> Preset:
    """The preset, with another number of steps if one is given."""
    found = preset if isinstance(preset, Preset) else find_preset(preset)
    if found.family != "midime":
        known = ", ".join(name for name, one in all_presets().items() if one.family == "midime")
        raise KikiboubaError(f"{found.name} is no preset to personalise with; allowed: {known}")
    if steps is not None and steps < 1:
        raise KikiboubaError(f"cannot train for {steps} steps; give 1 or more")
    train = dataclasses.replace(found.train, num_steps=steps or found.train.num_steps)
    return dataclasses.replace(found, train=train)


def over(recipe: Preset, base: Model) -> Preset:
    """The preset with its base filled in.

    Raises:
        KikiboubaError: the base has no latent space.
    """
    if not base.z_size:
        raise KikiboubaError(f"{base.name} has no latent space (z_size 0), so nothing can be learnt in it")
    known = {"base": base.source, "base_hash": weights_hash(base.module), "z_size": base.z_size}
    return dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, **known))


def check_out(out: Path) -> None:
    """Raise KikiboubaError if a bridge cannot go to a folder: it is a file, or holds another model."""
    if out.exists() and not out.is_dir():
        raise KikiboubaError(f"{out} is a file; name a folder for the bridge")
    if (out / "config.json").is_file() and read_json(out / "config.json").get("family") != "midime":
        raise KikiboubaError(f"{out} holds another kind of model; choose another folder")


@torch.no_grad()
def _tidy(bridge: MidiMe, q: Normal, attributes: dict[str, np.ndarray]) -> tuple[FittedPrior, list[Slider]]:
    """Give a trained bridge its final weights, put its latents in order, and find where the songs lie.

    The latent that does most comes first. Each is turned so that more of it goes with more of the attribute
    that it is related to most closely.

    Args:
        q: the songs' posteriors in the base, [n, Z].
        attributes: of the same examples.
    """
    if sum(p.numel() for p in bridge.parameters()) > HALVED:
        for weight in bridge.state_dict().values():
            weight.copy_(weight.half())
    effects = bridge.effects(q.mu)
    order = effects.argsort(descending=True, stable=True)
    latents = bridge.encode(q).mu[:, order].cpu().numpy()
    related = np.array([[spearman(z, values) for values in attributes.values()] for z in latents.T])
    strongest = related[np.arange(len(related)), np.abs(related).argmax(1)]
    signs = np.where(strongest < 0, -1.0, 1.0)
    bridge.rearrange(order, torch.tensor(signs).to(q.mu))
    own = bridge.encode(q)
    prior = FittedPrior.fit(own.mu.cpu().numpy(), own.sigma.cpu().numpy()).as_stored()
    sliders = [
        {"share": share, **dict(zip(attributes, row.tolist(), strict=True))}
        for share, row in zip(effects[order].tolist(), related * signs[:, None], strict=True)
    ]
    return prior, sliders


def _save_new(
    folder: Path,
    recipe: Preset,
    bridge: MidiMe,
    prior: FittedPrior,
    songs: Songs,
    sliders: Sequence[Slider],
    log: Sequence[Logged],
    seed: int,
    seconds: float,
) -> None:
    """Write what was learnt from songs: a checkpoint folder with its prior, its card and its log."""
    parameters = sum(p.numel() for p in bridge.parameters())
    last = log[-1]
    metrics = {
        "steps_done": last.step,
        "train": last.values,
        "seconds": round(seconds, 2),
        "parameters": parameters,
        "songs": songs.names,
        "skipped": songs.skipped,
        "examples": len(songs.examples),
        "sliders": list(sliders),
        "seed": seed,
    }
    card = model_card(
        recipe,
        data=f"{len(songs.examples)} examples from {', '.join(songs.names)}; base: {recipe.model.base}",
        licence="that of the songs and of the base",
        command=shlex.join(sys.argv),
        seed=seed,
        minutes=seconds / 60,
        figures={"step": last.step, **last.values},
        weaknesses=("knows nothing but these songs; the figures are of the examples it learnt from",),
    )
    _save(folder, recipe, bridge, prior, metrics, card)
    lines = (json.dumps({"step": line.step, "split": "train", **line.values}) for line in log)
    write_text(folder / "log.jsonl", "\n".join(lines) + "\n")


def _save(
    folder: Path, recipe: Preset, bridge: MidiMe, prior: FittedPrior, metrics: dict[str, Any], card: str
) -> None:
    size = sum(p.numel() for p in bridge.parameters())
    save_checkpoint(folder, bridge, recipe, metrics, card, "fp16" if size > HALVED else "fp32")
    prior.save(folder)


def train_over_base(
    preset: Preset,
    base: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    max_minutes: float | None = None,
    num_steps: int | None = None,
    resume: bool = True,
    tensorboard: bool = False,
) -> dict[str, Any]:
    """Personalise a base for a whole dataset, with the training loop: logged, resumable, checked on held-out
    examples.

    Args:
        preset: of family midime.
        base: as `hub.load` takes it.
        data: a prepared dataset of its kind.
        out: folder of the run; the base's posteriors are cached in `out/posteriors`.
        seed, device, max_minutes, num_steps, resume, tensorboard: as for `train.loop.fit`.

    Returns:
        The run's metrics.
    """
    model = hub.load_model(base, device)
    recipe, dataset, out = over(preset, model), open_for(model, data), Path(out)
    q, attributes = _posteriors(model, dataset, out / "posteriors")
    what = f"{len(q['train'].mu)} posteriors of {recipe.model.base} over {data}"
    batches = LatentBatches(q["train"], q.get("valid"), recipe.train.batch_size, seed, what)
    bridge = cast(MidiMe, build_module(recipe, seed))
    bridge.set_units(q["train"].mu.cpu())
    metrics = fit(
        bridge,
        batches,
        recipe.train,
        out,
        preset=recipe,
        seed=seed,
        device=device,
        max_minutes=max_minutes,
        num_steps=num_steps,
        resume=resume,
        tensorboard=tensorboard,
    )
    if os.environ.get("RANK", "0") == "0":
        kept, best = load_checkpoint(out, device)
        prior, sliders = _tidy(cast(MidiMe, best), q["train"], attributes)
        metrics |= {"sliders": sliders}
        _save(out, kept, cast(MidiMe, best), prior, metrics, (out / "README.md").read_text(encoding="utf-8"))
    return metrics


def _posteriors(
    model: Model, dataset: Dataset, cache: Path
) -> tuple[dict[str, Normal], dict[str, np.ndarray]]:
    """Split → a base's posteriors, of those for training and, if there are any, validation; the attributes of
    the former.
    """
    limits = {"train": TRAIN_POSTERIORS, "valid": VALID_POSTERIORS}
    found = {
        split: encode_dataset(model.name, model.module, dataset, split, cache, limit)
        for split, limit in limits.items()
        if split == "train" or split in dataset.splits
    }
    q = {
        split: Normal(*(torch.tensor(column).to(model.device) for column in (p.mu, p.sigma)))
        for split, p in found.items()
    }
    return q, found["train"].attributes
