"""What requests hold: their fields, types and bounds, from which the OpenAPI page is made too."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kikibouba.web import limits

Number = Annotated[float, Field(allow_inf_nan=False, ge=-limits.MAX_COORDINATE, le=limits.MAX_COORDINATE)]
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0, le=limits.MAX_SECONDS)]
Kind = Literal["sketch", "melody", "drums"]
Temperature = Annotated[float, Field(allow_inf_nan=False, ge=0, le=2)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Name = Annotated[str, Field(max_length=100)]
Count = Annotated[int, Field(ge=1, le=limits.MAX_RESULTS)]
Deviation = Annotated[float, Field(allow_inf_nan=False, ge=-10, le=10)]


class Request(BaseModel):
    """Misspelt fields are refused, as everywhere in kikibouba."""

    model_config = ConfigDict(extra="forbid")


class Note(BaseModel):
    """One note; times in seconds."""

    pitch: Annotated[int, Field(ge=0, le=127)]
    start: Seconds
    end: Seconds
    velocity: Annotated[int, Field(ge=1, le=127)] = 80
    instrument: Annotated[int, Field(ge=0, le=999)] = 0
    program: Annotated[int, Field(ge=0, le=127)] = 0
    is_drum: bool = False


class Content(BaseModel):
    """A drawing or a tune; what answers hold besides is let pass, so that they can be sent back."""

    drawing: (
        Annotated[
            list[Annotated[list[list[Number]], Field(min_length=2, max_length=2)]],
            Field(max_length=limits.MAX_STROKES),
        ]
        | None
    ) = None
    notes: Annotated[list[Note], Field(max_length=limits.MAX_NOTES)] | None = None
    total_time: Seconds = 0.0

    @model_validator(mode="after")
    def _one_of_both(self) -> "Content":
        if (self.drawing is None) == (self.notes is None):
            raise ValueError("give either strokes under 'drawing' or notes under 'notes'")
        if self.drawing == [] or self.notes == []:
            raise ValueError("it is empty: draw a line, or set a note")
        if self.drawing and sum(len(stroke[0]) for stroke in self.drawing) > limits.MAX_POINTS:
            raise ValueError(f"more than {limits.MAX_POINTS} points; draw with fewer")
        return self

    def plain(self) -> Mapping[str, Any]:
        """As `artifact_from_json` takes it."""
        return self.model_dump(exclude_none=True)


class Translate(Request):
    """A drawing becomes a tune, a tune becomes a drawing."""

    source: Content
    to: Kind
    seed: Seed = 0
    temperature: Temperature = 0.2


class Render(Request):
    """A file of an artifact."""

    artifact: Content
    form: Literal["mid", "wav", "svg", "png", "npz", "json"]
    tempo: Annotated[float, Field(allow_inf_nan=False, ge=20, le=300)] | None = None
    program: Annotated[int, Field(ge=0, le=127)] | None = None


class Sample(Request):
    """New artifacts of a model, a bundled or a personal one."""

    model: Name
    n: Count = 1
    temperature: Temperature = 0.5
    seed: Seed = 0
    attributes: Annotated[dict[Name, Deviation], Field(max_length=10)] = {}


class Reconstruct(Request):
    """A source through a model, by default the usual one for it."""

    source: Content
    model: Name | None = None
    temperature: Temperature = 0.0
    seed: Seed = 0


class Encode(Request):
    """A source as a latent vector of a model, by default the usual one for it."""

    source: Content
    model: Name | None = None


class Decode(Request):
    """Latent vectors [rows, z_size] of a model."""

    model: Name
    z: Annotated[
        list[Annotated[list[Number], Field(min_length=1, max_length=4096)]],
        Field(min_length=1, max_length=limits.MAX_RESULTS),
    ]
    temperature: Temperature = 0.0
    seed: Seed = 0


class Interpolate(Request):
    """Two sources and n steps between them, or four and n rows of n."""

    sources: Annotated[list[Content], Field(min_length=2, max_length=4)]
    n: Annotated[int, Field(ge=2, le=limits.MAX_RESULTS)] = 7
    to: Kind | None = None
    temperature: Temperature = 0.2
    seed: Seed = 0

    @model_validator(mode="after")
    def _bounded(self) -> "Interpolate":
        if len(self.sources) == 3:
            raise ValueError("give two sources, or four")
        if len(self.sources) == 4 and self.n**2 > limits.MAX_RESULTS:
            raise ValueError(f"n · n may be {limits.MAX_RESULTS} at most")
        return self


class Song(BaseModel):
    """A file to learn from."""

    name: Annotated[str, Field(max_length=300)]
    content: Annotated[str, Field(max_length=limits.MAX_SONGS_BODY)]
    """base64"""


class Personalize(Request):
    """A personal model of some songs; base: by default the usual model for the first of them."""

    songs: Annotated[list[Song], Field(min_length=1, max_length=limits.MAX_SONGS)]
    base: Name | None = None
    seed: Seed = 0


class Begun(BaseModel):
    """A job that has begun: where to follow it, and what its model will be called."""

    job: str
    model: str
    events: str


class Measured(BaseModel):
    """What was measured of a drawing or a tune."""

    kind: str
    attributes: dict[str, float]
    feeling: dict[str, float]


class Described(Measured):
    """A drawing or a tune, and what was measured of it."""

    drawing: list[list[list[float]]] | None = None
    notes: list[Note] | None = None
    total_time: float | None = None


class Translated(BaseModel):
    """An answer of /api/translate."""

    source: Measured
    result: Described
    warnings: list[str]


class Results(BaseModel):
    """Artifacts."""

    results: list[Described]


class Steps(BaseModel):
    """An answer of /api/interpolate: each step by kind."""

    steps: list[dict[str, Described]]


class Point(Described):
    """An artifact and its place."""

    x: float
    y: float


class Map(BaseModel):
    """An answer of /api/map."""

    points: list[Point]


class Instruments(BaseModel):
    """A music translation network, and what it can play recordings on."""

    name: str
    domains: list[str]


class Timbres(BaseModel):
    """An answer of GET /api/timbre."""

    models: list[Instruments]


class Posterior(BaseModel):
    """q(z|x): means and standard deviations [rows, z_size]."""

    model: str
    mu: list[list[float]]
    sigma: list[list[float]]


class Model(BaseModel):
    """A model of one kind, a translator between two, or another that is used on the command line."""

    name: str
    kinds: list[str]
    description: str
    z_size: int
    seconds: float | None
    """How long what it makes lasts."""
    attributes: list[str]
    """What its samples can be asked for."""
    is_default: bool
    is_translator: bool
    is_told: bool
    """Whether it must be told something at each step: chords, keys, hits."""
    is_sampled: bool
    """Whether /api/sample knows it."""


class Models(BaseModel):
    """An answer of /api/models."""

    models: list[Model]
