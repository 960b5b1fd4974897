"""Train a model on a dataset, or a translator between two trained models.

A run that was interrupted, even killed, goes on when the command is repeated. The folder gets the
weights that did best on held-out data (config.json, model.safetensors, README.md, metrics.json),
log.jsonl and loss.png.

A translator (presets translation, translation_attributes, translation_categories) needs --bases, and for
each base a dataset of its kind, in the same order. Categories that correspond are told with --match: those
of drawings are stored in their dataset, those of music come from a CSV file (--labels) with a line
"file,label" at the top and then one for each file, or for each pattern such as "fiddle/*".

With --ray-workers N the work is shared among N processes of a Ray cluster, which see the same files;
the result is that of N processes under torchrun. docs/howto_cluster.md shows how.

A bridge over one model (presets personal, midime, ae-cat-mel_2bar_big, constraints, lc-cat-mel_2bar_big)
needs that model with --bases. Constraints learn what is measured, and the columns of a CSV file, --labels
FILE.csv, with a line such as "file,mood,genre" at the top. So does the preset sound_vectors need a model of
sound: it makes a model that knows each sound of a second as one vector, as a translator's bases do.

Example:
  kikibouba train mel_2bar --data datasets/mine -o trained/mine --max-minutes 30
  kikibouba train translation_attributes --bases sketch mel_2bar --data my_sketches my_tunes -o trained/both
  kikibouba train translation_categories --bases sketch mel_2bar --data my_sketches my_tunes \
    --labels mel_2bar=genres.csv --match sheep=folk,bat=techno -o trained/by_name
  kikibouba train mel_2bar --data /shared/mine -o /shared/trained --ray-workers 8 --address auto
  kikibouba train constraints --bases mel_2bar --data datasets/mine --labels moods.csv -o trained/moods
  kikibouba train sound_vectors --bases trained/notes --data datasets/notes -o trained/note_vectors
  kikibouba train ae-cat-mel_2bar_big --bases mel_2bar --data datasets/mine -o trained/small
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kikibouba.cli.common import add_device, add_overrides, add_seed
from kikibouba.errors import KikiboubaError

if TYPE_CHECKING:
    from kikibouba.config import Preset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba train`."""
    parser.add_argument("preset", metavar="PRESET", help="name (see `kikibouba models`) or .toml file")
    parser.add_argument(
        "--data", nargs="+", type=Path, required=True, metavar="DIR", help="what `prepare` made"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--bases", nargs="+", metavar="MODEL", help="for a translator: names or folders of its bases"
    )
    parser.add_argument(
        "--labels",
        nargs="+",
        default=(),
        metavar="BASE=FILE.csv",
        help="for a translator: categories of a base's examples, by source file; for constraints FILE.csv",
    )
    parser.add_argument(
        "--match",
        metavar="sheep=folk,bat=techno",
        help="for a translator: categories that correspond, in the order of the bases; dog+sheep=folk joins",
    )
    parser.add_argument(
        "--start-from", metavar="MODEL", help="fine-tune: start from this trained model's weights"
    )
    add_overrides(parser, "model.z_size=128")
    parser.add_argument("--steps", type=int, metavar="N", help="train for N steps in all")
    parser.add_argument(
        "--max-minutes", type=float, metavar="M", help="stop, save and evaluate after M minutes"
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start over where the folder holds an earlier run"
    )
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard files too")
    add_seed(parser)
    add_device(parser)
    parser.add_argument(
        "--ray-workers",
        type=int,
        metavar="N",
        help="share the work among N processes of a Ray cluster (docs/howto_cluster.md)",
    )
    parser.add_argument(
        "--address",
        metavar="auto|HOST:PORT|local",
        help="of the Ray cluster: auto is the one this machine is part of (default: local, it alone)",
    )


def run(args: argparse.Namespace) -> None:
    """Train."""
    from kikibouba.cli.common import overrides
    from kikibouba.config import load_preset
    from kikibouba.hub import is_over_base
    from kikibouba.training import train_model

    preset = load_preset(args.preset, overrides(args.set))
    if is_over_base(preset):
        _train_over_base(preset, args)
    elif preset.representation is None:
        _train_translator(preset, args)
    else:
        if args.bases or args.labels or args.match or len(args.data) > 1:
            raise KikiboubaError(
                f"{preset.name} is a model: it learns from one dataset and has no --bases, --labels, --match"
            )
        train = partial(
            train_model,
            preset,
            args.data[0],
            args.out,
            args.start_from,
            seed=args.seed,
            device=args.device,
            max_minutes=args.max_minutes,
            num_steps=args.steps,
            tensorboard=args.tensorboard,
        )
        _carry_out(train, args)
    print(args.out)


def _carry_out(train: Callable[..., Any], args: argparse.Namespace) -> None:
    """Train in this process, or on a cluster."""
    if args.ray_workers is None:
        if args.address is not None:
            raise KikiboubaError(
                "--address needs --ray-workers N: among how many processes to share the work"
            )
        train(resume=not args.fresh)
        return
    from kikibouba.scale.ray_start import LOCAL
    from kikibouba.scale.train import train_on_ray

    train_on_ray(
        train,
        args.out,
        args.ray_workers,
        resume=not args.fresh,
        cuda=args.device.startswith("cuda"),
        address=args.address or LOCAL,
    )


def _train_translator(preset: "Preset", args: argparse.Namespace) -> None:
    """A bridge between models."""
    import dataclasses

    from kikibouba.training import train_translator

    if args.start_from:
        raise KikiboubaError("--start-from is for models; a translator trains in minutes, start it afresh")
    if args.match:
        categories = tuple(_row(row, args.bases or ()) for row in args.match.split(","))
        model = dataclasses.replace(preset.model, categories=categories)
        preset = dataclasses.replace(preset, model=model)
    train = partial(
        train_translator,
        preset,
        args.bases or (),
        args.data,
        args.out,
        labels=_labels(args.labels),
        seed=args.seed,
        device=args.device,
        max_minutes=args.max_minutes,
        num_steps=args.steps,
        tensorboard=args.tensorboard,
    )
    _carry_out(train, args)


def _train_over_base(preset: "Preset", args: argparse.Namespace) -> None:
    """A bridge over one base."""
    from kikibouba.constraint_training import train_constraints
    from kikibouba.personalizing import train_over_base

    is_midime = preset.family == "midime"
    if len(args.bases or ()) != 1 or len(args.data) != 1 or args.start_from or args.match:
        raise KikiboubaError(
            f"{preset.name} is a bridge over one model: give that with --bases, and one dataset with --data"
        )
    if preset.family == "sound_vectors":
        _fit_sound_vectors(preset, args)
        return
    if len(args.labels) > (not is_midime):
        allowed = "no --labels" if is_midime else "one file of --labels"
        raise KikiboubaError(f"{preset.name} takes {allowed}")
    train = train_over_base
    if not is_midime:
        labels = args.labels[0].rpartition("=")[2] if args.labels else None
        train = partial(train_constraints, labels=labels)
    train = partial(
        train,
        preset,
        args.bases[0],
        args.data[0],
        args.out,
        seed=args.seed,
        device=args.device,
        max_minutes=args.max_minutes,
        num_steps=args.steps,
        tensorboard=args.tensorboard,
    )
    _carry_out(train, args)


def _fit_sound_vectors(preset: "Preset", args: argparse.Namespace) -> None:
    """Vectors over a model of sound: computed in one go."""
    from kikibouba.sound_training import fit_sound_vectors

    if args.labels or args.steps is not None or args.max_minutes is not None or args.tensorboard:
        raise KikiboubaError(
            f"{preset.name} is computed, not trained: leave out --labels, --steps, --max-minutes and "
            "--tensorboard"
        )
    fit_sound_vectors(preset, args.bases[0], args.data[0], args.out, seed=args.seed, device=args.device)


def _labels(settings: Sequence[str]) -> dict[str, str]:
    """`--labels` as base → file."""
    for setting in settings:
        if "=" not in setting:
            raise KikiboubaError(f"--labels {setting} must be BASE=FILE.csv, e.g. mel_2bar=genres.csv")
    return {base: file for base, _, file in (setting.rpartition("=") for setting in settings)}


def _row(text: str, bases: Sequence[str]) -> tuple[str, ...]:
    """One of the rows of `--match`: a category for each base."""
    row = tuple(part.strip() for part in text.split("="))
    if len(row) != len(bases) or not all(row):
        raise KikiboubaError(
            f"--match {text.strip()} must name one category for each of {', '.join(bases) or 'the bases'}, "
            "e.g. sheep=folk"
        )
    return row
