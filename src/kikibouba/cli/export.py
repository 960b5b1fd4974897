"""Write a model in a format that other programs run.

magenta-js     a folder that @magenta/music loads: new MusicVAE(url)
sketch-rnn-js  NAME.vae.json, or with --z the NAME.gen.json of one drawing, which @magenta/sketch loads
onnx           encoder, decoder step and whole greedy decoding, for onnxruntime

Example:
  kikibouba export mel_2bar --to magenta-js -o js/mel_2bar
  kikibouba export sketch --to sketch-rnn-js --z sheep.json -o js
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba export`."""
    parser.add_argument("model", metavar="MODEL", help="bundled name (see `kikibouba models`), or folder")
    parser.add_argument("--to", choices=("magenta-js", "sketch-rnn-js", "onnx"), required=True)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder")
    parser.add_argument(
        "--quantize",
        choices=("uint16", "uint8"),
        help="magenta-js: store weights in two bytes or one instead of four",
    )
    parser.add_argument(
        "--z",
        type=Path,
        metavar="FILE",
        help="sketch-rnn-js: a decoder of this latent vector (from `encode`)",
    )


def run(args: argparse.Namespace) -> None:
    """Export."""
    from kikibouba.exporting import export
    from kikibouba.hub import load_model
    from kikibouba.latents import read_latents

    z = read_latents(args.z).mu[0] if args.z else None
    for path in export(load_model(args.model), args.to, args.out, args.quantize or "float32", z):
        print(path)
