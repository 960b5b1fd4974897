"""Make new melodies, drum beats or drawings.

Example:
  kikibouba sample mel_2bar -n 4 -o tunes --also wav --temperature 0.5 --seed 1
"""

import argparse

from kikibouba.cli.common import add_device, add_output, add_seed, add_temperature, numbered, write_all


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
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Sample."""
    from kikibouba.hub import load_model

    model = load_model(args.model, args.device)
    artifacts = model.sample(args.n, args.temperature, args.seed, args.prior)
    write_all(artifacts, args.out, [f"{model.name}-{number}" for number in numbered(args.n)], args.also)
