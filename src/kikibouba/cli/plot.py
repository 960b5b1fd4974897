"""Draw a picture (.png).

  files            piano rolls and drawings of files, side by side
  curve            the training curve of runs
  map              a model's latent space in two dimensions, coloured by an attribute
  reconstructions  files above what a model makes of them
  interpolation    the steps from one file to another
  sliders          what each latent of a personal model does
  translations     drawings, ordered from round to spiky, above the tunes they become; --also wav,mid writes
                   the tunes one after the other

  attention        where a sequence-to-sequence model looked while it translated a tune
  embedding        an Embedding RNN's six figures and its listening page, in a folder; or the page alone
                   (.html); other runs that are named are set beside it in the box plot

Example:
  kikibouba plot files examples/sheep.svg sheep.mid -o both.png
  kikibouba plot curve trained/mine -o curve.png
  kikibouba plot map sketch --data datasets/sketches --color angularity -o map.png
  kikibouba plot reconstructions examples/sheep.svg examples/circle.svg -o rows.png
  kikibouba plot interpolation examples/circle.svg examples/zigzag.svg -n 7 -o morph.png
  kikibouba plot sliders mine -o sliders.png
  kikibouba plot attention trained/arrange tune.mid -o attention.png
  kikibouba plot translations examples/*.svg --to melody -o sheet.png --also wav
  kikibouba plot embedding trained/notes trained/other --data datasets/embedded -o analysis
"""

import argparse
from pathlib import Path

from kikibouba.cli.common import add_device, add_seed, add_temperature, suffixes, temperature
from kikibouba.config import REPRESENTATIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba plot`."""
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    files = kinds.add_parser("files", help="piano rolls and drawings of files")
    files.add_argument("inputs", nargs="+", type=Path, metavar="IN")
    curve = kinds.add_parser("curve", help="the training curve of runs")
    curve.add_argument("inputs", nargs="+", type=Path, metavar="RUN_DIR")
    curve.add_argument(
        "--term", default="loss", help="what is drawn: loss (default), r_loss, kl_loss, accuracy, ..."
    )
    latent = kinds.add_parser("map", help="a model's latent space in two dimensions")
    latent.add_argument("model", metavar="MODEL")
    latent.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `prepare` made")
    latent.add_argument(
        "--color", metavar="ATTRIBUTE", help="angularity, jaggedness, density, ... (default: the first)"
    )
    latent.add_argument("--split", choices=("train", "valid", "test"), default="test")
    latent.add_argument(
        "--limit", type=int, default=2000, metavar="N", help="at most N points (default 2000)"
    )
    rows = kinds.add_parser("reconstructions", help="files above what a model makes of them")
    rows.add_argument("inputs", nargs="+", type=Path, metavar="IN")
    morph = kinds.add_parser("interpolation", help="the steps from one file to another")
    morph.add_argument("inputs", nargs=2, type=Path, metavar=("A", "B"))
    morph.add_argument("-n", type=int, default=7, help="steps, both ends included (default 7)")
    morph.add_argument("--mode", choices=("slerp", "lerp"), default="slerp")
    sliders = kinds.add_parser("sliders", help="what each latent of a personal model does")
    sliders.add_argument("model", metavar="MODEL", help="what `personalize` made, or any other model")
    add_temperature(sliders, 0.0)
    pairs, looks, study = _add_translations(kinds), _add_attention(kinds), _add_embedding(kinds)
    for one in (rows, morph):
        one.add_argument("--model", help="bundled name or folder (default: found by kind)")
        add_temperature(one, 0.0, sound=True)
    for one in (latent, rows, morph, sliders, pairs, looks, study):
        add_seed(one)
        add_device(one)
    for one in (files, curve, latent, rows, morph, sliders, pairs, looks, study):
        one.add_argument("-o", "--out", type=Path, required=True, help="the .png")


def _add_translations(kinds: "argparse._SubParsersAction") -> argparse.ArgumentParser:
    pairs = kinds.add_parser("translations", help="drawings in order, above what they become")
    pairs.add_argument("inputs", nargs="+", type=Path, metavar="IN", help="drawings, or folders of them")
    pairs.add_argument("--to", required=True, choices=tuple(REPRESENTATIONS), help="what they become")
    pairs.add_argument("-n", type=int, default=16, help="how many, evenly spread (default 16)")
    pairs.add_argument("--by", metavar="ATTRIBUTE", help="what they are ordered by (default angularity)")
    pairs.add_argument(
        "--with",
        dest="translator",
        metavar="TRANSLATOR",
        help="bundled name or folder (default: found by kind)",
    )
    pairs.add_argument(
        "--also", type=suffixes, default=(), metavar="wav,mid", help="all results in one file beside it"
    )
    add_temperature(pairs, 0.2)
    return pairs


def _add_attention(kinds: "argparse._SubParsersAction") -> argparse.ArgumentParser:
    looks = kinds.add_parser("attention", help="where a sequence-to-sequence model looked")
    looks.add_argument("model", metavar="MODEL", help="bundled name or folder")
    looks.add_argument("input", type=Path, metavar="IN", help="a tune")
    looks.add_argument("--style", metavar="NAME", help="for a model with styles: the one that is wanted")
    looks.add_argument("--beam", type=int, default=1, metavar="N", help="as for translate")
    looks.add_argument("--window", type=int, default=0, metavar="N", help="which window of bars, from 0")
    return looks


def _add_embedding(kinds: "argparse._SubParsersAction") -> argparse.ArgumentParser:
    study = kinds.add_parser("embedding", help="an Embedding RNN's six figures and its listening page")
    study.add_argument("models", nargs="+", metavar="MODEL", help="the one looked at, and others beside it")
    study.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `prepare` made")
    study.add_argument("--split", choices=("train", "valid", "test"), default="test")
    study.add_argument("-n", type=int, default=6, help="notes (default 6)")
    study.add_argument(
        "--samples", type=int, default=4, metavar="N", help="new notes on the page (default 4)"
    )
    return study


def run(args: argparse.Namespace) -> None:
    """Draw and save."""
    from kikibouba.data.files import write_bytes
    from kikibouba.errors import KikiboubaError

    if args.what == "embedding":
        return _embedding(args)
    if args.out.suffix.lower() != ".png":
        raise KikiboubaError(f"cannot write {args.out}: a plot is a .png")
    if args.what == "translations":
        return _translations(args)
    print(write_bytes(args.out, _picture(args)))


def _embedding(args: argparse.Namespace) -> None:
    """The figures and the page."""
    from kikibouba.embeddings import EmbeddingModel
    from kikibouba.embeddings_page import analyse
    from kikibouba.errors import KikiboubaError
    from kikibouba.hub import load_model

    models = [load_model(name, args.device) for name in args.models]
    for model in models:
        if not isinstance(model, EmbeddingModel):
            raise KikiboubaError(f"{model.name} is a model of {model.kind}: name an Embedding RNN")
    for path in analyse(
        [model for model in models if isinstance(model, EmbeddingModel)],
        args.data,
        args.out,
        split=args.split,
        n=args.n,
        samples=args.samples,
        seed=args.seed,
    ):
        print(path)


def _translations(args: argparse.Namespace) -> None:
    """The picture, and what `--also` names."""
    from kikibouba.cli.common import write
    from kikibouba.contact_sheet import contact_sheet, sources_in
    from kikibouba.data.files import write_bytes
    from kikibouba.hub import find_translator, load_translator

    translator = load_translator(args.translator or find_translator("sketch", args.to), args.device)
    page = contact_sheet(
        translator,
        sources_in(args.inputs),
        args.to,
        n=args.n,
        by=args.by,
        seed=args.seed,
        temperature=args.temperature,
    )
    if args.also:
        first, *others = (args.out.with_suffix(suffix) for suffix in args.also)
        write(page.together(), first, [path.suffix for path in others])
    print(write_bytes(args.out, page.picture()))


def _picture(args: argparse.Namespace) -> bytes:
    from kikibouba import plot
    from kikibouba.hub import default_model, load_model
    from kikibouba.training import open_for

    if args.what == "files":
        return plot.plot_files(args.inputs)
    if args.what == "curve":
        return plot.plot_curves(args.inputs, args.term)
    if args.what == "sliders":
        return plot.plot_sliders(load_model(args.model, args.device), args.temperature, args.seed)
    if args.what == "attention":
        return _attention(args)
    model = load_model(args.model or default_model(args.inputs[0]), args.device)
    if args.what == "map":
        dataset = open_for(model, args.data)
        return plot.plot_latent_map(model, dataset, args.color, args.split, args.limit, args.seed)
    if args.what == "reconstructions":
        return plot.plot_reconstructions(model, args.inputs, temperature(args, model), args.seed)
    a, b = args.inputs
    return plot.plot_interpolation(model, a, b, args.n, args.mode, temperature(args, model), args.seed)


def _attention(args: argparse.Namespace) -> bytes:
    from kikibouba.attention_map import plot_attention
    from kikibouba.hub import load_sequences
    from kikibouba.sequence_translator import Choice

    choice = Choice(args.beam, seed=args.seed)
    translator = load_sequences(args.model, args.device)
    return plot_attention(translator, args.input, style=args.style, choice=choice, number=args.window)
