"""What the process of personal models does: it makes them, keeps them in memory, uses them, forgets them."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from kikibouba import hub
from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model
from kikibouba.inputs import kind_of
from kikibouba.personalizing import make_personal
from kikibouba.web.studio import decoded_by, samples_of
from kikibouba.web.workers import Tell

REPORTS = 100
"""Progress is told so often, not at every step."""


class Workshop:
    """Personal models by the secret name of their job. Bases are loaded once and shared."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.bases: dict[str, Model] = {}
        self.models: dict[str, Model] = {}

    def personalize(
        self, job: str, base: str | None, songs: Sequence[Tune | Drawing], seed: int, tell: Tell
    ) -> dict[str, Any]:
        """`kb.personalize`; the model stays here. Tells {"done", "steps", "loss"} on the way."""
        name = hub.BASES[kind_of(songs[0])] if base is None else base
        if name not in hub.bundled():
            raise KikiboubaError(f"no bundled model {name!r}; see /api/models")
        if name not in self.bases:
            self.bases[name] = hub.load_model(name)

        def progress(done: int, steps: int, loss: float) -> None:
            if done == steps or done % max(1, steps // REPORTS) == 0:
                tell({"done": done, "steps": steps, "loss": round(loss, 4)})

        base_model = self.bases[name]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = make_personal(base_model, list(songs), augment=True, seed=seed, progress=progress)
        self.models[job] = made.model
        return {
            "kind": made.model.kind,
            "base": name,
            "z_size": made.model.z_size,
            "examples": len(made.songs.examples),
            "sliders": made.sliders,
            "warnings": [str(warning.message) for warning in caught],
        }

    def sample(
        self, job: str, n: int, temperature: float, seed: int, attributes: Mapping[str, float]
    ) -> bytes:
        """`Model.sample` of a personal model."""
        return samples_of(self._model(job), n, temperature, seed, attributes)

    def decode(self, job: str, z: Sequence[Sequence[float]], temperature: float, seed: int) -> bytes:
        """`Model.decode` of a personal model."""
        return decoded_by(self._model(job), z, temperature, seed)

    def forget(self, job: str) -> None:
        """A model that nobody uses any more."""
        self.models.pop(job, None)

    def _model(self, job: str) -> Model:
        if job not in self.models:
            raise KikiboubaError("this personal model is no longer kept; make it again")
        return self.models[job]
