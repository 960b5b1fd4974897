"""Morph one file into another in equal steps through a model's latent space.

The model follows from the first file unless --model names one. Files are numbered from the first input's
reconstruction to the second's. slerp turns from one vector to the other, lerp goes straight. A model with
chords, keys or hits is told at each step those of the nearer file, unless --chords or --controls-from say
otherwise.

Example:
  kikibouba interpolate examples/circle.svg examples/zigzag.svg -n 7 -o morph --also png
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import (
    add_attributes,
    add_controls,
    add_device,
    add_output,
    add_seed,
    add_temperature,
    numbered,
    write_all,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba interpolate`."""
    parser.add_argument("a", type=Path, metavar="A", help="first drawing or MIDI file")
    parser.add_argument("b", type=Path, metavar="B", help="second one, of the same kind")
    parser.add_argument("-n", type=int, default=7, help="steps, both ends included (default 7)")
    parser.add_argument("--mode", choices=("slerp", "lerp"), default="slerp")
    add_output(parser, "folder, or file (numbered)")
    parser.add_argument("--model", help="bundled name or folder (default: found by kind)")
    add_attributes(parser)
    add_controls(parser)
    add_seed(parser)
    add_temperature(parser, 0.0)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Interpolate."""
    from kikibouba.cli.common import controls
    from kikibouba.hub import default_model, load_model

    model = load_model(args.model or default_model(args.a), args.device)
    steps = model.interpolate(
        args.a,
        args.b,
        args.n,
        args.mode,
        args.temperature,
        args.seed,
        controls=controls(args, model),
        attributes=dict(args.attribute),
    )
    names = [f"{args.a.stem}-{args.b.stem}-{number}" for number in numbered(args.n)]
    write_all(steps, args.out, names, args.also)
