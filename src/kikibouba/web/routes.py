"""The JSON API: one address a function of the package."""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse

from kikibouba.errors import KikiboubaError
from kikibouba.web import limits, schemas
from kikibouba.web.voices import played

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
MINE = "mine:"
"""What the names of personal models begin with; the name of their job follows."""


async def _ask(request: Request, method: str, *arguments: object) -> Response:
    """Have a worker of the studio answer."""
    answer = await request.app.state.studio.run(method, *arguments, limit=limits.WORK_SECONDS)
    return Response(answer, media_type=JSON)


async def _ask_model(request: Request, method: str, model: str, *arguments: object) -> Response:
    """The same of the studio's models and of personal ones."""
    if not model.startswith(MINE):
        return await _ask(request, method, model, *arguments)
    answer = await request.app.state.jobs.run(model.removeprefix(MINE), method, *arguments)
    return Response(answer, media_type=JSON)


@router.get("/api/models", response_model=schemas.Models)
async def models(request: Request) -> Response:
    """Every model and translator there is."""
    return await _ask(request, "list_models")


@router.post("/api/translate", response_model=schemas.Translated)
async def translate(body: schemas.Translate, request: Request) -> Response:
    """A drawing becomes a tune or a beat, a tune becomes a drawing, … The same seed gives the same answer."""
    return await _ask(request, "translate", body.source.plain(), body.to, body.seed, body.temperature)


@router.post("/api/sample", response_model=schemas.Results)
async def sample(body: schemas.Sample, request: Request) -> Response:
    """New artifacts of a model. `attributes`: name → standard deviations more of it."""
    return await _ask_model(
        request, "sample", body.model, body.n, body.temperature, body.seed, body.attributes
    )


@router.post("/api/reconstruct", response_model=schemas.Results)
async def reconstruct(body: schemas.Reconstruct, request: Request) -> Response:
    """A drawing or a tune through a model and back."""
    return await _ask(request, "reconstruct", body.model, body.source.plain(), body.temperature, body.seed)


@router.post("/api/interpolate", response_model=schemas.Steps)
async def interpolate(body: schemas.Interpolate, request: Request) -> Response:
    """From one drawing or tune to another in n steps, or between four in n · n, row by row; each step is
    seen and heard.
    """
    sources = [source.plain() for source in body.sources]
    return await _ask(request, "interpolate", sources, body.n, body.to, body.temperature, body.seed)


@router.post("/api/encode", response_model=schemas.Posterior)
async def encode(body: schemas.Encode, request: Request) -> Response:
    """A drawing or a tune as a latent vector."""
    return await _ask(request, "encode", body.model, body.source.plain())


@router.post("/api/decode", response_model=schemas.Results)
async def decode(body: schemas.Decode, request: Request) -> Response:
    """Latent vectors as drawings or tunes."""
    return await _ask_model(request, "decode", body.model, body.z, body.temperature, body.seed)


@router.get("/api/map", response_model=schemas.Map)
async def latent_map(
    request: Request,
    to: Literal["melody", "drums"] = "melody",
    each: Annotated[int, Query(ge=2, le=100)] = 60,
    seed: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> Response:
    """Drawings and tunes on one plane: x spikiness, y density, as their latent vectors promise them."""
    return await _ask(request, "map", ("sketch", to), each, seed)


@router.post("/api/render", response_class=Response)
async def render(body: schemas.Render, request: Request) -> Response:
    """A file of a drawing or a tune: MIDI, WAV, SVG, PNG, …"""
    content = await request.app.state.studio.run(
        "render", body.artifact.plain(), body.form, body.tempo, body.program, limit=limits.WORK_SECONDS
    )
    return Response(content, media_type=FILES[body.form])


@router.post(
    "/api/read",
    response_model=schemas.Results,
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {}}}},
)
async def read(
    request: Request,
    name: Annotated[str, Query(max_length=300)],
    kind: Literal["melody", "drums"] | None = None,
) -> Response:
    """A file (MIDI, MusicXML, ABC, SVG, QuickDraw) as drawings or tunes; a piece in windows of two bars. The
    body is the file, `name` its name.
    """
    content = await request.body()
    answer = await request.app.state.reader.run("read", name, content, kind, limit=limits.READ_SECONDS)
    return Response(answer, media_type=JSON)


@router.get("/api/timbre")
async def timbres(request: Request) -> schemas.Timbres:
    """The music translation networks there are, and the domains that each plays recordings in."""
    found = request.app.state.offered
    models = [schemas.Instruments(name=name, domains=list(domains)) for name, (_, domains) in found.items()]
    return schemas.Timbres(models=models)


@router.post(
    "/api/timbre",
    response_class=StreamingResponse,
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {}}}},
)
async def timbre(
    request: Request,
    name: Annotated[str, Query(max_length=300)],
    to: Annotated[str, Query(max_length=100)],
    model: Annotated[str, Query(max_length=100)] | None = None,
    seed: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    temperature: Annotated[float, Query(ge=0, le=2, allow_inf_nan=False)] = 1.0,
) -> StreamingResponse:
    """A recording (WAV, FLAC, OGG, MP3) played in another domain: a WAV file, sent while it is said. The body
    is the file, `name` its name, `model` by default the first there is.
    """
    state = request.app.state
    if state.voices is None:
        raise KikiboubaError("no model here plays recordings: start with kikibouba serve --model FOLDER")
    wave = await state.reader.run("sound", name, await request.body(), limit=limits.READ_SECONDS)
    parts = played(state.voices, model or next(iter(state.offered)), wave, to, temperature, seed)
    header = await anext(parts)  # what is wrong is said before an answer begins

    async def whole() -> AsyncIterator[bytes]:
        yield header
        async for part in parts:
            yield part

    return StreamingResponse(whole(), media_type=FILES["wav"], headers={"Cache-Control": "no-store"})


@router.post("/api/personalize", status_code=202)
async def personalize(body: schemas.Personalize, request: Request) -> schemas.Begun:
    """A model of your own from a few songs (or drawings): follow it at `events`; then `model` is its name. It
    is kept in memory only, for half an hour after its last use.
    """
    try:
        files = [(song.name, base64.b64decode(song.content, validate=True)) for song in body.songs]
    except (binascii.Error, ValueError):
        raise KikiboubaError("the content of a song must be base64") from None
    owner = request.client.host if request.client else ""
    job = request.app.state.jobs.begin(owner, files, body.base, body.seed).name
    return schemas.Begun(job=job, model=f"{MINE}{job}", events=f"/api/jobs/{job}/events")


@router.get("/api/jobs/{job}/events", response_class=StreamingResponse)
async def events(job: str, request: Request) -> StreamingResponse:
    """Server-sent events: `progress` with done, steps and loss; at last `done` or `failed`."""
    jobs = request.app.state.jobs
    return StreamingResponse(
        jobs.follow(jobs.find(job)), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@router.delete("/api/jobs/{job}", status_code=204)
async def forget(job: str, request: Request) -> None:
    """Stop making a personal model, or forget it."""
    request.app.state.jobs.forget(job)


@router.get("/healthz", response_class=PlainTextResponse)
async def healthz() -> str:
    """That the server is there."""
    return "ok\n"


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> str:
    """Requests, times and what waits, as Prometheus reads it."""
    return request.app.state.metrics.text()
