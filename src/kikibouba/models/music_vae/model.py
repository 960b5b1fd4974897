"""MusicVAE (Roberts et al., 2018), the flat model: a bar or two of symbols → z → the same symbols.

    encoder     a bidirectional LSTM reads x; its two final states give mu and sigma of q(z|x)
    z           = mu + sigma * eps
    decoder     an LSTM whose first state is tanh(W z + b) reads z and its own last symbol, and says the next
    loss        = -log p(x|z) + beta * max(KL(q(z|x) || N(0, I)) - free_bits, 0)

Shapes: B examples, T steps, D symbols, Z = z_size, E and H the units of an encoder or decoder layer. Labels
are batch first [B, T] at the door and time first [T, B] inside, where the recurrences run. A symbol enters a
layer as a row of the `gates` of all symbols (a table [D, 4H]): what multiplying a one-hot vector picks out.
"""

import math
from typing import Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.data.layout import Layout
from kikibouba.models.base import Batch, LossParts, Normal
from kikibouba.models.music_vae.config import ModelConfig
from kikibouba.nn import schedules
from kikibouba.nn.lstm import apart, lstm_layers, lstm_sequence, lstm_step


class SymbolRepresentation(Protocol):
    """What this model asks of a representation."""

    @property
    def steps(self) -> int:
        """T of every example."""
        ...

    @property
    def depth(self) -> int:
        """D: labels are 0 … D - 1."""
        ...

    @property
    def layout(self) -> Layout:
        """What the columns of an example are."""
        ...


def build(config: ModelConfig, representation: SymbolRepresentation) -> "MusicVAE":
    """A MusicVAE with fresh weights (drawn from torch's global generator)."""
    return MusicVAE(config, representation)


class MusicVAE(nn.Module):
    """A `LatentModel` over label sequences; see the module's text."""

    def __init__(self, config: ModelConfig, representation: SymbolRepresentation) -> None:
        super().__init__()
        self.config = config
        self.z_size = config.z_size
        self.steps = representation.steps
        (input_part,) = representation.layout.inputs
        input_table = cast(np.ndarray, input_part.table)
        self.encoder = BidirectionalEncoder(input_table, config.enc_rnn_size, config.z_size)
        self.decoder = CategoricalDecoder(representation.depth, config.dec_rnn_size, config.z_size)
        if config.latent_init == "clear":
            self.clear_latent()

    def clear_latent(self) -> None:
        """Start with a z that says something: Glorot-uniform mu and z → state, sigma near 0.05.

        The original starts these layers at N(0, 0.001²): z is sigma = 0.7 of noise around nearly nothing, and
        the decoder learns for thousands of steps to do without it, which short CPU trainings cannot afford.
        """
        nn.init.xavier_uniform_(self.encoder.mu.weight)
        nn.init.xavier_uniform_(self.decoder.initial_state.weight)
        nn.init.constant_(self.encoder.sigma.bias, -3.0)

    def encode(self, x: Tensor, lengths: Tensor) -> Normal:
        """Labels x [B, T] int64 and their lengths [B] → the posterior q(z|x), [B, Z] each."""
        return self.encoder(x, lengths)

    def decode(
        self, z: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """z [B, Z] → (labels [B, T] int64, lengths [B] int64, all T).

        Args:
            z: latent vectors.
            temperature: divides the logits; 0 takes the most likely symbol (the original has no such mode).
            generator: source of the draws; the result is a function of z, temperature and this alone.
        """
        noise = None
        if temperature > 0:
            shape = (self.steps, z.shape[0], self.decoder.depth)
            noise = temperature * gumbel(shape, generator, z.device)
        labels = self.decoder.generate(z, self.steps, noise).t().contiguous()
        return labels, torch.full((z.shape[0],), self.steps, device=z.device)

    def loss(self, batch: Batch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """The loss at a training step; in `eval()` mode always teacher-forced.

        Departs from the original, whose evaluation of a model with scheduled sampling lets the decoder run
        free at temperature 1, so that its numbers cannot be compared with those of training.
        """
        eps = torch.randn((batch.x.shape[0], self.z_size), generator=generator, device=batch.x.device)
        probability = 0.0
        if self.training:
            probability = schedules.sampling_probability(
                step, self.config.sampling_schedule, self.config.sampling_rate
            )
        return self.loss_from_noise(batch, step, eps, probability, generator)

    def loss_from_noise(
        self,
        batch: Batch,
        step: int,
        eps: Tensor,
        sampling_probability: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> LossParts:
        """`loss` with the posterior's noise given.

        Args:
            batch: x [B, T] int64, lengths [B].
            step: for the schedule of beta.
            eps: [B, Z] standard normal noise.
            sampling_probability: of replacing a decoder input by the decoder's own draw.
            generator: source of these draws.

        Returns:
            loss (nats per example), r_loss (-log p(x|z)), kl_loss (KL beyond the free bits), kl_bits (all of
            the KL, in bits), beta, accuracy (share of steps whose most likely symbol is right, given the
            decoder's inputs), sampling_probability. Means over the batch.
        """
        q = self.encode(batch.x, batch.lengths)
        z = q.mu + q.sigma * eps
        targets = batch.x.t()
        inputs = self.decoder.shift_right(targets)
        if sampling_probability > 0:
            inputs = self.decoder.scheduled_inputs(z, inputs, sampling_probability, generator)
        logits = self.decoder(z, inputs).float()
        kl = kl_from_standard_normal(q)
        kl_loss = (kl - self.config.free_bits * math.log(2)).clamp(min=0).mean()
        real = torch.arange(targets.shape[0], device=targets.device)[:, None] < batch.lengths
        r_loss = (F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")).view_as(targets)
        r_loss = (r_loss * real).sum(0).mean()
        beta = schedules.beta(step, self.config.max_beta, self.config.beta_rate)
        with torch.no_grad():
            accuracy = ((logits.argmax(-1) == targets) & real).sum() / real.sum()
        return {
            "loss": r_loss + beta * kl_loss,
            "r_loss": r_loss.detach(),
            "kl_loss": kl_loss.detach(),
            "kl_bits": kl.detach().mean() / math.log(2),
            "beta": torch.tensor(beta),
            "accuracy": accuracy,
            "sampling_probability": torch.tensor(sampling_probability),
        }


class BidirectionalEncoder(nn.Module):
    """x → q(z|x) = N(mu, sigma²), from the last state of a forward and of a backward LSTM."""

    input_table: Tensor

    def __init__(self, input_table: np.ndarray, enc_rnn_size: tuple[int, ...], z_size: int) -> None:
        super().__init__()
        self.register_buffer("input_table", torch.tensor(input_table), persistent=False)
        inputs = (input_table.shape[1], *(2 * size for size in enc_rnn_size[:-1]))
        self.forward_layers = lstm_layers(inputs, enc_rnn_size)
        self.backward_layers = lstm_layers(inputs, enc_rnn_size)
        self.mu = latent_linear(2 * enc_rnn_size[-1], z_size)
        self.sigma = latent_linear(2 * enc_rnn_size[-1], z_size)

    def forward(self, x: Tensor, lengths: Tensor) -> Normal:
        """x [B, T] int64, lengths [B] → posterior, [B, Z] each."""
        labels, backwards = x.t(), reversal(lengths, x.shape[1])
        fw, bw = self.forward_layers[0], self.backward_layers[0]
        h_fw, _ = lstm_sequence(F.embedding(labels, fw.gates(self.input_table)), fw.w_h)
        h_bw, _ = lstm_sequence(F.embedding(labels.gather(0, backwards), bw.gates(self.input_table)), bw.w_h)
        for fw, bw in zip(self.forward_layers[1:], self.backward_layers[1:], strict=True):
            features = torch.cat([h_fw, take_steps(h_bw, backwards)], dim=-1)
            h_fw, _ = lstm_sequence(fw.gates(features), fw.w_h)
            h_bw, _ = lstm_sequence(bw.gates(take_steps(features, backwards)), bw.w_h)
        last = lengths - 1, torch.arange(len(lengths), device=x.device)
        summary = torch.cat([h_fw[last], h_bw[last]], dim=-1)
        return Normal(self.mu(summary).float(), F.softplus(self.sigma(summary).float()))


class CategoricalDecoder(nn.Module):
    """z → p(x_t | x_<t, z): an LSTM stack with a softmax over D symbols on top."""

    def __init__(self, depth: int, dec_rnn_size: tuple[int, ...], z_size: int) -> None:
        super().__init__()
        self.depth = depth
        self.sizes = dec_rnn_size
        self.initial_state = latent_linear(z_size, 2 * sum(dec_rnn_size))
        self.layers = lstm_layers((depth + z_size, *dec_rnn_size[:-1]), dec_rnn_size)
        self.output = nn.Linear(dec_rnn_size[-1], depth)
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def shift_right(self, targets: Tensor) -> Tensor:
        """Targets [T, B] → what the decoder reads before each of them; label D stands for the start."""
        return F.pad(targets[:-1], (0, 0, 1, 0), value=self.depth)

    def forward(self, z: Tensor, inputs: Tensor) -> Tensor:
        """z [B, Z], inputs [T, B] (labels, D = start) → logits [T, B, D]."""
        table, z_gates = self._first_gates(z)
        (c0, h0), *upper_states = self._first_states(z)
        gates = F.embedding(inputs, table)
        gates += z_gates
        h, _ = lstm_sequence(gates, self.layers[0].w_h, h0, c0)
        for layer, (c0, h0) in zip(self.layers[1:], upper_states, strict=True):
            h, _ = lstm_sequence(layer.gates(h), layer.w_h, h0, c0)
        return self.output(h)

    @torch.no_grad()
    def generate(
        self,
        z: Tensor,
        steps: int,
        noise: Tensor | None = None,
        inputs: Tensor | None = None,
        own: Tensor | None = None,
    ) -> Tensor:
        """Let the decoder say symbols step by step.

        Args:
            z: [B, Z].
            steps: T.
            noise: [T, B, D] added to the logits before the argmax (Gumbel noise makes it a draw); None: none.
            inputs: [T, B] given inputs; with None the decoder always reads what it said last.
            own: [T, B] bool, where to read what it said last instead of `inputs`.

        Returns:
            What it said, [T, B] int64.
        """
        table, z_gates = self._first_gates(z)
        c, h = (list(states) for states in zip(*self._first_states(z), strict=True))
        first, *upper = self.layers
        w_first = apart(first.w_h).contiguous()
        upper_weights = [
            (apart(layer.run_time_bias())[:, None], apart(torch.cat([layer.w_x, layer.w_h])).contiguous())
            for layer in upper
        ]
        label = torch.full((len(z),), self.depth, device=z.device)
        said = []
        for t in range(steps):
            if inputs is not None and own is not None:
                label = torch.where(own[t], label, inputs[t])
            h[0], c[0] = lstm_step(apart(F.embedding(label, table) + z_gates), w_first, h[0], c[0])
            for k, (bias, w) in enumerate(upper_weights, start=1):
                h[k], c[k] = lstm_step(bias, w, torch.cat([h[k - 1], h[k]], dim=1), c[k])
            logits = self.output(h[-1])
            label = (logits if noise is None else logits + noise[t]).argmax(-1)
            said.append(label)
        return torch.stack(said)

    @torch.no_grad()
    def scheduled_inputs(
        self, z: Tensor, inputs: Tensor, probability: float, generator: torch.Generator | None = None
    ) -> Tensor:
        """Scheduled sampling: each input but the first becomes, with some probability, the decoder's draw.

        No gradient flows through a draw, so it can be made beforehand: decode once without gradient, note
        what was read, then train on that as if it were given. Examples with nothing to replace are left out.

        Args:
            z: [B, Z].
            inputs: [T, B], the true inputs.
            probability: of replacing, independently for each example and step.
            generator: source of the choice and of the draws (temperature 1).

        Returns:
            Inputs [T, B] with the replacements made.
        """
        own = torch.rand(inputs.shape, generator=generator, device=z.device) < probability
        own[0] = False
        rows = own.any(0).nonzero().squeeze(1)
        if len(rows) == 0:
            return inputs
        own, true = own[:, rows], inputs[:, rows]
        noise = gumbel((*true.shape, self.depth), generator, z.device)
        said = self.generate(z[rows], len(inputs) - 1, noise, true, own)
        replaced = inputs.clone()
        replaced[1:, rows] = torch.where(own[1:], said, true[1:])
        return replaced

    def _first_gates(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's gates: of each symbol [D + 1, 4H], the start's being 0, and of z [B, 4H]."""
        first = self.layers[0]
        of_symbols, of_z = first.w_x.split([self.depth, z.shape[1]])
        return F.pad(of_symbols, (0, 0, 0, 1)), z @ of_z + first.run_time_bias()

    def _first_states(self, z: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(c, h) of each layer, [B, H], before the first step: tanh(W z + b) holds c₀, h₀, c₁, h₁, …"""
        parts = torch.tanh(self.initial_state(z).float()).split(
            [size for size in self.sizes for _ in "ch"], dim=1
        )
        return list(zip(parts[::2], parts[1::2], strict=True))


def latent_linear(in_features: int, out_features: int) -> nn.Linear:
    """An affine layer into or out of the latent space: weights ~ N(0, 0.001²), bias 0, as in the original."""
    layer = nn.Linear(in_features, out_features)
    nn.init.normal_(layer.weight, std=0.001)
    nn.init.zeros_(layer.bias)
    return layer


def kl_from_standard_normal(q: Normal) -> Tensor:
    """KL(q || N(0, I)) of each example in nats, summed over z. [B]"""
    return 0.5 * (q.sigma**2 + q.mu**2 - 1 - 2 * q.sigma.log()).sum(-1)


def gumbel(shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Standard Gumbel noise, -ln(-ln u): argmax(logits + noise) is a draw from softmax(logits)."""
    return torch.rand(shape, generator=generator, device=device).log_().neg_().log_().neg_()


def reversal(lengths: Tensor, steps: int) -> Tensor:
    """Which step to read at each step [T, B] so that the real part of each example runs backwards."""
    t = torch.arange(steps, device=lengths.device)[:, None]
    return torch.where(t < lengths, lengths - 1 - t, t)


def take_steps(x: Tensor, index: Tensor) -> Tensor:
    """x [T, B, N] at steps index [T, B]."""
    return x[index, torch.arange(x.shape[1], device=x.device)]
