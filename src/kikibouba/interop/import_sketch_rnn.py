"""An original Sketch-RNN → our configuration and weights."""

import math
from dataclasses import replace

import numpy as np

from kikibouba.config import Preset
from kikibouba.data.sketch import SketchRepresentation
from kikibouba.errors import KikiboubaError
from kikibouba.interop.magenta_tf_sketch import config_from_tf, from_tf
from kikibouba.interop.original import Original
from kikibouba.models.sketch_rnn.config import TRAIN

_LONGEST = 10_000


def is_sketch_rnn(original: Original) -> bool:
    """Whether the variables are those of a Sketch-RNN."""
    return any(name.startswith("vector_rnn/") for name in original.variables)


def sketch_rnn_from(original: Original, name: str) -> tuple[Preset, dict[str, np.ndarray]]:
    """The preset (without its recipe) and state_dict of a Sketch-RNN.

    What the JavaScript formats say of `scale_factor` and `max_seq_len` goes into the preset; TensorFlow's
    checkpoints do not say, so there the defaults hold.

    Raises:
        KikiboubaError: variables are missing, or their shapes contradict each other.
    """
    if original.missing:
        said = original.what_is_missing()
        raise KikiboubaError(f"variables of the Sketch-RNN are missing: {said}; find the missing files")
    model = config_from_tf(original.variables)
    representation = SketchRepresentation()
    if (scale := _positive(original, "scale_factor")) is not None:
        representation = replace(representation, scale_factor=scale)
    if (length := _positive(original, "max_seq_len")) is not None:
        max_length = min(max(2, int(length)), _LONGEST)
        representation, model = (
            replace(representation, max_length=max_length),
            replace(model, max_length=max_length),
        )
    kind = "with" if model.conditional else "without"
    description = f"Sketch-RNN {kind} a latent vector, imported from {original.format}"
    preset = Preset(name, "sketch_rnn", representation, model, TRAIN, description)
    return preset, from_tf(original.variables, model)


def _positive(original: Original, key: str) -> float | None:
    """A number in the info of sketch-rnn-js, None if it is not said."""
    value = original.spec.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise KikiboubaError(f"the model says {key} = {str(value)[:40]}, which must be a number above 0")
    return float(value)
