"""What a worker of the studio does: every method is one call of the package, from plain values to JSON."""

import warnings
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch

from kikibouba import hub
from kikibouba.bridges.attribute_vectors import read_vectors
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.data.artifact_json import artifact_from_json
from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.generate import Model
from kikibouba.inputs import kind_of
from kikibouba.mapping import latent_map
from kikibouba.morphing import morph
from kikibouba.translator import Translator, set_instrument, set_tempo
from kikibouba.web.describe import Content, described, example_of, measured, representation_of, to_json

MAKERS = {
    "mid": "to_midi",
    "wav": "to_wav",
    "svg": "to_svg",
    "npz": "to_npz",
    "json": "to_json",
    "png": "_repr_png_",
}
"""Form of a file → the method of an artifact that makes it."""


class Studio:
    """The bundled models and the translators between their kinds, each loaded once. Models of sound and of
    sequences are listed, and otherwise left to the command line.
    """

    def __init__(self) -> None:
        torch.set_num_threads(1)  # one process a core
        self.models: dict[str, Model] = {}
        self.translators: dict[str, Translator] = {}
        for name in hub.bundled():
            found = hub.load(name)
            if isinstance(found, Translator):
                for domain, base in found.bases.items():
                    found.bases[domain] = self.models.setdefault(base.name, base)
                self.translators[name] = found
            elif isinstance(found, Model) and found.kind != "audio":
                self.models.setdefault(name, found)
        self.between: dict[tuple[str, str], Translator] = {}
        for translator in self.translators.values():
            for pair in permutations(translator.kinds, 2):
                self.between.setdefault(pair, translator)
        self._warm_up()

    def _warm_up(self) -> None:
        """The first call of everything is slow; better now than under somebody's pen."""
        for kind in ("melody", "drums"):
            self.translate({"drawing": [[[0, 50, 100], [0, 80, 0]]]}, kind, 0, 0.2)

    def model(self, name: str) -> Model:
        """A model by name or kind. Raises KikiboubaError naming the nearest."""
        name = hub.BASES.get(name, name)
        if name not in self.models:
            raise KikiboubaError(f"no model {name!r}{did_you_mean(name, [*self.models, *hub.BASES])}")
        return self.models[name]

    def translator(self, source: str, target: str) -> Translator:
        """The one between two kinds. Raises KikiboubaError if there is none."""
        if (source, target) not in self.between:
            name = hub.find_translator(source, target)  # raises, unless it is of another family
            raise KikiboubaError(f"{name} translates from {source} to {target}, but not in the studio")
        return self.between[source, target]

    def list_models(self) -> bytes:
        """Every model and translator: name, kinds, size of z, what can be asked of it here."""
        entries = []
        for name in hub.bundled():
            preset, model = hub.read_preset(name), self.models.get(name)
            translator = self.translators.get(name)
            kinds = [model.kind] if model else list(translator.kinds) if translator else []
            entries.append(
                {
                    "name": name,
                    "kinds": kinds,
                    "description": preset.description,
                    "z_size": model.z_size if model else 0,
                    "seconds": model.seconds if model else None,
                    "attributes": attributes_of(model) if model else [],
                    "is_default": name in hub.BASES.values(),
                    "is_translator": model is None,
                    "is_told": model is not None and is_told(model),
                    "is_sampled": model is not None,
                }
            )
        return to_json({"models": entries})

    def translate(self, source: Content, to: str, seed: int, temperature: float) -> bytes:
        """`kb.translate`; what is known of the source comes along."""
        artifact = artifact_from_json(source)
        kind = kind_of(artifact)
        translator = self.translator(kind, to)
        example = example_of(artifact, translator.bases[translator.domain(kind)].representation)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = translator.translate(example, to, kind=kind, seed=seed, temperature=temperature)
        return to_json(
            {
                "source": measured(artifact),
                "result": described(result),
                "warnings": [str(warning.message) for warning in caught],
            }
        )

    def sample(
        self, model: str, n: int, temperature: float, seed: int, attributes: Mapping[str, float]
    ) -> bytes:
        """`Model.sample`."""
        return samples_of(self.model(model), n, temperature, seed, attributes)

    def reconstruct(self, model: str | None, source: Content, temperature: float, seed: int) -> bytes:
        """`Model.reconstruct`."""
        found, example = self._read(model, source)
        return results([found.reconstruct(example, temperature, seed)])

    def encode(self, model: str | None, source: Content) -> bytes:
        """`Model.encode`."""
        found, example = self._read(model, source)
        mu, sigma = found.encode([example])
        return to_json({"model": found.name, "mu": mu.tolist(), "sigma": sigma.tolist()})

    def decode(self, model: str, z: Sequence[Sequence[float]], temperature: float, seed: int) -> bytes:
        """`Model.decode`."""
        return decoded_by(self.model(model), z, temperature, seed)

    def _read(self, model: str | None, source: Content) -> tuple[Model, np.ndarray]:
        """A model, by default the usual one for a source, and the source as its example."""
        artifact = artifact_from_json(source)
        found = self.model(model or kind_of(artifact))
        return found, example_of(artifact, found.representation)

    def interpolate(
        self, sources: Sequence[Content], n: int, to: str | None, temperature: float, seed: int
    ) -> bytes:
        """`morph`: steps between two or four sources, of both kinds."""
        corners = [artifact_from_json(source) for source in sources]
        kinds = [kind_of(corner) for corner in corners]
        usual = "melody" if kinds[0] == "sketch" else "sketch"
        other = next((kind for kind in kinds if kind != kinds[0]), to or usual)
        examples = [example_of(corner, representation_of(kind_of(corner))) for corner in corners]
        translator = self.translator(kinds[0], other)
        steps = morph(translator, examples, n, kinds=kinds, temperature=temperature, seed=seed)
        return to_json({"steps": [{kind: described(a) for kind, a in step.items()} for step in steps]})

    def map(self, kinds: tuple[str, str], each: int, seed: int) -> bytes:
        """`latent_map`, with each artifact described."""
        found = latent_map(self.translator(*kinds), each, seed=seed)
        points = [
            {"x": x, "y": y, **described(artifact)}
            for (x, y), artifact in zip(found.places.tolist(), found.artifacts, strict=True)
        ]
        return to_json({"points": points})

    def render(self, artifact: Content, form: str, tempo: float | None, program: int | None) -> bytes:
        """A file of an artifact: see `MAKERS`."""
        found: Any = artifact_from_json(artifact)
        if isinstance(found, Tune):
            found = found if tempo is None else set_tempo(found, tempo)
            found = found if program is None else set_instrument(found, program)
        if f".{form}" not in found.suffixes:
            what = "drawing" if isinstance(found, Drawing) else "tune"
            allowed = ", ".join(suffix[1:] for suffix in found.suffixes)
            raise KikiboubaError(f"a {what} has no form {form!r}; allowed: {allowed}")
        return getattr(found, MAKERS[form])()


def is_told(model: Model) -> bool:
    """Whether a model must be told something at each step: chords, keys, hits."""
    layout = getattr(model.representation, "layout", None)  # drawings have none
    return layout is not None and bool(layout.controls)


def attributes_of(model: Model) -> list[str]:
    """What can be asked of a model's samples."""
    if model.vectors_file is None:
        return []
    return list(read_vectors(model.vectors_file, weights_hash(model.module)).vectors)


def samples_of(model: Model, n: int, temperature: float, seed: int, attributes: Mapping[str, float]) -> bytes:
    """`Model.sample` as JSON. Attributes are the model's own: no file of a client's choice is opened."""
    for name in attributes:
        if not name.isidentifier():
            raise KikiboubaError(f"{name!r} is no attribute of {model.name}")
    return results(model.sample(n, temperature, seed, attributes=attributes or None))


def decoded_by(model: Model, z: Sequence[Sequence[float]], temperature: float, seed: int) -> bytes:
    """`Model.decode` as JSON."""
    if any(len(row) != len(z[0]) for row in z):
        raise KikiboubaError("the rows of z differ in length")
    return results(model.decode(np.array(z, np.float32), temperature, seed))


def results(artifacts: Sequence[Any]) -> bytes:
    """Artifacts as an answer."""
    return to_json({"results": [described(artifact) for artifact in artifacts]})
