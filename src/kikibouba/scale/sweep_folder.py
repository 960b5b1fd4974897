"""What a sweep keeps on disk, so that it goes on after any interruption and runs nothing twice.

    OUT/sweep.json            the trials, complete: what a process needs to train one
    OUT/<trial>/              an ordinary run of `kikibouba train`
    OUT/<trial>/trial.json    the trial's settings, and what it reached at each rung
    OUT/<trial>/attempts.jsonl    a line for each time that a process began to train it
    OUT/<trial>/train.log     what training printed
    OUT/results.csv .json .png    the table and its picture

A process trains a trial only while it holds a lock on the trial's folder, which the system releases with the
process, however it ended. On a network file system locks must work across machines (NFS 4 does).
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kikibouba.config import preset_to_dict, read_json
from kikibouba.data.files import write_text
from kikibouba.data.store import Dataset
from kikibouba.errors import KikiboubaError
from kikibouba.scale.sweep_file import Sweep, Trial
from kikibouba.scale.sweep_names import trial_names


@contextmanager
def locked(folder: Path, patience: float, what: str) -> Iterator[None]:
    """Hold the lock of a folder.

    Args:
        folder: is made if need be.
        patience: seconds to wait for a process that holds it.
        what: what that process does, for the message.

    Raises:
        KikiboubaError: it still holds it (says which), or the folder cannot be written to.
    """
    deadline = time.monotonic() + patience
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "a+", encoding="utf-8")  # noqa: SIM115 (held as long as the lock)
    except OSError as error:
        raise KikiboubaError(f"cannot write to {folder}: {error.strerror}") from error
    with file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    raise KikiboubaError(f"{what} in {folder} already ({file.read().strip()})") from None
                time.sleep(0.1)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def write_plan(out: Path, sweep: Sweep) -> list[dict[str, Any]]:
    """Write `sweep.json`, or extend the one that is there; returns its trials.

    Trials that are there already keep their places, so that what was decided about them stays true.

    Raises:
        KikiboubaError: the folder holds a sweep with other settings, or with a trial that is not listed any
            more.
    """
    common = _common(sweep)
    names = trial_names([trial.settings for trial in sweep.trials])
    trials = {name: _entry(out, name, trial, sweep) for name, trial in zip(names, sweep.trials, strict=True)}
    if (out / "sweep.json").exists():
        before = read_json(out / "sweep.json")
        _check_same(before["common"], common, out)
        for entry in before["trials"]:
            if entry["name"] not in trials:
                raise KikiboubaError(
                    f"{out} holds a sweep with the trial {entry['name']}, which is not listed any more; a "
                    "sweep can be extended, not cut: list it again, or choose another output folder"
                )
            _check_same(entry["preset"], trials[entry["name"]]["preset"], out)
        old = [entry["name"] for entry in before["trials"]]
        names = [*old, *(name for name in names if name not in old)]
    ordered = [trials[name] for name in names]
    # As JSON gives it back: what this process uses is what all others read.
    plan = json.dumps({"common": common, "trials": ordered}, indent=1, ensure_ascii=False)
    write_text(out / "sweep.json", plan + "\n")
    return json.loads(plan)["trials"]


def _common(sweep: Sweep) -> dict[str, Any]:
    """What all trials share, and what makes their results comparable."""
    return {
        "data": [Dataset.open(folder).meta["fingerprint"] for folder in sweep.data],
        "bases": list(sweep.bases),
        "metric": sweep.metric,
        "goal": sweep.goal,
        "first_steps": sweep.first_steps,
        "factor": sweep.factor if sweep.first_steps else None,
    }


def _entry(out: Path, name: str, trial: Trial, sweep: Sweep) -> dict[str, Any]:
    """All that a process needs to train a trial, wherever it runs."""
    bases = [str(Path(base).absolute()) if Path(base).is_dir() else base for base in sweep.bases]
    data = [str(Path(folder).absolute()) for folder in sweep.data]
    command = [
        "kikibouba",
        "train",
        trial.source,
        "--data",
        *sweep.data,
        *(["--bases", *bases] if bases else []),
    ]
    for field, text in trial.overrides.items():
        command += ["--set", f"{field}={text}"]
    return {
        "name": name,
        "settings": dict(trial.settings),
        "seed": trial.seed,
        "rungs": sweep.rungs(trial),
        "preset": preset_to_dict(trial.preset),
        "data": data,
        "bases": bases,
        "metric": sweep.metric,
        "command": [*command, "--seed", str(trial.seed), "-o", str(out / name)],
    }


def _check_same(before: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    """Raises KikiboubaError naming what differs."""
    now = json.loads(json.dumps(now))
    changes = [f"{name} (was {old}, now {new})" for name, old, new in _differences(before, now, "")]
    if changes:
        raise KikiboubaError(
            f"{out} holds a sweep with other settings: {', '.join(changes[:5])}; repeat them to go on, "
            "or choose another output folder"
        )


def _differences(before: Any, now: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            inner = f"{where}.{name}" if where else name
            yield from _differences(before.get(name), now.get(name), inner)
    elif before != now:
        yield where, before, now


def read_plan(out: Path, name: str) -> dict[str, Any]:
    """One trial of `sweep.json`.

    Raises:
        KikiboubaError: this machine does not see the folder as the one that began the sweep does.
    """
    if not (out / "sweep.json").is_file():
        raise KikiboubaError(
            f"{out / 'sweep.json'} is not seen on {socket.gethostname()}: all machines of a sweep must share "
            "the output folder, under one path"
        )
    return next(entry for entry in read_json(out / "sweep.json")["trials"] if entry["name"] == name)


def read_reached(folder: Path) -> list[dict[str, Any]]:
    """What a trial reached at each rung so far: {"steps", "value", "metrics"}."""
    path = folder / "trial.json"
    return read_json(path)["reached"] if path.is_file() else []


def write_reached(folder: Path, entry: Mapping[str, Any], reached: Sequence[Mapping[str, Any]]) -> None:
    """Write `trial.json`."""
    known = {"name": entry["name"], "settings": entry["settings"], "seed": entry["seed"], "reached": reached}
    write_text(folder / "trial.json", json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def saved_step(folder: Path) -> int:
    """The step from which a trial would go on; 0 before the first is saved."""
    names = [path.stem.removeprefix("step-") for path in (folder / "state").glob("step-*.safetensors")]
    return max((int(name) for name in names if name.isdecimal()), default=0)


def note_attempt(folder: Path, steps: int) -> None:
    """Note that this process begins to train a trial up to a number of steps."""
    line = {"steps": steps, "host": socket.gethostname(), "process": os.getpid(), "unix_time": time.time()}
    with open(folder / "attempts.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
