"""Ask for a kind of thing: a denser beat, a tune in C, a spikier drawing. New ones, or your own changed.

Critics learnt what is real and what is dense, high or in C; latent vectors are moved to where they agree.
NAME is an attribute of what the model makes (docs/constrain.md lists them), VALUE is low, mid, high, a
number, or the name of a class. With --keep-close as much as possible stays as it was. What comes out is
measured, and drawn anew if it is not what was asked.

Without IN, name a model: new ones are made. --method actor moves at once and far; --method optimize searches
for each latent vector its own way, which is slower and stays closer. A model of your own needs constraints of
its own (`kikibouba train constraints`).

Example:
  kikibouba constrain examples/river.mid --attribute note_density=high --keep-close -o busier.mid --also wav
  kikibouba constrain --model mel_2bar --attribute key=G --attribute density=low -n 5 -o tunes
  kikibouba constrain examples/cat.svg --attribute angularity=high --keep-close -o spiky_cat.svg
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import (
    add_device,
    add_output,
    add_seed,
    add_temperature,
    add_whole,
    numbered,
    write_all,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba constrain`."""
    parser.add_argument("input", nargs="?", type=Path, metavar="IN", help="what to change (default: nothing)")
    parser.add_argument(
        "--attribute",
        action="append",
        type=_wish,
        default=[],
        metavar="NAME=VALUE",
        help="density=high, register=low, key=C, ...; may be repeated; none: only what is realistic",
    )
    parser.add_argument("--keep-close", action="store_true", help="stay as near to the start as that allows")
    add_output(parser, "file, or folder for several results")
    parser.add_argument("-n", type=int, metavar="N", help="how many (default: 1 of a file, else 8)")
    parser.add_argument(
        "--model", help="constraints, or a model that bundled ones belong to (default: found by kind)"
    )
    parser.add_argument(
        "--method", choices=("actor", "optimize"), help="(default: optimize with --keep-close, else actor)"
    )
    parser.add_argument(
        "--tries", type=int, default=8, metavar="N", help="draw anew what misses, up to N times (default 8)"
    )
    add_whole(parser, "all of a piece, window by window")
    add_seed(parser)
    add_temperature(parser, 0.0)
    add_device(parser)


def _wish(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=VALUE, e.g. density=high")
    return name, value


def run(args: argparse.Namespace) -> None:
    """Constrain and write."""
    from kikibouba.constraining import constrain, constrain_whole
    from kikibouba.errors import KikiboubaError

    wishes = dict(args.attribute)
    if args.whole:
        if args.input is None or args.n not in (None, 1):
            raise KikiboubaError("--whole changes all of one file: name it, and leave out -n")
        artifacts = [
            constrain_whole(
                args.model,
                args.input,
                wishes,
                keep_close=args.keep_close,
                method=args.method,
                temperature=args.temperature,
                seed=args.seed,
                tries=args.tries,
                device=args.device,
            )
        ]
    else:
        artifacts = constrain(
            args.model,
            args.input,
            wishes,
            keep_close=args.keep_close,
            n=args.n,
            method=args.method,
            temperature=args.temperature,
            seed=args.seed,
            tries=args.tries,
            device=args.device,
        )
    stem = args.input.stem if args.input else "constrained"
    names = [stem] if len(artifacts) == 1 else [f"{stem}-{number}" for number in numbered(len(artifacts))]
    write_all(artifacts, args.out, names, args.also)
