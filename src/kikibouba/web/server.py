"""Running the studio: an address, a socket, uvicorn."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from kikibouba.errors import KikiboubaError
from kikibouba.web.app import create_app

USUAL_WORKERS = 4
"""Processes at most, unless more are asked for; each takes some 350 MB."""
GRACE_SECONDS = 5


def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int | None = None,
    models: Sequence[str | Path] = (),
) -> None:
    """Serve the page until interrupted.

    Args:
        host: address to listen on.
        port: 0 takes any free one.
        workers: processes that compute; by default one for each core, up to `USUAL_WORKERS`.
        models: folders of music translation networks to offer, beside the bundled ones.

    Raises:
        KikiboubaError: the port is taken or not allowed, or no such address; no such model.
    """
    if workers is None:
        workers = min(USUAL_WORKERS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    if workers < 1:
        raise KikiboubaError(f"{workers} workers cannot work; give 1 or more")
    app = create_app(workers, models)
    listening = open_socket(host, port)
    shown = f"[{host}]" if ":" in host else host
    print(f"kikibouba studio: http://{shown}:{listening.getsockname()[1]}  (Ctrl-C ends it)", flush=True)
    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=1_000,
    )
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket. Raises KikiboubaError saying what else to try."""
    if not 0 <= port <= 65535:
        raise KikiboubaError(f"port {port} must be 0 to 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=256)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        hint = "choose another with --port, or --port 0 for any free one"
        raise KikiboubaError(f"cannot listen on {host} port {port}: {reason}; {hint}") from None
