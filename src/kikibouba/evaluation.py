"""Held-out figures of a trained model or translator by name: what `kikibouba evaluate` calls."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from kikibouba import hub
from kikibouba.bridges.posteriors import encode_dataset
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.decoding import Base
from kikibouba.evaluate.reconstruction import evaluate_model
from kikibouba.evaluate.translation import evaluate_translation
from kikibouba.generate import Model
from kikibouba.training import open_for
from kikibouba.translator import Translator


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
        base = Base(found.module, found.representation)
        return evaluate_model(base, open_for(found, folders[0]), split, limit, seed)
    return _evaluate_translator(found, folders, split, limit, seed)


def _evaluate_translator(
    translator: Translator, folders: Sequence[str | Path], split: str, limit: int | None, seed: int
) -> dict[str, float]:
    if len(folders) != len(translator.bases):
        wanted = ", ".join(translator.kinds)
        raise KikiboubaError(f"{translator.name} needs a dataset for each of its bases ({wanted})")
    datasets = _by_kind(translator, folders)
    with tempfile.TemporaryDirectory() as cache:
        held_out, training = (
            {
                domain: encode_dataset(domain, model.module, datasets[domain], name, Path(cache), limit)
                for domain, model in translator.bases.items()
            }
            for name in (split, "train")
        )
        bases = {domain: Base(m.module, m.representation) for domain, m in translator.bases.items()}
        return evaluate_translation(translator.bridge, bases, held_out, training, seed=seed)


def _by_kind(translator: Translator, folders: Sequence[str | Path]) -> dict:
    """Domain → its dataset: the first one left that its base can read."""
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
