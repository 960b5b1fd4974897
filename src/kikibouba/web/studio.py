"""What a worker of the studio does: every method is one call of the package, from plain values to JSON."""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from kikibouba import hub
from kikibouba.data.artifact_json import artifact_from_json
from kikibouba.data.artifacts import Artifact, Drawing, Tune
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.feeling import feeling
from kikibouba.generate import Model
from kikibouba.inputs import kind_of, read_examples
from kikibouba.translator import Translator, set_instrument, set_tempo

Content = Mapping[str, Any]
"""An artifact as `to_json` writes it."""


class Studio:
    """The bundled models and translators, each loaded once."""

    def __init__(self) -> None:
        torch.set_num_threads(1)  # one process a core
        self.models: dict[str, Model] = {}
        self.translators: list[Translator] = []
        for name in hub.bundled():
            found = hub.load(name)
            if isinstance(found, Translator):
                for domain, base in found.bases.items():
                    found.bases[domain] = self.models.setdefault(base.name, base)
                self.translators.append(found)
            else:
                self.models.setdefault(name, found)
        self._warm_up()

    def _warm_up(self) -> None:
        """The first call of everything is slow; better now than under somebody's pen."""
        drawing = Drawing(np.array([[0, 0, 0], [50, 80, 0], [50, -80, 1]], np.float32))
        for kind in ("melody", "drums"):
            self.translate(json.loads(drawing.to_json()), kind, 0, 0.2)

    def translate(self, source: Content, to: str, seed: int, temperature: float) -> bytes:
        """`kb.translate`; what is known of the source comes along."""
        artifact = artifact_from_json(source)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = self.translator(kind_of(artifact), to).translate(
                artifact, to, seed=seed, temperature=temperature
            )
        return _json(
            {
                "source": self.measured(artifact),
                "result": self.described(result),
                "warnings": [str(warning.message) for warning in caught],
            }
        )

    def translator(self, source: str, target: str) -> Translator:
        """The one between two kinds. Raises KikiboubaError if there is none."""
        for translator in self.translators:
            if source != target and {source, target} <= set(translator.kinds):
                return translator
        hub.find_translator(source, target)
        raise KikiboubaError(f"no translator between {source} and {target}")

    def model(self, name: str) -> Model:
        """A model by name or kind. Raises KikiboubaError naming the nearest."""
        name = hub.BASES.get(name, name)
        if name not in self.models:
            raise KikiboubaError(f"no model {name!r}{did_you_mean(name, self.models)}")
        return self.models[name]

    def described(self, artifact: Artifact) -> dict[str, Any]:
        """What the page needs to show and play an artifact, and what was measured."""
        assert isinstance(artifact, Tune | Drawing)
        return json.loads(artifact.to_json()) | self.measured(artifact)

    def measured(self, artifact: Tune | Drawing) -> dict[str, Any]:
        """Its kind, its attributes in their own units, and how it feels; little of what is nearly nothing."""
        kind = kind_of(artifact)
        representation = self.model(kind).representation
        try:
            columns = representation.attributes(read_examples(artifact, representation))
        except KikiboubaError:
            columns = {}
        attributes = {name: float(values[0]) for name, values in columns.items()}
        return {"kind": kind, "attributes": attributes, "feeling": feeling(kind, attributes)}

    def render(self, artifact: Content, form: str, tempo: float | None, program: int | None) -> bytes:
        """A file of an artifact: mid, wav, svg, png, npz or json."""
        found = artifact_from_json(artifact)
        if isinstance(found, Tune):
            found = found if tempo is None else set_tempo(found, tempo)
            found = found if program is None else set_instrument(found, program)
        makers = {
            "mid": "to_midi", "wav": "to_wav", "svg": "to_svg", "npz": "to_npz", "json": "to_json",
            "png": "_repr_png_",
        }  # fmt: skip
        if f".{form}" not in found.suffixes:
            what, allowed = type(found).__name__.lower(), ", ".join(s[1:] for s in found.suffixes)
            raise KikiboubaError(f"a {what} has no form {form!r}; allowed: {allowed}")
        return getattr(found, makers[form])()


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
