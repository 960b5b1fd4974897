"""Pass a file through a model and back: what the model kept of it.

The model follows from the file (a drawing, a melody, drums) unless --model names one. Of a longer piece
the first two usable bars are taken. Several inputs, or a folder, go to a folder; bad files among them
are named and skipped.

Example:
  kikibouba reconstruct examples/sheep.svg -o sheep_again.svg --also png
"""

import argparse
from functools import cache
from pathlib import Path

from kikibouba.cli.common import add_device, add_output, add_seed, add_temperature, for_each_input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba reconstruct`."""
    parser.add_argument(
        "inputs", nargs="+", type=Path, metavar="IN", help="drawings, MIDI files, or folders of them"
    )
    add_output(parser, "file, or folder for several inputs")
    parser.add_argument("--model", help="bundled name or folder (default: found by kind)")
    add_seed(parser)
    add_temperature(parser, 0.0)
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Reconstruct the inputs."""
    from kikibouba.data.artifacts import Artifact
    from kikibouba.hub import default_model, load_model

    load = cache(lambda name: load_model(name, args.device))

    def work(source: Path) -> Artifact:
        return load(args.model or default_model(source)).reconstruct(source, args.temperature, args.seed)

    return for_each_input(args.inputs, args.out, args.also, work)
