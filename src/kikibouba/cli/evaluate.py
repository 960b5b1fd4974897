"""Measure models or translators on held-out data: a table, and JSON on demand.

Models of music: accuracy when they hear only themselves, taking what is likeliest (greedy) or drawing at
temperature 1 (free-running), and when they hear the truth up to each step (teacher-forced), part by part;
reconstruction and KL; how well attributes survive. Grooves: hits, velocities and timing. Drawings: R and
KL. Translators, in both directions: cycle consistency, realism, locality, and rank correlation of the
attributes that should correspond. Several models get a column each. With --baselines a translator is
set beside simpler methods, one table for each direction (docs/latent_translation.md says what they are).
Sequence-to-sequence models: agreement with the true target, beside copying the source, any target, and the
nearest neighbour (docs/seq2seq.md).
Models of sound: bits a sample, what a probe tells from latent frames, and of translations timbre, pitches,
onsets and distance to the true recording, beside the source itself and another recording (docs/sound.md).

Example:
  kikibouba evaluate mel_2bar --data datasets/mine --split test --json figures.json
  kikibouba evaluate trained/flat trained/hierarchical --data datasets/drums
  kikibouba evaluate sketch-mel_2bar --data datasets/sketches datasets/mine
  kikibouba evaluate sketch-mel_2bar --data datasets/sketches datasets/mine --baselines --limit 500
"""

import argparse
from collections.abc import Iterable, Mapping
from math import isnan, nan
from pathlib import Path

from kikibouba.cli.common import add_device, add_seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba evaluate`."""
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="bundled name or folder of a model or translator"
    )
    parser.add_argument(
        "--data",
        nargs="+",
        type=Path,
        required=True,
        metavar="DIR",
        help="dataset; for a translator one for each base",
    )
    parser.add_argument("--split", choices=("train", "valid", "test"), default="test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--limit", type=int, default=2000, metavar="N", help="examples measured (default 2000; 0: all)"
    )
    parser.add_argument("--baselines", action="store_true", help="set a translator beside simpler methods")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="with --baselines: keep what is computed once for the next time",
    )
    add_seed(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Evaluate and print."""
    import json

    from kikibouba.data.files import write_text
    from kikibouba.errors import KikiboubaError
    from kikibouba.evaluation import evaluate

    limit = args.limit or None
    if args.baselines:
        if len(args.models) > 1:
            raise KikiboubaError("--baselines compares one translator at a time")
        _compare(args, limit)
        return
    if args.cache is not None:
        raise KikiboubaError("--cache goes with --baselines")
    columns = {
        model: evaluate(model, args.data, args.split, limit=limit, seed=args.seed, device=args.device)
        for model in args.models
    }
    print(f"{', '.join(columns)} on {args.split} of {', '.join(map(str, args.data))}")
    for line in _table(columns):
        print(f"  {line}")
    if args.json:
        found = columns if len(columns) > 1 else next(iter(columns.values()))
        print(write_text(args.json, json.dumps(found, indent=2) + "\n"))


def _compare(args: argparse.Namespace, limit: int | None) -> None:
    """Methods × metrics for every direction, and what share of the metrics' weight each method wins."""
    import json

    from kikibouba.data.files import write_text
    from kikibouba.evaluate.translation_table import BESIDE, WEIGHTS, best_or_tied
    from kikibouba.evaluation import compare_translators

    tables = compare_translators(
        args.models[0],
        args.data,
        args.split,
        limit=limit,
        seed=args.seed,
        cache=args.cache,
        device=args.device,
    )
    for direction, table in tables.items():
        shares = best_or_tied({name: figures for name, figures in table.items() if name not in BESIDE})
        columns = {
            name: {**figures, "best or tied": shares.get(name, float("nan"))}
            for name, figures in table.items()
        }
        print(f"{direction}, {args.split} of {', '.join(map(str, args.data))}")
        for line in _across(columns, {**WEIGHTS, "best or tied": ""}):
            print(f"  {line}")
    if args.json:
        print(write_text(args.json, json.dumps(tables, indent=2) + "\n"))


def _across(rows: Mapping[str, Mapping[str, float]], columns: Mapping[str, object]) -> list[str]:
    """A row a method, a column a metric; below, what each metric weighs."""
    width = max(len("weight"), *map(len, rows))
    widths = [max(8, len(name)) for name in columns]

    def line(name: str, cells: Iterable[str]) -> str:
        return f"{name:<{width}}" + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths, strict=True))

    body = [
        line(name, ("-" if isnan(value := found.get(metric, nan)) else f"{value:.3g}" for metric in columns))
        for name, found in rows.items()
    ]
    return [line("", columns), *body, line("weight", map(str, columns.values()))]


def _table(columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A row a figure that any model has, a column a model; headed by names where there are several."""
    rows = list(dict.fromkeys(name for figures in columns.values() for name in figures))
    width = max(map(len, rows))
    heads = [Path(model).name for model in columns] if len(columns) > 1 else [""]
    widths = [max(9, len(head)) for head in heads]
    lines = [" " * width + "".join(f"  {head:>{w}}" for head, w in zip(heads, widths, strict=True))]
    for row in rows:
        cells = (f"{figures[row]:.4g}" if row in figures else "-" for figures in columns.values())
        lines.append(
            f"{row:<{width}}" + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        )
    return lines if len(columns) > 1 else lines[1:]
