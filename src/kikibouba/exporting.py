"""Write a model of ours in a format that others run: magenta.js, sketch-rnn-js, ONNX."""

import json
from pathlib import Path
from typing import Literal

import numpy as np

from kikibouba.config import preset_to_dict
from kikibouba.data.files import write_bytes, write_text
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
            NAME.gen.json for a model without latent vector or if z is given. "onnx": encoder.onnx,
            decode.onnx and so on, see `interop.onnx_music_vae` and `interop.onnx_sketch_rnn`.
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
    if target != "onnx":
        raise KikiboubaError(f"unknown format {target!r}; allowed: {', '.join(TARGETS)}")
    return _export_onnx(model, out)


def _export_onnx(model: Model, out: Path) -> list[Path]:
    """Graphs, and the preset beside them: what x is, and in which units."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise KikiboubaError("exporting to ONNX needs a package: pip install 'kikibouba[onnx]'") from None
    from kikibouba.interop.onnx_music_vae import music_vae_to_onnx
    from kikibouba.interop.onnx_sketch_rnn import sketch_rnn_to_onnx

    family = model.preset.family
    if family not in ("music_vae", "sketch_rnn"):
        raise KikiboubaError(f"models of the family {family} cannot be exported to ONNX")
    graphs = music_vae_to_onnx(model.module) if family == "music_vae" else sketch_rnn_to_onnx(model.module)
    folder = _folder(out)
    files = [write_bytes(folder / name, graph.SerializeToString()) for name, graph in graphs.items()]
    preset = json.dumps(preset_to_dict(model.preset), indent=2, ensure_ascii=False) + "\n"
    return [*files, write_text(folder / "preset.json", preset)]


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KikiboubaError(f"cannot make the folder {out}: {error.strerror}") from None
    return out
