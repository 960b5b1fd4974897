"""Make a model of ours from a checkpoint of the original programs.

    path ─read_original→ variables ─configuration read off their shapes→ preset, weights ─build→ model

Everything is checked before the network is built: its shapes are known without memory for them (on torch's
"meta" device), so a damaged file cannot ask for more than it holds.
"""

import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kikibouba.config import FAMILIES, Preset, with_overrides
from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model
from kikibouba.interop.formats import plain_name, read_original
from kikibouba.interop.import_music_vae import music_vae_from
from kikibouba.interop.import_sketch_rnn import is_sketch_rnn, sketch_rnn_from
from kikibouba.interop.import_sound import (
    is_music_translation,
    is_nsynth,
    music_translation_from,
    nsynth_from,
)
from kikibouba.sounds import SoundModel
from kikibouba.train.checkpoint import build_module, save_checkpoint

_SCALE = "representation.scale_factor"


class Imported(NamedTuple):
    """A model made from an original checkpoint."""

    preset: Preset
    module: nn.Module
    """In eval mode, on the CPU."""
    format: str
    precision: str
    notes: tuple[str, ...]
    """What the user should know: what was missing, what was assumed."""


def import_checkpoint(
    path: Path | str,
    preset: str | None = None,
    allow_partial: str | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Imported:
    """Read an original checkpoint.

    Args:
        path: see `interop.formats.read_original`.
        preset: name of the preset to start from, where the files fit several; sizes are read off the files.
        allow_partial: "decoder" makes do with a decoder, which can sample and decode; "means" with an encoder
            that lacks its sigma. None: the checkpoint must be whole.
        overrides: `--set` for what the files do not say, e.g. {"representation.scale_factor": "18.5"}.

    Raises:
        KikiboubaError: damaged, incomplete (says exactly what is missing), or no model known here.
    """
    if allow_partial not in (None, "decoder", "means"):
        raise KikiboubaError(f"allow_partial {allow_partial!r} must be 'decoder' or 'means'")
    original = read_original(path)
    form, precision = original.format, original.precision
    notes = list(original.notes)
    try:
        if is_music_translation(original):
            found, state = music_translation_from(original, plain_name(path))
        elif is_nsynth(original):
            found, state = nsynth_from(original, plain_name(path))
        elif is_sketch_rnn(original):
            found, state = sketch_rnn_from(original, plain_name(path))
            if "scale_factor" not in original.spec and _SCALE not in (overrides or {}):
                notes.append(f"the files do not say how large the drawings are; --set {_SCALE}=… does")
        else:
            where = "/".join(Path(path).resolve().parts[-3:])
            found, state = music_vae_from(original, plain_name(path), where, preset, allow_partial, notes)
    except (ValueError, IndexError, TypeError) as error:
        if isinstance(error, KikiboubaError):
            raise
        raise KikiboubaError(f"{path}: the shapes of its variables contradict each other ({error})") from None
    del original  # from here on the weights are needed once
    found = with_overrides(found, overrides or {})
    tensors = {name: torch.as_tensor(array).float() for name, array in state.items()}
    _check(found, tensors, str(path))
    module = build_module(found)
    module.load_state_dict(tensors)
    return Imported(found, module.eval(), form, precision, tuple(notes))


def _check(preset: Preset, tensors: Mapping[str, Tensor], path: str) -> None:
    """Raise unless the weights are finite and those of the preset's network."""
    import_module(FAMILIES[preset.family] + ".model")  # first, so that no constant of it lands on "meta"
    with torch.device("meta"):
        wanted = build_module(preset).state_dict()
    if missing := sorted(set(wanted) - set(tensors)):
        raise KikiboubaError(f"{path} lacks weights of a {preset.name} model: {', '.join(missing)}")
    if strangers := sorted(set(tensors) - set(wanted)):
        raise KikiboubaError(f"{path} has weights that no {preset.name} model has: {', '.join(strangers)}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise KikiboubaError(
                f"{path}: {name} has the shape {list(tensor.shape)} where the other weights ask for "
                f"{list(wanted[name].shape)}"
            )
        if not torch.isfinite(tensor).all():
            raise KikiboubaError(f"{path} is damaged: {name} has NaN or infinite values")


def load_original(path: Path | str, device: str = "cpu") -> Model:
    """A model straight from an original checkpoint, without writing anything."""
    imported = import_checkpoint(path)
    for note in imported.notes:
        warnings.warn(note, stacklevel=2)
    kind = SoundModel if imported.preset.representation.kind == "audio" else Model
    return kind(imported.preset, imported.module.to(device), plain_name(path), device, source=str(path))


def import_to(folder: Path | str, imported: Imported, source: Path | str) -> Path:
    """Write an imported model as a checkpoint folder of ours; returns it."""
    save_checkpoint(folder, imported.module, imported.preset, {}, _card(imported, source))
    return Path(folder)


def _card(imported: Imported, source: Path | str) -> str:
    notes = "".join(f"- {note}\n" for note in imported.notes)
    return f"""# {imported.preset.name}

{imported.preset.description}.

- **Imported from**: `{Path(source).name}` ({imported.format}, weights stored as {imported.precision})
- **Data, licence, figures**: those of the original; the files do not say
{notes}"""
