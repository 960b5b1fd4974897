"""The reference folders made by the original TensorFlow MusicVAE, as our configurations, layouts and batches.

The original's arrays are one-hot and multi-hot vectors; here they become columns, by the converter's name.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from kikibouba.data.layout import Layout, Part, one_hot
from kikibouba.interop.magenta_tf import music_vae_from_tf
from kikibouba.interop.tf_checkpoint import read_tf_checkpoint
from kikibouba.models.base import Batch
from kikibouba.models.music_vae.config import ModelConfig
from kikibouba.models.music_vae.model import MusicVAE, build


def folders(root: Path) -> list[str]:
    """Names of the MusicVAE folders in the reference data that hold golden arrays of a whole model."""
    found = []
    for path in sorted((root / "golden" / "magenta_tf").glob("*/config.json")):
        if "LstmEncoder" in str(json.loads(path.read_text()).get("model", {}).get("encoder")):
            found.append(path.parent.name)
    return found


@dataclass(frozen=True)
class Hand:
    """A representation that is nothing but a layout."""

    layout: Layout
    steps: int
    kind: str = "music"


@dataclass
class Case:
    """One folder."""

    folder: Path

    @cached_property
    def info(self) -> dict:
        return json.loads((self.folder / "config.json").read_text())

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        return dict(np.load(self.folder / "golden.npz"))

    @cached_property
    def variables(self) -> dict[str, np.ndarray]:
        return read_tf_checkpoint(self.folder / self.info["checkpoint"])

    @cached_property
    def variables_after(self) -> dict[str, np.ndarray]:
        stored = np.load(self.folder / "vars_after_5_steps.npz")
        return {name.replace("|", "/"): value for name, value in stored.items()}

    @property
    def hparams(self) -> dict:
        return self.info["hparams"]

    def config(self) -> ModelConfig:
        """The model in our terms."""
        h, model = self.hparams, self.info["model"]
        core = model["core_decoder"] if model["core_decoder"] != "NoneType" else model["decoder"]
        decoder = {
            "CategoricalLstmDecoder": "categorical",
            "MultiOutCategoricalLstmDecoder": "categorical",
            "SplitMultiOutLstmDecoder": "split",
            "MultiLabelRnnNadeDecoder": "nade",
            "GrooveLstmDecoder": "groove",
        }[core]
        reads_backwards = any("bidirectional_rnn" in name for name, _ in self.info["variables"])
        return ModelConfig(
            z_size=h["z_size"],
            enc_rnn_size=tuple(h["enc_rnn_size"]),
            dec_rnn_size=tuple(h["dec_rnn_size"]),
            encoder="bidirectional" if reads_backwards or not h["z_size"] else "lstm",
            encoder_level_lengths=tuple(model["encoder_level_lengths"] or ()),
            decoder=decoder,
            decoder_level_lengths=tuple(model["decoder_level_lengths"] or ()),
            autoregressive=bool(model["decoder_level_lengths"]) and not model["disable_autoregression"],
            residual_encoder=h["residual_encoder"],
            residual_decoder=h["residual_decoder"],
            dropout_keep_prob=h["dropout_keep_prob"],
            nade_num_hidden=h.get("nade_num_hidden", 128),
            free_bits=float(h["free_bits"]),
            max_beta=h["max_beta"],
            beta_rate=h["beta_rate"],
        )

    @cached_property
    def layout(self) -> Layout:
        """What the columns that `columns` makes are."""
        return LAYOUTS[self.info["converter"]](self.info)

    def model(self) -> MusicVAE:
        """With the original's weights."""
        model = build(self.config(), Hand(self.layout, self.hparams["max_seq_len"]))
        model.load_state_dict(music_vae_from_tf(self.variables))
        return model

    def batch(self) -> Batch:
        """The four examples."""
        a = self.arrays
        x = self.columns(a["outputs"], a.get("controls"), a["inputs"])
        lengths = a["lengths"] if a["lengths"].ndim == 1 else np.full(len(x), x.shape[1])
        return Batch(torch.tensor(x), torch.tensor(lengths).long())

    def columns(
        self, outputs: np.ndarray, controls: np.ndarray | None = None, inputs: np.ndarray | None = None
    ) -> np.ndarray:
        """Arrays of the original [B, T, depth] → our columns [B, T, K]; without `inputs` those that a
        decoded example has.
        """
        converter = self.info["converter"]
        if controls is not None:
            controls = np.broadcast_to(controls, (*outputs.shape[:2], controls.shape[-1]))
        if converter == "GrooveConverter":
            parts = [part for part in (inputs, outputs, controls) if part is not None]
            return np.concatenate(parts, -1).astype(np.float32)
        if converter == "TrioConverter":
            columns = [part.argmax(-1) for part in np.split(outputs, [90, 180], -1)]
        elif converter == "DrumsConverter" and outputs.shape[-1] == 9:
            columns = [outputs.astype(np.int64) @ (1 << np.arange(9))]
        elif converter == "DrumsConverter" and outputs.shape[-1] < 512:
            return outputs.astype(np.float32)
        else:
            columns = [labels(outputs, self.layout.padding)]
        if controls is not None:
            told = [part for part in np.split(controls, [49], -1) if part.shape[-1]]
            columns += [labels(part, part.shape[-1]) for part in told]
        return np.stack(columns, -1)


def labels(one_hot: np.ndarray, padding: int | None) -> np.ndarray:
    """One-hot rows → labels; rows of zeros → padding, or label 0 if there is none."""
    return np.where(one_hot.any(-1), one_hot.argmax(-1), padding or 0)


def padded(column: int, depth: int) -> Part:
    """One-hot labels, and one more that stands for zeros."""
    return Part(column, column + 1, np.eye(depth + 1, depth, dtype=np.float32))


def _controls(info: dict, column: int) -> tuple[Part, ...]:
    """A chord, then perhaps a key, from this column on."""
    depth = info["control_depth"]
    depths = [min(depth, 49), depth - 49]
    return tuple(padded(column + k, width) for k, width in enumerate(depths) if width > 0)


def _labels_layout(info: dict) -> Layout:
    part = one_hot(0, info["output_depth"])
    return Layout((part,), (part,), _controls(info, 1))


def _multitrack_layout(info: dict) -> Layout:
    depth = info["output_depth"]
    part = padded(0, depth)
    return Layout((part,), (part,), _controls(info, 1), padding=depth, end=info["end_token"])


def _drums_layout(info: dict) -> Layout:
    depth = info["output_depth"]
    if 9 < depth < 512:
        return Layout((Part(0, depth, adds_none=True),), (Part(0, depth),))
    label = np.arange(512)
    bits = (label[:, None] >> np.arange(9) & 1).astype(np.float32)
    roll = np.column_stack([bits, label == 0]).astype(np.float32)
    read = Part(0, 1, roll) if info["input_depth"] == 10 else one_hot(0, 512)
    return Layout((read,), (Part(0, 1, bits) if depth == 9 else one_hot(0, 512),))


def _trio_layout(info: dict) -> Layout:
    parts = tuple(one_hot(k, depth) for k, depth in enumerate((90, 90, 512)))
    return Layout(parts, parts, _controls(info, 3))


def _groove_layout(info: dict) -> Layout:
    depth, told = info["output_depth"], info["control_depth"]
    controls = (Part(2 * depth, 2 * depth + told),) if told else ()
    return Layout((Part(0, depth),), (Part(depth, 2 * depth),), controls)


LAYOUTS = {
    "OneHotMelodyConverter": _labels_layout,
    "DrumsConverter": _drums_layout,
    "TrioConverter": _trio_layout,
    "GrooveConverter": _groove_layout,
    "MultiInstrumentPerformanceConverter": _multitrack_layout,
}
