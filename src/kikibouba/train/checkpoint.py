"""A trained model as a folder that explains itself: what `load` reads and what is shared with others.

config.json          the complete preset: representation, model, training
model.safetensors    the weights, fp32 or fp16; nothing in it can execute
metrics.json         figures on held-out data
README.md            the card: data, licence, command, seed, time, figures, weaknesses
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from kikibouba.config import FAMILIES, Preset, preset_from_dict, preset_to_dict, read_json
from kikibouba.data.files import write_bytes, write_text
from kikibouba.errors import KikiboubaError


def build_module(preset: Preset, seed: int = 0) -> nn.Module:
    """The network of a preset with freshly drawn weights, the same for the same seed.

    They are drawn from torch's global generator, which is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return import_module(FAMILIES[preset.family] + ".model").build(preset.model, preset.representation)


def save_checkpoint(
    folder: str | Path,
    module: nn.Module,
    preset: Preset,
    metrics: Mapping[str, Any],
    card: str,
    dtype: Literal["fp32", "fp16"] = "fp32",
) -> None:
    """Write a checkpoint folder, each file whole or not at all.

    Args:
        folder: made if need be; files of an older checkpoint are replaced.
        module: what `build_module(preset)` makes, trained.
        metrics: JSON values for `metrics.json`.
        card: Markdown, see `model_card`.
        dtype: number format of the weights on disk; fp16 halves the file, loading always gives fp32.

    Raises:
        KikiboubaError: a weight is NaN or infinite (or too large for fp16), or the folder is not writable.
    """
    tensors = {name: _stored(name, t, dtype) for name, t in module.state_dict().items()}
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KikiboubaError(f"cannot write the checkpoint to {folder}: {error.strerror}") from None
    write_bytes(folder / "model.safetensors", save(tensors))
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    write_text(folder / "README.md", card)
    write_text(
        folder / "config.json", json.dumps(preset_to_dict(preset), indent=2, ensure_ascii=False) + "\n"
    )


def _stored(name: str, tensor: Tensor, dtype: str) -> Tensor:
    """A tensor as it goes to disk: a copy, because safetensors refuses tensors that share memory (tied
    weights).
    """
    out = tensor.detach().to("cpu", copy=True).contiguous()
    if not out.is_floating_point():
        return out
    out = out.half() if dtype == "fp16" else out.float()
    if not torch.isfinite(out).all():
        raise KikiboubaError(f"weight {name} is not finite in {dtype}; the checkpoint is not saved")
    return out


def load_checkpoint(folder: str | Path, device: str = "cpu") -> tuple[Preset, nn.Module]:
    """The preset and the network of a checkpoint folder, the network in eval mode.

    Raises:
        KikiboubaError: a file is missing or damaged, or the weights do not fit the config.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise KikiboubaError(f"no checkpoint folder {folder}")
    preset = preset_from_dict(read_json(folder / "config.json"))
    module = build_module(preset)
    path = folder / "model.safetensors"
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise KikiboubaError(
            f"{folder} has no model.safetensors; train into it, or choose another folder"
        ) from None
    except (safetensors.SafetensorError, OSError) as error:
        raise KikiboubaError(f"{path} is damaged: {error}") from None
    bad = [name for name, t in tensors.items() if t.is_floating_point() and not torch.isfinite(t).all()]
    if bad:
        raise KikiboubaError(f"{path} is damaged: weight {bad[0]} has NaN or infinite values")
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        detail = str(error).splitlines()[-1].strip()
        raise KikiboubaError(f"{path} does not fit its config.json ({preset.name}): {detail}") from None
    return preset, module.to(device).eval()


def weights_hash(folder: str | Path) -> str:
    """SHA-256 of a checkpoint's weights file: by it a bridge knows its base models again."""
    path = Path(folder) / "model.safetensors"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror}") from None


def model_card(
    preset: Preset,
    *,
    data: str,
    licence: str,
    command: str,
    seed: int,
    minutes: float,
    figures: Mapping[str, Any],
    weaknesses: Sequence[str],
) -> str:
    """The card of a checkpoint, Markdown.

    Args:
        preset: what was trained.
        data: what it was trained on, with origin.
        licence: of data and weights.
        command: the command line that repeats it.
        seed: of initial weights, batches and noise.
        minutes: wall-clock training time.
        figures: name → value on held-out data.
        weaknesses: known ones, one sentence each.
    """
    rows = "\n".join(f"| {name} | {_shown(value)} |" for name, value in figures.items())
    weak = "\n".join(f"- {sentence}" for sentence in weaknesses) or "- none known"
    return f"""# {preset.name}

{preset.description or f"A {preset.family} model."}

- **Data**: {data}
- **Licence**: {licence}
- **Command**: `{command}`
- **Seed**: {seed}
- **Training time**: {minutes:.1f} minutes

## Held-out figures

| figure | value |
|---|---|
{rows}

## Known weaknesses

{weak}
"""


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
