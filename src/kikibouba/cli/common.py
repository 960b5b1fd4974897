"""What several verbs share: options, where output goes, and going on when one of many inputs is bad."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kikibouba.errors import KikiboubaError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

    from kikibouba.generate import Model

ENGINES = ("auto", "torch", "fp32", "int8", "triton", "triton_bf16")
"""`nn.wavenet_voice.Engine`, without torch."""


def add_seed(parser: argparse.ArgumentParser) -> None:
    """--seed"""
    parser.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="the same seed gives the same bytes"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device"""
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1, mps")


def add_temperature(parser: argparse.ArgumentParser, default: float, sound: bool = False) -> None:
    """--temperature. If a verb is for `sound` too, what is not given is None; see `temperature`."""
    usual = f"{default:g}, of sounds 1" if sound else f"{default:g}"
    parser.add_argument(
        "--temperature",
        type=float,
        default=None if sound else default,
        metavar="T",
        help=f"0 takes what is likeliest, 1 is what the model learnt (default {usual})",
    )


def temperature(args: argparse.Namespace, model: "Model", default: float = 0.0) -> float:
    """What --temperature says, or what is usual."""
    if args.temperature is not None:
        return args.temperature
    return 1.0 if model.kind == "audio" else default


def add_engine(parser: argparse.ArgumentParser) -> None:
    """--engine"""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        help="for a model of sound: what says the samples; the quickest on a CPU is int8 (default auto)",
    )


def use_engine(args: argparse.Namespace, model: object) -> None:
    """Let a model of sound speak as --engine says."""
    if args.engine is None:
        return
    from kikibouba.sounds import SoundModel

    if not isinstance(model, SoundModel):
        raise KikiboubaError("--engine is for models of sound; leave it out")
    model.engine = args.engine


def add_output(parser: argparse.ArgumentParser, what: str) -> None:
    """-o and --also"""
    parser.add_argument("-o", "--out", type=Path, required=True, help=what)
    add_also(parser)


def add_also(parser: argparse.ArgumentParser) -> None:
    """--also"""
    parser.add_argument(
        "--also",
        type=suffixes,
        default=(),
        metavar="wav,png",
        help="write the same beside it in other forms: wav, png, json, mid, svg, npz",
    )


def add_whole(parser: argparse.ArgumentParser, what: str) -> None:
    """--whole, also known as --all"""
    parser.add_argument("--whole", "--all", action="store_true", help=what)


def add_controls(parser: argparse.ArgumentParser) -> None:
    """--chords, --key and --controls-from"""
    parser.add_argument(
        "--chords", metavar='"C G Am F"', help="for a model with chords: what it is told, spread evenly"
    )
    parser.add_argument("--key", metavar="Am", help="for a model with keys: the key it is told")
    parser.add_argument(
        "--controls-from",
        type=Path,
        metavar="FILE",
        help="for a model with chords, keys or hits: those of this file's first example",
    )
    add_note(parser)


def add_note(parser: argparse.ArgumentParser) -> None:
    """--pitch, --velocity and --instrument"""
    parser.add_argument("--pitch", type=int, metavar="60", help="for an Embedding RNN: the note's, 0 to 127")
    parser.add_argument("--velocity", type=int, metavar="100", help="likewise")
    parser.add_argument("--instrument", metavar="NAME", help="for one that is told instruments: whose note")


def controls(args: argparse.Namespace, model: "Model") -> "np.ndarray | None":
    """What --chords, --key, --controls-from and the note's options say; None if none is given."""
    note = {name: getattr(args, name, None) for name in ("pitch", "velocity", "instrument")}
    note = {name: value for name, value in note.items() if value is not None}
    written = args.chords is not None or args.key is not None
    if note and (written or args.controls_from is not None):
        raise KikiboubaError(f"give either {', '.join(f'--{name}' for name in note)}, or other controls")
    if note:
        from kikibouba.embeddings import EmbeddingModel

        if not isinstance(model, EmbeddingModel):
            raise KikiboubaError(f"{model.name} is told no {next(iter(note))}: leave it out")
        return model.controls_for_note(**note)  # type: ignore[arg-type]
    if written and args.controls_from is not None:
        raise KikiboubaError("give either --controls-from, or --chords and --key")
    if written:
        return model.controls_from_text(args.chords or "", args.key or "")
    if args.controls_from is None:
        return None
    found = model.controls_of(args.controls_from)
    if found is None:
        raise KikiboubaError(
            f"{model.name} takes no controls (chords, keys or hits): leave out --controls-from"
        )
    return found


def add_attributes(parser: argparse.ArgumentParser) -> None:
    """--attribute"""
    parser.add_argument(
        "--attribute",
        action="append",
        type=_attribute,
        default=[],
        metavar="NAME=AMOUNT",
        help="so many standard deviations more of an attribute, e.g. density=+1.5; NAME may be a file that "
        "`kikibouba attribute` wrote; may be repeated",
    )


def _attribute(text: str) -> tuple[str, float]:
    name, _, amount = text.rpartition("=")
    try:
        return name, float(amount)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=AMOUNT, e.g. density=+1.5") from None


def add_ray(parser: argparse.ArgumentParser, what: str) -> None:
    """--ray and --address"""
    parser.add_argument("--ray", action="store_true", help=f"{what} on Ray, by default on this machine alone")
    parser.add_argument(
        "--address",
        metavar="auto|HOST:PORT|local",
        help="of the Ray cluster: auto is the one this machine is part of; implies --ray",
    )


def ray_address(args: argparse.Namespace) -> str | None:
    """Where Ray is, by --ray and --address; None where it is not wanted."""
    from kikibouba.scale.ray_start import LOCAL

    return args.address or (LOCAL if args.ray else None)


def add_overrides(parser: argparse.ArgumentParser, example: str) -> None:
    """--set"""
    parser.add_argument(
        "--set",
        action="append",
        metavar="FIELD=VALUE",
        help=f"override a field of the preset, e.g. {example}; may be repeated",
    )


def overrides(settings: Sequence[str] | None) -> dict[str, str]:
    """`--set` options as field → text."""
    for setting in settings or ():
        if "=" not in setting:
            raise KikiboubaError(f"--set {setting} must be FIELD=VALUE, e.g. --set model.z_size=128")
    return dict(setting.split("=", 1) for setting in settings or ())


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 0 or more")
    return int(text)


def suffixes(text: str) -> tuple[str, ...]:
    """`--also`: "wav, .PNG" → (".wav", ".png")."""
    return tuple(f".{part.strip().lstrip('.').lower()}" for part in text.split(",") if part.strip())


def write(artifact: Any, path: Path, also: Sequence[str] = ()) -> None:
    """Save an artifact under a path and beside it with other suffixes; print every path."""
    paths = [path, *(path.with_suffix(suffix) for suffix in also)]
    for one in paths:
        if one.suffix.lower() not in artifact.suffixes:
            hint = did_you_mean(one.suffix, artifact.suffixes)
            raise KikiboubaError(
                f"cannot write {one}: {type(artifact).__name__} has no form {one.suffix!r}{hint}"
            )
    for one in dict.fromkeys(paths):
        print(artifact.save(one))


def write_all(artifacts: Sequence[Any], out: Path, names: Sequence[str], also: Sequence[str] = ()) -> None:
    """Save results of one kind.

    A folder (which exists, or has no suffix) gets a file for each name; a file name that must serve for
    several is numbered: z-1.mid, z-2.mid, …
    """
    if _is_folder(out):
        paths = [make_folder(out) / f"{name}{artifacts[0].suffixes[0]}" for name in names]
    elif len(names) == 1:
        paths = [out]
    else:
        paths = [out.with_name(f"{out.stem}-{number}{out.suffix}") for number in numbered(len(names))]
    for artifact, path in zip(artifacts, paths, strict=True):
        write(artifact, path, also)


def numbered(n: int) -> list[str]:
    """ "1" … "n", all of one width."""
    return [f"{number:0{len(str(n))}}" for number in range(1, n + 1)]


def _is_folder(out: Path) -> bool:
    return out.is_dir() or not out.suffix


def make_folder(folder: Path) -> Path:
    """The folder, made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KikiboubaError(f"cannot make the folder {folder}: {error.strerror}") from None
    return folder


def for_each_input(
    inputs: Sequence[Path],
    out: Path,
    also: Sequence[str],
    work: Callable[[Path], Any],
    work_all: Callable[[Iterator[Path]], Iterator[Any]] | None = None,
) -> int:
    """Apply `work` to every input and write what it returns; for one file as for a folder full.

    A bad input among several is named and skipped. Returns the exit status: 1 if any was skipped.

    Args:
        work_all: does the same with several inputs, where that is quicker than one by one; it gives results
            in their order, and errors in place of results.
    """
    if len(inputs) == 1 and not inputs[0].is_dir():
        write_all([work(inputs[0])], out, [inputs[0].stem], also)
        return 0
    if not _is_folder(out):
        raise KikiboubaError(f"several inputs need a folder to go to, but {out} is a file name")
    skipped = done = 0
    files = list(_files(inputs))
    sources = (source for source, _ in files)
    results = _each(work, sources) if work_all is None else work_all(sources)
    for (source, relative), artifact in zip(files, results, strict=True):
        try:
            if isinstance(artifact, KikiboubaError):
                raise artifact
            folder = make_folder((out / relative).parent)
            write(artifact, folder / f"{relative.name}{artifact.suffixes[0]}", also)
            done += 1
        except KikiboubaError as error:
            skipped += 1
            skip(source, error)
    if not done + skipped:
        raise KikiboubaError(f"nothing to read in {', '.join(map(str, inputs))}: no drawing and no music")
    if skipped:
        print(f"kikibouba: {done} files written, {skipped} skipped", file=sys.stderr)
    return 1 if skipped else 0


def _each(work: Callable[[Path], Any], sources: Iterator[Path]) -> Iterator[Any]:
    """What `work` makes of every source, or its error."""
    for source in sources:
        try:
            yield work(source)
        except KikiboubaError as error:
            yield error


def skip(source: Path, error: KikiboubaError) -> None:
    """Say that one of many inputs is left out, and why."""
    print(f"kikibouba: skipped {source}: {' '.join(str(error).split())}", file=sys.stderr)


def _files(inputs: Sequence[Path]) -> Iterator[tuple[Path, Path]]:
    """(file, its name without suffix relative to the input it was found in), no name twice."""
    from kikibouba.inputs import is_readable

    taken: set[Path] = set()
    for given in inputs:
        if given.is_dir():
            found = sorted(p for p in given.rglob("*") if is_readable(p.name))
            pairs = [(path, path.relative_to(given)) for path in found if path.is_file()]
        else:
            pairs = [(given, Path(given.name))]
        for path, relative in pairs:
            name = relative.with_suffix("")
            while name in taken:  # sheep.svg and sheep.mid in one folder
                name = name.with_name(f"{name.name}_{path.suffix[1:]}")
            taken.add(name)
            yield path, name
