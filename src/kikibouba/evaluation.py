"""Held-out figures of a trained model or translator by name: what `kikibouba evaluate` calls."""

import contextlib
import dataclasses
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path

from kikibouba import hub
from kikibouba.bridges.attributes import resolve
from kikibouba.bridges.latent_translation.config import ModelConfig as TranslationConfig
from kikibouba.bridges.posteriors import Posteriors, choice, encode_dataset
from kikibouba.bridges.sound_vectors.model import OverSound
from kikibouba.config import read_json
from kikibouba.constraining import TRIES, has_constraints
from kikibouba.data.store import Dataset
from kikibouba.embeddings import EmbeddingModel
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.constraints import evaluate_constraints
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.embedding import evaluate_embedding
from kikibouba.evaluate.reconstruction import evaluate_model
from kikibouba.evaluate.seq2seq import evaluate_sequences
from kikibouba.evaluate.translation import WAYS, evaluate_translation, unseen_figures
from kikibouba.evaluate.translation_baselines import fit_baselines
from kikibouba.evaluate.translation_table import Domain, figures_of, figures_of_reality, prepare_domain
from kikibouba.generate import Model
from kikibouba.sequence_translator import SequenceTranslator
from kikibouba.sound_evaluation import evaluate_sound, evaluate_sound_vectors
from kikibouba.sounds import SoundModel
from kikibouba.train.data import adopt_representation
from kikibouba.training import labelled_posteriors, open_for
from kikibouba.translator import Translator

CONSTRAINED = 200
"""Examples, at most, of which everything is asked for that constraints know."""


def evaluate(
    name_or_dir: str | Path,
    data: str | Path | Sequence[str | Path],
    split: str = "test",
    *,
    limit: int | None = 2_000,
    seed: int = 0,
    device: str = "cpu",
) -> dict[str, float]:
    """Figure → value on a split of prepared data.

    Args:
        name_or_dir: model or translator, as `hub.load` takes it.
        data: a dataset; for a translator one for each base, in any order.
        split: "train", "valid" or "test".
        limit: examples measured, at most, of each dataset; None = all.
        seed: of what is measured with noise.

    Raises:
        KikiboubaError: unknown model, a dataset of another kind or shape, no such split.
    """
    found = hub.load(name_or_dir, device)
    folders = [data] if isinstance(data, str | Path) else list(data)
    if isinstance(found, Model):
        if len(folders) != 1:
            raise KikiboubaError(f"{name_or_dir} is a model: evaluate it on one dataset, not {len(folders)}")
        if isinstance(found, SoundModel):
            return evaluate_sound(found, Dataset.open(folders[0]), split, limit, seed)
        if isinstance(found.module, OverSound):
            return evaluate_sound_vectors(found, open_for(found, folders[0]), split, limit, seed)
        if has_constraints(found):
            return _evaluate_constraints(found, folders[0], split, limit, seed)
        base = Base(found.module, found.representation)
        if isinstance(found, EmbeddingModel):
            return evaluate_embedding(base, open_for(found, folders[0]), split, limit, seed)
        return evaluate_model(base, open_for(found, folders[0]), split, limit, seed)
    if isinstance(found, SequenceTranslator):
        if len(folders) != 1:
            raise KikiboubaError(f"{name_or_dir} is evaluated on one dataset, not on {len(folders)}")
        dataset = open_sequences(found, folders[0])
        return evaluate_sequences(found.module, dataset.representation, dataset, split, limit, seed)
    if not isinstance(found, Translator):
        raise KikiboubaError(f"{name_or_dir} has no latent space, which these figures are about")
    return _evaluate_translator(found, folders, split, limit, seed)


def _evaluate_constraints(
    model: Model, folder: str | Path, split: str, limit: int | None, seed: int
) -> dict[str, float]:
    """Of constraints: whether they move what they make to what is asked for."""
    base = Base(model.module.base, model.representation)
    with tempfile.TemporaryDirectory() as cache:
        held_out = encode_dataset(
            model.name, base.module, open_for(model, folder), split, Path(cache), CONSTRAINED
        )
        count = min(CONSTRAINED, limit or CONSTRAINED)
        return evaluate_constraints(model.module.bridge, base, held_out, TRIES, count, seed)


def open_sequences(translator: SequenceTranslator, folder: str | Path) -> Dataset:
    """A dataset whose examples are what a sequence-to-sequence model reads.

    Raises:
        KikiboubaError: it holds another kind, or was prepared with other settings that count.
    """
    dataset = Dataset.open(folder)
    dataset.representation = adopt_representation(translator.preset, dataset).representation
    for name in ("bars", "steps_per_quarter", "velocity_bins", "longest_quarters", "styles", "in_c"):
        ours, theirs = (getattr(r, name, None) for r in (translator.representation, dataset.representation))
        if ours != theirs:
            raise KikiboubaError(
                f"{folder} was prepared with {name} {theirs}, but {translator.name} was trained with {ours}; "
                "prepare it again with the settings of the model"
            )
    return dataset


def _evaluate_translator(
    translator: Translator, folders: Sequence[str | Path], split: str, limit: int | None, seed: int
) -> dict[str, float]:
    datasets = _by_kind(translator, folders)
    with tempfile.TemporaryDirectory() as cache:
        held_out, training = (
            _posteriors(translator, datasets, name, Path(cache), limit) for name in (split, "train")
        )
        bases = {domain: Base(m.module, m.representation) for domain, m in translator.bases.items()}
        figures = evaluate_translation(translator.bridge, bases, held_out, training, seed=seed)
        if getattr(translator.preset.model, "held_out", ()):
            figures |= unseen_figures(translator.bridge, bases, held_out)
    return figures


def _posteriors(
    translator: Translator, datasets: dict[str, Dataset], split: str, cache: Path, limit: int | None
) -> dict[str, Posteriors]:
    """Domain → posteriors of a split of its dataset, with attributes and stored categories."""
    return {
        name: labelled_posteriors(name, model, datasets[name], split, cache, limit)
        for name, model in translator.bases.items()
    }


Table = dict[str, dict[str, float]]
"""Method → metric → value."""


def compare_translators(
    name_or_dir: str | Path,
    data: Sequence[str | Path],
    split: str = "test",
    *,
    limit: int | None = 1_000,
    training_limit: int = 10_000,
    seed: int = 0,
    cache: str | Path | None = None,
    device: str = "cpu",
    baselines: bool = True,
) -> dict[str, Table]:
    """A translator beside the baselines of `evaluate.translation_baselines`, for every direction.

    Args:
        name_or_dir: translator.
        data: a dataset for each of its bases, in any order.
        split: of what is translated.
        limit: items translated and decoded, at most, in each direction; None = all.
        training_limit: training items of each base that baselines and classifiers learn from.
        seed: of the baselines.
        cache: folder where posteriors and classifiers are kept for the next time.
        baselines: False judges the translator alone.

    Returns: "sketch>mel_2bar" → method → metric (`evaluate.translation_table`) → value. "ours" is what
        `translate` makes, the best of several ways; "ours, one way" leads through the mean alone (the same,
        where no attributes are known to choose by); "reality" is what real items of the target reach when
        encoded and decoded.

    Raises:
        KikiboubaError: not a translator; as `evaluate`; nothing is known to correspond between the kinds.
    """
    translator = hub.load_translator(name_or_dir, device)
    datasets = _by_kind(translator, data)
    config = translator.preset.model
    if not config.attributes:
        rows = resolve((("spikiness",), ("density",)), translator.kinds)
        config = dataclasses.replace(config, attributes=rows)
    with _folder(cache) as kept:
        training = _posteriors(translator, datasets, "train", kept, training_limit)
        held_out = _posteriors(translator, datasets, split, kept, limit)
        limits = training_limit, limit
        domains = _domains(translator, datasets, config, training, held_out, split, kept, limits)
        others = fit_baselines(list(training.values()), config.attributes, seed) if baselines else {}
    methods = {"ours": translator.bridge, **others}
    times = {"ours": _training_seconds(name_or_dir)}
    times |= {name: baseline.seconds for name, baseline in others.items()}
    tables: dict[str, Table] = {}
    for i, j in permutations(range(len(domains)), 2):
        source, target = (domains[config.domains[k]] for k in (i, j))
        pairs = [(row[i], row[j]) for row in config.attributes]
        table = {
            name: {**figures_of(method, source, target, pairs, limit), "seconds": times[name]}
            for name, method in methods.items()
        }
        if translator.preset.model.attributes:
            best = figures_of(translator.bridge, source, target, pairs, limit, ways=WAYS)
            table = {"ours": {**best, "seconds": times["ours"]}, "ours, one way": table.pop("ours"), **table}
        table["reality"] = figures_of_reality(target, limit)
        tables[f"{config.domains[i]}>{config.domains[j]}"] = table
    return tables


def _domains(
    translator: Translator,
    datasets: Mapping[str, Dataset],
    config: TranslationConfig,
    training: Mapping[str, Posteriors],
    held_out: Mapping[str, Posteriors],
    split: str,
    cache: Path,
    limits: tuple[int, int | None],
) -> dict[str, Domain]:
    """What is compared in, by name: latents, examples, and a classifier of them, kept in `cache`.

    `limits` are those of the training items and of the held-out ones.
    """
    domains = {}
    for k, (name, model) in enumerate(translator.bases.items()):
        known, unknown = datasets[name].split("train"), datasets[name].split(split)
        examples = (
            [known[i] for i in choice(len(known), limits[0])],
            [unknown[i] for i in choice(len(unknown), limits[1])],
        )
        key = f"{datasets[name].meta['fingerprint'][:16]}-{limits[0]}-{config.attributes}"
        weights = cache / f"judge-{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
        base = Base(model.module, model.representation)
        domains[name] = prepare_domain(k, config, base, training[name], held_out[name], examples, weights)
    return domains


def _training_seconds(name_or_dir: str | Path) -> float:
    """What a run noted in its metrics.json, or a bundled model in `training`."""
    metrics = read_json(hub.locate(name_or_dir) / "metrics.json")
    return float(metrics.get("training", metrics).get("seconds", float("nan")))


@contextlib.contextmanager
def _folder(cache: str | Path | None) -> Iterator[Path]:
    """A folder that stays, or a temporary one."""
    if cache is not None:
        yield Path(cache)
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _by_kind(translator: Translator, folders: Sequence[str | Path]) -> dict:
    """Domain → its dataset: the first one left that its base can read."""
    if len(folders) != len(translator.bases):
        wanted = ", ".join(translator.kinds)
        raise KikiboubaError(f"{translator.name} needs a dataset for each of its bases ({wanted})")
    left, chosen = list(folders), {}
    for domain, model in translator.bases.items():
        refusals = []
        for folder in left:
            try:
                chosen[domain] = open_for(model, folder)
            except KikiboubaError as error:
                refusals.append(str(error))
            else:
                left.remove(folder)
                break
        else:
            raise KikiboubaError(f"no dataset for the base {domain}: {'; '.join(refusals)}")
    return chosen
