"""Make new music or drawings.

--attribute asks for more, or less, of something that is measured in it, in standard deviations: density,
register, ... (`kikibouba attribute` makes what a model of your own needs for that).

Example:
  kikibouba sample mel_2bar -n 4 -o tunes --also wav --temperature 0.5 --seed 1
  kikibouba sample mel_2bar -o busy --attribute density=+1.5 --attribute register=-1
"""

import argparse

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
    """Arguments of `kikibouba sample`."""
    parser.add_argument("model", metavar="MODEL", help="bundled name (see `kikibouba models`) or folder")
    parser.add_argument("-n", type=int, default=4, help="how many (default 4)")
    add_output(parser, "folder, or file (numbered if there are several)")
    add_seed(parser)
    add_temperature(parser, 0.5)
    parser.add_argument(
        "--prior",
        choices=("fitted", "standard"),
        default="fitted",
        help="fitted: z from where the training examples lie; standard: from N(0, 1), as the originals do",
    )
    add_attributes(parser)
    add_controls(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Sample."""
    from kikibouba.cli.common import controls
    from kikibouba.hub import load_model

    model = load_model(args.model, args.device)
    artifacts = model.sample(
        args.n,
        args.temperature,
        args.seed,
        args.prior,
        controls=controls(args, model),
        attributes=dict(args.attribute),
    )
    write_all(artifacts, args.out, [f"{model.name}-{number}" for number in numbered(args.n)], args.also)
