"""Morph one file into another in equal steps through a model's latent space.

The model follows from the first file unless --model names one. Files are numbered from the first input's
reconstruction to the second's. slerp turns from one vector to the other, lerp goes straight. A model with
chords, keys or hits is told at each step those of the nearer file, unless --chords or --controls-from say
otherwise.

With --to a translator's shared space is crossed instead, and every step is written as both kinds, a row of
drawings beside a row of tunes, with a picture of the rows; A and B may then be of different kinds.

Example:
  kikibouba interpolate examples/circle.svg examples/zigzag.svg -n 7 -o morph --also png
  kikibouba interpolate examples/circle.svg examples/zigzag.svg --to melody -o morph_and_hear
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import (
    add_attributes,
    add_controls,
    add_device,
    add_engine,
    add_output,
    add_seed,
    add_temperature,
    make_folder,
    numbered,
    write_all,
)
from kikibouba.config import REPRESENTATIONS
from kikibouba.errors import KikiboubaError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba interpolate`."""
    parser.add_argument("a", type=Path, metavar="A", help="first drawing or MIDI file")
    parser.add_argument("b", type=Path, metavar="B", help="second one, of the same kind (any with --to)")
    parser.add_argument("-n", type=int, default=7, help="steps, both ends included (default 7)")
    parser.add_argument("--mode", choices=("slerp", "lerp"), default="slerp")
    add_output(parser, "folder, or file (numbered)")
    parser.add_argument("--model", help="bundled name or folder (default: found by kind)")
    parser.add_argument(
        "--to", choices=tuple(REPRESENTATIONS), help="show each step as this kind too, through a translator"
    )
    parser.add_argument(
        "--with",
        dest="translator",
        metavar="TRANSLATOR",
        help="with --to: bundled name or folder (default: found by kind)",
    )
    add_attributes(parser)
    add_controls(parser)
    add_seed(parser)
    add_temperature(parser, 0.0, sound=True)
    add_engine(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Interpolate."""
    if args.to or args.translator:
        _across(args)
        return
    from kikibouba.cli.common import controls, temperature, use_engine
    from kikibouba.hub import default_model, load_model

    model = load_model(args.model or default_model(args.a), args.device)
    use_engine(args, model)
    steps = model.interpolate(
        args.a,
        args.b,
        args.n,
        args.mode,
        temperature(args, model),
        args.seed,
        controls=controls(args, model),
        attributes=dict(args.attribute),
    )
    names = [f"{args.a.stem}-{args.b.stem}-{number}" for number in numbered(args.n)]
    write_all(steps, args.out, names, args.also)


def _across(args: argparse.Namespace) -> None:
    """Interpolate through a shared space: files of every kind, and a picture of the rows."""
    from kikibouba.data.files import write_bytes
    from kikibouba.data.picture import rows_picture
    from kikibouba.hub import find_translator, load_translator
    from kikibouba.inputs import kind_of

    for option, value in (("--model", args.model), ("--attribute", args.attribute), ("--chords", args.chords),
                          ("--key", args.key), ("--controls-from", args.controls_from),
                          ("--engine", args.engine)):  # fmt: skip
        if value:
            raise KikiboubaError(f"{option} is for one model; a translator has none: leave it or --to out")
    if args.out.suffix and not args.out.is_dir():
        raise KikiboubaError(f"two rows of files need a folder to go to, but {args.out} is a file name")
    kinds = [kind_of(args.a), kind_of(args.b)]
    others = [kind for kind in (args.to, kinds[1]) if kind and kind != kinds[0]]
    name = args.translator or find_translator(kinds[0], others[0] if others else kinds[0])
    found = load_translator(name, args.device).interpolate(
        args.a, args.b, args.n, args.mode, to=args.to, temperature=args.temperature or 0.0, seed=args.seed
    )
    make_folder(args.out)
    whole = f"{args.a.stem}-{args.b.stem}"
    for kind, steps in found.items():
        also = [suffix for suffix in args.also if suffix in steps[0].suffixes]
        write_all(steps, args.out, [f"{whole}-{kind}-{number}" for number in numbered(args.n)], also)
    print(write_bytes(args.out / f"{whole}.png", rows_picture(list(found.values()), row_titles=list(found))))
