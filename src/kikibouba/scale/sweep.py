"""A sweep: many trainings of one preset or several, the settings of which vary. See `sweep_file`.

Every trial is an ordinary run of training in a folder of its own. A sweep that was interrupted, even killed,
goes on when it is called again; what is finished is never run again. The same sweep gives the same table on
any number of processes, on this machine or on a Ray cluster.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kikibouba.data.files import write_bytes, write_text
from kikibouba.data.store import Dataset
from kikibouba.errors import Interrupted, KikiboubaError
from kikibouba.scale.ray_start import import_ray
from kikibouba.scale.sweep_board import Board, Job
from kikibouba.scale.sweep_file import Sweep, read_sweep
from kikibouba.scale.sweep_folder import locked, read_reached, write_plan
from kikibouba.scale.sweep_local import Report, run_locally
from kikibouba.scale.sweep_table import Table, table_of


def sweep(
    file: str | Path,
    out: str | Path,
    *,
    data: tuple[str, ...] = (),
    workers: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    address: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Table:
    """Run the trials of a sweep file that are not finished yet.

    Args:
        file: see `sweep_file.read_sweep`.
        out: gets a folder for each trial, and results.csv, results.json and results.png.
        data: datasets in place of those that the file names.
        workers: how many trials train at a time; by default as many as this machine has CPUs for, or the
            cluster.
        threads: CPU threads of each. Another number may change last digits.
        device: "cpu", "cuda", …; on a cluster each trial on "cuda" has a GPU of its own.
        address: of a Ray cluster, see `ray_start.connected`; None runs on processes of this machine.
        say: is told how it goes, line by line.

    Returns:
        All trials, the best one first.

    Raises:
        KikiboubaError: the file, the data or the folder will not do; interrupted; every trial failed, or the
            disk is full. Finished trials are kept in any case.
    """
    if threads < 1 or (workers is not None and workers < 1):
        raise KikiboubaError("workers and threads must be 1 or more")
    plan, out = read_sweep(file, data), Path(out)
    check_data(plan)
    with locked(out, 0.0, "another sweep runs"):
        trials = write_plan(out, plan)
        names = [entry["name"] for entry in trials]
        values = [[done["value"] for done in read_reached(out / name)] for name in names]
        board = Board([entry["rungs"] for entry in trials], values, plan.goal, plan.factor)
        say(f"{len(trials)} trials in {out}, {_settled(board)} of them finished before")
        report = _reporter(board, trials, plan.metric, say)
        if address is None:
            workers = workers or max(1, (os.cpu_count() or 1) // threads)
            run_locally(board, out.absolute(), names, workers, threads, device, report)
        else:
            import_ray()
            from kikibouba.scale.sweep_ray import run_on_ray

            run_on_ray(board, out.absolute(), names, address, workers, threads, device, report)
        if board.halted:
            raise KikiboubaError(board.halted)
        if board.interrupted:
            raise Interrupted(
                f"interrupted with {_settled(board)} of {len(trials)} trials done; repeat the command "
                "to go on"
            )
        table = table_of(board, trials, plan.metric, plan.goal)
        _write(table, plan, out)
    if table.best is None:
        raise KikiboubaError(
            f"no trial was finished; the first one failed: {next(iter(board.errors.values()), '')}"
        )
    return table


def check_data(plan: Sweep) -> None:
    """Raises KikiboubaError where a trial cannot be trained on the data, or a field would change nothing."""
    from kikibouba.train.data import adopt_representation

    datasets = [Dataset.open(folder) for folder in plan.data]
    if "valid" not in datasets[0].splits:
        raise KikiboubaError(
            f"{plan.data[0]} has no examples in its split 'valid', by which trials are judged"
        )
    for trial in plan.trials:
        if trial.preset.representation is None:
            continue
        found = adopt_representation(trial.preset, datasets[0]).representation
        for name in trial.overrides:
            section, _, field = name.partition(".")
            wanted = getattr(trial.preset.representation, field, None)
            if section == "representation" and wanted != getattr(found, field, None):
                raise KikiboubaError(
                    f"{name} = {wanted!r} would change nothing, for {plan.data[0]} was prepared with "
                    f"{getattr(found, field, None)!r}; prepare a dataset and write a sweep for each"
                )


def _settled(board: Board) -> int:
    return sum(standing.kind in ("finished", "stopped") for standing in board.standings())


def _reporter(board: Board, trials: list[dict[str, Any]], metric: str, say: Callable[[str], None]) -> Report:
    """What says how it goes: a line for each trial that reached a rung."""

    def report(job: Job, note: str | None) -> None:
        entry, standing = trials[job.trial], board.standings()[job.trial]
        where = f"[{_settled(board)}/{len(trials)}] {entry['name']}"
        if note is not None:
            say(f"{where}: {note}")
        elif not (board.interrupted or board.halted):
            value = board.reached(job)
            fate = standing.kind if standing.kind in ("finished", "stopped") else ""
            say(f"{where}: step {entry['rungs'][job.rung]}, {metric} {value:.5g}{', ' if fate else ''}{fate}")

    return report


def _write(table: Table, plan: Sweep, out: Path) -> None:
    """The table and its picture."""
    from kikibouba.scale.sweep_picture import plot_sweep

    write_text(out / "results.csv", table.csv())
    write_text(out / "results.json", table.json())
    picture = plot_sweep(table, plan.log_fields)
    if picture is not None:
        write_bytes(out / "results.png", picture)
