"""Train a preset with many settings: every combination of a grid, or random ones, and compare them.

The sweep file says which fields vary, of any preset of any model. Every trial is an ordinary run of `train`
in a folder of its own. What does badly can be stopped early. A sweep that was interrupted, even killed,
goes on when the command is repeated, and finished trials are never run again; longer lists in the file add
trials. The results are printed, and written as results.csv, results.json and results.png.

It runs on processes of this machine; with --ray on a Ray cluster (pip install 'kikibouba[scale]'), with
the same results. docs/howto_sweep.md shows how.

Example:
  kikibouba sweep sweep.toml -o trained/sweep --workers 4
  kikibouba sweep sweep.toml -o trained/sweep --dry-run
  kikibouba sweep sweep.toml -o trained/sweep --ray --address auto
"""

import argparse
import sys
from pathlib import Path

from kikibouba.cli.common import add_device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba sweep`."""
    parser.add_argument("file", type=Path, metavar="SWEEP.toml", help="what varies, and how")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the sweep (default: the file's name without .toml)",
    )
    parser.add_argument(
        "--data", nargs="+", default=(), metavar="DIR", help="in place of the data that the file names"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="trials at a time (default: as the CPUs allow)"
    )
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads of each (default 1)")
    parser.add_argument("--dry-run", action="store_true", help="list the trials, and run none")
    parser.add_argument("--ray", action="store_true", help="run on Ray, by default on this machine alone")
    parser.add_argument(
        "--address",
        metavar="auto|HOST:PORT|local",
        help="of the Ray cluster: auto is the one this machine is part of; implies --ray",
    )
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Sweep."""
    if args.dry_run:
        return _list(args)
    from kikibouba.scale.ray_start import LOCAL
    from kikibouba.scale.sweep import sweep

    out = args.out or args.file.with_suffix("")
    table = sweep(
        args.file,
        out,
        data=tuple(args.data),
        workers=args.workers,
        threads=args.threads,
        device=args.device,
        address=args.address or (LOCAL if args.ray else None),
        say=lambda line: print(line, flush=True),
    )
    print("\n".join(table.lines()))
    for row in table.rows:
        if row.reason:
            print(f"kikibouba: {row.name} failed: {row.reason}", file=sys.stderr)
    print(out / "results.png")
    if table.best is not None:
        print(f"best: {out / table.best.name}")
    return 1 if any(row.status == "failed" for row in table.rows) else 0


def _list(args: argparse.Namespace) -> int:
    """Names of the trials."""
    from kikibouba.scale.sweep_file import read_sweep
    from kikibouba.scale.sweep_names import trial_names

    sweep = read_sweep(args.file, tuple(args.data))
    for name in trial_names([trial.settings for trial in sweep.trials]):
        print(name)
    return 0
