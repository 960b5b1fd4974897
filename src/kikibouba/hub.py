"""Models by name: what is bundled, where a name leads, and which translator joins two kinds.

A model is a checkpoint folder (`train.checkpoint`). Finding one reads its `config.json` only, so nothing
but `load` imports torch.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from kikibouba.config import (
    REPRESENTATIONS,
    Preset,
    all_presets,
    find_preset,
    load_representation,
    preset_from_dict,
    read_json,
)
from kikibouba.errors import KikiboubaError, did_you_mean

if TYPE_CHECKING:
    from torch.nn import Module

    from kikibouba.data.representation import Representation
    from kikibouba.generate import Model
    from kikibouba.inputs import Source
    from kikibouba.sequence_translator import SequenceTranslator
    from kikibouba.sounds import SoundModel
    from kikibouba.translator import Translator

Precision = Literal["fp32", "fp16"]

WEIGHTS = Path(__file__).parent / "weights"
"""One folder for each bundled model. A translator's is named after its two bases, e.g. `sketch-mel_2bar`."""

BASES = {"melody": "mel_2bar", "drums": "drums_2bar", "sketch": "sketch"}
"""Kind → the bundled model that is used where none is named."""

PRESETS = BASES | {
    "groove": "groovae_2bar_humanize",
    "trio": "hierdec-trio_16bar",
    "multitrack": "hier-multiperf_vel_1bar_med",
    "audio": "umtn",
    "embedding": "embedding_small",
}
"""Kind → the preset whose examples `prepare` makes; of a kind that is not named here, the first there is."""


SEQUENCES = "seq2seq"
"""The family whose models are used as a `SequenceTranslator`."""


def bundled() -> list[str]:
    """Names of the bundled models and translators, sorted."""
    return sorted(config.parent.name for config in WEIGHTS.glob("*/config.json"))


def locate(name_or_dir: str | Path, near: Path | None = None) -> Path:
    """The checkpoint folder of a bundled name or a path. A bundled name wins: write `./sketch` for a
    folder of yours.

    Args:
        name_or_dir: bundled name, or a folder that `train` wrote.
        near: a folder that is not found as it stands is also looked for, by its last name, beside this one.

    Raises:
        KikiboubaError: neither; names the nearest bundled model.
    """
    name = str(name_or_dir)
    if name in bundled():
        return WEIGHTS / name
    beside = [near.parent / Path(name).name] if near else []
    for folder in [Path(name_or_dir), *beside]:
        if (folder / "config.json").is_file():
            return folder
    if Path(name_or_dir).is_dir():
        raise KikiboubaError(
            f"{name} holds no model (no config.json): name a folder that `kikibouba train` wrote"
        )
    raise KikiboubaError(
        f"no model {name!r}: neither a bundled model nor a folder{did_you_mean(name, bundled())}"
    )


def read_preset(name_or_dir: str | Path, near: Path | None = None) -> Preset:
    """The configuration of a model, without loading it."""
    return preset_from_dict(read_json(locate(name_or_dir, near) / "config.json"))


def kind_of_model(name_or_dir: str | Path, near: Path | None = None) -> str:
    """ "melody", "drums", "sketch", …; of a bridge over one base the base's; "translator" for one between
    several.
    """
    preset = read_preset(name_or_dir, near)
    if preset.representation is not None:
        return preset.representation.kind
    if is_over_base(preset):
        return kind_of_model(preset.model.base, near=locate(name_or_dir, near))
    return "translator"


def is_over_base(preset: Preset) -> bool:
    """Whether it is a bridge over one base (`bridges.over_base`), which is used as a model of its own."""
    return hasattr(preset.model, "base")


def find_translator(source: str, target: str) -> str:
    """Name of the bundled translator between two kinds, in either direction.

    Raises:
        KikiboubaError: there is none; says which there are.
    """
    pairs = {name: _kinds(name) for name in bundled() if kind_of_model(name) == "translator"}
    for name, kinds in pairs.items():
        if source != target and {source, target} <= set(kinds):
            return name
    if source == target:
        raise KikiboubaError(f"the input is {source} already; `reconstruct` passes it through its own model")
    known = "; ".join(f"{name} ({' ↔ '.join(kinds)})" for name, kinds in pairs.items()) or "none"
    raise KikiboubaError(
        f"no bundled translator between {source} and {target}: train one and name it with --with; "
        f"bundled: {known}"
    )


def find_sequences(to: str) -> str:
    """Name of the bundled sequence-to-sequence model that makes something: "piano-arrangement", …

    Raises:
        KikiboubaError: there is none; says what can be made, and how another one is named.
    """
    makes = {
        preset.representation.to: name
        for name in bundled()
        if (preset := read_preset(name)).family == SEQUENCES
    }
    if to not in makes:
        known = did_you_mean(to, [*BASES, *makes, *instruments()])
        raise KikiboubaError(f"cannot translate to {to!r} without --with MODEL{known}")
    return makes[to]


def instruments() -> dict[str, str]:
    """Domain → the bundled music translation network that plays it."""
    found = {name: read_preset(name) for name in reversed(bundled())}
    return {
        domain: name
        for name, preset in found.items()
        if preset.representation is not None
        for domain in getattr(preset.model, "domains", ())
    }


def _kinds(translator: str) -> list[str]:
    folder = locate(translator)
    return [kind_of_model(domain, near=folder) for domain in read_preset(translator).model.domains]


def load(
    name_or_dir: str | Path, device: str = "cpu", precision: Precision = "fp32"
) -> "Model | Translator | SequenceTranslator":
    """A model, or a translator with its bases, ready to use.

    Args:
        name_or_dir: bundled name (`kikibouba models` lists them), a folder that `train` wrote, or a
            checkpoint of the original programs (see `importing`).
        device: "cpu", "cuda", "cuda:1", "mps".
        precision: of the weights, whatever they are on disk. With "fp16" those of MusicVAE's LSTMs take half
            the memory and a large model says a single example about twice as fast; see docs/music_vae.md.

    Raises:
        KikiboubaError: unknown name (says the nearest), damaged folder, a translator whose base was
            trained again, fp16 for another model than MusicVAE.
    """
    found = _load(name_or_dir, device)
    if precision == "fp16":
        from kikibouba.generate import Model
        from kikibouba.nn.lstm import halve_weights

        models = [found] if isinstance(found, Model) else getattr(found, "bases", {}).values()
        if not sum(halve_weights(model.module) for model in models):
            raise KikiboubaError(f"{name_or_dir} has no weights for precision fp16, which is for MusicVAE")
    return found


def _load(name_or_dir: str | Path, device: str) -> "Model | Translator | SequenceTranslator":
    """`load` in fp32."""
    from kikibouba.bridges.attribute_vectors import FILE_NAME
    from kikibouba.bridges.fitted_prior import load_prior
    from kikibouba.bridges.posterior_batches import check_base
    from kikibouba.embeddings import EmbeddingModel
    from kikibouba.generate import Model
    from kikibouba.importing import load_original
    from kikibouba.interop.formats import is_original
    from kikibouba.sequence_translator import SequenceTranslator
    from kikibouba.sounds import SoundModel
    from kikibouba.train.checkpoint import load_checkpoint
    from kikibouba.train.parallel import Processes, usable_device
    from kikibouba.translator import Translator

    usable_device(device, Processes(rank=0, world=1, local_rank=0))
    if str(name_or_dir) not in bundled() and is_original(name_or_dir):
        return load_original(name_or_dir, device)
    folder = locate(name_or_dir)
    preset, module = load_checkpoint(folder, device)
    if preset.family == SEQUENCES:
        return SequenceTranslator(preset, module, folder.name, device)
    if is_over_base(preset):
        preset, module = _put_over_base(preset, module, folder, device)
    if preset.representation is not None:
        prior = load_prior(folder, cast(int, module.z_size))
        vectors = folder / FILE_NAME if (folder / FILE_NAME).is_file() else None
        source = "" if folder.parent == WEIGHTS else str(folder)
        if hasattr(module, "wavenet"):
            return SoundModel(preset, module, folder.name, device, source=source)
        if preset.representation.kind == "embedding":
            return EmbeddingModel(preset, module, folder.name, device, prior, vectors, source)
        return Model(preset, module, folder.name, device, prior, vectors, source)
    bases: dict[str, Model] = {}
    for domain in preset.model.domains:
        bases[domain] = _load_base(domain, folder, device)
        check_base(preset.model, domain, bases[domain].module)
    return Translator(preset, module, bases, folder.name, device)


def _put_over_base(preset: Preset, bridge: "Module", folder: Path, device: str) -> "tuple[Preset, Module]":
    """A bridge over one base, composed with it: a preset and a network of the base's kind."""
    from kikibouba.bridges.over_base import over_base
    from kikibouba.bridges.sound_vectors.model import SoundVectors, over_sound, windows_for

    base = _load_base(preset.model.base, folder, device)
    representation = base.preset.representation
    if isinstance(bridge, SoundVectors):
        module: Module = over_sound(preset.model, bridge, base.module)
        representation = windows_for(preset.model, base.preset.representation, base.module.hop)
    else:
        module = over_base(preset.model, bridge, base.module)
    return dataclasses.replace(preset, representation=representation), module


def _load_base(name: str, bridge: Path, device: str) -> "Model":
    """A base of the bridge in a folder, found by name or beside it."""
    from kikibouba.generate import Model
    from kikibouba.interop.formats import is_original

    found = name if name not in bundled() and is_original(name) else locate(name, near=bridge)
    if found == bridge:
        raise KikiboubaError(f"{bridge} names itself as its base")
    if not isinstance(base := _load(found, device), Model):
        raise KikiboubaError(f"{bridge} names {name} as a base, which is a translator itself")
    return base


def load_model(name_or_dir: str | Path, device: str = "cpu", precision: Precision = "fp32") -> "Model":
    """`load`, where a model of one kind of content is wanted."""
    from kikibouba.generate import Model

    if not isinstance(found := load(name_or_dir, device, precision), Model):
        raise KikiboubaError(f"{name_or_dir} is a translator; a model is wanted here{_known({'model'})}")
    return found


def load_translator(name_or_dir: str | Path, device: str = "cpu") -> "Translator":
    """`load`, where a translator between the latent spaces of models is wanted."""
    from kikibouba.generate import Model
    from kikibouba.translator import Translator

    if not isinstance(found := load(name_or_dir, device), Translator):
        what = "a model" if isinstance(found, Model) else "a sequence-to-sequence model"
        known = _known({"translator"})
        raise KikiboubaError(f"{name_or_dir} is {what}; a translator is wanted here{known}")
    return found


def load_any_translator(
    name_or_dir: str | Path, device: str = "cpu"
) -> "Translator | SequenceTranslator | SoundModel":
    """`load`, where something is wanted that makes one thing of another."""
    from kikibouba.generate import Model
    from kikibouba.sounds import SoundModel

    found = load(name_or_dir, device)
    if isinstance(found, Model) and not (isinstance(found, SoundModel) and found.domains):
        known = _known({"translator", SEQUENCES})
        raise KikiboubaError(f"{name_or_dir} is a model; a translator is wanted here{known}")
    return cast("Translator | SequenceTranslator | SoundModel", found)


def load_sequences(name_or_dir: str | Path, device: str = "cpu") -> "SequenceTranslator":
    """`load`, where a sequence-to-sequence model is wanted."""
    from kikibouba.sequence_translator import SequenceTranslator

    if not isinstance(found := load(name_or_dir, device), SequenceTranslator):
        known = _known({SEQUENCES})
        raise KikiboubaError(f"{name_or_dir} is no sequence-to-sequence model, which is wanted here{known}")
    return found


def _known(sorts: set[str]) -> str:
    """Which bundled models are "model", "translator" (between latent spaces) or `SEQUENCES`."""
    names = [name for name in bundled() if _sort(name) in sorts]
    return f"; bundled: {', '.join(names)}" if names else ""


def _sort(name: str) -> str:
    if read_preset(name).family == SEQUENCES:
        return SEQUENCES
    return "translator" if kind_of_model(name) == "translator" else "model"


def default_model(source: "Source") -> str:
    """Name of the bundled model that can read a file, `Tune` or `Drawing`."""
    from kikibouba.inputs import kind_of

    if (kind := kind_of(source)) not in BASES:
        raise KikiboubaError(f"no bundled model of {kind} is used by default; name one with --model")
    return BASES[kind]


def model_for(dataset: str | Path) -> str:
    """Name of the bundled model for what a dataset holds.

    Raises:
        KikiboubaError: no dataset, or there is no such model.
    """
    from kikibouba.data.store import Dataset

    kind = Dataset.open(dataset).representation.kind
    if kind not in BASES:
        raise KikiboubaError(f"no bundled model of {kind} is used by default; name one with --model")
    return BASES[kind]


def preset_for(kind: str) -> str:
    """Name of the preset that a kind stands for; if the word is no kind, the word itself."""
    if kind in PRESETS or kind not in REPRESENTATIONS:
        return PRESETS.get(kind, kind)
    kinds = {name: getattr(preset.representation, "kind", None) for name, preset in all_presets().items()}
    return next((name for name, found in kinds.items() if found == kind), kind)


def representation_for(kind_or_preset: str, overrides: Mapping[str, str] | None = None) -> "Representation":
    """What `prepare` should make: the representation of a preset, of a .toml file, or of a kind's own preset.

    Args:
        kind_or_preset: "melody", "drums", "groove", … (`config.REPRESENTATIONS`), a preset's name, or a path
            ending in .toml.
        overrides: as for `config.load_preset`, e.g. {"representation.max_length": "250"}.

    Raises:
        KikiboubaError: none of these (says the nearest), or a translator's preset, which has no
            representation.
    """
    name = preset_for(kind_or_preset)
    if not name.endswith(".toml"):
        try:
            find_preset(name)
        except KikiboubaError:
            hint = did_you_mean(name, [*REPRESENTATIONS, *all_presets()])
            raise KikiboubaError(f"{name!r} is neither a kind nor a preset{hint}") from None
    representation = load_representation(name, overrides)
    if representation is None:
        raise KikiboubaError(
            f"{name} is a translator, which learns from the datasets of its bases; prepare those"
        )
    return representation
