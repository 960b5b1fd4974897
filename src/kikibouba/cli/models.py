"""List the bundled models and the presets, or show one: its card, or its preset as TOML to edit and train.

Example:
  kikibouba models
  kikibouba models show mel_2bar
  kikibouba models show cat-mel_2bar_small --toml > mine.toml
"""

import argparse

from kikibouba.config import Preset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba models`."""
    actions = parser.add_subparsers(dest="action", metavar="show", title="actions")
    show = actions.add_parser("show", help="print a model's card, or a preset")
    show.add_argument("name", metavar="NAME", help="bundled model, folder, or preset")
    show.add_argument("--toml", action="store_true", help="print the preset as TOML that `train` takes")


def run(args: argparse.Namespace) -> None:
    """List or show."""
    print(_show(args.name, args.toml) if args.action == "show" else _list())


def _list() -> str:
    from kikibouba.config import all_presets
    from kikibouba.hub import bundled, locate, read_preset

    models = {name: read_preset(name) for name in bundled()}
    lines = ["bundled models:"]
    for name, preset in models.items():
        size = sum(file.stat().st_size for file in locate(name).iterdir()) / 1e6
        lines.append(f"  {name:<24} {_kind(preset):<26} {size:4.1f} MB  {preset.description}")
    lines += ["" if models else "  none", "presets:"]
    lines += [
        f"  {name:<24} {_kind(preset):<26} {preset.description}" for name, preset in all_presets().items()
    ]
    return "\n".join(lines)


def _kind(preset: Preset) -> str:
    return " ↔ ".join(preset.model.domains) if preset.representation is None else preset.representation.kind


def _show(name: str, as_toml: bool) -> str:
    """A bundled name or folder wins over a preset of the same name."""
    from pathlib import Path

    from kikibouba.config import find_preset
    from kikibouba.hub import bundled, locate, read_preset
    from kikibouba.toml import preset_to_toml

    trained = name in bundled() or Path(name).is_dir()
    preset = read_preset(name) if trained else find_preset(name)
    card = locate(name) / "README.md" if trained else None
    if card is not None and card.is_file() and not as_toml:
        return card.read_text(encoding="utf-8").rstrip()
    return preset_to_toml(preset).rstrip()
