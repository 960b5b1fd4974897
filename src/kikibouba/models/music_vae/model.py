"""MusicVAE (Roberts et al., 2018): some bars of music → z → the same bars.

    e           = encoder(x, controls)                    LSTMs sum up the example            encoders.py
    mu, sigma   = W e + b, softplus(W' e + b')            the posterior q(z|x)
    z           = mu + sigma * eps
    r           = -log p(x | z, controls)                 LSTMs that read what they said      decoders.py
    loss        = r + beta * max(KL(q(z|x) || N(0, I)) - free_bits, 0)

Shapes: B examples, T steps, K columns of an example, of which C are controls, Z = z_size. A batch is
[B, T, K] ([B, T] if K = 1) at the door and time first [T, B, K] inside, where the recurrences run. What the
columns are says the representation's `Layout`; how they enter a layer, columns.py.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.data.layout import Layout, Part
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch, LossParts, Normal
from kikibouba.models.music_vae.columns import Columns, dense
from kikibouba.models.music_vae.decoders import Decoder, Draw, HierarchicalDecoder, LSTMDecoder, SplitDecoder
from kikibouba.models.music_vae.encoders import (
    BidirectionalEncoder,
    Encoder,
    ForwardEncoder,
    HierarchicalEncoder,
    Listener,
)
from kikibouba.models.music_vae.heads import BitsHead, CategoricalHead, GrooveHead, Head, NadeHead
from kikibouba.models.music_vae.hyperparameters import ModelConfig, check
from kikibouba.models.music_vae.stack import NO_NOISE, Noise
from kikibouba.nn import schedules


class MusicRepresentation(Protocol):
    """What this model asks of a representation."""

    @property
    def steps(self) -> int:
        """T of every example."""
        ...

    @property
    def layout(self) -> Layout:
        """What the columns of an example are."""
        ...


def build(config: ModelConfig, representation: MusicRepresentation) -> "MusicVAE":
    """A MusicVAE with fresh weights (drawn from torch's global generator).

    Raises:
        KikiboubaError: level lengths that do not multiply to the steps of an example, or a decoder that
            cannot say its columns.
    """
    check(config, representation)
    return MusicVAE(config, representation.layout, representation.steps)


class MusicVAE(nn.Module):
    """A `LatentModel` over examples laid out as `layout` says; see the module's text."""

    def __init__(self, config: ModelConfig, layout: Layout, steps: int) -> None:
        super().__init__()
        self.config, self.layout, self.steps = config, layout, steps
        self.z_size = config.z_size
        self.inputs = Columns([*layout.inputs, *layout.controls])
        encodes = config.z_size > 0 and config.encoder != "none"
        self.encoder = make_encoder(config, self.inputs.width) if encodes else None
        self.controls = Columns(renumbered(layout.controls))
        sizes = config.control_rnn_size
        self.listener = Listener(self.controls.width, sizes) if sizes else None
        self.decoder = make_decoder(config, layout)
        if config.latent_init == "clear":
            self.clear_latent()

    def clear_latent(self) -> None:
        """Start with a z that says something: Glorot-uniform mu and z → state, sigma near 0.05.

        The original starts these layers at N(0, 0.001²): z is sigma = 0.7 of noise around nearly nothing, and
        the decoder learns for thousands of steps to do without it, which short CPU trainings cannot afford.
        """
        for layer in self.decoder.latent_layers():
            nn.init.xavier_uniform_(layer.weight)
        if self.encoder is not None:
            nn.init.xavier_uniform_(self.encoder.mu.weight)
            nn.init.constant_(self.encoder.sigma.bias, -3.0)

    def encode(self, x: Tensor, lengths: Tensor) -> Normal:
        """Examples x [B, T, K] and their lengths [B] → the posterior q(z|x), [B, Z] each."""
        x = time_first(x)
        return self._posterior(x, self._real(x, lengths), NO_NOISE)

    def _posterior(self, x: Tensor, real: Tensor, noise: Noise) -> Normal:
        """x [T, B, K], real [T, B] → q(z|x)."""
        if self.encoder is None and self.z_size:
            raise KikiboubaError("this model is a decoder without its encoder: it can sample and decode only")
        if self.encoder is None:
            nothing = x.new_zeros((x.shape[1], 0), dtype=torch.float32)
            return Normal(nothing, nothing)
        if noise.keep < 1:
            e = self.encoder(dense, self.inputs.features(x), real, noise)
        else:
            e = self.encoder(self.inputs.linear, x, real, noise)
        return Normal(self.encoder.mu(e).float(), F.softplus(self.encoder.sigma(e).float()))

    def decode(
        self,
        z: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        controls: Tensor | None = None,
        stops: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """z [B, Z] → (examples [B, T, K'] or [B, T], lengths [B] int64, all T).

        The columns are the layout's outputs, then its controls. Where the layout has padding, a track is
        filled up with it after its end token.

        Args:
            z: latent vectors.
            temperature: divides the logits; 0 takes the most likely symbol (the original has no such mode).
            generator: source of the draws; the result is a function of the other arguments and this alone.
            controls: [B, T, C] ([B, T] if C = 1), what to tell the decoder at each step; None: nothing,
                label 0.
            stops: False lets tracks run on after their end token, as the original does.
        """
        batch = len(z)
        if controls is None:
            width = sum(part.stop - part.start for part in self.layout.controls)
            told = torch.zeros((self.steps, batch, width), dtype=torch.int64, device=z.device)
        else:
            told = time_first(controls)
        said, _ = self.decoder.generate(z, self.heard(told), Draw(temperature, generator, stops))
        x = torch.cat([said, told], -1) if told.shape[-1] else said
        x = x.squeeze(-1) if x.shape[-1] == 1 else x
        return x.transpose(0, 1).contiguous(), torch.full((batch,), self.steps, device=z.device)

    def loss(self, batch: Batch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """The loss at a training step; in `eval()` mode always teacher-forced and without dropout.

        Departs from the original, whose evaluation of a model with scheduled sampling lets the decoder run
        free at temperature 1, so that its numbers cannot be compared with those of training.
        """
        config = self.config
        eps = torch.randn((len(batch.x), self.z_size), generator=generator, device=batch.x.device)
        noise = NO_NOISE
        if self.training:
            probability = schedules.sampling_probability(step, config.sampling_schedule, config.sampling_rate)
            noise = Noise(config.dropout_keep_prob, probability, generator)
        return self.loss_from_noise(batch, step, eps, noise)

    def loss_from_noise(self, batch: Batch, step: int, eps: Tensor, noise: Noise = NO_NOISE) -> LossParts:
        """`loss` with the posterior's noise given.

        Args:
            batch: x [B, T, K], lengths [B].
            step: for the schedule of beta.
            eps: [B, Z] standard normal noise.
            noise: dropout and scheduled sampling.

        Returns:
            loss (nats per example), r_loss (-log p(x|z)), kl_loss (KL beyond the free bits), kl_bits (all of
            the KL, in bits), beta, sampling_probability, and the measures of the decoder's head, among them
            accuracy (share of steps whose most likely symbol is right, given the decoder's inputs). Means
            over the batch.
        """
        x = time_first(batch.x)
        real = self._real(x, batch.lengths)
        q = self._posterior(x, real, noise)
        raw, targets = self.teacher_forced(q.mu + q.sigma * eps, x, noise)
        real = self.decoder.in_segments(real)
        r_loss = (self.decoder.head.nats(raw, targets) * real).sum() / x.shape[1]
        kl = kl_from_standard_normal(q)
        kl_loss = self._kl_loss(kl)
        beta = schedules.beta(step, self.config.max_beta, self.config.beta_rate)
        with torch.no_grad():
            measures = self.decoder.head.metrics(raw, targets, real)
        return {
            "loss": r_loss + beta * kl_loss,
            "r_loss": r_loss.detach(),
            "kl_loss": kl_loss.detach(),
            "kl_bits": kl.detach().sum(-1).mean() / math.log(2),
            "beta": torch.tensor(beta),
            "sampling_probability": torch.tensor(noise.sampling_probability),
            **measures,
        }

    def teacher_forced(self, z: Tensor, x: Tensor, noise: Noise = NO_NOISE) -> tuple[Tensor, Tensor]:
        """The decoder's raw outputs where it reads the true x [T, B, K] as far as it goes, and its targets,
        both as `Decoder.in_segments` lays them out.
        """
        targets, controls = pick(x, self.layout.outputs), pick(x, self.layout.controls)
        raw, _ = self.decoder(z, self.decoder.shift_right(targets), self.heard(controls), noise)
        return raw.float(), self.decoder.in_segments(targets)

    def heard(self, controls: Tensor) -> Tensor:
        """Controls [T, B, C] as the decoder hears them."""
        return controls if self.listener is None else self.listener(self.controls.features(controls))

    def _kl_loss(self, kl: Tensor) -> Tensor:
        """KL [B, Z] in nats → what it costs.

        Follows the original code where it departs from common practice: `free_bits` is a budget for all of z
        in one example. With `free_bits_per_dimension` each dimension has its own, met on average over the
        batch (Kingma et al. 2016).
        """
        if self.config.free_bits_per_dimension:
            free = self.config.free_bits_per_dimension * math.log(2)
            return (kl.mean(0) - free).clamp(min=0).sum()
        return (kl.sum(-1) - self.config.free_bits * math.log(2)).clamp(min=0).mean()

    def _real(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[T, B] bool: which steps of x [T, B, K] are neither beyond the length nor padding."""
        real = torch.arange(len(x), device=x.device)[:, None] < lengths
        return real if self.layout.padding is None else real & (x[..., 0] != self.layout.padding)


def make_encoder(config: ModelConfig, input_size: int) -> Encoder:
    """What sums up features of width `input_size`, with mu and sigma on top."""
    flat = {"bidirectional": BidirectionalEncoder, "lstm": ForwardEncoder}[config.encoder]
    if config.encoder_level_lengths:
        levels, sizes = [], config.enc_rnn_size
        for _ in config.encoder_level_lengths:
            levels.append(flat(input_size, sizes, config.residual_encoder))
            input_size, sizes = levels[-1].size, config.enc_upper_rnn_size or sizes
        encoder: Encoder = HierarchicalEncoder(config.encoder_level_lengths, levels)
    else:
        encoder = flat(input_size, config.enc_rnn_size, config.residual_encoder)
    encoder.add_posterior(config.z_size)
    return encoder


def make_decoder(config: ModelConfig, layout: Layout) -> Decoder:
    """What says the layout's outputs."""
    parts, controls = renumbered(layout.outputs), renumbered(layout.controls)
    if config.control_rnn_size:
        controls = [Part(0, 2 * config.control_rnn_size[-1])]
    levels = config.decoder_level_lengths
    stacks = config.dec_rnn_size, config.residual_decoder
    conductor_sizes = config.conductor_rnn_size or config.dec_rnn_size
    z_size = conductor_sizes[-1] if levels else config.z_size
    if config.decoder == "split":
        alone = [renumbered([part]) for part in parts]
        core: LSTMDecoder | SplitDecoder = SplitDecoder(
            [LSTMDecoder(CategoricalHead(part), part, controls, z_size, *stacks) for part in alone]
        )
    else:
        after_end = None if layout.end is None or layout.padding is None else (layout.end, layout.padding)
        core = LSTMDecoder(make_head(config, parts), parts, controls, z_size, *stacks, after_end)
    if not levels:
        return core
    return HierarchicalDecoder(
        core, levels, config.z_size, conductor_sizes, config.residual_decoder, config.autoregressive
    )


def make_head(config: ModelConfig, parts: Sequence[Part]) -> Head:
    """What scores and draws these columns in one piece."""
    if config.decoder == "nade":
        return NadeHead(parts[0], config.nade_num_hidden)
    if config.decoder == "bits":
        return BitsHead(parts[0])
    return GrooveHead(parts[0]) if config.decoder == "groove" else CategoricalHead(parts)


def kl_from_standard_normal(q: Normal) -> Tensor:
    """KL(q || N(0, I)) of each example and dimension in nats. [B, Z]"""
    return 0.5 * (q.sigma**2 + q.mu**2 - 1 - 2 * q.sigma.log())


def time_first(x: Tensor) -> Tensor:
    """[B, T] or [B, T, K] → [T, B, K]."""
    return (x if x.ndim == 3 else x[..., None]).transpose(0, 1)


def pick(x: Tensor, parts: Sequence[Part]) -> Tensor:
    """The columns of these parts of x [T, B, K]."""
    return x[..., [column for part in parts for column in range(part.start, part.stop)]]


def renumbered(parts: Sequence[Part]) -> list[Part]:
    """The parts in an array that holds their columns and no others."""
    moved, start = [], 0
    for part in parts:
        moved.append(replace(part, start=start, stop=start + part.stop - part.start))
        start = moved[-1].stop
    return moved
