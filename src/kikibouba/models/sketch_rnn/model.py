"""Sketch-RNN (Ha & Eck 2017, "A Neural Representation of Sketch Drawings"), from stroke-5 rows to z and back.

    encoder   H = [LSTM(rows) ; LSTM(reversed rows)]        last states, [B, 2 enc]
    latent    mu = W H + b,  s = W H + b,  sigma = exp(s / 2),  z = mu + sigma eps
    decoder   h0, c0 = tanh(W z + b);  h_t = LSTM([row_(t-1) ; z], h_(t-1))
    output    y_t = W h_t + b  →  3 pen logits and a mixture of M bivariate normals over (dx, dy)
    loss      R + w(step) max(KL, tolerance)

A stroke-5 row is (dx, dy, p1, p2, p3), the last three one-hot: the pen stays down, lifts after this point,
the drawing has ended. Batches hold the drawing's own rows; the model adds the start row (0, 0, 1, 0, 0) and
the end row (0, 0, 0, 0, 1). docs/sketch_rnn.md sets the equations beside this code and names every
departure from the paper and from the original.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch, LossParts, Normal
from kikibouba.models.sketch_rnn.config import Cell, ModelConfig
from kikibouba.nn import schedules
from kikibouba.nn.mixture_density import gumbel_noise, log_density, sample_offsets, split_output
from kikibouba.nn.precise_linear import Linear, narrow_linear
from kikibouba.nn.recurrent_cells import Recurrent, recurrent_cell
from kikibouba.nn.recurrent_dropout_lstm import dropout_mask

ROW = 5
PEN_DOWN, PEN_UP, END = 2, 3, 4
"""Columns of a stroke-5 row after dx and dy."""


class SketchRNN(nn.Module):
    """A `LatentModel` of drawings; with `conditional=False` only the decoder, and z has no dimensions."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.z_size = config.z_size if config.conditional else 0
        if config.conditional:
            self.encoder_forward = _cell(config, config.enc_model, ROW, config.enc_rnn_size)
            self.encoder_backward = _cell(config, config.enc_model, ROW, config.enc_rnn_size)
            self.mu = narrow_linear(2 * config.enc_rnn_size, self.z_size)
            self.log_variance = narrow_linear(2 * config.enc_rnn_size, self.z_size)
        self.decoder = _cell(config, config.dec_model, ROW + self.z_size, config.dec_rnn_size)
        if config.conditional:
            self.initial_state = narrow_linear(self.z_size, 2 * self.decoder.state_size)
        self.output = Linear(config.dec_rnn_size, 3 + 6 * config.num_mixture)
        nn.init.xavier_uniform_(self.output.weight)
        bound = math.sqrt(3 / self.output.out_features)
        nn.init.uniform_(self.output.bias, -bound, bound)
        if config.conditional and config.latent_init == "clear":
            self.clear_latent()

    def clear_latent(self) -> None:
        """Start with a z that says something: Glorot-uniform mu and z → state, sigma near 0.14.

        The original starts these layers at N(0, 0.001²), where z is noise of sigma 1 around nothing, and the
        decoder first learns to do without it.
        """
        nn.init.xavier_uniform_(self.mu.weight)
        nn.init.xavier_uniform_(self.initial_state.weight)
        nn.init.constant_(self.log_variance.bias, -4.0)

    # ------------------------------------------------------------------------------------------------ x → z

    def encode(self, x: Tensor, lengths: Tensor, generator: torch.Generator | None = None) -> Normal:
        """The posterior q(z|x).

        Args:
            x: stroke-5 rows [B, N, 5] without start and end rows; none after a drawing's length is seen.
            lengths: [B] int64, each at least 1.
            generator: noise of the recurrent dropout (training mode only).

        Raises:
            KikiboubaError: the model is unconditional, or x has another shape.
        """
        if not self.config.conditional:
            raise KikiboubaError(
                "an unconditional Sketch-RNN has no encoder: use a conditional preset such as sketch_rnn"
            )
        _check_rows(x, lengths)
        order = lengths.argsort(descending=True, stable=True)
        mu, log_variance = self._posterior(x[order], lengths[order], generator)
        back = order.argsort()
        return Normal(mu[back], torch.exp(0.5 * log_variance[back]))

    def _posterior(
        self, x: Tensor, lengths: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """mu and log sigma² [B, Z] of drawings sorted from longest to shortest."""
        rows = x[:, : int(lengths[0])].transpose(0, 1)
        steps = torch.arange(rows.shape[0], device=x.device)
        backwards = (lengths[None, :] - 1 - steps[:, None]).clamp(min=0)
        zero = x.new_zeros(x.shape[0], self.encoder_forward.state_size)
        no_context = x.new_zeros(x.shape[0], 0)
        last = []
        for cell, time in (
            (self.encoder_forward, rows),
            (self.encoder_backward, rows.gather(0, backwards[:, :, None].expand(-1, -1, ROW))),
        ):
            _, h, _ = cell(time, zero, zero, lengths, no_context, generator)
            last.append(h[:, : self.config.enc_rnn_size])
        summary = torch.cat(last, 1)
        return self.mu(summary), self.log_variance(summary)

    # ------------------------------------------------------------------------------------------------ loss

    def loss(self, batch: Batch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """One batch's loss; training has dropout and the KL weight of `step`, evaluation the final KL weight.

        Returns:
            Scalars, all but `loss` detached: loss = r_loss + kl_weight * kl_loss; r_loss = offset_loss +
            pen_loss, nats per row, every drawing counted as `max_length` rows; kl_loss, nats per dimension
            of z, at least kl_tolerance; kl_raw, the same without that floor; kl_weight, the one applied.
        """
        _check_rows(batch.x, batch.lengths)
        order = batch.lengths.argsort(descending=True, stable=True)
        x, lengths = batch.x[order], batch.lengths[order]
        if self.config.conditional:
            mu, log_variance = self._posterior(x, lengths, generator)
            kl_raw = -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).mean()
            z = Normal(mu, torch.exp(0.5 * log_variance)).sample(generator)
        else:
            kl_raw, z = x.new_zeros(()), x.new_zeros(x.shape[0], 0)
        offset_loss, pen_loss = self._reconstruction(z, x, lengths, generator)
        kl_loss = kl_raw.clamp(min=self.config.kl_tolerance) if self.config.conditional else kl_raw
        r_loss, kl_weight = offset_loss + pen_loss, self._kl_weight(step)
        return {
            "loss": r_loss + kl_weight * kl_loss,
            "r_loss": r_loss.detach(),
            "offset_loss": offset_loss.detach(),
            "pen_loss": pen_loss.detach(),
            "kl_loss": kl_loss.detach(),
            "kl_raw": kl_raw.detach(),
            "kl_weight": x.new_tensor(kl_weight),
        }

    def _kl_weight(self, step: int) -> float:
        c = self.config
        annealed = schedules.kl_weight(step, c.kl_weight, c.kl_weight_start, c.kl_decay_rate)
        return annealed if self.training else c.kl_weight

    def _reconstruction(
        self, z: Tensor, x: Tensor, lengths: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """-log p(offsets | z) and -log p(pen states | z), summed over what counts, / (B * max_length)."""
        inputs, targets, rows = self._teacher_forcing(x, lengths)
        y = self._outputs(z, inputs, rows, generator)
        pen_logits, mixture = split_output(y.float())
        steps = torch.arange(y.shape[0], device=x.device)[:, None]
        real, counted = steps < lengths, steps < rows
        offset_loss = -log_density(mixture, targets[..., :2])
        pen_loss = F.cross_entropy(
            pen_logits.flatten(0, 1), targets[..., 2:].argmax(-1).flatten(), reduction="none"
        )
        scale = 1 / (x.shape[0] * self.config.max_length)
        return (offset_loss * real).sum() * scale, (pen_loss.view_as(counted) * counted).sum() * scale

    def _teacher_forcing(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decoder inputs and targets [N', B, 5] and the number of rows [B] each drawing is decoded for."""
        longest, max_length = int(lengths[0]), self.config.max_length
        steps = {"end_row": longest + 1, "real_rows": longest, "all": max_length}[self.config.pad_loss]
        if longest > steps:
            raise KikiboubaError(
                f"a drawing has {longest} rows, more than max_length {max_length}, with pad_loss='all'"
            )
        targets = x.new_zeros(steps, x.shape[0], ROW)
        targets[:longest] = x[:, :longest].transpose(0, 1)
        targets[torch.arange(steps, device=x.device)[:, None] >= lengths] = _end_row(x)
        inputs = torch.cat([_start_row(x).expand(1, x.shape[0], ROW), targets[:-1]])
        rows = {"end_row": lengths + 1, "real_rows": lengths, "all": torch.full_like(lengths, steps)}
        return inputs, targets, rows[self.config.pad_loss]

    def _outputs(self, z: Tensor, inputs: Tensor, rows: Tensor, generator: torch.Generator | None) -> Tensor:
        """y [N, B, 3 + 6M] of the teacher-forced decoder; without meaning after a drawing's rows."""
        config, context = self.config, z
        if self.training and config.input_dropout_keep < 1:
            # Dropout hits z anew at every step, so here z cannot be projected once for all of them.
            inputs, context = torch.cat([inputs, z.expand(inputs.shape[0], -1, -1)], -1), z[:, :0]
            inputs = inputs * dropout_mask(inputs.shape, config.input_dropout_keep, z, generator)
        h, c = self._start(z)
        hidden, _, _ = self.decoder(inputs, h, c, rows, context, generator)
        if self.training and config.output_dropout_keep < 1:
            hidden = hidden * dropout_mask(hidden.shape, config.output_dropout_keep, z, generator)
        return self.output(hidden)

    def _start(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The decoder's state (h, c) before the first row: tanh(W z + b), or zeros without z."""
        if not self.config.conditional:
            zero = z.new_zeros(z.shape[0], self.decoder.state_size)
            return zero, zero
        h, c = torch.tanh(self.initial_state(z)).chunk(2, 1)
        return h, c

    # ------------------------------------------------------------------------------------------------ z → x

    def decode(
        self,
        z: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        *,
        max_length: int | None = None,
        variance: Literal["T", "T^2"] = "T",
    ) -> tuple[Tensor, Tensor]:
        """Draw, without gradient.

        Args:
            z: [B, Z]; for an unconditional model [B, 0], whose B says how many drawings.
            temperature: divides the logits of component and pen and scales the variance of the offsets; 0
                takes the likeliest component, its mean, and the likeliest pen state.
            max_length: rows after which a drawing that has not ended is cut; the configuration's if None.
            variance: "T" scales the variance by the temperature (the paper, the JavaScript versions), "T^2"
                by its square (the original Python code).

        Returns:
            stroke-5 rows [B, N, 5], padded with end rows, N the longest drawing's length; lengths [B] int64
            without the end row, at least 1: a drawing does not end before its first row.
        """
        if z.ndim != 2 or z.shape[1] != self.z_size:
            raise KikiboubaError(f"z has shape {list(z.shape)}; this model decodes [B, {self.z_size}]")
        if temperature < 0:
            raise KikiboubaError(f"temperature {temperature} must be 0 (greedy) or more")
        steps = self.config.max_length if max_length is None else max_length
        spread = math.sqrt(temperature) if variance == "T" else temperature
        choice = gumbel_noise((steps, len(z), 3 + self.config.num_mixture), z, generator) * temperature
        choice[0, :, 2] = -math.inf
        normal = torch.randn(steps, len(z), 2, generator=generator, device=z.device, dtype=z.dtype) * spread
        with torch.inference_mode():
            drawn = self._draw(z, choice, normal)
        rows = drawn.transpose(0, 1).clone()
        over = rows[..., END].cumsum(1) > 0
        rows[over] = _end_row(z)
        lengths = (~over).sum(1)
        return rows[:, : int(lengths.max())], lengths

    def _draw(self, z: Tensor, choice: Tensor, normal: Tensor) -> Tensor:
        """Rows [N, B, 5] drawn from z with the given noise, until all drawings have ended or the noise has.

        An index is that of the largest of logits + T * Gumbel noise: a draw from softmax(logits / T).
        """
        step, (h, c) = self.decoder.stepper(z), self._start(z)
        pen_states = torch.eye(3, device=z.device, dtype=z.dtype)
        rows = z.new_empty(len(choice), len(z), ROW)
        weight = self.output.weight.t()
        row = _start_row(z).repeat(len(z), 1)
        for t in range(len(choice)):
            h, c = step(row, h, c)
            y = torch.addmm(self.output.bias, h[:, : self.config.dec_rnn_size], weight)
            scores = y[:, : choice.shape[2]] + choice[t]
            row = rows[t]
            row[:, :2] = sample_offsets(y[:, 3:], scores[:, 3:].argmax(1), normal[t])
            row[:, 2:] = pen_states.index_select(0, scores[:, :3].argmax(1))
            if t % 16 == 15 and _all_ended(rows[: t + 1]):
                return rows[: t + 1]
        return rows


def build(config: ModelConfig, representation: object = None) -> SketchRNN:
    """A preset's model, freshly initialised from torch's global noise. The representation sets nothing."""
    return SketchRNN(config)


def _cell(config: ModelConfig, kind: Cell, input_size: int, hidden_size: int) -> Recurrent:
    return recurrent_cell(
        kind,
        input_size,
        hidden_size,
        config.recurrent_dropout_keep,
        config.hyper_num_units,
        config.hyper_embedding_size,
    )


def _all_ended(rows: Tensor) -> bool:
    """Whether every drawing of rows [N, B, 5] has an end row."""
    return bool(rows[..., END].any(0).all())


def _start_row(like: Tensor) -> Tensor:
    return like.new_tensor([0.0, 0.0, 1.0, 0.0, 0.0])


def _end_row(like: Tensor) -> Tensor:
    return like.new_tensor([0.0, 0.0, 0.0, 0.0, 1.0])


def _check_rows(x: Tensor, lengths: Tensor) -> None:
    if x.ndim != 3 or x.shape[2] != ROW:
        raise KikiboubaError(f"x has shape {list(x.shape)}; Sketch-RNN takes stroke-5 rows [B, N, 5]")
    if len(lengths) != len(x) or int(lengths.min()) < 1 or int(lengths.max()) > x.shape[1]:
        raise KikiboubaError(f"lengths must be {len(x)} numbers from 1 to {x.shape[1]}, the rows of x")
