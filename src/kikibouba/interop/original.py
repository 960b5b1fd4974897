"""What every reader of the originals' checkpoints hands on: variables by TensorFlow's names, and more."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kikibouba.data.files import read_bytes
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class Original:
    """A checkpoint of an original program: read, not yet understood."""

    format: str
    """ "tensorflow", "magenta.js", "deeplearn.js", "sketch-rnn-js" or "music-translation" """
    variables: Mapping[str, np.ndarray]
    """TensorFlow's name → float32"""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Variable that the checkpoint speaks of but whose data is not there → why."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """magenta.js: config.json. deeplearn.js: {"dataConverter": converter.json}. sketch-rnn-js: the info."""
    precision: str = "float32"
    """How weights were stored: float32, or the coarsest met: uint16, uint8, int16, float16, bfloat16."""
    notes: tuple[str, ...] = ()
    """What the user should know of how it was read."""

    def what_is_missing(self) -> str:
        """The missing variables and why, in one line."""
        return "; ".join(f"{name} ({why})" for name, why in sorted(self.missing.items()))


def read_json_object(path: Path, max_bytes: int = 1 << 20) -> Any:
    """A small JSON file that may be anything.

    Raises:
        KikiboubaError: missing, too large, or not JSON.
    """
    try:
        return json.loads(read_bytes(path, max_bytes))
    except (ValueError, RecursionError) as error:
        if isinstance(error, KikiboubaError):
            raise
        raise KikiboubaError(f"{path} is not valid JSON: {error}") from None


def shape_of(value: Any, where: str) -> tuple[int, ...]:
    """A shape out of a file: a short list of whole numbers.

    Raises:
        KikiboubaError: it is something else.
    """
    if not isinstance(value, list) or len(value) > 8:
        raise KikiboubaError(f"{where} has the shape {str(value)[:40]}; a list of whole numbers is expected")
    if any(type(n) is not int or not 0 <= n < 1 << 31 for n in value):
        raise KikiboubaError(f"{where} has the shape {str(value)[:40]}; a list of whole numbers is expected")
    return tuple(value)
