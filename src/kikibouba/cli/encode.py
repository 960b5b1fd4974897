"""Write the latent vectors of files: mean and standard deviation of the posterior of each example.

Of a longer piece the first two usable bars are encoded, or with --all every window. A row of the result
is one example; rows of several files follow each other. The file remembers the model, so that `decode`
needs no other word.

Example:
  kikibouba encode examples/sheep.svg -o sheep.json
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import add_device, skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba encode`."""
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="IN", help="drawings or MIDI files of one kind"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help=".npz or .json")
    parser.add_argument("--model", help="bundled name or folder (default: found by kind)")
    parser.add_argument("--all", action="store_true", help="every drawing, or window, of a file")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Encode."""
    import numpy as np

    from kikibouba.errors import KikiboubaError
    from kikibouba.hub import default_model, load_model
    from kikibouba.latents import Latents

    name = args.model or default_model(args.inputs[0])
    model = load_model(name, args.device)
    found, sources = [], []
    for source in args.inputs:
        try:
            found.append(model.encode(source, every=args.all))
            sources += [str(source)] * len(found[-1].mu)
        except KikiboubaError as error:
            if len(args.inputs) == 1:
                raise
            skip(source, error)
    if not found:
        raise KikiboubaError("none of the inputs could be encoded")
    mu, sigma = (np.concatenate(column) for column in zip(*found, strict=True))
    print(Latents(mu, sigma, name, tuple(sources)).save(args.out))
    return int(len(found) < len(args.inputs))
