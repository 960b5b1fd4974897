"""Training one trial up to its next rung, in whatever process this is: what every executor runs."""

import errno
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from kikibouba.config import Preset, preset_from_dict
from kikibouba.errors import Interrupted, KikiboubaError, did_you_mean
from kikibouba.scale.sweep_folder import locked, note_attempt, read_plan, read_reached, write_reached

PATIENCE = 60.0
"""Seconds to wait for a process that is about to end, such as one on a machine that is taken for dead."""

FULL = (errno.ENOSPC, errno.EDQUOT)


def train_job(out: str, name: str, rung: int, threads: int, device: str) -> dict[str, Any]:
    """Train a trial up to a rung, unless that was done before.

    Args:
        out: folder of the sweep.
        name: of the trial.
        rung: counted from 0.
        threads: CPU threads to compute with. The same number gives the same bits everywhere.
        device: "cpu", "cuda", ….

    Returns:
        {"value": what the trial is judged by}; {"error": one line} if it failed; {"halt": one line} if all
        others would fail of the same, because the disk is full; {"interrupted": True} after Ctrl-C.
    """
    try:
        return {"value": _train(Path(out), name, rung, threads, device)}
    except (Interrupted, KeyboardInterrupt):
        return {"interrupted": True}
    except Exception as error:
        if _is_full(error):
            return {
                "halt": f"the disk of {out} is full; finished trials are kept: make room, repeat the command"
            }
        if isinstance(error, KikiboubaError):
            return {"error": " ".join(str(error).split())}
        if isinstance(error, OSError) and error.strerror:
            return {"error": f"{error.filename or out}: {error.strerror}"}
        return {"error": f"internal error: {type(error).__name__}: {error} (train.log says where)"}


def _train(out: Path, name: str, rung: int, threads: int, device: str) -> float:
    entry = read_plan(out, name)
    folder = out / name
    with locked(folder, PATIENCE, "another process trains"):
        reached = read_reached(folder)
        if len(reached) <= rung:
            note_attempt(folder, entry["rungs"][rung])
            with _printing_to(folder / "train.log"), _called_as(entry["command"]):
                metrics = _run(entry, folder, entry["rungs"][rung], threads, device)
            value = _judged_by(metrics, entry["metric"])
            reached.append({"steps": entry["rungs"][rung], "value": value, "metrics": metrics})
            write_reached(folder, entry, reached)
        return reached[rung]["value"]


def _run(entry: Mapping[str, Any], folder: Path, steps: int, threads: int, device: str) -> dict[str, Any]:
    """An ordinary run of training."""
    import torch

    torch.set_num_threads(threads)
    preset = preset_from_dict(entry["preset"])
    metrics = _fit(preset, entry, folder, steps, device)
    if metrics["steps_done"] < steps:
        # Killed between the last state and the last figures, which are then those of the rung before.
        (folder / "metrics.json").unlink()
        metrics = _fit(preset, entry, folder, steps, device)
    return metrics


def _fit(preset: Preset, entry: Mapping[str, Any], folder: Path, steps: int, device: str) -> dict[str, Any]:
    """As `kikibouba train` does it."""
    from kikibouba.constraint_training import train_constraints
    from kikibouba.hub import is_over_base
    from kikibouba.personalizing import train_over_base
    from kikibouba.training import train_model, train_translator

    data, bases = entry["data"], entry["bases"]
    if is_over_base(preset):
        if len(bases) != 1 or len(data) != 1:
            raise KikiboubaError(f'{preset.name} is a bridge over one model: name one, bases = ["mel_2bar"]')
        train = train_over_base if preset.family == "midime" else train_constraints
        return train(preset, bases[0], data[0], folder, seed=entry["seed"], device=device, num_steps=steps)
    if preset.representation is None:
        return train_translator(
            preset, bases, data, folder, seed=entry["seed"], device=device, num_steps=steps
        )
    if bases or len(data) != 1:
        raise KikiboubaError(f"{preset.name} is a model: it learns from one dataset, and has no bases")
    return train_model(preset, data[0], folder, seed=entry["seed"], device=device, num_steps=steps)


def _judged_by(metrics: Mapping[str, Any], metric: str) -> float:
    valid = metrics["valid"]
    if not valid:
        raise KikiboubaError(
            "the dataset has no examples in its split 'valid' to judge trials by; prepare it with some"
        )
    if metric not in valid:
        raise KikiboubaError(f"the held-out figures have no {metric!r}{did_you_mean(metric, valid)}")
    return float(valid[metric])


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """What is printed within this context goes to a file, and so does how it failed."""
    with open(path, "a", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            yield
        except BaseException:
            traceback.print_exc()
            raise


@contextmanager
def _called_as(command: list[str]) -> Iterator[None]:
    """Within this context the program was called so: cards of checkpoints note the command that made them."""
    before, sys.argv = sys.argv, command
    try:
        yield
    finally:
        sys.argv = before


def _is_full(error: BaseException | None) -> bool:
    """Whether an error is, or comes of, a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__ or error.__context__
    return False
