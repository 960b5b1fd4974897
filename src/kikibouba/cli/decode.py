"""Turn latent vectors into files.

Reads what `encode` wrote, or a .json or .npz of your own with rows `mu`; --model is needed where the
file does not name the model. --whole makes one piece, or one sheet of drawings, of all rows.

Example:
  kikibouba decode sheep.json -o sheep.svg
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
    add_whole,
    numbered,
    write_all,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba decode`."""
    parser.add_argument(
        "latents", type=Path, metavar="Z", help=".npz, .json or .npy with rows of latent vectors"
    )
    add_output(parser, "file (numbered if there are several rows), or folder")
    parser.add_argument("--model", help="bundled name or folder (default: as the file says)")
    parser.add_argument(
        "--to", metavar="DOMAIN", help="for a music translation network: which of its domains plays"
    )
    add_whole(parser, "put the windows of a piece together again")
    add_attributes(parser)
    add_controls(parser)
    add_seed(parser)
    add_temperature(parser, 0.0, sound=True)
    add_engine(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Decode."""
    from kikibouba.cli.common import controls, temperature, use_engine
    from kikibouba.data.pieces import Piece, Place, join
    from kikibouba.errors import KikiboubaError
    from kikibouba.hub import load_model
    from kikibouba.latents import read_latents
    from kikibouba.sounds import SoundModel

    latents = read_latents(args.latents)
    name = args.model or latents.model
    if not name:
        raise KikiboubaError(f"{args.latents} does not say which model it belongs to; name it with --model")
    model = load_model(name, args.device)
    use_engine(args, model)
    z = model.shifted(latents.mu, dict(args.attribute))
    heat = temperature(args, model)
    if isinstance(model, SoundModel):
        artifacts = model.decode(z, heat, args.seed, controls(args, model), to=args.to, progress=True)
    elif args.to:
        raise KikiboubaError(f"{name} decodes {model.kind} and has no domains: leave --to out")
    else:
        artifacts = model.decode(z, heat, args.seed, controls(args, model))
    if args.whole:
        if latents.places is not None and len(set(latents.sources)) > 1:
            raise KikiboubaError(f"{args.latents} holds several pieces; --whole is for one")
        places = [Place(*row) for row in ([] if latents.places is None else latents.places.tolist())]
        artifacts = [join(artifacts, Piece([], places), None if places else model.seconds)]
    names = [f"{args.latents.stem}-{number}" for number in numbered(len(artifacts))]
    write_all(artifacts, args.out, names if len(names) > 1 else [args.latents.stem], args.also)
