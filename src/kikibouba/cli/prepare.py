"""Turn a folder of music files, drawings or recordings into a dataset that `train` reads.

Music is read from MIDI, MusicXML, ABC tune books and Magenta's TFRecords, drawings from SVG and QuickDraw's
files, sound from WAV, FLAC, OGG, MP3 and NSynth's TFRecords. The first argument is a kind (melody, drums,
groove, trio, multitrack, sketch, audio) or a preset, whose representation is then used. Lists train.txt,
valid.txt and test.txt in a folder `split` of the input, or in --splits, say which file goes where; without
lists a file's split follows from its name. Files that cannot be used are skipped, and listed with the reason.
A run that was interrupted, even killed, goes on when the command is repeated, with --ray or without. Pairs
of pieces (presets pairs, arrange, harmonize) are two tracks of a file, or two files that a table (.csv)
names: docs/seq2seq.md.

`prepare render` makes recordings of music, on one instrument a piece for training and on all of them for
testing, in a folder that `prepare audio` takes. `prepare notes` makes single notes instead, as NSynth's.
`prepare embedding` makes frames of recordings, or takes them from .npy files: docs/embedding_rnn.md.

Example:
  kikibouba prepare melody my_midi_files datasets/mine --limit 1000
  kikibouba prepare melody /shared/midi datasets/mine --ray --address auto
  kikibouba prepare my_drums.toml groove datasets/my_drums --workers 2
  kikibouba prepare render my_midi_files recordings --domains piano strings --seconds 30
  kikibouba prepare audio recordings datasets/timbre
  kikibouba prepare notes 48-72 my_notes --domains flute organ
  kikibouba prepare nsynth my_notes datasets/notes
  kikibouba prepare embedding my_notes datasets/embedded
"""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kikibouba.cli.common import add_overrides, add_ray, add_seed, ray_address

if TYPE_CHECKING:
    from kikibouba.data.prepare import ReadAll


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba prepare`."""
    parser.add_argument(
        "kind",
        metavar="KIND",
        help="melody, drums, groove, trio, multitrack, sketch, audio, a preset, a .toml file; render, notes",
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="files or folders")
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="folder of the dataset")
    parser.add_argument(
        "--splits",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="folder with train.txt, valid.txt, test.txt (one, or one per IN)",
    )
    parser.add_argument(
        "--fractions",
        nargs=3,
        type=float,
        default=(0.9, 0.05, 0.05),
        metavar=("TRAIN", "VALID", "TEST"),
        help="shares of files where there are no lists (default 0.9 0.05 0.05)",
    )
    parser.add_argument("--unique", action="store_true", help="keep only the first of equal examples")
    parser.add_argument("--limit", type=int, metavar="N", help="read the first N files only")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    add_ray(parser, "read the files")
    add_overrides(parser, "representation.max_length=130")
    parser.add_argument(
        "--model", metavar="WAVENET", help="for embedding: whose frames are taken (default: log-mel frames)"
    )
    rendering = parser.add_argument_group("for render and notes")
    rendering.add_argument(
        "--domains",
        nargs="+",
        default=("piano", "strings"),
        metavar="NAME",
        help="instruments: piano, strings, flute, ...; or NAME=PROGRAM of General MIDI, from 0",
    )
    rendering.add_argument("--soundfont", nargs="+", type=Path, default=(), metavar="SF2", help=".sf2 files")
    rendering.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="at most so much of a piece (default 60)"
    )
    add_seed(parser)


def run(args: argparse.Namespace) -> None:
    """Prepare a dataset."""
    from kikibouba.cli.common import overrides
    from kikibouba.data.prepare import prepare, report
    from kikibouba.errors import KikiboubaError
    from kikibouba.hub import representation_for

    splits = args.splits[0] if args.splits and len(args.splits) == 1 else args.splits
    if args.kind in ("render", "notes"):
        _render(args, splits)
        return
    representation: Any = representation_for(args.kind, overrides(args.set))
    if representation.kind == "embedding":
        from kikibouba.embeddings_prepare import prepare_embeddings

        make = partial(prepare_embeddings, model=args.model)
    elif args.model:
        raise KikiboubaError(
            f"{args.kind} needs no --model: it is for embedding, whose frames a WaveNet makes"
        )
    else:
        make = prepare
    dataset = make(
        representation,
        args.inputs,
        args.out,
        splits=splits,
        fractions=tuple(args.fractions),
        unique=args.unique,
        limit=args.limit,
        workers=args.workers,
        read_all=_reader(args),
    )
    print(report(dataset))


def _reader(args: argparse.Namespace) -> "ReadAll | None":
    """What reads the files: a Ray cluster, or None for processes of this machine."""
    if (address := ray_address(args)) is None:
        return None
    from kikibouba.scale.prepare import read_all

    return partial(read_all, address=address, cores=args.workers)


def _render(args: argparse.Namespace, splits: Any) -> None:
    """Make recordings."""
    from collections import Counter

    from kikibouba.data.render_domains import render
    from kikibouba.data.render_notes import render_notes
    from kikibouba.errors import KikiboubaError

    if args.set or args.unique:
        raise KikiboubaError(
            f"{args.kind} takes no --set and no --unique; `prepare audio` does, of what it makes"
        )
    if ray_address(args) is not None:
        raise KikiboubaError(f"{args.kind} does not run on Ray; `prepare audio` does, of what it makes")
    if args.kind == "notes":
        if len(args.inputs) != 1 or len(args.soundfont) > 1:
            raise KikiboubaError("notes takes one range of pitches, e.g. 48-72, and one soundfont")
        font = args.soundfont[0] if args.soundfont else None
        shares = tuple(args.fractions)
        notes = render_notes(
            str(args.inputs[0]),
            args.out,
            args.domains,
            soundfont=font,
            fractions=shares,
            workers=args.workers,
        )
        print(f"{args.out}: {len(notes)} notes")
        return
    made = render(
        args.inputs,
        args.out,
        args.domains,
        soundfonts=args.soundfont,
        splits=splits,
        fractions=tuple(args.fractions),
        seconds=args.seconds,
        seed=args.seed,
        limit=args.limit,
        workers=args.workers,
    )
    counts = Counter(one.domain for one in made)
    print(f"{args.out}: recordings of {', '.join(f'{count} {name}' for name, count in counts.items())}")
