"""Translate a drawing into a tune, a tune into a drawing, a melody into a drum beat, ...

What the input is follows from the file: .svg, .npz, .ndjson and .json are drawings; .mid is a melody, or
drums if all its notes are drums. Of a longer piece the first two bars that can be used are translated,
or with --whole all of it: every window at its place and in the tempo of the piece, or as a drawing on one
sheet. Other tunes come out at 120 quarter notes a minute, unless --tempo says otherwise.
Several inputs, or a folder, go to a folder; bad files among them are named and skipped, and the exit
status is then 1.

A music translation network (presets umtn, umtn_small, ...), named by --with, plays a recording in another of
its domains: .wav, .flac, .ogg or .mp3 becomes .wav. Recordings of about the same length are played at once. A
drawing becomes a sound by a translator between drawings and the preset sound_vectors: docs/sound.md.

Sequence-to-sequence models always translate the whole piece: the bundled one gives a tune a piano, others
(presets harmonize, restyle, tonenet_dynamics, ...) are named by --with.

Example:
  kikibouba translate examples/sheep.svg --to melody -o sheep.mid --also wav,png
  kikibouba translate examples/morning_walk.mid --to drums --whole -o walk_beat.mid
  kikibouba translate guitar.wav --to strings --with trained/timbre -o strings.wav
  kikibouba translate my_recordings --to strings --with trained/timbre -o played_on_strings
  kikibouba translate examples/morning_walk.mid --to piano-arrangement -o walk.mid --also wav
"""

import argparse
from functools import partial
from pathlib import Path

from kikibouba.cli.common import (
    add_device,
    add_engine,
    add_output,
    add_seed,
    add_temperature,
    add_whole,
    for_each_input,
    use_engine,
)
from kikibouba.config import REPRESENTATIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba translate`."""
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="IN",
        help="drawings, MIDI files, recordings, or folders of them",
    )
    parser.add_argument(
        "--to",
        required=True,
        metavar="WHAT",
        help="what it becomes: melody, drums, sketch, …; with a sequence-to-sequence model what that makes, "
        "e.g. piano-arrangement, or one of its styles; with a music translation network one of its domains",
    )
    add_output(parser, "file, or folder for several inputs; the suffix says the form")
    parser.add_argument(
        "--with",
        dest="translator",
        metavar="TRANSLATOR",
        help="bundled name or folder (default: found by kind)",
    )
    parser.add_argument(
        "--from", dest="kind", choices=tuple(REPRESENTATIONS), help="what the input is, if the guess is wrong"
    )
    add_whole(parser, "translate all of a piece, or of a file of drawings")
    parser.add_argument(
        "--tempo",
        type=float,
        metavar="QPM",
        help="quarter notes a minute of the tune (default 120, or the piece's)",
    )
    parser.add_argument(
        "--style", metavar="NAME", help="for a sequence-to-sequence model with styles: the one that is wanted"
    )
    parser.add_argument(
        "--beam",
        type=int,
        default=1,
        metavar="N",
        help="for a sequence-to-sequence model: search with N beginnings at a time; no temperature then",
    )
    add_seed(parser)
    parser.add_argument(
        "--tries", type=int, default=8, metavar="N", help="translate N ways, keep what fits best (default 8)"
    )
    add_temperature(parser, 0.2, sound=True)
    add_engine(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Translate the inputs."""
    from kikibouba.data.artifacts import Tune
    from kikibouba.errors import KikiboubaError
    from kikibouba.hub import instruments, load_any_translator
    from kikibouba.sounds import TEMPERATURE, SoundModel
    from kikibouba.translator import set_tempo, translate

    if args.tempo is not None and args.to == "sketch":
        raise KikiboubaError("--tempo is for tunes; a drawing has none")
    name = args.translator or instruments().get(args.to)
    named = load_any_translator(name, args.device) if name else None
    use_engine(args, named)

    def work(source: Path) -> object:
        result = translate(
            source,
            args.to,
            translator=named,
            kind=args.kind,
            seed=args.seed,
            temperature=args.temperature,
            whole=args.whole,
            tries=args.tries,
            device=args.device,
            style=args.style,
            beam=args.beam,
        )
        return result if args.tempo is None or not isinstance(result, Tune) else set_tempo(result, args.tempo)

    work_all = None
    if isinstance(named, SoundModel) and args.style is None and args.beam == 1:
        heat = TEMPERATURE if args.temperature is None else args.temperature
        work_all = partial(named.translate_all, to=args.to, temperature=heat, seed=args.seed, progress=True)
    return for_each_input(args.inputs, args.out, args.also, work, work_all)
