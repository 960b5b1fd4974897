"""The JSON API: one address a function of the package."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from kikibouba.web import limits, schemas

router = APIRouter()

JSON = "application/json"
FILES = {
    "mid": "audio/midi",
    "wav": "audio/wav",
    "svg": "image/svg+xml",
    "png": "image/png",
    "npz": "application/octet-stream",
    "json": JSON,
}
"""Form of a file → its media type."""


@router.post("/api/translate", response_model=schemas.Translated)
async def translate(body: schemas.Translate, request: Request) -> Response:
    """A drawing becomes a tune or a beat, a tune becomes a drawing, … The same seed gives the same answer."""
    answer = await request.app.state.studio.run(
        "translate", body.source.plain(), body.to, body.seed, body.temperature, limit=limits.WORK_SECONDS
    )
    return Response(answer, media_type=JSON)


@router.post("/api/render", response_class=Response)
async def render(body: schemas.Render, request: Request) -> Response:
    """A file of a drawing or a tune: MIDI, WAV, SVG, PNG, …"""
    content = await request.app.state.studio.run(
        "render", body.artifact.plain(), body.form, body.tempo, body.program, limit=limits.WORK_SECONDS
    )
    return Response(content, media_type=FILES[body.form])


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """That the server is there."""
    return "ok\n"


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> str:
    """Requests, times and what waits, as Prometheus reads it."""
    return request.app.state.metrics.text()
