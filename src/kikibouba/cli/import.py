"""Turn a checkpoint of the original programs into a model of ours.

Takes TensorFlow checkpoints (prefix, folder, .tar, .tgz), folders of magenta.js or deeplearn.js, the
.gen.json and .vae.json files of sketch-rnn-js, and the .pth files of music-translation. Every verb also takes
such a path in place of a model.

Example:
  kikibouba import cat-mel_2bar_big.tar -o models/mel_2bar_big
  kikibouba import sheep.gen.json -o models/sheep
  kikibouba import groovae_2bar_humanize.tar --preset groovae_2bar_humanize -o models/humanize
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import add_overrides, overrides


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba import`."""
    parser.add_argument("path", type=Path, metavar="PATH", help="the original checkpoint")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the model")
    parser.add_argument("--preset", metavar="NAME", help="what it is, where the files fit several presets")
    parser.add_argument(
        "--allow-partial",
        choices=("decoder", "means"),
        help="decoder: the encoder may be missing; means: only the encoder's sigma may be",
    )
    add_overrides(parser, "representation.scale_factor=18.5")


def run(args: argparse.Namespace) -> None:
    """Import."""
    from kikibouba.importing import import_checkpoint, import_to

    imported = import_checkpoint(args.path, args.preset, args.allow_partial, overrides(args.set))
    for note in imported.notes:
        print(note)
    print(import_to(args.out, imported, args.path))
