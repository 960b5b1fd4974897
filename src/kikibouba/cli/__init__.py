"""The `kikibouba` command. Each verb is one file in this folder with `add_arguments(parser)` and `run(args)`.

A verb only turns arguments into one call of the library and prints where the result went, so everything
it does can be done from Python. Verbs are imported when they are called: `kikibouba --help` loads no
torch and no numpy.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, TextIO

from kikibouba import __version__
from kikibouba.errors import Interrupted, KikiboubaError, did_you_mean

VERBS = {
    "translate": "turn a drawing into a tune, a tune into a drawing, a melody into drums, ...",
    "sample": "make new melodies, drum beats or drawings",
    "reconstruct": "pass a file through a model and back",
    "interpolate": "morph one file into another in equal steps",
    "personalize": "make a model your own: it learns a song, or a few, in seconds",
    "attribute": "find what makes it denser, higher, ...: a direction in a model's latent space",
    "constrain": "ask for a kind of thing: denser, higher, in C; new, or a file changed",
    "encode": "write the latent vectors of a file",
    "decode": "turn latent vectors into files",
    "prepare": "turn a folder of MIDI files or drawings into a dataset",
    "train": "train a model on a dataset, or a translator between two models",
    "sweep": "train with many settings, on this machine or a cluster, and compare them",
    "evaluate": "measure a model or a translator on held-out data",
    "plot": "draw files, training curves, latent maps, reconstructions, translations, ...",
    "import": "turn a checkpoint of the original programs into a model",
    "export": "write a model for magenta.js, sketch-rnn-js or ONNX",
    "serve": "open the studio: a web page where you draw and hear, play and see",
    "models": "list the bundled models and the presets, or show one",
}
"""Verb → what it does in one line, in the order `--help` lists them."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit with status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: arguments without the program's name; `sys.argv[1:]` when None.

    Returns:
        The exit status: 0 done, 1 the input or the machine was at fault, 2 wrong usage, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = os.environ.get("KIKIBOUBA_DEBUG") == "1"
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            status = _dispatch(arguments)
            sys.stdout.flush()
            return status
        except SystemExit as stop:  # argparse has printed its message
            return stop.code if isinstance(stop.code, int) else 1
        except KeyboardInterrupt:
            return _fail("interrupted", status=130)
        except Interrupted as stop:
            return _fail(_one_line(stop), status=130)
        except BrokenPipeError:  # `kikibouba models | head -1`: the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except Exception as error:
            if debug:
                raise
            return _fail(_one_line(error))


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    verb, *rest = arguments
    if verb in ("-V", "--version"):
        print(f"kikibouba {__version__}")
        return 0
    if verb not in VERBS:
        return _fail(f"unknown verb {verb!r}{did_you_mean(verb, VERBS)}", status=2)
    module = import_module(f"kikibouba.cli.{verb}")
    description, _, example = (module.__doc__ or "").partition("Example")
    parser = Parser(
        prog=f"kikibouba {verb}",
        description=description.strip(),
        epilog=f"example{example.rstrip()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return module.run(parser.parse_args(rest)) or 0


def _overview() -> str:
    lines = [f"  {verb:<12} {what}" for verb, what in VERBS.items()]
    return "\n".join(
        [
            "usage: kikibouba VERB ...",
            "",
            "Translate between drawings, melodies and drums.",
            "",
            *lines,
            "",
            "kikibouba VERB --help explains a verb and gives an example.",
            "",
            "example:",
            "  kikibouba translate examples/sheep.svg --to melody -o sheep.mid --also wav,png",
        ]
    )


def _one_line(error: Exception) -> str:
    """What went wrong, in one line: the message of a user's error; anything else is named as ours."""
    if isinstance(error, KikiboubaError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return f"internal error: {what} (KIKIBOUBA_DEBUG=1 shows where; please report it)"


def _fail(message: str, status: int = 1) -> int:
    print(f"kikibouba: {message}", file=sys.stderr)
    return status


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"kikibouba: warning: {' '.join(str(message).split())}", file=file or sys.stderr)
