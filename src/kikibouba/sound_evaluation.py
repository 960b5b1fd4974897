"""Held-out figures of a model of sound: how well it predicts, what its frames give away, how it translates.

    bits, bits piano, …       teacher-forced, a sample; of each domain
    probe, probe chance       share of latent frames whose domain a fresh classifier tells; by guessing

Of translations, of their sources themselves (copy) and of other recordings of the target domain (random):

    called target             share that a classifier of real recordings' timbre takes for the target
    chroma, onsets            of the translation and its source: 1 is the same notes at the same times
    distance                  to the true recording of the piece in the target domain, if there is one
"""

import zlib
from typing import NamedTuple

import numpy as np
import torch

from kikibouba.bridges.posteriors import choice
from kikibouba.data.audio import AudioRepresentation
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.rank_correlation import spearman
from kikibouba.evaluate.sound import (
    Probe,
    chroma_cosine,
    mean_of,
    onset_correlation,
    spectral_distance,
    timbre,
)
from kikibouba.generate import Model
from kikibouba.models.base import ClipBatch
from kikibouba.sounds import SoundModel

CLIPS = 16
"""Clips of each domain that bits and probe are of, at most."""
RESAID = 32
"""Sounds that are encoded as one vector each and said again, at most."""
TRANSLATED, SECONDS = 12, 2.0
"""Recordings that are translated, for each pair of domains, and how much of each."""


def evaluate_sound_vectors(
    model: Model, dataset: Dataset, split: str, limit: int | None = None, seed: int = 0
) -> dict[str, float]:
    """Figures of a model that knows each sound as one vector.

    Returns: `kept`, the share of the variance of the base's frames that vectors keep, and for each attribute
        of sounds the rank correlation of what goes in and what is said again ("brightness kept"); NaN where
        all are equal.
    """
    sounds = dataset.split(split)
    rows = choice(len(sounds), min(limit or RESAID, RESAID))
    arrays = [sounds[i] for i in rows]
    base = Base(model.module, model.representation)
    (batch,) = base.batches(arrays)
    with torch.no_grad():
        figures = {"kept": model.module.bridge.kept(model.module.frames(batch.x))}
    before, after = (
        model.representation.attributes(some) for some in (arrays, base.rebuild(arrays, seed=seed))
    )
    for name in before:
        known = np.isfinite(before[name]) & np.isfinite(after[name])
        figures[f"{name} kept"] = spearman(before[name][known], after[name][known])
    return figures


class Recording(NamedTuple):
    """One of a dataset."""

    name: str
    """Without folder: equal ones of two domains are the same piece."""
    domain: str
    codes: np.ndarray


def evaluate_sound(
    model: SoundModel, dataset: Dataset, split: str, limit: int | None = None, seed: int = 0
) -> dict[str, float]:
    """Figure → value; see above.

    Args:
        dataset: of the model's coding.
        split: that is measured; the probe and the classifier learn from "train".
        limit: recordings, at most, of each domain.
        seed: of what is said, and of which parts of recordings are taken.

    Raises:
        KikiboubaError: another kind or coding, no such split, nothing of the model's domains in it.
    """
    own, theirs = model.representation, dataset.representation
    if theirs.kind != "audio" or own.coding != theirs.coding:
        raise KikiboubaError(f"{model.name} hears audio coded as {own.coding}: prepare a dataset with that")
    domains = model.domains or ("",)
    held_out = _recordings(dataset, split, domains, own, limit)
    figures = _bits(model, held_out, domains, seed)
    if len(domains) > 1:
        learnt = _recordings(dataset, "train", domains, own, limit)
        figures |= _probe(model, learnt, held_out, domains, seed)
        figures |= _translations(model, learnt, held_out, domains, seed)
    return figures


def _recordings(
    dataset: Dataset, split: str, domains: tuple[str, ...], own: AudioRepresentation, limit: int | None
) -> list[Recording]:
    """Those of a split that belong to the domains and last a clip; a model without domains takes all."""
    examples = dataset.split(split)
    names = [
        source["file"].rpartition("/")[2]
        for source in dataset.sources()
        for _ in range(source["counts"].get(split, 0))
    ]
    found: list[Recording] = []
    for i, name in enumerate(names):
        code = -1 if examples.categories is None else int(examples.categories[i])
        domain = "" if domains == ("",) else dataset.categories[code] if code >= 0 else "?"
        several = sum(one.domain == domain for one in found)
        if domain in domains and len(examples[i]) >= own.clip and (limit is None or several < limit):
            found.append(Recording(name, domain, examples[i]))
    if not found:
        what = f"of {', '.join(domains)} " if any(domains) else ""
        raise KikiboubaError(f"{dataset.path} has no {split} recording {what}as long as a clip")
    return found


def _clips(
    model: SoundModel, recordings: list[Recording], domains: tuple[str, ...], seed: int
) -> dict[str, np.ndarray]:
    """Domain → clips [n, T] of it, of its recordings in turn, at random places; n is 0 if there is none."""
    length, found = model.representation.clip, {}
    for domain in domains:
        own = [one for one in recordings if one.domain == domain]
        rng = np.random.default_rng([seed, zlib.crc32(domain.encode())])
        clips = []
        for number in range(CLIPS if own else 0):
            codes = own[number % len(own)].codes
            start = int(rng.integers(len(codes) - length, endpoint=True))
            clips.append(codes[start : start + length])
        found[domain] = np.array(clips, np.int64).reshape(-1, length)
    return found


@torch.inference_mode()
def _bits(
    model: SoundModel, recordings: list[Recording], domains: tuple[str, ...], seed: int
) -> dict[str, float]:
    figures = {}
    for number, (domain, clips) in enumerate(_clips(model, recordings, domains, seed).items()):
        values = []
        for clip in clips:
            x = torch.from_numpy(clip)[None].to(model.device)
            parts = model.module.loss(ClipBatch(x, x, torch.tensor([number], device=model.device)), 0)
            values.append(float(parts["bits"]))
        if values:
            figures[f"bits {domain}"] = mean_of(values)
    total = {"bits": mean_of(list(figures.values()))}
    return total | (figures if len(domains) > 1 else {})


def _probe(
    model: SoundModel,
    learnt: list[Recording],
    held_out: list[Recording],
    domains: tuple[str, ...],
    seed: int,
) -> dict[str, float]:
    """Whether the domain can be told from single frames, learnt and judged on equally many of each domain."""
    sets = []
    for recordings in (learnt, held_out):
        clips = _clips(model, recordings, domains, seed)
        frames = [[model.encode(clip.astype(np.uint8)).mu for clip in clips[domain]] for domain in domains]
        labels = [number for number, one in enumerate(frames) for z in one for _ in range(len(z))]
        sets.append((np.concatenate([z for one in frames for z in one]), np.array(labels)))
    (x, y), (held_x, held_y) = sets
    guess = np.bincount(held_y, minlength=len(domains)).max() / len(held_y)
    return {
        "probe": float(np.mean(Probe(x, y, len(domains), seed).classify(held_x) == held_y)),
        "probe chance": float(guess),
    }


def _translations(
    model: SoundModel,
    learnt: list[Recording],
    held_out: list[Recording],
    domains: tuple[str, ...],
    seed: int,
) -> dict[str, float]:
    length = int(SECONDS * 16_000)
    judge = _judge(model, learnt, domains, length, seed)
    rows: dict[str, list[float]] = {}
    for source in domains:
        own = [one for one in held_out if one.domain == source][:TRANSLATED]
        for target in domains:
            others = [one for one in held_out if one.domain == target]
            for one in own if target != source else ():
                true = next((two for two in others if two.name == one.name), None)
                rest = [two for two in others if two.name != one.name]
                other = rest[zlib.crc32(one.name.encode()) % len(rest)] if rest else None
                waves = {
                    "": model.translate(one.codes[:length], target, seed=seed).wave,
                    ", copy": model.representation.wave(one.codes[:length]),
                }
                waves |= (
                    {} if other is None else {", random": model.representation.wave(other.codes[:length])}
                )
                truth = None if true is None else model.representation.wave(true.codes[:length])
                for name, value in _judged(waves, truth, judge, domains.index(target)).items():
                    rows.setdefault(name, []).append(value)
    return {name: mean_of(values) for name, values in rows.items()}


def _judge(
    model: SoundModel, learnt: list[Recording], domains: tuple[str, ...], length: int, seed: int
) -> Probe:
    """A classifier of timbre that has heard parts of real recordings, as long as what it will judge."""
    features, labels = [], []
    for one in learnt:
        for first in range(0, max(1, len(one.codes) - length // 2), length):
            features.append(timbre(model.representation.wave(one.codes[first : first + length])))
            labels.append(domains.index(one.domain))
    return Probe(np.array(features), np.array(labels), len(domains), seed)


def _judged(
    waves: dict[str, np.ndarray], truth: np.ndarray | None, judge: Probe, target: int
) -> dict[str, float]:
    """The figures of a translation and its baselines."""
    source, figures = waves[", copy"], {}
    for what, wave in waves.items():
        figures[f"called target{what}"] = float(judge.classify(timbre(wave)[None])[0] == target)
        if what != ", copy":
            figures[f"chroma{what}"] = chroma_cosine(wave, source)
            figures[f"onsets{what}"] = onset_correlation(wave, source)
        if truth is not None:
            figures[f"distance{what}"] = spectral_distance(wave, truth)
    return figures
