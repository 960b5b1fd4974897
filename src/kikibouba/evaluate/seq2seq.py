"""Held-out figures of a sequence-to-sequence model, beside baselines that cost nothing.

    nll, accuracy     teacher-forced, nats a symbol and share of symbols
    onset F1          rhythm of what is said, hearing only itself, against the true target
    note F1           the same with pitches
    chroma            harmony against the true target, bar by bar
    chroma to source  against the source: what stays
    copied            share of runs of six notes that occur in training targets; `truth` says what is normal
    diagonality       whether the decoder reads along in time: correlation of when it speaks of with when it
                      looks at

The baselines: `copy` says the source, `random` any training target, `nearest` the target of the training
source that is most like this one in any key.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from kikibouba.data.dynamics_roll import KEYS, LOWEST, ROLL, DynamicsRepresentation, notes_of
from kikibouba.data.event_tokens import EventVocabulary, Steps
from kikibouba.data.pairs_restyle import RestyleRepresentation
from kikibouba.data.pairs_windows import split
from kikibouba.evaluate.alignment import diagonality
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.seq2seq_baselines import MOST, nearest, nearest_velocities, transposed
from kikibouba.evaluate.seq2seq_music import (
    chroma_similarity,
    copied,
    n_grams,
    note_f1,
    onset_f1,
    style_profile,
)
from kikibouba.evaluate.seq2seq_style import StyleJudge, profile_cosine
from kikibouba.models.base import Batch
from kikibouba.models.seq2seq.decoding import Said, say

RUN = 6
"""Notes that are copied together, to count as copied."""

BATCH = 32

Arrays = Sequence[np.ndarray]


def evaluate_sequences(
    module: Any,
    representation: Any,
    dataset: Any,
    split_name: str = "test",
    limit: int | None = 200,
    seed: int = 0,
) -> dict[str, float]:
    """Figures of a model on a split of its dataset; see the head of this file.

    Args:
        module: a `Seq2Seq` or a `DynamicsModel`, in eval mode.
        representation: of the examples.
        dataset: an open `kikibouba.data.store.Dataset`.
        split_name: "train", "valid" or "test".
        limit: examples, at most, chosen at random but always the same for a seed.
        seed: of that choice, and of the random baseline.
    """
    arrays, training = (
        _some(dataset.split(name), most, seed) for name, most in ((split_name, limit), ("train", MOST))
    )
    base = Base(module, representation)
    figures = {"examples": float(len(arrays))} | _losses(base, arrays)
    if isinstance(representation, DynamicsRepresentation):
        return figures | _dynamics(base, arrays, training)
    if isinstance(representation, RestyleRepresentation):
        return figures | _restyled(base, arrays, training)
    return figures | _translated(base, arrays, training, seed)


def _some(examples: Any, limit: int | None, seed: int) -> list[np.ndarray]:
    chosen = np.random.default_rng(seed).permutation(len(examples))[:limit]
    return [np.asarray(examples[i]) for i in np.sort(chosen).tolist()]


@torch.inference_mode()
def _losses(base: Base, arrays: Arrays) -> dict[str, float]:
    """Mean terms of the loss, weighed by what they count: symbols, or onsets."""
    sums: dict[str, float] = {}
    total = 0.0
    for first in range(0, len(arrays), BATCH):
        batch = _batch(base, arrays[first : first + BATCH])
        count = float(batch.x.shape[0] if batch.lengths.ndim == 1 else (batch.lengths[:, 1] - 1).sum())
        for name, value in base.module.loss(batch, 10**9).items():
            sums[name] = sums.get(name, 0.0) + float(value) * count
        total += count
    return {name: value / total for name, value in sums.items() if name not in ("loss", "own", "rmse")}


def _batch(base: Base, arrays: Arrays) -> Batch:
    x, lengths = base.representation.collate(arrays)
    tensors = (torch.from_numpy(part.astype(np.int64)).to(base.device) for part in (x, lengths))
    return Batch(*tensors)


def spoken(base: Base, sources: Arrays) -> list[Said]:
    """What a model says for sources int64 [S], taking what is likeliest."""
    found = []
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    for first in range(0, len(order), BATCH):
        part = [sources[i] for i in order[first : first + BATCH]]
        lengths = torch.tensor([len(source) for source in part])
        x = torch.zeros(len(part), int(lengths.max()), dtype=torch.int64)
        for row, source in zip(x, part, strict=True):
            row[: len(source)] = torch.from_numpy(source)
        found += say(base.module, x.to(base.device), lengths.to(base.device), base.representation.max_tokens)
    return [found[place] for place in np.argsort(order)]


def _translated(base: Base, arrays: Arrays, training: Arrays, seed: int) -> dict[str, float]:
    """Pairs: the model and the baselines against the true targets."""
    vocabulary: EventVocabulary = base.representation.vocabulary
    sources, targets = _halves(vocabulary, arrays)
    known, answers = _halves(vocabulary, training)
    steps = base.representation.bars * vocabulary.steps_per_bar
    drawn = np.random.default_rng([seed, 1]).integers(len(answers), size=len(arrays))
    read = [split(array).source for array in arrays]
    own = spoken(base, read)
    said = {
        "model": [vocabulary.decode(one.symbols) for one in own],
        "copy": sources,
        "random": [answers[i] for i in drawn.tolist()],
        "nearest": [transposed(answers[i], t) for i, t in nearest(sources, known, steps)],
        "truth": targets,
    }
    runs = np.unique(np.concatenate([n_grams(notes, RUN) for notes in answers]))
    along = [diagonality(vocabulary, s, one.symbols, one.looks) for s, one in zip(read, own, strict=True)]
    figures = {"model diagonality": float(np.nanmean(along))} if base.module.attention else {}
    for who, results in said.items():
        figures |= {
            f"{who} {name}": value for name, value in _agreement(base, results, sources, targets).items()
        }
        figures[f"{who} copied"] = copied(results, runs, RUN)
    return figures


def _halves(vocabulary: EventVocabulary, arrays: Arrays) -> tuple[list[Steps], list[Steps]]:
    """The notes of sources and of targets."""
    halves = [[vocabulary.decode(half) for half in split(array)] for array in arrays]
    return [source for source, _ in halves], [target for _, target in halves]


def _agreement(
    base: Base, said: Sequence[Steps], sources: Sequence[Steps], targets: Sequence[Steps]
) -> dict[str, float]:
    size = (base.representation.bars, base.representation.vocabulary.steps_per_bar)

    def mean(measure: Callable[..., float], others: Sequence[Steps], *settings: int) -> float:
        return float(np.nanmean([measure(a, b, *settings) for a, b in zip(said, others, strict=True)]))

    return {
        "onset F1": mean(onset_f1, targets),
        "note F1": mean(note_f1, targets),
        "chroma": mean(chroma_similarity, targets, *size),
        "chroma to source": mean(chroma_similarity, sources, *size),
        "notes": float(np.mean([len(notes.start) for notes in said])),
    }


def _restyled(base: Base, arrays: Arrays, training: Arrays) -> dict[str, float]:
    """Tunes in the next style of the list: does a judge believe it, and what stays of the tune?"""
    representation: RestyleRepresentation = base.representation
    vocabulary = representation.vocabulary
    size, count = vocabulary.steps_per_bar, len(representation.styles)

    def known(some: Arrays) -> tuple[list[Steps], np.ndarray, np.ndarray]:
        tunes = [vocabulary.decode(split(array).target) for array in some]
        styles = np.array([int(split(array).source[0]) - vocabulary.style(0) for array in some])
        return tunes, styles, np.stack([style_profile(tune, size) for tune in tunes])

    tunes, styles, profiles = known(arrays)
    _, training_styles, training_profiles = known(training)
    judge = StyleJudge.fit(training_profiles, training_styles)
    wanted = (styles + 1) % count
    asked = [representation.source(tune, int(style)) for tune, style in zip(tunes, wanted, strict=True)]
    said = [vocabulary.decode(one.symbols) for one in spoken(base, asked)]
    figures = {"judge, real tunes": float((judge.judge(profiles) == styles).mean())}
    for who, results in (("model", said), ("copy", tunes)):
        found = np.stack([style_profile(tune, size) for tune in results])
        figures[f"{who} in the style"] = float((judge.judge(found) == wanted).mean())
        cosines = [
            profile_cosine(found[wanted == k], training_profiles[training_styles == k])
            for k in range(count)
            if (wanted == k).any() and (training_styles == k).any()
        ]
        figures[f"{who} profile cosine"] = float(np.mean(cosines))
        figures[f"{who} chroma to source"] = float(
            np.nanmean(
                [
                    chroma_similarity(a, b, representation.bars, size)
                    for a, b in zip(results, tunes, strict=True)
                ]
            )
        )
    return figures


NOTES = 20_000
"""Training notes that the nearest is looked for in, at most."""


@torch.inference_mode()
def _dynamics(base: Base, arrays: Arrays, training: Arrays) -> dict[str, float]:
    """Mean absolute errors of velocities, 0 to 127: of the model, of the training median for every note, and
    of the most similar training note (its place in the bar, pitch, length, and the chord it is in).
    """
    bar = base.representation.steps_per_bar
    features, played = (np.concatenate(part) for part in zip(*(_notes(a, bar) for a in arrays), strict=True))
    known, answers = (np.concatenate(part) for part in zip(*(_notes(a, bar) for a in training), strict=True))
    chosen = np.random.default_rng(zlib.crc32(answers.tobytes())).permutation(len(answers))[:NOTES]
    heard = []
    for first in range(0, len(arrays), BATCH):
        batch = _batch(base, arrays[first : first + BATCH])
        grid = base.module(batch.x, batch.lengths).velocity.cpu().numpy()
        for row, array in zip(grid, arrays[first : first + BATCH], strict=True):
            notes = notes_of(array[:, :ROLL], array[:, ROLL : ROLL + KEYS])
            heard.append(row[notes.start, notes.pitch - LOWEST])
    said = {
        "model": np.concatenate(heard),
        "constant": np.full(len(played), np.median(answers)),
        "nearest": nearest_velocities(known[chosen], answers[chosen], features),
    }
    return {f"{who} MAE": float(np.abs(values - played).mean()) for who, values in said.items()}


def _notes(array: np.ndarray, steps_per_bar: int) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, 6] of the notes of an example, and their velocities [n]."""
    notes = notes_of(array[:, :ROLL], array[:, ROLL : ROLL + KEYS])
    steps = len(array)
    count = np.bincount(notes.start, minlength=steps)
    top, bottom = np.zeros(steps), np.full(steps, 127.0)
    np.maximum.at(top, notes.start, notes.pitch)
    np.minimum.at(bottom, notes.start, notes.pitch)
    columns = (
        notes.start % steps_per_bar,
        notes.pitch,
        notes.duration,
        count[notes.start],
        top[notes.start] - notes.pitch,
        notes.pitch - bottom[notes.start],
    )
    return np.stack(columns, axis=1).astype(np.float64), notes.velocity
