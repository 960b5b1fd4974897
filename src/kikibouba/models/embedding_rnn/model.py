"""Embedding RNN: a sound's embedding frames → z → frames, told which note it is. After Sketch-RNN.

    sequence  s_t = A(d_t): d the frames from the last to the first as differences, A whitened components
    encoder   H = [LSTM(s) ; LSTM(reversed s)]              last states, [B, 2 enc]
    latent    mu = W H + b,  log sigma² = W H + b,  z = mu + sigma eps;  or z = W H + b
    context   y = [z ; one-hot pitch]                       beside every input, and
    decoder   h0, c0 = tanh(W y + b) of each layer;  h_t = LSTMs([s_(t-1) ; y], h_(t-1)),  s_0 = 0
    output    W h_t + b  →  for each number of a frame a mixture of K normals
    loss      R + w(step) max(KL, tolerance)                R: mean of -log p over frames and numbers

Batches hold frames [B, T, W] and beside them pitch, velocity and instrument, -1 where unknown. Differences
and components are the model's own affair: frames go in, frames come out. docs/embedding_rnn.md sets the
equations beside this code and names every departure from the original.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.data.embedding import CONTEXT, EmbeddingRepresentation
from kikibouba.data.whitening import fit_whitening
from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch, LossParts, Normal
from kikibouba.models.embedding_rnn.config import Cell, ModelConfig
from kikibouba.nn import schedules
from kikibouba.nn.precise_linear import Linear, narrow_linear
from kikibouba.nn.recurrent_cells import Recurrent, recurrent_cell
from kikibouba.nn.recurrent_dropout_lstm import dropout_mask
from kikibouba.nn.univariate_mixture import draw, log_density, output_size, split_output

NOTES = 128
"""Pitches, and velocities."""
PCA_EXAMPLES = 100_000
"""Training examples, at most, that the components are fitted to: the first so many, as in the original."""
SURE = 1e-4
"""sigma that `encode` says where z is drawn without noise."""


class EmbeddingRNN(nn.Module):
    """A `LatentModel` of frames; unconditional it has only the decoder, and z has no dimensions."""

    whiten_mean: Tensor
    whiten_components: Tensor
    whiten_scale: Tensor

    def __init__(self, config: ModelConfig, representation: EmbeddingRepresentation) -> None:
        super().__init__()
        self.config, self.frames, self.width = config, representation.frames, representation.width
        self.channels = config.n_pca_components if config.pca_dim_reduce else self.width
        self.told = _widths(config, representation)
        self.z_size = 0 if config.unconditional else config.z_size
        if config.pca_dim_reduce:
            self.register_buffer("whiten_mean", torch.zeros(self.width))
            self.register_buffer("whiten_components", torch.eye(self.channels, self.width))
            self.register_buffer("whiten_scale", torch.ones(self.channels))
        if self.z_size:
            self._build_encoder()
        beside, size = self.z_size + sum(self.told.values()), config.rnn_size
        inputs = [self.channels + beside] + [size] * (config.num_layers - 1)
        self.decoder = nn.ModuleList(_cell(config, config.dec_model, width, size) for width in inputs)
        if self.z_size:
            states = [2 * layer.state_size for layer in self.layers]
            self.initial_states = nn.ModuleList(narrow_linear(beside, state) for state in states)
        self.output = Linear(size, output_size(config.mixture, self.channels, config.num_mixture))
        nn.init.xavier_uniform_(self.output.weight)
        bound = math.sqrt(3 / self.output.out_features)
        nn.init.uniform_(self.output.bias, -bound, bound)
        if self.z_size and config.latent_init == "clear":
            self.clear_latent()

    def _build_encoder(self) -> None:
        config = self.config
        directions = 1 + config.bidir
        cells = [
            _cell(config, config.enc_model, self.channels, config.enc_rnn_size) for _ in range(directions)
        ]
        self.encoder = nn.ModuleList(cells)
        summary = directions * config.enc_rnn_size
        if self.has_kl:
            self.mu = narrow_linear(summary, self.z_size)
            self.log_variance = narrow_linear(summary, self.z_size)
        if config.no_sample_vae:
            self.deterministic = narrow_linear(summary, self.z_size)

    @property
    def has_kl(self) -> bool:
        """Whether there are a mu and a sigma, used or (in the original, without noise) not."""
        return bool(self.z_size) and (self.config.deterministic_kl or not self.config.no_sample_vae)

    @property
    def layers(self) -> list[Recurrent]:
        """The decoder's, from the input on."""
        return list(self.decoder)  # type: ignore[arg-type]

    def clear_latent(self) -> None:
        """Start with a z that says something, as `SketchRNN.clear_latent` does."""
        latent = self.deterministic if self.config.no_sample_vae else self.mu
        for layer in (latent, *self.initial_states):
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]
        if not self.config.no_sample_vae:
            nn.init.constant_(self.log_variance.bias, -4.0)

    # --------------------------------------------------------------------------------- frames ↔ sequence

    def fit_to(self, examples: Sequence[np.ndarray]) -> None:
        """Find the components of training examples [T, W + 3] each; before the first step, once.

        Raises:
            KikiboubaError: too few frames for so many components; see `whitening.fit_whitening`.
        """
        if not self.config.pca_dim_reduce:
            return

        def blocks() -> Iterator[np.ndarray]:
            for i in range(min(len(examples), PCA_EXAMPLES)):
                frames = np.asarray(examples[i][:, : self.width], np.float64)
                if self.config.difference_input and not self.config.pca_first:
                    frames = np.diff(frames[::-1], axis=0, prepend=0.0)
                yield frames

        found = fit_whitening(blocks(), self.config.n_pca_components)
        self.whiten_mean.copy_(torch.from_numpy(found.mean))
        self.whiten_components.copy_(torch.from_numpy(found.components))
        self.whiten_scale.copy_(torch.from_numpy(found.scale))

    def sequence_of(self, frames: Tensor) -> Tensor:
        """What the network models: frames [B, T, W] → [B, T, channels]."""
        if self.config.pca_first:
            return self._difference(self._whiten(frames))
        return self._whiten(self._difference(frames))

    def frames_of(self, sequence: Tensor) -> Tensor:
        """The inverse of `sequence_of`; exact but for what components leave out."""
        if self.config.pca_first:
            return self._unwhiten(self._add_up(sequence))
        return self._add_up(self._unwhiten(sequence))

    def _difference(self, x: Tensor) -> Tensor:
        """x_1 … x_T → x_T, x_(T-1) - x_T, …, x_1 - x_2."""
        return F.pad(x.flip(1), (0, 0, 1, 0)).diff(dim=1) if self.config.difference_input else x

    def _add_up(self, d: Tensor) -> Tensor:
        return d.cumsum(1).flip(1) if self.config.difference_input else d

    def _whiten(self, x: Tensor) -> Tensor:
        if not self.config.pca_dim_reduce:
            return x
        return (x - self.whiten_mean) @ self.whiten_components.t() / self.whiten_scale

    def _unwhiten(self, y: Tensor) -> Tensor:
        if not self.config.pca_dim_reduce:
            return y
        return self.whiten_mean + (y * self.whiten_scale) @ self.whiten_components

    # ------------------------------------------------------------------------------------------------ x → z

    def encode(self, x: Tensor, lengths: Tensor, generator: torch.Generator | None = None) -> Normal:
        """The posterior q(z|x); without noise (`no_sample_vae`) z itself, and a sigma of nearly 0.

        Args:
            x: [B, T, W + 3], frames and context.
            lengths: [B] int64, all T.
            generator: noise of the recurrent dropout (training mode only).

        Raises:
            KikiboubaError: the model is unconditional, or x has another shape.
        """
        if not self.z_size:
            raise KikiboubaError("an unconditional Embedding RNN has no encoder: use a conditional preset")
        summary = self._summary(self.sequence_of(self._frames(x, lengths)), lengths, generator)
        if self.config.no_sample_vae:
            z = self.deterministic(summary)
            return Normal(z, torch.full_like(z, SURE))
        return Normal(self.mu(summary), torch.exp(0.5 * self.log_variance(summary)))

    def _summary(self, sequence: Tensor, lengths: Tensor, generator: torch.Generator | None) -> Tensor:
        """Last states of the encoder [B, directions * enc] of sequences [B, T, channels]."""
        time = sequence.transpose(0, 1)
        last = []
        for cell, rows in zip(self.encoder, (time, time.flip(0)), strict=False):
            zero = sequence.new_zeros(len(sequence), cell.state_size)  # type: ignore[arg-type]
            _, h, _ = cell(rows, zero, zero, lengths, zero[:, :0], generator)
            last.append(h[:, : self.config.enc_rnn_size])
        return torch.cat(last, 1)

    def _frames(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The frames of a batch. Raises KikiboubaError unless it is [B, T, W + 3] without padding."""
        wanted = self.width + len(CONTEXT)
        if x.ndim != 3 or x.shape[2] != wanted:
            raise KikiboubaError(
                f"x has shape {list(x.shape)}; this model takes frames of {self.width} numbers and the "
                f"note's {', '.join(CONTEXT)}: [B, T, {wanted}]"
            )
        if len(lengths) != len(x) or not bool((lengths == x.shape[1]).all()):
            raise KikiboubaError("an Embedding RNN takes examples that are all equally long, without padding")
        return x[..., : self.width]

    def _beside(self, z: Tensor, context: Tensor) -> Tensor:
        """y [B, Z + context], what stands beside every input; [B, 0] for an unconditional model.

        Args:
            z: [B, Z].
            context: [B, 3] pitch, velocity and instrument; below 0 where unknown, which is told as zeros.
        """
        parts = [torch.tanh(z) if self.config.clip_z_with_tanh else z]
        for name, width in self.told.items():
            number = context[:, CONTEXT.index(name)].long()
            known = (number >= 0) & (number < width)
            parts.append(F.one_hot(number.where(known, 0), width).to(z.dtype) * known[:, None])
        return torch.cat(parts, 1)

    # ------------------------------------------------------------------------------------------------ loss

    def loss(self, batch: Batch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """One batch's loss; training has dropout and the KL weight of `step`, evaluation the final KL weight.

        Returns:
            Scalars, all but `loss` detached: loss = r_loss + kl_weight * kl_loss; r_loss, nats for each
            number of the sequence that is modelled; kl_loss, nats per dimension of z, at least kl_tolerance;
            kl_raw, the same without that floor; kl_weight, the one applied.
        """
        config = self.config
        sequence = self.sequence_of(self._frames(batch.x, batch.lengths))
        z, kl_raw = sequence.new_zeros(len(sequence), 0), sequence.new_zeros(())
        if self.z_size:
            z, kl_raw = self._latent(self._summary(sequence, batch.lengths, generator), generator)
        beside = self._beside(z, batch.x[:, 0, self.width :])
        y = self._outputs(sequence, beside, batch.lengths, generator)
        mixture = split_output(
            y.float(), config.mixture, self.channels, config.num_mixture, config.least_log_sigma
        )
        r_loss = -log_density(mixture, sequence.transpose(0, 1)).mean() / self.channels
        kl_loss = kl_raw.clamp(min=config.kl_tolerance) if self.has_kl else kl_raw
        kl_weight = self._kl_weight(step)
        return {
            "loss": r_loss + kl_weight * kl_loss,
            "r_loss": r_loss.detach(),
            "kl_loss": kl_loss.detach(),
            "kl_raw": kl_raw.detach(),
            "kl_weight": sequence.new_tensor(kl_weight),
        }

    def _latent(self, summary: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """z [B, Z], and the KL of mu and sigma, a mean over batch and dimensions; 0 if there is none."""
        z, kl_raw = summary.new_zeros(()), summary.new_zeros(())
        if self.has_kl:
            mu, log_variance = self.mu(summary), self.log_variance(summary)
            kl_raw = -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).mean()
            z = Normal(mu, torch.exp(0.5 * log_variance)).sample(generator)
        return (self.deterministic(summary) if self.config.no_sample_vae else z), kl_raw

    def _kl_weight(self, step: int) -> float:
        c = self.config
        annealed = schedules.kl_weight(step, c.kl_weight, c.kl_weight_start, c.kl_decay_rate)
        return annealed if self.training else c.kl_weight

    def _outputs(
        self, sequence: Tensor, beside: Tensor, lengths: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """What the teacher-forced decoder says, [T, B, outputs]."""
        config = self.config
        hidden, context = F.pad(sequence.transpose(0, 1)[:-1], (0, 0, 0, 0, 1, 0)), beside
        if config.frame_keep == 0:
            hidden = torch.zeros_like(hidden)
        elif self.training and config.frame_keep < 1:
            shown = torch.rand(hidden.shape[:2], generator=generator, device=hidden.device)
            hidden = hidden * (shown < config.frame_keep)[..., None]
        if self.training and config.input_dropout_keep < 1:
            # Dropout hits z anew at every step, so here z cannot be projected once for all of them.
            hidden, context = torch.cat([hidden, beside.expand(len(hidden), -1, -1)], -1), beside[:, :0]
            hidden = hidden * dropout_mask(hidden.shape, config.input_dropout_keep, beside, generator)
        for layer, (h, c) in zip(self.layers, self._start(beside), strict=True):
            hidden, _, _ = layer(hidden, h, c, lengths, context, generator)
            context = beside[:, :0]
        if self.training and config.output_dropout_keep < 1:
            hidden = hidden * dropout_mask(hidden.shape, config.output_dropout_keep, beside, generator)
        return self.output(hidden)

    def _start(self, beside: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each layer's state (h, c) before the first frame: tanh(W y + b), or zeros without y."""
        if not self.z_size:
            zeros = [beside.new_zeros(len(beside), layer.state_size) for layer in self.layers]
            return [(zero, zero) for zero in zeros]
        states = [torch.tanh(linear(beside)).chunk(2, 1) for linear in self.initial_states]
        return [(h, c) for h, c in states]

    # ------------------------------------------------------------------------------------------------ z → x

    def decode(
        self,
        z: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        controls: Tensor | None = None,
        *,
        variance_temperature: float | None = None,
        greedy: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Draw frames, without gradient.

        Args:
            z: [B, Z]; for an unconditional model [B, 0], whose B says how many.
            temperature: divides the logits of components; 0 takes the likeliest one.
            controls: [B, 3] pitch, velocity and instrument, below 0 where unknown; None: nothing is known.
            variance_temperature: multiplies the variance; by default the temperature. The original's two
                settings were temperature 0.5, variance 0.3, greedy; and 0.6, 0.3, drawn.
            greedy: take the likeliest component at any temperature.

        Returns:
            [B, T, W + 3] frames and context, T the representation's; lengths [B] int64.
        """
        if z.ndim != 2 or z.shape[1] != self.z_size:
            raise KikiboubaError(f"z has shape {list(z.shape)}; this model decodes [B, {self.z_size}]")
        if temperature < 0 or (variance_temperature or 0.0) < 0:
            raise KikiboubaError(f"temperature {temperature} must be 0 (greedy) or more")
        context = z.new_full((len(z), len(CONTEXT)), -1.0) if controls is None else controls.to(z)
        variance = temperature if variance_temperature is None else variance_temperature
        with torch.inference_mode():
            sequence = self._draw(
                self._beside(z, context), temperature, variance, greedy or not temperature, generator
            )
            frames = self.frames_of(sequence)
        beside = context[:, None].expand(-1, self.frames, -1)
        lengths = torch.full((len(z),), self.frames, device=z.device)
        return torch.cat([frames.clone(), beside], 2), lengths

    def _draw(
        self,
        beside: Tensor,
        temperature: float,
        variance: float,
        greedy: bool,
        generator: torch.Generator | None,
    ) -> Tensor:
        """A sequence [B, T, channels], frame by frame from what was drawn before."""
        config, states = self.config, self._start(beside)
        steppers = [layer.stepper(beside if k == 0 else beside[:, :0]) for k, layer in enumerate(self.layers)]
        frame, said = beside.new_zeros(len(beside), self.channels), []
        for _ in range(self.frames):
            hidden = frame
            for k, (step, state) in enumerate(zip(steppers, states, strict=True)):
                states[k] = step(hidden, *state)
                hidden = states[k][0][:, : config.rnn_size]
            y = self.output(hidden)
            mixture = split_output(
                y, config.mixture, self.channels, config.num_mixture, config.least_log_sigma
            )
            said.append(draw(mixture, temperature, variance, greedy, generator))
            frame = said[-1] if config.frame_keep > 0 else frame
        return torch.stack(said, 1)


def build(config: ModelConfig, representation: EmbeddingRepresentation) -> EmbeddingRNN:
    """A preset's model for frames of the representation's width, freshly initialised."""
    return EmbeddingRNN(config, representation)


def _widths(config: ModelConfig, representation: EmbeddingRepresentation) -> dict[str, int]:
    """What the decoder is told, by name: how many kinds of it there are."""
    if config.unconditional:
        return {}
    known = {"pitch": NOTES, "velocity": NOTES, "instrument": len(representation.instruments)}
    if "instrument" in config.context and not representation.instruments:
        raise KikiboubaError(
            "model.context names the instrument, and the dataset knows none: prepare notes whose file names "
            "say it, such as flute-060-100.wav, or leave it out"
        )
    return {name: known[name] for name in config.context}


def _cell(config: ModelConfig, kind: Cell, input_size: int, hidden_size: int) -> Recurrent:
    return recurrent_cell(
        kind,
        input_size,
        hidden_size,
        config.recurrent_dropout_keep,
        config.hyper_num_units,
        config.hyper_embedding_size,
    )
