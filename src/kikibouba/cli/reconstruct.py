"""Pass a file through a model and back: what the model kept of it.

The model follows from the file (a drawing, a melody, drums) unless --model names one. Of a longer piece
the first bars that fill an example are taken, or with --whole all of it: window by window, each at its
place and in the tempo of the piece. Several inputs, or a folder, go to a folder; bad files among them are
named and skipped.

--attribute asks for more, or less, of something than the file has, in standard deviations. A model with
chords, keys or hits is told those of the file unless --chords or --controls-from say otherwise.

Example:
  kikibouba reconstruct examples/sheep.svg -o sheep_again.svg --also png
  kikibouba reconstruct examples/morning_walk.mid --whole --attribute density=+1 -o busier.mid
"""

import argparse
from functools import cache, partial
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
    for_each_input,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba reconstruct`."""
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="IN", help="drawings, MIDI files, or folders of them"
    )
    add_output(parser, "file, or folder for several inputs")
    parser.add_argument("--model", help="bundled name or folder (default: found by kind)")
    add_whole(parser, "all of a piece, or of a file of drawings")
    add_attributes(parser)
    add_controls(parser)
    parser.add_argument(
        "--mix",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of an Embedding RNN: so much of the original in every frame, 0 to 1 (default 0)",
    )
    add_seed(parser)
    add_temperature(parser, 0.0, sound=True)
    add_engine(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Reconstruct the inputs."""
    from kikibouba.cli.common import controls, temperature, use_engine
    from kikibouba.data.artifacts import Artifact
    from kikibouba.embeddings import EmbeddingModel
    from kikibouba.errors import KikiboubaError
    from kikibouba.hub import default_model, load_model

    load = cache(lambda name: load_model(name, args.device))

    def work(source: Path) -> Artifact:
        model = load(args.model or default_model(source))
        use_engine(args, model)
        rebuild = model.reconstruct
        if isinstance(model, EmbeddingModel):
            rebuild = partial(model.reconstruct, mix=args.mix)
        elif args.mix:
            raise KikiboubaError(f"{model.name} mixes nothing: --mix is for an Embedding RNN")
        return rebuild(
            source,
            temperature(args, model),
            args.seed,
            whole=args.whole,
            controls=controls(args, model),
            attributes=dict(args.attribute),
        )

    return for_each_input(args.inputs, args.out, args.also, work)
