"""Find the direction in a model's latent space that makes what it decodes denser, higher, more jagged, ...

The vectors are read off examples, from a dataset or from files, and tried on others: a table says how well
the attribute follows what is asked (moved, a rank correlation), how much of a standard deviation comes for
one that is asked (gain), and how much the other attributes move along (others, a rank correlation).
`sample`, `reconstruct`, `interpolate` and `decode` then take --attribute NAME=AMOUNT.

NAME is an attribute of what the model is trained on, or "all". Without -o all vectors are kept beside the
model, where --attribute finds them by name.

Example:
  kikibouba attribute density --model mel_2bar --data datasets/mine -o density.npz
  kikibouba attribute all examples/morning_walk.mid examples/river.mid -o tunes.npz
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import add_device, add_seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba attribute`."""
    parser.add_argument("name", metavar="NAME", help="density, register, ..., or all")
    parser.add_argument("inputs", nargs="*", type=Path, metavar="IN", help="files, in place of --data")
    parser.add_argument("--data", type=Path, metavar="DIR", help="what `prepare` made")
    parser.add_argument("--model", help="bundled name or folder (default: found by kind)")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help=".npz or .safetensors")
    parser.add_argument(
        "--method",
        choices=("best", "regression", "difference"),
        default="best",
        help="least squares, the mean of the upper quarter less that of the lower, or whichever does better",
    )
    parser.add_argument(
        "--entangled", action="store_true", help="let what goes with the attribute in the data come along"
    )
    parser.add_argument(
        "--limit", type=int, default=5000, metavar="N", help="examples at most (default 5000)"
    )
    add_seed(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> None:
    """Find, measure and save."""
    from kikibouba.attributes import measure_vectors, shared_out, vectors_from_examples
    from kikibouba.bridges.attribute_vectors import ALIASES, FILE_NAME
    from kikibouba.errors import KikiboubaError, did_you_mean
    from kikibouba.hub import default_model, load_model, locate, model_for

    if (args.data is None) == (not args.inputs):
        raise KikiboubaError("give either files or --data DIR: examples to read the direction off")
    name = args.model or (default_model(args.inputs[0]) if args.inputs else model_for(args.data))
    model = load_model(name, args.device)
    examples, held_out = shared_out(model, args.inputs or args.data, args.limit, args.seed)
    known = [*model.representation.attributes(examples[:1]), "all", *ALIASES]
    if args.name not in known:
        raise KikiboubaError(f"{model.kind} has no attribute {args.name!r}{did_you_mean(args.name, known)}")
    vectors = vectors_from_examples(model, examples, method=args.method, orthogonal=not args.entangled)
    wanted = list(vectors.vectors) if args.name == "all" else [vectors.find(args.name)]
    figures = measure_vectors(model, vectors, held_out)
    print(f"{model.name}, tried on {len(held_out)} examples")
    print(f"  {'':<12} {'moved':>7} {'gain':>7} {'others':>7}")
    for one in wanted:
        columns = (f"{figures[f'{one} {what}']:7.2f}" for what in ("moved", "gain", "others"))
        print(f"  {one:<12} {' '.join(columns)}")
    if args.out is None:
        print(vectors.save(locate(name) / FILE_NAME))
    else:
        print(vectors.only(wanted).save(args.out))
