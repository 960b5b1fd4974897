"""Presets: a named value for every configuration, and the one door through which a user changes a field.

A preset has three sections: `representation` (what an example is), `model` (the network) and `train` (the
recipe). It prints as TOML, is edited as TOML, and any field is set with `--set model.z_size=128`.
Unknown presets, sections and fields are errors that name the nearest allowed one.
"""

import dataclasses
import json
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from kikibouba.errors import KikiboubaError, did_you_mean

T = TypeVar("T")

FAMILIES = {
    "music_vae": "kikibouba.models.music_vae",
    "sketch_rnn": "kikibouba.models.sketch_rnn",
    "wavenet_autoencoder": "kikibouba.models.wavenet_autoencoder",
    "music_translation": "kikibouba.models.music_translation",
    "embedding_rnn": "kikibouba.models.embedding_rnn",
    "latent_translation": "kikibouba.bridges.latent_translation",
    "midime": "kikibouba.bridges.midime",
    "latent_constraints": "kikibouba.bridges.latent_constraints",
    "lc_music_vae": "kikibouba.bridges.lc_music_vae",
    "sound_vectors": "kikibouba.bridges.sound_vectors",
    "seq2seq": "kikibouba.models.seq2seq",
}
"""Model family → package of `config.py` (PRESETS, ALIASES, ModelConfig, perhaps check; no torch) and
`model.py` (build).
"""

REPRESENTATIONS = {
    "melody": "kikibouba.data.melody:MelodyRepresentation",
    "melody_outline": "kikibouba.data.melody_outline:MelodyOutlineRepresentation",
    "drums": "kikibouba.data.drums:DrumsRepresentation",
    "groove": "kikibouba.data.groove:GrooveRepresentation",
    "trio": "kikibouba.data.trio:TrioRepresentation",
    "multitrack": "kikibouba.data.multitrack:MultitrackRepresentation",
    "sketch": "kikibouba.data.sketch:SketchRepresentation",
    "audio": "kikibouba.data.audio:AudioRepresentation",
    "embedding": "kikibouba.data.embedding:EmbeddingRepresentation",
    "pairs": "kikibouba.data.pairs:PairsRepresentation",
    "restyle": "kikibouba.data.pairs_restyle:RestyleRepresentation",
    "dynamics": "kikibouba.data.dynamics_roll:DynamicsRepresentation",
}
"""Representation kind → its dataclass."""


@dataclass(frozen=True)
class TrainConfig:
    """The recipe of one training run; defaults are MusicVAE's."""

    batch_size: int = 512
    num_steps: int = 200_000
    learning_rate: float = 1e-3
    decay_rate: float = 0.9999
    """lr(step) = (learning_rate - min_learning_rate) * decay_rate^step + min_learning_rate"""
    min_learning_rate: float = 1e-5
    grad_clip: float = 1.0
    clip_mode: Literal["global_norm", "value"] = "global_norm"
    grad_norm_clip_to_zero: float = 10_000.0
    """A gradient norm at or above this, or NaN, zeroes the gradient of that step (global_norm mode)."""
    ema_decay: float = 0.0
    """Exponential moving average of the weights; 0 switches it off."""
    precision: Literal["fp32", "bf16"] = "fp32"
    augment: bool = True
    log_every: int = 20
    eval_every: int = 500
    save_every: int = 500


@dataclass(frozen=True)
class Preset:
    """One complete configuration."""

    name: str
    family: str
    representation: Any
    model: Any
    train: TrainConfig = field(default_factory=TrainConfig)
    description: str = ""


def _family_config(family: str) -> types.ModuleType:
    if family not in FAMILIES:
        raise KikiboubaError(f"unknown model family {family!r}{did_you_mean(family, FAMILIES)}")
    return import_module(FAMILIES[family] + ".config")


def all_presets() -> dict[str, Preset]:
    """Every preset by its original name, in a fixed order."""
    return {name: preset for family in FAMILIES for name, preset in _family_config(family).PRESETS.items()}


def find_preset(name: str) -> Preset:
    """The preset of that name or plain alias.

    Raises:
        KikiboubaError: no such preset; names the nearest.
    """
    presets = all_presets()
    aliases = {a: n for family in FAMILIES for a, n in _family_config(family).ALIASES.items()}
    if (found := presets.get(aliases.get(name, name))) is None:
        raise KikiboubaError(f"unknown preset {name!r}{did_you_mean(name, [*presets, *aliases])}")
    return found


def load_preset(name_or_file: str | Path, overrides: Mapping[str, str] | None = None) -> Preset:
    """A preset by name, or from a TOML file (`preset = "…"` and sections of overrides), with `--set` applied.

    Args:
        name_or_file: a preset's name, or a path ending in `.toml`.
        overrides: dotted field → text, e.g. `{"model.z_size": "128"}`; applied last.
    """
    return with_overrides(_named_preset(name_or_file), overrides or {})


def load_representation(name_or_file: str | Path, overrides: Mapping[str, str] | None = None) -> Any:
    """The representation alone of what `load_preset` would load, whether a model fits it or not."""
    return _overridden(_named_preset(name_or_file), overrides or {}).representation


def with_overrides(preset: Preset, overrides: Mapping[str, str]) -> Preset:
    """The preset with `--set` applied: dotted field → text.

    Raises:
        KikiboubaError: no such field, a value that is not allowed, or a model that cannot learn what the
            representation holds.
    """
    preset = _overridden(preset, overrides)
    check = getattr(_family_config(preset.family), "check", None)
    if check is not None:  # what a family demands of model and representation together
        check(preset.model, preset.representation)
    return preset


def _named_preset(name_or_file: str | Path) -> Preset:
    if str(name_or_file).endswith(".toml"):
        return _read_toml(Path(name_or_file))
    return find_preset(str(name_or_file))


def _overridden(preset: Preset, overrides: Mapping[str, str]) -> Preset:
    """The preset with fields replaced, not yet checked as a whole."""
    for dotted, text in overrides.items():
        section, _, name = dotted.partition(".")
        preset = _override(preset, {section: {name: _parse(text)}})
    return preset


def _read_toml(path: Path) -> Preset:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KikiboubaError(f"{path} is not valid TOML: {error}") from None
    if "preset" not in table:
        raise KikiboubaError(
            f'{path} must name the preset it starts from, e.g. preset = "cat-mel_2bar_small"'
        )
    base = find_preset(table.pop("preset"))
    name, description = table.pop("name", path.stem), table.pop("description", base.description)
    return dataclasses.replace(_override(base, table), name=name, description=description)


def _override(preset: Preset, sections: Mapping[str, Any]) -> Preset:
    changed = {}
    for section, values in sections.items():
        if section not in ("representation", "model", "train") or not isinstance(values, Mapping):
            hint = did_you_mean(section, ["representation", "model", "train"])
            raise KikiboubaError(f"unknown section {section!r}{hint} (a field is set as section.field=value)")
        current = getattr(preset, section)
        changed[section] = from_dict(type(current), {**to_dict(current), **values})
    return dataclasses.replace(preset, **changed)


def _parse(text: str) -> Any:
    """A `--set` value: TOML syntax, and bare words as strings."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def preset_to_dict(preset: Preset) -> dict[str, Any]:
    """A preset as plain JSON values; the content of a checkpoint's `config.json`."""
    return {
        "name": preset.name,
        "family": preset.family,
        "description": preset.description,
        "representation": representation_to_dict(preset.representation),
        "model": to_dict(preset.model),
        "train": to_dict(preset.train),
    }


def preset_from_dict(values: Mapping[str, Any]) -> Preset:
    """The inverse of `preset_to_dict`."""
    missing = {"name", "family", "representation", "model", "train"} - set(values)
    if missing:
        raise KikiboubaError(f"config lacks {', '.join(sorted(missing))}: is it a kikibouba config.json?")
    config = _family_config(values["family"])
    return Preset(
        name=values["name"],
        family=values["family"],
        description=values.get("description", ""),
        representation=representation_from_dict(values["representation"]),
        model=from_dict(config.ModelConfig, values["model"]),
        train=from_dict(TrainConfig, values["train"]),
    )


def read_json(path: Path) -> Any:
    """A JSON file, with a user's error when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise KikiboubaError(f"{path} is not valid JSON: {error}") from None


def representation_to_dict(representation: Any) -> dict[str, Any] | None:
    """A representation with its `kind`, so that it can be rebuilt. None for bridges, which have none."""
    return None if representation is None else {"kind": representation.kind, **to_dict(representation)}


def representation_from_dict(values: Mapping[str, Any] | None) -> Any:
    """The inverse of `representation_to_dict`."""
    if values is None:
        return None
    fields = dict(values)
    kind = fields.pop("kind", "")
    if kind not in REPRESENTATIONS:
        raise KikiboubaError(f"unknown representation {kind!r}{did_you_mean(kind, REPRESENTATIONS)}")
    module, name = REPRESENTATIONS[kind].split(":")
    return from_dict(getattr(import_module(module), name), fields)


def to_dict(value: Any) -> dict[str, Any]:
    """A dataclass of plain values as a dictionary (tuples stay tuples; as JSON lists they read back so)."""
    return dataclasses.asdict(value)


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a dataclass strictly: unknown fields and wrong types are errors.

    Raises:
        KikiboubaError: names the field, what was given and what is allowed.
    """
    hints = get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            raise KikiboubaError(f"unknown field {name!r} of {cls.__name__}{did_you_mean(name, names)}")
    return cls(
        **{name: _coerce(value, hints[name], f"{cls.__name__}.{name}") for name, value in values.items()}
    )


def _coerce(value: Any, hint: Any, where: str) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None or value == "none":
            return None
        return _coerce(value, next(a for a in args if a is not type(None)), where)
    if origin is Literal:
        if value not in args:
            raise KikiboubaError(
                f"{where} = {value!r} is not allowed{did_you_mean(str(value), map(str, args))}"
            )
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise KikiboubaError(f"{where} = {value!r} must be a list, e.g. [256, 256]")
        return tuple(_coerce(v, args[0], where) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_dict(hint, value)  # type: ignore[arg-type]
    if isinstance(hint, type) and (
        not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)
    ):
        raise KikiboubaError(f"{where} = {value!r} must be of type {hint.__name__}")
    return value
