"""The page's own files, read once when the server starts: no path from a client is ever opened."""

import hashlib
from pathlib import Path

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

STATIC = Path(__file__).parent / "static"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}

NAMES = {"": "index.html", "api": "api.html", "timbre": "timbre.html"}
"""Addresses that are not the name of their file."""


class Pages:
    """Every file in `static`, by its name."""

    def __init__(self) -> None:
        paths = [path for path in sorted(STATIC.rglob("*")) if path.suffix in TYPES]
        self.files = {str(path.relative_to(STATIC).as_posix()): path.read_bytes() for path in paths}
        self.etags = {
            name: f'"{hashlib.sha256(content).hexdigest()[:16]}"' for name, content in self.files.items()
        }

    def answer(self, path: str, request: Request) -> Response:
        """The file at an address, or that the browser's copy is still good. Raises 404."""
        name = NAMES.get(path, path)
        if name not in self.files:
            raise HTTPException(404, "there is nothing here")
        headers = {"ETag": self.etags[name], "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == self.etags[name]:
            return Response(status_code=304, headers=headers)
        return Response(self.files[name], media_type=TYPES[Path(name).suffix], headers=headers)
