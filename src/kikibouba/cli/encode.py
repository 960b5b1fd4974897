"""Write the latent vectors of files: mean and standard deviation of the posterior of each example.

Of a longer piece the first bars that fill an example are encoded, or with --whole all of it, window by
window. A row of the result is one example; rows of several files follow each other. The file remembers the
model and where in a piece each window lies, so that `decode` needs no other word.

Example:
  kikibouba encode examples/sheep.svg -o sheep.json
  kikibouba encode examples/morning_walk.mid --whole -o walk.npz
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import add_device, add_whole, skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba encode`."""
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="IN", help="drawings or MIDI files of one kind"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help=".npz, .json, or .npy (the means only)")
    parser.add_argument("--model", help="bundled name or folder (default: found by kind)")
    add_whole(parser, "every drawing, or window, of a file")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Encode."""
    import numpy as np

    from kikibouba.errors import KikiboubaError
    from kikibouba.hub import default_model, load_model
    from kikibouba.inputs import read_piece
    from kikibouba.latents import Latents

    name = args.model or default_model(args.inputs[0])
    model = load_model(name, args.device)
    found, sources, places = [], [], []
    for source in args.inputs:
        try:
            if args.whole:
                piece = read_piece(source, model.representation)
                found.append(model.encode(piece.arrays))
                places += piece.places
            else:
                found.append(model.encode(source))
            sources += [str(source)] * len(found[-1].mu)
        except KikiboubaError as error:
            if len(args.inputs) == 1:
                raise
            skip(source, error)
    if not found:
        raise KikiboubaError("none of the inputs could be encoded")
    mu, sigma = (np.concatenate(column) for column in zip(*found, strict=True))
    known = np.array(places, np.float64) if len(places) == len(mu) else None
    print(Latents(mu, sigma, name, tuple(sources), known).save(args.out))
    return int(len(found) < len(args.inputs))
