"""The studio as an ASGI application: what is served where, by which workers, and how errors are told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response

from kikibouba import __version__
from kikibouba.errors import KikiboubaError
from kikibouba.web import limits
from kikibouba.web.guard import Guard
from kikibouba.web.jobs import Greedy, Jobs
from kikibouba.web.metrics import Metrics
from kikibouba.web.pages import Pages
from kikibouba.web.routes import router
from kikibouba.web.services import reader, studio, voices
from kikibouba.web.voices import offered
from kikibouba.web.workers import Busy, Crashed, Pool, TooSlow

DESCRIPTION = """Drawings, tunes and beats, and the ways between them: the same functions as in Python."""


def create_app(workers: int = 1, models: Sequence[str | Path] = ()) -> FastAPI:
    """The application; its processes start with it and end with it. `models`: folders of music translation
    networks, beside the bundled ones.
    """
    found = offered(models)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state = app.state
        state.studio = Pool(studio, workers, limits.MAX_WAITING)
        state.reader = Pool(reader, 1, limits.MAX_WAITING)
        state.voices = Pool(partial(voices, found), 1, limits.MAX_WAITING) if found else None
        state.jobs = Jobs(state.reader)
        state.metrics.gauge("waiting", lambda: state.studio.waiting)
        state.metrics.gauge("personal_models", lambda: len(state.jobs.jobs))
        expiring = asyncio.create_task(state.jobs.keep_expiring())
        yield
        expiring.cancel()
        for part in (state.jobs, state.reader, state.studio, state.voices):
            if part is not None:
                part.close()

    app = FastAPI(
        title="kikibouba", version=__version__, description=DESCRIPTION, lifespan=lifespan,
        docs_url=None, redoc_url=None, openapi_url="/api/openapi.json",
    )  # fmt: skip
    app.state.metrics, app.state.offered = Metrics(), found
    app.include_router(router)
    pages = Pages()

    @app.api_route("/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
    def page(path: str, request: Request) -> Response:
        return pages.answer(path, request)

    app.add_middleware(Guard, metrics=app.state.metrics)
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    return app


def _refused(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers)


def _user_error(_: Request, error: Exception) -> JSONResponse:
    return _refused(422, " ".join(str(error).split()))


def _invalid(_: Request, error: Exception) -> JSONResponse:
    """The first thing that is wrong with a request, without quoting the request."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _refused(400, "the request is not valid JSON")
    where = ".".join(str(word) for word in first["loc"][1:])
    message = first["msg"].removeprefix("Value error, ")
    return _refused(422, f"{where}: {message}" if where else message)


def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _refused(error.status_code, str(error.detail), dict(error.headers or {}))


def _busy(_: Request, __: Exception) -> JSONResponse:
    return _refused(
        503, "too many people draw at once; try again in a moment", {"Retry-After": f"{limits.RETRY_AFTER}"}
    )


def _greedy(_: Request, __: Exception) -> JSONResponse:
    message = "two models of yours are being made already; wait for one of them"
    return _refused(429, message, {"Retry-After": f"{limits.RETRY_AFTER}"})


def _too_slow(_: Request, __: Exception) -> JSONResponse:
    return _refused(422, "that took too long and was given up; try something smaller")


def _crashed(_: Request, __: Exception) -> JSONResponse:
    return _refused(422, "that could not be worked on; nothing is lost, try something else")


def _internal(_: Request, __: Exception) -> JSONResponse:
    return _refused(500, "something went wrong on our side; the server's log says what")


HANDLERS = {
    KikiboubaError: _user_error,
    RequestValidationError: _invalid,
    HTTPException: _http_error,
    Busy: _busy,
    Greedy: _greedy,
    TooSlow: _too_slow,
    Crashed: _crashed,
    Exception: _internal,
}
"""Exception → what the client is told: `{"error": one line}` and a status."""
