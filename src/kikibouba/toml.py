"""A preset as TOML text, to be edited and fed back: `config.load_preset` reads what is written here."""

import json
from collections.abc import Mapping
from typing import Any

from kikibouba.config import Preset, all_presets, preset_to_dict


def preset_to_toml(preset: Preset) -> str:
    """Every field of a preset. A field that is deleted falls back to the preset named in the first line."""
    presets = all_presets()
    base = preset.name if preset.name in presets else _first_of_family(preset, presets)
    lines = [
        f"preset = {_value(base)}",
        f"name = {_value(preset.name)}",
        f"description = {_value(preset.description)}",
    ]
    values = preset_to_dict(preset)
    for section in ("representation", "model", "train"):
        fields = {name: value for name, value in (values[section] or {}).items() if name != "kind"}
        if fields:
            lines += ["", f"[{section}]", *(f"{name} = {_value(value)}" for name, value in fields.items())]
    return "\n".join(lines) + "\n"


def _first_of_family(preset: Preset, presets: Mapping[str, Preset]) -> str:
    kind = getattr(preset.representation, "kind", None)
    same = [
        name
        for name, other in presets.items()
        if other.family == preset.family and getattr(other.representation, "kind", None) == kind
    ]
    return same[0]


def _value(value: Any) -> str:
    """A plain value in TOML. It has no null: "none" is what `config` reads as None."""
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
