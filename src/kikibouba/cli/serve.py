"""Open the studio: a web page where you draw and hear, play and see. It works offline.

It prints its address and serves until Ctrl-C. Nothing leaves this machine, and nobody else can reach it,
unless --host says so. The JSON API behind the page is described at /api.

With a music translation network, a bundled one or yours (--model), there is a page more, /timbre: drop a
recording and hear it on another instrument.

Example:
  kikibouba serve
  kikibouba serve --port 9000 --workers 4
  kikibouba serve --model trained/timbre
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `kikibouba serve`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for everybody")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="0: any free one (default 8000)")
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that compute (default: one a core, up to 4)",
    )
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="DIR",
        help="offer this music translation network too; may be repeated",
    )


def run(args: argparse.Namespace) -> None:
    """Serve until interrupted."""
    from kikibouba.errors import KikiboubaError

    try:
        from kikibouba.web.server import serve
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "starlette", "pydantic"):
            raise
        raise KikiboubaError(
            f"the studio needs {error.name}, which is not installed; run: pip install 'kikibouba[web]'"
        ) from None
    serve(args.host, args.port, args.workers, args.model)
