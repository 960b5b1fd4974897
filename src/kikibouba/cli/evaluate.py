"""Measure a model or a translator on held-out data: a table, and JSON on demand.

Models: accuracy of greedy reconstruction, teacher-forced losses and KL, and how well attributes survive.
Translators, in both directions: cycle consistency, realism, locality, and rank correlation of the
attributes that should correspond.

Example:
  kikibouba evaluate mel_2bar --data datasets/mine --split test --json figures.json
  kikibouba evaluate sketch-mel_2bar --data datasets/sketches datasets/mine
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import add_device, add_seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba evaluate`."""
    parser.add_argument("model", metavar="MODEL", help="bundled name or folder of a model or translator")
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
    add_seed(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Evaluate and print."""
    import json

    from kikibouba.data.files import write_text
    from kikibouba.evaluation import evaluate

    figures = evaluate(
        args.model, args.data, args.split, limit=args.limit or None, seed=args.seed, device=args.device
    )
    width = max(map(len, figures))
    print(f"{args.model} on {args.split} of {', '.join(map(str, args.data))}")
    for name, value in figures.items():
        print(f"  {name:<{width}}  {value:.4g}")
    if args.json:
        print(write_text(args.json, json.dumps(figures, indent=2) + "\n"))
