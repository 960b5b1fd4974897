"""Artifacts as the page takes them: what to show and play, and what was measured. No torch."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from kikibouba import hub
from kikibouba.data.artifacts import Artifact, Drawing, Tune
from kikibouba.errors import KikiboubaError
from kikibouba.feelings import feeling
from kikibouba.inputs import kind_of, read_examples
from kikibouba.loops import is_loop, loop_example

Content = Mapping[str, Any]
"""An artifact as `to_json` writes it."""


def described(artifact: Artifact) -> dict[str, Any]:
    """An artifact as JSON, with what was measured. Hits ahead of the first beat come at 0, as in MIDI."""
    if not isinstance(artifact, Tune | Drawing):
        what = type(artifact).__name__.lower()
        raise KikiboubaError(f"a {what} came of it, which the studio cannot show yet; use kikibouba sample")
    if isinstance(artifact, Tune):
        notes = artifact.notes.notes.copy()
        notes["start"] = notes["start"].clip(min=0)
        artifact = Tune(replace(artifact.notes, notes=notes))
    return json.loads(artifact.to_json()) | measured(artifact)


def measured(artifact: Tune | Drawing) -> dict[str, Any]:
    """Its kind, its attributes in their own units, and how it feels; none for what is next to nothing."""
    kind = kind_of(artifact)
    representation = representation_of(kind)
    try:
        columns = representation.attributes([example_of(artifact, representation)])
    except KikiboubaError:
        columns = {}
    attributes = {name: float(values[0]) for name, values in columns.items()}
    return {"kind": kind, "attributes": attributes, "feeling": feeling(kind, attributes)}


def example_of(artifact: Tune | Drawing, representation: Any) -> np.ndarray:
    """The first example in an artifact; all of a tune that is no longer than one."""
    if isinstance(artifact, Tune) and is_loop(artifact, representation):
        return loop_example(artifact, representation)
    return read_examples(artifact, representation)[0]


@cache
def representation_of(kind: str) -> Any:
    """What the usual model of a kind reads."""
    return hub.read_preset(hub.BASES[kind]).representation


def to_json(content: object) -> bytes:
    """As few bytes as it takes."""
    return json.dumps(content, separators=(",", ":")).encode()
