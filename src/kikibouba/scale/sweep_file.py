"""A sweep as a text file: which preset, which fields vary and how, how long, judged by what.

preset = "mel_2bar"
data = "datasets/melody"
steps = 2000

[model]                    # the same for all trials, as in a preset's own file
free_bits = 48.0

[grid]                     # every combination
model.z_size = [64, 128]
seed = [0, 1]

[random]                   # so many draws, each with the whole grid
draws = 10
train.learning_rate = { min = 1e-4, max = 1e-2, log = true }

[asha]                     # stop early what does badly, see `halving`
first_steps = 200
factor = 3
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kikibouba.config import Preset, load_preset, with_overrides
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.scale.sweep_space import Choice, Range, points

SECTIONS = ("model", "train", "representation")
"""Tables whose fields are the same for all trials."""

KEYS = {
    "preset": str,
    "data": (str, list),
    "bases": list,
    "steps": int,
    "seed": int,
    "metric": str,
    "goal": str,
}
"""Keys at the top of the file and their types."""

TABLES = (*SECTIONS, "grid", "random", "asha")


@dataclass(frozen=True)
class Trial:
    """One run of training."""

    settings: Mapping[str, Any]
    """What the sweep chose: "model.z_size", "seed", "preset", … → value."""
    preset: Preset
    """The whole configuration."""
    source: str
    """The preset's name or file, as `kikibouba train` takes it."""
    overrides: Mapping[str, str]
    """Dotted field → text: what turns the source into the preset."""
    seed: int


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says."""

    data: tuple[str, ...]
    """Folder of the dataset; for a bridge one for each base."""
    trials: tuple[Trial, ...]
    bases: tuple[str, ...] = ()
    """Of a bridge."""
    metric: str = "loss"
    """The term of the held-out loss that trials are judged by."""
    goal: Literal["min", "max"] = "min"
    first_steps: int | None = None
    """Where trials are first compared; None stops none early."""
    factor: int = 3
    """Of so many trials one goes on."""
    log_fields: frozenset[str] = field(default_factory=frozenset)
    """Fields that were drawn on a logarithmic scale."""

    def rungs(self, trial: Trial) -> tuple[int, ...]:
        """The numbers of steps at which a trial is judged; the last one is where it is finished."""
        last = trial.preset.train.num_steps
        steps, found = self.first_steps or last, []
        while steps < last:
            found.append(steps)
            steps *= self.factor
        return (*found, last)


def read_sweep(path: str | Path, data: tuple[str, ...] = ()) -> Sweep:
    """Read and check a sweep file.

    Args:
        path: the TOML file.
        data: in place of what the file says.

    Raises:
        KikiboubaError: whatever is wrong with it: not TOML, unknown keys or fields (names the nearest),
            values that are not allowed, nothing that varies, no data.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KikiboubaError(f"{path} is not valid TOML: {error}") from None
    try:
        return _sweep(table, data)
    except KikiboubaError as error:
        raise KikiboubaError(f"{path}: {error}") from None


def _sweep(table: dict[str, Any], data: tuple[str, ...]) -> Sweep:
    _check_keys(table)
    given = table.get("data", ())
    data = data or ((given,) if isinstance(given, str) else tuple(given))
    if not data:
        raise KikiboubaError(
            'it names no data: add data = "DIR", what `kikibouba prepare` made, or give --data'
        )
    grid = dict(_fields(table.get("grid", {}), "grid"))
    drawn = dict(_fields(table.get("random", {}), "random"))
    draws = drawn.pop("draws", None)
    trials = tuple(_trials(table, grid, drawn, draws))
    asha = _asha(table.get("asha"), trials)
    return Sweep(
        data,
        trials,
        tuple(map(str, table.get("bases", ()))),
        table.get("metric", "loss"),
        table.get("goal", "min"),
        log_fields=frozenset(
            name for name, spec in drawn.items() if isinstance(spec, dict) and spec.get("log")
        ),
        **asha,
    )


def _check_keys(table: Mapping[str, Any]) -> None:
    for name, value in table.items():
        if name in TABLES:
            if not isinstance(value, dict):
                raise KikiboubaError(f"{name} must be a table: [{name}]")
        elif name not in KEYS:
            hint = did_you_mean(name, [*KEYS, *TABLES])
            raise KikiboubaError(
                f"unknown key {name!r}{hint} (a field that varies belongs under [grid] or [random])"
            )
        elif not isinstance(value, KEYS[name]) or isinstance(value, bool):
            raise KikiboubaError(f"{name} = {json.dumps(value)} is of the wrong type")
    if (goal := table.get("goal", "min")) not in ("min", "max"):
        raise KikiboubaError(f"goal = {goal!r} is not allowed; min for a loss, max for an accuracy")
    if table.get("seed", 0) < 0 or table.get("steps", 1) < 1:
        raise KikiboubaError("steps must be 1 or more, and seed 0 or more")


def _fields(table: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """The content of [grid] or [random] as dotted field → what it may be."""
    for name, value in table.items():
        if name in SECTIONS and isinstance(value, dict):
            yield from ((f"{name}.{last}", what) for last, what in value.items())
        elif name in ("seed", "preset") or "." in name or (where, name) == ("random", "draws"):
            yield name, value
        else:
            hint = did_you_mean(name, ["seed", "preset", *SECTIONS])
            raise KikiboubaError(
                f"unknown field {name!r} under [{where}]{hint} (e.g. model.z_size = [64, 128])"
            )


def _trials(
    table: Mapping[str, Any], grid: Mapping[str, Any], drawn: Mapping[str, Any], draws: Any
) -> Iterator[Trial]:
    """The trials in order: for each draw the whole grid."""
    fixed = dict(_fixed(table))
    for name in (*grid, *drawn):
        if name in fixed or (name in grid and name in drawn):
            raise KikiboubaError(f"{name} is set twice: it can be the same for all, in the grid, or random")
    sources = grid.get("preset", drawn.get("preset", [table["preset"]] if "preset" in table else None))
    if sources is None or ("preset" in table and ("preset" in grid or "preset" in drawn)):
        raise KikiboubaError(
            'one preset must be named at the top, e.g. preset = "mel_2bar", or several in the grid'
        )
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise KikiboubaError("preset must be a list of names")
    bases = {
        source: with_overrides(load_preset(source), {n: _text(v) for n, v in fixed.items()})
        for source in sources
    }
    if not bases:
        raise KikiboubaError("preset = [] lists no values")
    first = next(iter(bases.values()))
    space = {name: Choice.of(name, values) for name, values in grid.items()}
    ranges = {
        name: Range.of(name, spec, _value(first, name, 0))
        if isinstance(spec, dict)
        else Choice.of(name, spec)
        for name, spec in drawn.items()
    }
    seed = table.get("seed", 0)
    for settings in points(space, ranges, draws, seed):
        chosen = {name: _text(value) for name, value in settings.items() if name not in ("seed", "preset")}
        source = settings.get("preset", table.get("preset"))
        for name in chosen:
            _check_field(bases[source], name)
        preset = with_overrides(bases[source], chosen)
        as_set = {name: _value(preset, name, value) for name, value in settings.items()}
        if not isinstance(own_seed := settings.get("seed", seed), int) or own_seed < 0:
            raise KikiboubaError(f"seed = {own_seed!r} must be a whole number, 0 or more")
        overrides = {name: _text(value) for name, value in fixed.items()} | chosen
        yield Trial(as_set, preset, source, overrides, own_seed)


def _fixed(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted field → value of what is the same for all trials."""
    for section in SECTIONS:
        yield from ((f"{section}.{name}", value) for name, value in table.get(section, {}).items())
    if "steps" in table:
        if "num_steps" in table.get("train", {}):
            raise KikiboubaError("steps and train.num_steps are the same; give one of them")
        yield "train.num_steps", table["steps"]


def _check_field(preset: Preset, name: str) -> None:
    section = name.partition(".")[0]
    if section == "representation" and preset.representation is None:
        raise KikiboubaError(
            f"{preset.name} is a bridge and has no field {name}; prepare its bases' data instead"
        )


def _value(preset: Preset, name: str, otherwise: Any) -> Any:
    """What a preset has in a dotted field; of "seed" and "preset", and of unknown fields, what is given."""
    section, _, last = name.partition(".")
    return getattr(getattr(preset, section, None), last, otherwise) if last else otherwise


def _text(value: Any) -> str:
    """A value as `--set` takes it."""
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError):
        raise KikiboubaError(f"{value!r} is no number, text, truth value, or list of these") from None


def _asha(table: Mapping[str, Any] | None, trials: tuple[Trial, ...]) -> dict[str, int]:
    """The settings of early stopping, checked."""
    if table is None:
        return {}
    for name, value in table.items():
        if name not in ("first_steps", "factor"):
            raise KikiboubaError(
                f"unknown key {name!r} under [asha]{did_you_mean(name, ['first_steps', 'factor'])}"
            )
        if not isinstance(value, int) or isinstance(value, bool):
            raise KikiboubaError(f"asha.{name} = {value!r} must be a whole number")
    steps = {trial.preset.train.num_steps for trial in trials}
    if len(steps) > 1:
        raise KikiboubaError("trials of different train.num_steps cannot be compared early; leave out [asha]")
    first, factor = table.get("first_steps", 0), table.get("factor", 3)
    if not 1 <= first < min(steps):
        raise KikiboubaError(
            f"asha.first_steps must be from 1 to {min(steps) - 1}, below the steps of a trial"
        )
    if factor < 2:
        raise KikiboubaError(f"asha.factor = {factor} must be 2 or more: of so many trials one goes on")
    return {"first_steps": first, "factor": factor}
