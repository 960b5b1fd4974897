"""List the bundled models and the presets, or show one: its card, or its preset as TOML to edit and train.

Example:
  kikibouba models
  kikibouba models show mel_2bar
  kikibouba models show cat-mel_2bar_small --toml > mine.toml
  kikibouba models show hier-drums_4bar_small --toml --set model.z_size=128 > mine.toml
"""

import argparse
from collections.abc import Mapping

from kikibouba.cli.common import add_overrides, overrides
from kikibouba.config import Preset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba models`."""
    actions = parser.add_subparsers(dest="action", metavar="show", title="actions")
    show = actions.add_parser("show", help="print a model's card, or a preset")
    show.add_argument("name", metavar="NAME", help="bundled model, folder, or preset")
    show.add_argument("--toml", action="store_true", help="print the preset as TOML that `train` takes")
    add_overrides(show, "model.z_size=128")


def run(args: argparse.Namespace) -> None:
    """List or show."""
    print(_show(args.name, args.toml, overrides(args.set)) if args.action == "show" else _list())


def _list() -> str:
    from kikibouba.config import all_presets
    from kikibouba.hub import bundled, locate, read_preset

    models, presets = {name: read_preset(name) for name in bundled()}, all_presets()
    width = max(map(len, (*models, *presets)))
    kinds = max(len(_kind(preset)) for preset in (*models.values(), *presets.values()))
    lines = ["bundled models:"]
    for name, preset in models.items():
        size = sum(file.stat().st_size for file in locate(name).iterdir()) / 1e6
        lines.append(f"  {name:<{width}} {_kind(preset):<{kinds}} {size:4.1f} MB  {preset.description}")
    lines += ["" if models else "  none", "presets:"]
    lines += [
        f"  {name:<{width}} {_kind(preset):<{kinds}} {preset.description}" for name, preset in presets.items()
    ]
    return "\n".join(lines)


def _kind(preset: Preset) -> str:
    from kikibouba.hub import is_over_base

    if preset.representation is not None:
        return preset.representation.kind
    if is_over_base(preset):
        return "bridge"
    return " ↔ ".join(preset.model.domains)


def _show(name: str, as_toml: bool, settings: Mapping[str, str]) -> str:
    """A bundled name or folder wins over a preset of the same name."""
    from pathlib import Path

    from kikibouba.config import all_presets, find_preset, load_preset, with_overrides
    from kikibouba.errors import KikiboubaError, did_you_mean
    from kikibouba.hub import bundled, locate, read_preset
    from kikibouba.toml import preset_to_toml

    if name in bundled() or Path(name).is_dir():
        card = locate(name) / "README.md"
        if card.is_file() and not as_toml and not settings:
            return card.read_text(encoding="utf-8").rstrip()
        preset = read_preset(name)
    elif name.endswith(".toml"):
        preset = load_preset(name)
    else:
        try:
            preset = find_preset(name)
        except KikiboubaError:
            hint = did_you_mean(name, [*bundled(), *all_presets()])
            raise KikiboubaError(f"{name!r} is neither a model nor a preset{hint}") from None
    return preset_to_toml(with_overrides(preset, settings)).rstrip()
