"""Write the latent vectors of files or a dataset: mean and standard deviation of each example's posterior.

Of a longer piece the first bars that fill an example are encoded, or with --whole all of it, window by
window. A row of the result is one example; rows of several files follow each other, those of a dataset are
in its order. The file remembers the model and where in a piece each window lies, so that `decode` needs no
other word. With --ray models on many machines share the work (docs/howto_cluster.md), on their GPUs if they
have any; the numbers are the same.

Example:
  kikibouba encode examples/sheep.svg -o sheep.json
  kikibouba encode examples/morning_walk.mid --whole -o walk.npz
  kikibouba encode datasets/melody --split test -o melodies.npz
  kikibouba encode /shared/midi --model mel_2bar -o melodies.npz --ray --address auto
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kikibouba.cli.common import add_ray, add_whole, ray_address, skip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kikibouba.encoding import Part, Task


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba encode`."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="IN",
        help="drawings or music or sound of one kind, folders of them, or datasets",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help=".npz, .json, or .npy (the means only)")
    parser.add_argument("--model", help="bundled name or folder (default: found by kind)")
    add_whole(parser, "every drawing, or window, of a file")
    parser.add_argument(
        "--split", default="train", metavar="NAME", help="of a dataset: train (default), valid or test"
    )
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:1, mps (default: cpu; with --ray cuda where the cluster has GPUs)"
    )
    add_ray(parser, "encode")


def run(args: argparse.Namespace) -> int:
    """Encode."""
    from kikibouba.encoding import gather, model_of, tasks_of
    from kikibouba.errors import KikiboubaError

    tasks = tasks_of(args.inputs, args.whole, args.split)
    name = args.model or model_of(tasks)
    parts = list(_parts(args, name, tasks))
    latents = gather(name, tasks, parts)
    skipped = [(task, part) for task, part in zip(tasks, parts, strict=True) if part.skipped]
    for task, part in skipped:
        skip(Path(task.path), KikiboubaError(part.skipped))
    print(latents.save(args.out))
    return int(bool(skipped))


def _parts(args: argparse.Namespace, model: str, tasks: "Sequence[Task]") -> "Iterable[Part]":
    """The posteriors of every task, from this machine or from a cluster."""
    if (address := ray_address(args)) is not None:
        from kikibouba.scale.encode import encode_on_ray

        return encode_on_ray(tasks, model, address=address, device=args.device)
    from tqdm import tqdm

    from kikibouba.encoding import Encoder
    from kikibouba.hub import load_model

    return map(Encoder(load_model(model, args.device or "cpu")), tqdm(tasks, disable=None, leave=False))
