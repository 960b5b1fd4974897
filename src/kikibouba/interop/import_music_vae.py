"""An original MusicVAE → our configuration and weights."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from kikibouba.config import Preset, TrainConfig, find_preset
from kikibouba.data.layout import Layout
from kikibouba.errors import KikiboubaError
from kikibouba.interop.js_converters import levels_from_js, representation_from_js
from kikibouba.interop.magenta_tf import music_vae_from_tf
from kikibouba.interop.original import Original
from kikibouba.interop.structure import Structure, structure_of
from kikibouba.models.music_vae.config import PRESETS, ModelConfig

_SIGMA = "encoder/sigma/"
NO_SIGMA = -20.0
"""Bias of a sigma that was missing: softplus of it is 2e-9."""


def music_vae_from(
    original: Original, name: str, path: str, preset: str | None, allow_partial: str | None, notes: list[str]
) -> tuple[Preset, dict[str, Tensor]]:
    """The preset and state_dict of a MusicVAE.

    magenta.js says in its config.json what an example is. TensorFlow does not: there it is that of the preset
    whose model fits; of several, the one whose name occurs in the path.

    Args:
        original: what was read.
        name: for the preset.
        path: where it came from.
        preset: the preset to start from, if the user names one.
        allow_partial: see `importing.import_checkpoint`.
        notes: what the user should know is appended.

    Raises:
        KikiboubaError: incomplete (says exactly what is missing), or no model known here.
    """
    _check_family(original)
    state = music_vae_from_tf(_whole(original, allow_partial, notes))
    if allow_partial == "decoder" and _half_an_encoder(state):
        state = {key: weight for key, weight in state.items() if not key.startswith("encoder.")}
        notes.append("the encoder is incomplete, and left out")
    _add_sigma(state, allow_partial, notes)
    structure = structure_of(state)
    if structure.encoder == "none" and structure.z_size and allow_partial != "decoder":
        raise KikiboubaError(
            "the checkpoint has no encoder (encoder/…); --allow-partial decoder imports what can sample and "
            "decode"
        )
    base = _base(original, structure, path, preset)
    levels = levels_from_js(original.spec) if "dataConverter" in original.spec else None
    model = _model(base, structure, levels, bool(original.spec.get("useBooleanDecoder", False)))
    description = f"{base.description.rstrip('.')}; imported from {original.format}"
    return replace(base, name=name, model=model, description=description), state


def _check_family(original: Original) -> None:
    """Raise if it is plainly another kind of model."""
    kind = original.spec.get("type", "MusicVAE")
    if kind != "MusicVAE":
        raise KikiboubaError(
            f"the model is a {str(kind)[:40]!r}; of magenta.js's only MusicVAE is known here"
        )
    if any(name.startswith(("latent_encoder/", "latent_decoder/")) for name in original.variables):
        raise KikiboubaError(
            "the checkpoint is a small model on the latent vectors of a MusicVAE (MidiMe, latent "
            "constraints), which is not known here; import the MusicVAE itself"
        )


def _whole(original: Original, allow_partial: str | None, notes: list[str]) -> dict[str, np.ndarray]:
    """The variables to use; raises if any is missing that is wanted."""
    missing = dict(original.missing)
    if allow_partial == "means":
        missing = {key: why for key, why in missing.items() if not key.startswith(_SIGMA)}
    variables = {
        key: _as_tensorflow(key, value)
        for key, value in original.variables.items()
        if allow_partial != "means" or not key.startswith(_SIGMA) or not _lacks_sigma(original)
    }
    if not missing:
        return variables
    said = "; ".join(f"{key} ({why})" for key, why in sorted(missing.items()))
    count = f"{len(missing)} of {len(missing) + len(variables)} variables are missing: {said}"
    if not all(key.startswith("encoder/") for key in missing):
        raise KikiboubaError(f"{count}. Without them nothing can be decoded; find the missing files")
    if allow_partial != "decoder":
        raise KikiboubaError(f"{count}. --allow-partial decoder imports what can sample and decode")
    notes.append(count)
    return {key: value for key, value in variables.items() if not key.startswith("encoder/")}


def _half_an_encoder(state: Mapping[str, Tensor]) -> bool:
    """Whether there are weights of an encoder, but no LSTM, or one direction of it, or no mu."""
    keys = {key for key in state if key.startswith("encoder.")}
    forward = {key for key in keys if ".forward_layers." in key}
    backward = {key.replace(".backward_", ".forward_") for key in keys if ".backward_layers." in key}
    whole = any(key.endswith(".w_h") for key in keys) and {"encoder.mu.weight", "encoder.mu.bias"} <= keys
    return bool(keys) and not (whole and forward == backward)


def _lacks_sigma(original: Original) -> bool:
    return any(_SIGMA + kind not in original.variables for kind in ("kernel", "bias"))


def _as_tensorflow(name: str, value: np.ndarray) -> np.ndarray:
    """magenta.js has [D, 1, hidden] where TensorFlow has [D, hidden, 1]; the numbers lie alike."""
    return value.reshape(len(value), -1, 1) if name.endswith("nade/w_dec_t") and value.ndim == 3 else value


def _add_sigma(state: dict[str, Tensor], allow_partial: str | None, notes: list[str]) -> None:
    """Give an encoder that lacks its sigma one of nearly 0; raises unless that is allowed."""
    if "encoder.mu.weight" not in state or {"encoder.sigma.weight", "encoder.sigma.bias"} <= set(state):
        return
    if allow_partial != "means":
        raise KikiboubaError(
            "the encoder lacks encoder/sigma/kernel and bias (magenta.js needs only mu); "
            "--allow-partial means imports it with a sigma of nearly 0"
        )
    state["encoder.sigma.weight"] = torch.zeros_like(state["encoder.mu.weight"])
    state["encoder.sigma.bias"] = torch.full_like(state["encoder.mu.bias"], NO_SIGMA)
    notes.append("encoder/sigma was missing: encoding gives the mean, with a sigma of nearly 0")


def _model(base: Preset, found: Structure, levels: tuple[int, int] | None, boolean: bool) -> ModelConfig:
    """The base's settings with the sizes and kinds that were found."""
    encoder_levels, decoder_levels = base.model.encoder_level_lengths, base.model.decoder_level_lengths
    if levels:
        segments, steps = levels
        encoder_levels, decoder_levels = (steps, segments), (segments, steps)
    softmax = "bits" if boolean else "groove" if base.representation.kind == "groove" else "categorical"
    return replace(
        base.model,
        z_size=found.z_size,
        encoder=found.encoder if found.z_size else "bidirectional",
        enc_rnn_size=found.enc_rnn_size or base.model.enc_rnn_size,
        enc_upper_rnn_size=found.enc_upper_rnn_size,
        encoder_level_lengths=encoder_levels if found.encoder_levels else (),
        decoder=softmax if found.decoder == "softmax" else found.decoder,
        dec_rnn_size=found.dec_rnn_size,
        conductor_rnn_size=found.conductor_rnn_size,
        decoder_level_lengths=decoder_levels if found.decoder_levels else (),
        control_rnn_size=found.control_rnn_size,
        autoregressive=found.autoregressive,
        residual_encoder=found.residual_encoder,
        residual_decoder=found.residual_decoder,
        nade_num_hidden=found.nade_num_hidden or base.model.nade_num_hidden,
    )


def _base(original: Original, found: Structure, path: str, name: str | None) -> Preset:
    """The preset to start from."""
    named = find_preset(name) if name else None
    if named and (named.family != "music_vae" or not _fits(named, found)):
        fitting = ", ".join(preset.name for preset in _candidates(found)) or "none"
        raise KikiboubaError(
            f"the weights are not those of a {named.name} model; presets that fit: {fitting}"
        )
    if "dataConverter" in original.spec:
        base = named or Preset("", "music_vae", None, ModelConfig(), TrainConfig(), "MusicVAE")
        return replace(base, representation=representation_from_js(original.spec))
    if named:
        return named
    candidates = _candidates(found)
    if not candidates:
        raise KikiboubaError(
            f"no preset reads {found.inputs or '?'} and says {' + '.join(map(str, found.outputs))} numbers a "
            f"step with {found.controls} controls; name one with --preset and adapt it with --set"
        )
    meanings = {(repr(preset.representation), _levels(preset)) for preset in candidates}
    if len(meanings) > 1:
        hinted = [preset for preset in candidates if preset.name in path or _plain(preset.name) in path]
        if not hinted:
            names = ", ".join(preset.name for preset in candidates)
            raise KikiboubaError(f"the weights fit several presets; say which with --preset: {names}")
        return max(hinted, key=lambda preset: len(preset.name))
    return candidates[0]


def _plain(name: str) -> str:
    """A preset's name as it occurs in names of files: without its kind of decoder."""
    return name.removeprefix("cat-")


def _levels(preset: Preset) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return preset.model.encoder_level_lengths, preset.model.decoder_level_lengths


def _candidates(found: Structure) -> list[Preset]:
    """The original's presets that fit; those of the very sizes if there are any, else of as many layers."""
    fitting = [
        preset
        for preset in PRESETS.values()
        if preset.model.latent_init == "original" and _fits(preset, found)
    ]
    wanted = found.z_size, found.enc_rnn_size, found.dec_rnn_size
    exact = [p for p in fitting if (p.model.z_size, p.model.enc_rnn_size, p.model.dec_rnn_size) == wanted]
    layers = [
        p for p in fitting if len(p.model.enc_rnn_size) == len(found.enc_rnn_size or p.model.enc_rnn_size)
    ]
    same = [p for p in layers if len(p.model.dec_rnn_size) == len(found.dec_rnn_size)]
    return exact or same or layers or fitting


def _fits(preset: Preset, found: Structure) -> bool:
    """Whether a preset's model has the kinds and widths that were found, whatever its sizes."""
    layout, model = preset.representation.layout, preset.model
    outputs = tuple(part.width for part in layout.outputs)
    kind = model.decoder if model.decoder in ("split", "nade") else "softmax"
    return (
        kind == found.decoder
        and (outputs if kind == "split" else (sum(outputs),)) == found.outputs
        and _width(layout, "controls") == found.controls
        and len(model.decoder_level_lengths) == found.decoder_levels
        and (
            found.encoder == "none"
            or (
                _width(layout, "inputs") == found.inputs
                and len(model.encoder_level_lengths) == found.encoder_levels
            )
        )
    )


def _width(layout: Layout, parts: str) -> int:
    return sum(part.width for part in getattr(layout, parts))
