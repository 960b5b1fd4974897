"""Write a model of ours in a format that others run: magenta.js, sketch-rnn-js, ONNX."""

from pathlib import Path
from typing import Literal

import numpy as np

from kikibouba.errors import KikiboubaError
from kikibouba.generate import Model
from kikibouba.interop.export_magenta_js import magenta_js_from
from kikibouba.interop.export_sketch_rnn_js import sketch_rnn_js_from
from kikibouba.interop.magenta_js import Precision, write_magenta_js
from kikibouba.interop.sketch_rnn_js import write_sketch_rnn_js

Target = Literal["magenta-js", "sketch-rnn-js", "onnx"]
TARGETS: tuple[Target, ...] = ("magenta-js", "sketch-rnn-js", "onnx")


def export(
    model: Model,
    target: Target,
    out: Path | str,
    precision: Precision = "float32",
    z: np.ndarray | None = None,
) -> list[Path]:
    """Write a model; returns the files.

    Args:
        model: to be written.
        target: "magenta-js": a checkpoint folder for `new MusicVAE(url)`. "sketch-rnn-js": NAME.vae.json, or
            NAME.gen.json for a model without latent vector or if z is given. "onnx": see
            `interop.onnx_export`.
        out: folder; for magenta-js new or empty.
        precision: of the weights in magenta-js.
        z: [Z], only for sketch-rnn-js; see `interop.export_sketch_rnn_js`.

    Raises:
        KikiboubaError: the format cannot hold such a model; says why.
    """
    family, out = model.preset.family, Path(out)
    wanted = {"magenta-js": "music_vae", "sketch-rnn-js": "sketch_rnn"}.get(target, family)
    if family != wanted:
        raise KikiboubaError(f"{target} holds {wanted} models; {model.name} is a {family}")
    if precision != "float32" and target != "magenta-js":
        raise KikiboubaError(f"weights can be quantised for magenta-js only, not for {target}")
    if z is not None and target != "sketch-rnn-js":
        raise KikiboubaError("only an export to sketch-rnn-js can hold a latent vector")
    state = model.module.state_dict()
    if target == "magenta-js":
        return write_magenta_js(
            out, *magenta_js_from(state, model.preset.model, model.representation), precision
        )
    if target == "sketch-rnn-js":
        arrays = {name: tensor.cpu().numpy() for name, tensor in state.items()}
        variables, info = sketch_rnn_js_from(arrays, model.preset, z)
        kind = "gen" if z is not None or not model.preset.model.conditional else "vae"
        return [write_sketch_rnn_js(_folder(out) / f"{model.name}.{kind}.json", variables, info)]
    raise KikiboubaError(f"unknown format {target!r}; allowed: {', '.join(TARGETS)}")


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KikiboubaError(f"cannot make the folder {out}: {error.strerror}") from None
    return out
