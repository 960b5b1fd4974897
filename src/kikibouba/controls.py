"""What a model is told at each step besides z: chords, keys, hits. No torch.

Controls are columns of an example (`Layout.controls`): [T, C], T steps of C columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kikibouba.data.layout import Layout
from kikibouba.errors import KikiboubaError


def takes_controls(representation: Any) -> bool:
    """Whether models of this representation are told anything."""
    layout: Layout | None = getattr(representation, "layout", None)
    return layout is not None and bool(layout.controls)


def controls_of(representation: Any, examples: Sequence[np.ndarray]) -> np.ndarray | None:
    """The control columns of examples, [n, T, C] as `collate` lays them out; None if there are none."""
    if not takes_controls(representation):
        return None
    x, _ = representation.collate(examples)
    return np.concatenate([x[..., part.start : part.stop] for part in representation.layout.controls], -1)


def controls_from_text(representation: Any, chords: str, key: str = "") -> np.ndarray:
    """Chords such as "C G Am F", spread evenly over an example, and a key such as "Am", as controls [T, C].

    Raises:
        KikiboubaError: the model is told no chords or no key, or a symbol cannot be read.
    """
    if not takes_controls(representation) or not hasattr(representation, "controls_from_text"):
        raise KikiboubaError(
            f"this model of {representation.kind} is told neither chords nor a key: use one that is, trained "
            "from a preset with chords (see `kikibouba models`)"
        )
    if not key:
        return as_columns(representation.controls_from_text(chords))
    if not getattr(representation, "condition_on_key", False):
        raise KikiboubaError("this model is not told a key; leave it out")
    return as_columns(representation.controls_from_text(chords, key))


def controls_for(representation: Any, controls: np.ndarray, n: int) -> np.ndarray:
    """Controls for n examples, [n, T, C]: int64 labels, or float32 where any are numbers.

    Args:
        controls: [T, C] for all of them or [n, T, C]; [T] where C = 1.

    Raises:
        KikiboubaError: the model takes none, or another shape is needed.
    """
    if not takes_controls(representation):
        raise KikiboubaError(
            f"this model of {representation.kind} takes no controls (chords, keys or hits): leave them out, "
            "or use a model that was trained with them"
        )
    parts = representation.layout.controls
    columns = as_columns(np.asarray(controls))
    width = sum(part.stop - part.start for part in parts)
    wanted = (n, representation.steps, width)
    if columns.ndim == 2:
        columns = np.broadcast_to(columns, (n, *columns.shape))
    if columns.shape != wanted:
        raise KikiboubaError(
            f"controls have shape {np.shape(controls)}, but {n} examples need {wanted[1:]} or {wanted}"
        )
    return columns.astype(np.float32 if any(part.table is None for part in parts) else np.int64)


def as_columns(controls: np.ndarray) -> np.ndarray:
    """[T] as [T, 1]; anything else as it is."""
    return controls[:, None] if controls.ndim == 1 else controls
