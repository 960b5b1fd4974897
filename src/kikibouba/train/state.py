"""What a run needs to go on: weights, optimiser moments and averaged weights, in one file per saved step.

    <out>/state/step-000000500.safetensors      tensors, and a JSON header with step, identity and best result

The last two files are kept, and each is written whole or not at all, so that a crash at any moment leaves
one to resume from. Random states are not saved: step t draws from generators seeded with (seed, t).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn, optim

from kikibouba.config import Preset, preset_to_dict
from kikibouba.data.files import write_bytes
from kikibouba.errors import KikiboubaError

KEEP = 2
"""Files kept."""

MAY_CHANGE = {
    "name",
    "description",
    "train.num_steps",
    "train.log_every",
    "train.eval_every",
    "train.save_every",
}
"""Settings that do not change what a step computes: a run may go on with other values."""


@dataclass
class State:
    """One saved state. `tensors` has prefixes "model.", "average.", and "optimizer.<number of
    parameter>.".
    """

    step: int
    """Updates done."""
    info: dict[str, Any]
    """What `save_state` was given, plus the optimiser's settings."""
    tensors: dict[str, Tensor]


class MovingAverage:
    """An exponential moving average of a module's weights, to evaluate and keep in place of the last ones."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.weights = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """average = d * average + (1 - d) * weights; call after every step.

        d is `decay`, but at most (1 + step) / (10 + step): else the first weights would dominate for long.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        raw: list[Tensor] = list(self.module.parameters())
        torch._foreach_lerp_(list(self.weights.values()), raw, 1.0 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this context the module has the averaged weights."""
        raw = {name: p.data for name, p in self.module.named_parameters()}
        try:
            for name, p in self.module.named_parameters():
                p.data = self.weights[name]
            yield
        finally:
            for name, p in self.module.named_parameters():
                p.data = raw[name]


def run_identity(preset: Preset, seed: int, data: Any) -> dict[str, Any]:
    """Everything that a step depends on, as a flat dictionary: a run only goes on with the same."""
    values = preset_to_dict(preset) | {"seed": seed, "data": getattr(data, "identity", {})}
    return {name: value for name, value in _flatten(values) if name not in MAY_CHANGE}


def check_identity(saved: Mapping[str, Any], current: Mapping[str, Any], folder: Path) -> None:
    """Raises KikiboubaError naming the fields in which a saved run differs from the current one."""
    names = [name for name in {**saved, **current} if saved.get(name) != current.get(name)]
    if names:
        changes = ", ".join(f"{n} (was {saved.get(n)}, now {current.get(n)})" for n in names[:5])
        raise KikiboubaError(
            f"{folder} holds a run with other settings: {changes}; repeat its settings to go on with it, "
            "or choose another output folder"
        )


def save_state(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: optim.Optimizer,
    average: MovingAverage | None,
    info: Mapping[str, Any],
) -> None:
    """Write the state after `step` updates to `folder/state` and delete all but the last two."""
    tensors = {f"model.{name}": t for name, t in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": t for name, t in average.weights.items()}
    saved = optimizer.state_dict()
    for number, moments in saved["state"].items():
        tensors |= {f"optimizer.{number}.{name}": t for name, t in moments.items()}
    groups = [{name: v for name, v in group.items() if name != "params"} for group in saved["param_groups"]]
    header = json.dumps({"step": step, **info, "optimizer": groups})
    (folder / "state").mkdir(parents=True, exist_ok=True)
    # Clones, because safetensors refuses tensors that share memory (tied weights).
    content = save({name: t.detach().clone().contiguous() for name, t in tensors.items()}, {"state": header})
    write_bytes(folder / "state" / f"step-{step:09}.safetensors", content)
    for old in state_files(folder)[KEEP:]:
        old.unlink()


def state_files(folder: Path) -> list[Path]:
    """The saved states of a run, latest first."""
    return sorted((folder / "state").glob("step-*.safetensors"), reverse=True)


def forget(folder: Path) -> None:
    """Delete the saved states of a run that is started over."""
    for path in state_files(folder):
        path.unlink()


def load_state(folder: Path, device: str = "cpu") -> State | None:
    """The latest state that can be read, or None where there is none."""
    for path in state_files(folder):
        with (
            suppress(safetensors.SafetensorError, OSError),
            safetensors.safe_open(path, "pt", device=device) as file,
        ):
            info = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
            return State(info["step"], info, tensors)
    return None


def restore(
    state: State, model: nn.Module, optimizer: optim.Optimizer, average: MovingAverage | None
) -> None:
    """Put a state back into model, optimiser and average, bit by bit."""
    model.load_state_dict(_under("model.", state.tensors))
    if average is not None:
        with torch.no_grad():
            for name, tensor in _under("average.", state.tensors).items():
                average.weights[name].copy_(tensor)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _under("optimizer.", state.tensors).items():
        number, _, moment = name.partition(".")
        moments.setdefault(int(number), {})[moment] = tensor
    current = optimizer.state_dict()["param_groups"]
    groups = [{**now, **saved} for now, saved in zip(current, state.info["optimizer"], strict=True)]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _as_saved(value)


def _as_saved(value: Any) -> Any:
    """A value as JSON gives it back: lists for tuples, however deep."""
    return [_as_saved(part) for part in value] if isinstance(value, list | tuple) else value
