"""Sketch-RNN's weights as sketch-rnn-js and @magenta/sketch store them: one JSON file, [info, dims, weights].

A weight is a little-endian int16 q in base64, its value 10 q / 32767 (so between -10 and 10, in steps of
0.0003). `NAME.gen.json` holds a decoder (5 arrays), `NAME.vae.json` the whole model (17). A `.full.json` has
plain lists of the same whole numbers in place of base64, and a `.gen.js` wraps the JSON as a string.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kikibouba.data.files import read_bytes, write_text
from kikibouba.errors import KikiboubaError
from kikibouba.interop.original import Original, shape_of

STEP = 10 / 32767
"""Between two values that can be stored."""
VERSION = 6
"""Older models pass z through a tanh before it sets the decoder's first state."""

_DECODER = ("RNN/output_w", "RNN/output_b", "RNN/LSTMCell/W_xh", "RNN/LSTMCell/W_hh", "RNN/LSTMCell/bias")
_ENCODER = tuple(
    f"ENC_RNN/{direction}/LSTMCell/{name}" for direction in ("fw", "bw") for name in ("W_xh", "W_hh", "bias")
)
_LATENT = tuple(
    f"{layer}/super_linear_{name}" for layer in ("ENC_RNN_mu", "ENC_RNN_sigma", "linear") for name in "wb"
)
NAMES = {5: _DECODER, 17: (*_ENCODER, *_LATENT, *_DECODER)}
"""Number of arrays → TensorFlow's names of them, in the order of the file, after "vector_rnn/"."""

_LARGEST = 1 << 25
"""Bytes of a file; the published ones have 3 MB, and 15 MB as lists of numbers."""
_SCRIPT = re.compile(rb"\s*(?:var|let|const)\s+\w+\s*=\s*(['\"`]?)")
_LONG_LIST = re.compile(rb"\[(?:\s*+-?\d{1,6}\s*+,){7,}+\s*+-?\d{1,6}\s*+\]")
"""Possessive (*+), or else every number would be remembered as a place to turn back to."""
_MOST_MARKS = 20_000


def is_sketch_rnn_js(path: Path) -> bool:
    """Whether a file may be such a model, judged by its suffix and first character."""
    if not path.is_file() or path.suffix not in (".json", ".js"):
        return False
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    return start.startswith((b"[", b"var ", b"let ", b"const "))


def read_sketch_rnn_js(path: Path | str) -> Original:
    """The variables of a model under TensorFlow's names, and its info as `spec`.

    Raises:
        KikiboubaError: the file is damaged, or no such model.
    """
    path = Path(path)
    info, dims, weights = _triple(path)
    names = NAMES.get(len(weights))
    if names is None or len(dims) != len(weights):
        raise KikiboubaError(
            f"{path} holds {len(dims)} shapes and {len(weights)} arrays; a Sketch-RNN has 5 (decoder) or 17"
        )
    variables = {
        f"vector_rnn/{name}": _array(weight, shape_of(dim, name), f"{path}: {name}")
        for name, dim, weight in zip(names, dims, weights, strict=True)
    }
    return Original("sketch-rnn-js", variables, {}, info, "int16")


def _triple(path: Path) -> tuple[dict[str, Any], list, list]:
    """info, dims, weights; long lists of numbers have become base64."""
    content = _LONG_LIST.sub(_as_base64, _json_in(read_bytes(path, _LARGEST)))
    if sum(map(content.count, (b"[", b"{", b","))) > _MOST_MARKS:
        raise KikiboubaError(f"{path} is no Sketch-RNN model: too many lists in it")
    try:
        triple = json.loads(content.decode("latin-1"))
    except (ValueError, RecursionError) as error:
        raise KikiboubaError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(triple, list) or [type(part) for part in triple] != [dict, list, list]:
        raise KikiboubaError(f"{path} is no Sketch-RNN model: a list of info, shapes and weights is expected")
    info, dims, weights = triple
    if isinstance(name := info.get("name"), str):
        info["name"] = name.encode("latin-1", "replace").decode("utf-8", "replace")
    return info, dims, weights


def _json_in(content: bytes) -> bytes:
    """The JSON in a file that may be a script: var name = '…';"""
    if (start := _SCRIPT.match(content)) is None:
        return content
    return content[start.end() :].rstrip().removesuffix(b";").rstrip().removesuffix(start[1])


def _as_base64(match: re.Match[bytes]) -> bytes:
    """A list of whole numbers, in text, as base64: Python's own lists would need ten times the memory."""
    numbers = np.fromstring(match[0][1:-1], np.int32, sep=",")
    if max(-numbers.min(), numbers.max()) > 32767:
        raise KikiboubaError("a weight lies outside -32767 … 32767: the file is damaged")
    return b'"' + base64.b64encode(numbers.astype("<i2").tobytes()) + b'"'


def _array(weight: Any, shape: tuple[int, ...], where: str) -> np.ndarray:
    """One array as float32."""
    if isinstance(weight, list) and all(type(n) is int and abs(n) <= 32767 for n in weight):
        numbers = np.array(weight, np.int64)
    elif isinstance(weight, str):
        try:
            octets = base64.b64decode(weight, validate=True)
            numbers = np.frombuffer(octets, "<i2")
        except (binascii.Error, ValueError) as error:
            raise KikiboubaError(f"{where} is not int16 in base64: {error}") from None
    else:
        raise KikiboubaError(f"{where} must be base64 text or a list of whole numbers from -32767 to 32767")
    if len(numbers) != math.prod(shape):
        raise KikiboubaError(
            f"{where} holds {len(numbers)} numbers where its shape {list(shape)} asks for more or less"
        )
    return (numbers * STEP).astype(np.float32).reshape(shape)


def write_sketch_rnn_js(
    path: Path | str, variables: Mapping[str, np.ndarray], info: Mapping[str, Any]
) -> Path:
    """Write a model that sketch-rnn-js (5 or 17 arrays) and @magenta/sketch (5) load; return the path.

    Args:
        path: NAME.gen.json or NAME.vae.json.
        variables: TensorFlow's name → float32; values beyond ±10 are clipped, as the original does.
        info: name, max_seq_len, scale_factor, …; mode and version are added.
    """
    names = NAMES[17 if "vector_rnn/ENC_RNN_mu/super_linear_w" in variables else 5]
    arrays = [np.asarray(variables[f"vector_rnn/{name}"]) for name in names]
    blobs = [
        base64.b64encode(np.rint(np.clip(array, -10, 10) / STEP).astype("<i2").tobytes()).decode()
        for array in arrays
    ]
    head = {"mode": 0 if len(names) == 17 else 2, "version": VERSION, **info}
    return write_text(path, json.dumps([head, [list(array.shape) for array in arrays], blobs]))
