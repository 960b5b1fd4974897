"""Turn latent vectors into files.

Reads what `encode` wrote, or a .json or .npz of your own with rows `mu`; --model is needed where the
file does not name the model.

Example:
  kikibouba decode sheep.json -o sheep.svg
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import add_device, add_output, add_seed, add_temperature, numbered, write_all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba decode`."""
    parser.add_argument("latents", type=Path, metavar="Z", help=".npz or .json with rows of latent vectors")
    add_output(parser, "file (numbered if there are several rows), or folder")
    parser.add_argument("--model", help="bundled name or folder (default: as the file says)")
    add_seed(parser)
    add_temperature(parser, 0.0)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Decode."""
    from kikibouba.errors import KikiboubaError
    from kikibouba.hub import load_model
    from kikibouba.latents import read_latents

    latents = read_latents(args.latents)
    name = args.model or latents.model
    if not name:
        raise KikiboubaError(f"{args.latents} does not say which model it belongs to; name it with --model")
    artifacts = load_model(name, args.device).decode(latents.mu, args.temperature, args.seed)
    names = [f"{args.latents.stem}-{number}" for number in numbered(len(artifacts))]
    write_all(artifacts, args.out, names if len(names) > 1 else [args.latents.stem], args.also)
