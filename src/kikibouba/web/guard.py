"""What stands before every request: bounds on its size, its type, and headers that bind the browser."""

import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kikibouba.web import limits
from kikibouba.web.metrics import Metrics

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), midi=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

LARGER = {
    "/api/read": limits.MAX_FILE,
    "/api/timbre": limits.MAX_FILE,
    "/api/personalize": limits.MAX_SONGS_BODY,
}
"""Addresses that take more than `MAX_BODY`."""
RAW = ("/api/read", "/api/timbre")
"""Addresses that take a file as it is; all others take JSON."""


class Guard:
    """Pure ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 500

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            if (refusal := _refusal(scope)) is not None:
                await refusal(scope, receive, guarded)
            else:
                await self.app(scope, _bounded(receive, _bound(scope)), guarded)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.count(route, status, time.perf_counter() - began)


def _bound(scope: Scope) -> int:
    return LARGER.get(scope["path"], limits.MAX_BODY)


def _too_large(bound: int) -> str:
    return f"that is larger than the {bound / 1e6:g} MB allowed here"


def _refusal(scope: Scope) -> JSONResponse | None:
    """Why a request is turned away by its headers alone, if it is."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > _bound(scope):
        return JSONResponse({"error": _too_large(_bound(scope))}, 413, {"Connection": "close"})
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if scope["method"] == "POST" and scope["path"] not in RAW and kind != "application/json":
        return JSONResponse({"error": "send JSON, and say so: Content-Type: application/json"}, 415)
    return None


def _bounded(receive: Receive, bound: int) -> Receive:
    """`receive` that stops counting at a bound, whatever the headers promised."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > bound:
            raise HTTPException(413, _too_large(bound), {"Connection": "close"})
        return message

    return counted
