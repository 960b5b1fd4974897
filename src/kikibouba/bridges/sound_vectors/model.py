"""A sound of fixed length as one vector: what bridges between kinds, which map vector to vector, ask for.

    codes ─base.encode→ frames [F · S] ─ (frames - mean) · axes / scale → z [Z], mean 0 and variance 1
    z ─ mean + axes · (scale z) → frames ─a WaveNet of the base→ codes

The axes are the principal ones of the frames of training sounds. What they leave out is noise to them, so a
vector is known up to a deviation, as in probabilistic PCA (Tipping and Bishop 1999):

    sigma_j² = (mean of the variances left out) / (variance along axis j)
"""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from kikibouba.bridges.posteriors import check_weights
from kikibouba.bridges.sound_vectors.config import ModelConfig
from kikibouba.data.audio import AudioRepresentation
from kikibouba.data.audio_files import SAMPLE_RATE
from kikibouba.data.sound_windows import SoundWindows
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Normal
from kikibouba.nn.wavenet_voice import FEW, Engine, Voice

ENCODED = 16
"""Sounds that are encoded together."""


class SoundVectors(nn.Module):
    """The linear map; `fit` computes it."""

    mean: Tensor
    axes: Tensor
    scale: Tensor
    sigma: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config, self.z_size = config, config.z_size
        size = config.frames * config.frame_size
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("axes", torch.zeros(config.z_size, size))
        self.register_buffer("scale", torch.ones(config.z_size))
        self.register_buffer("sigma", torch.ones(config.z_size))

    def fit(self, frames: Tensor) -> float:
        """Find mean and axes of the frames of sounds [n, F · S]; returns the share of variance they keep.

        Raises:
            KikiboubaError: fewer sounds, or ways in which they differ, than z has dimensions.
        """
        n, size = frames.shape
        if min(n - 1, size) < self.z_size:
            raise KikiboubaError(
                f"{n} sounds of {size} numbers are too few for vectors of {self.z_size}: prepare more, or "
                f"--set model.z_size={max(1, min(n - 1, size) // 2)}"
            )
        frames = frames.double()
        mean = frames.mean(0)
        variances, axes = torch.linalg.eigh(torch.cov(frames.T, correction=0))
        variances, axes = variances.flip(0).clamp(min=0), axes.flip(1).T
        kept, left = variances[: self.z_size], variances[self.z_size :]
        if kept[-1] <= 1e-9 * kept[0]:
            varying = int((variances > 1e-9 * kept[0]).sum())
            raise KikiboubaError(
                f"these sounds differ in {varying} ways only: --set model.z_size={max(varying, 1)} or less"
            )
        axes = axes[: self.z_size]
        largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
        noise = left.mean() if len(left) else left.new_zeros(())
        self.mean.copy_(mean)
        self.axes.copy_(axes * largest.sign())  # which way an axis points is else left to chance
        self.scale.copy_(kept.sqrt())
        self.sigma.copy_((noise / kept).clamp(1e-6, 1.0).sqrt())
        return float(kept.sum() / variances.sum())

    def kept(self, frames: Tensor) -> float:
        """The share of the variance of frames [n, F · S] that vectors keep."""
        lost = (self.decode(self.encode(frames).mu) - frames).square().sum()
        return float(1 - lost / (frames - self.mean).square().sum())

    def encode(self, frames: Tensor) -> Normal:
        """Frames [B, F · S] → q(z), [B, Z]."""
        mu = (frames - self.mean) @ self.axes.T / self.scale
        return Normal(mu, self.sigma.expand_as(mu))

    def decode(self, z: Tensor) -> Tensor:
        """z [B, Z] → frames [B, F · S]."""
        return self.mean + (z * self.scale) @ self.axes


class OverSound(nn.Module):
    """Sound vectors and their frozen base, composed: a `LatentModel` but for the loss."""

    engine: Engine = "auto"
    """What says the samples: see `nn.wavenet_voice`."""

    def __init__(self, bridge: SoundVectors, base: Any) -> None:
        """`base`: the network of a model of sound, on the same device."""
        super().__init__()
        self.bridge, self.base = bridge, base

    @property
    def z_size(self) -> int:
        """Of a vector."""
        return self.bridge.z_size

    @property
    def config(self) -> Any:
        """The base's `ModelConfig`."""
        return self.base.config

    def frames(self, x: Tensor) -> Tensor:
        """Codes [B, F · hop] → latent frames [B, F · S], the numbers of a frame side by side."""
        parts = [self.base.encode(rows).transpose(1, 2).flatten(1) for rows in x.split(ENCODED)]
        return torch.cat(parts)

    def encode(self, x: Tensor, lengths: Tensor) -> Normal:
        """q(z|x) of codes [B, F · hop]; all are of one length, so `lengths` tell nothing."""
        return self.bridge.encode(self.frames(x))

    def decode(
        self, z: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """z [B, Z] → (codes [B, F · hop] int64, lengths [B]), at `least_temperature` at least. Without a
        generator always the same.
        """
        config, net = self.bridge.config, self.base.wavenet(_number(self.bridge.config, self.base))
        inputs = self.base.inputs(torch.arange(256, device=z.device))
        seed = (
            0 if generator is None else int(torch.randint(2**31, (1,), generator=generator, device=z.device))
        )
        frames = self.bridge.decode(z).unflatten(1, (config.frames, config.frame_size)).transpose(1, 2)
        said = []
        for number, rows in enumerate(frames.split(FEW)):
            voice = Voice(
                net, inputs, self.base.hop, len(rows), seed=seed + number, engine=self.engine,
                temperature=max(temperature, config.least_temperature),
            )  # fmt: skip
            said.append(voice.say(rows.contiguous())[0])
        x = torch.cat(said)
        return x, torch.full((len(x),), x.shape[1], device=x.device)


def _number(config: ModelConfig, base: Any) -> int:
    """Of the domain that plays."""
    return getattr(base.config, "domains", ()).index(config.plays) if config.plays else 0


def windows_for(config: ModelConfig, representation: AudioRepresentation, hop: int) -> SoundWindows:
    """What a base with `hop` samples a frame reads of recordings, as sounds of `config.seconds`."""
    fields = {
        field.name: getattr(representation, field.name) for field in dataclasses.fields(AudioRepresentation)
    }
    return SoundWindows(
        **fields, window=frames_for(config, hop) * hop, every=round(config.every * SAMPLE_RATE)
    )


def frames_for(config: ModelConfig, hop: int) -> int:
    """Latent frames of `config.seconds`."""
    return -(-round(config.seconds * SAMPLE_RATE) // hop)


def over_sound(config: ModelConfig, bridge: SoundVectors, base: nn.Module) -> OverSound:
    """Fitted sound vectors put over their base, in eval mode.

    Raises:
        KikiboubaError: `base` has other weights than they were fitted to.
    """
    check_weights("the sound vectors", config.base, config.base_hash, base)
    return OverSound(bridge, base).eval()


def build(config: ModelConfig, representation: object = None) -> SoundVectors:
    """The map of a configuration, not yet fitted. It has no representation: `over_sound` has its base's."""
    return SoundVectors(config)
