"""Sequence to sequence: read all of a source, then say the target symbol by symbol, looking back at will.

    source ─encoder→ h̄_1 … h̄_S ────────────┐ memory
                       │ last states         │ attention: where to look now
                       ▼                     ▼
    START y_1 … ─decoder→ h_1 … h_T ──→ h̃_1 … h̃_T ──→ p(y_t | y_<t, source) = softmax(W_s h̃_t)
                   ▲───────────────────────┘ input feeding

Sutskever, Vinyals and Le (arXiv:1409.3215) hand over the encoder's last state and nothing else
(`attention="none"`), and found that a source read backwards is learnt better (`reverse_source`): its first
symbol, and the target's, come close. Luong, Pham and Manning (arXiv:1508.04025) let the decoder look at the
whole source; see `nn.luong_attention`, whose equation numbers are used here. We follow them, with an encoder
that reads in both directions, each with half the units, so that h̄ and h have one width. The decoder starts
from h_0, c_0 = tanh(W [last forward state; last backward state]).

In training the decoder is told the truth (teacher forcing), or at times its own draw instead (scheduled
sampling, Bengio et al. 2015), so that it learns to go on after mistakes.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.data.dynamics_roll import DynamicsRepresentation
from kikibouba.data.event_grammar import Grammar
from kikibouba.data.event_tokens import PAD
from kikibouba.models.base import Batch, LossParts
from kikibouba.models.seq2seq.back_translation import back_translated
from kikibouba.models.seq2seq.clock import Clock
from kikibouba.models.seq2seq.config import ModelConfig
from kikibouba.models.seq2seq.dynamics import DynamicsModel
from kikibouba.models.seq2seq.grammar import GrammarMask
from kikibouba.nn.dropout import Dropout
from kikibouba.nn.lstm import LSTMLayer, lstm_layers, lstm_sequence
from kikibouba.nn.luong_attention import LuongAttention, Memory


class State(NamedTuple):
    """Where N decoders are."""

    h: Tensor
    """[L, N, H]: outputs of the layers"""
    c: Tensor
    """[L, N, H]: their memories"""
    feed: Tensor
    """[N, H]: h̃ of the step before; zeros at first"""
    time: Tensor
    """[N] int64: when, as a `Clock` counts; zeros without one"""

    def rows(self, index: Tensor) -> "State":
        """The decoders of these numbers [M] int64."""
        return State(self.h[:, index], self.c[:, index], self.feed[index], self.time[index])


class Encoder(nn.Module):
    """LSTM layers that read symbols; [B, S] → h̄ [B, S, H] and the last states [B, H].

    Args:
        vocabulary: V.
        config: its widths, depth and directions.
    """

    def __init__(self, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        self.reverse_source = config.reverse_source
        self.embedding = nn.Embedding(vocabulary, config.embedding_size)
        directions = 2 if config.bidirectional else 1
        inputs = (config.embedding_size, *[config.units] * (config.encoder_layers - 1))
        sizes = [config.units // directions] * config.encoder_layers
        self.ahead = lstm_layers(inputs, sizes)
        self.back = lstm_layers(inputs, sizes) if config.bidirectional else None
        self.dropout = Dropout(config.dropout)

    def forward(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Symbols [B, S] int64, of which the first lengths [B] (≥ 1) are real."""
        steps = torch.arange(source.shape[1], device=source.device)[:, None]
        mirror = torch.where(steps < lengths, lengths - 1 - steps, steps)  # [S, B]
        symbols = source.t()
        if self.reverse_source:
            symbols = symbols.gather(0, mirror)
        x, last = self.embedding(symbols), torch.empty(0)
        for k, layer in enumerate(self.ahead):
            x = self.dropout(x)
            ahead = _run(layer, x)
            last = ahead.gather(0, (lengths - 1)[None, :, None].expand(1, -1, ahead.shape[-1]))[0]
            if self.back is None:
                x = ahead
                continue
            back = _take(_run(self.back[k], _take(x, mirror)), mirror)
            x, last = torch.cat([ahead, back], -1), torch.cat([last, back[0]], -1)
        if self.reverse_source:  # h̄_s shall stand where symbol s stands
            x = _take(x, mirror)
        return self.dropout(x.transpose(0, 1)), last


def _run(layer: LSTMLayer, x: Tensor) -> Tensor:
    """[S, B, in] → h [S, B, H]."""
    return lstm_sequence(layer.gates(x), layer.w_h)[0]


def _take(x: Tensor, steps: Tensor) -> Tensor:
    """x [S, B, N] in the order of steps [S, B]."""
    return x.gather(0, steps[:, :, None].expand_as(x))


class Seq2Seq(nn.Module):
    """An encoder, a decoder and what lies between them.

    Args:
        config: see `ModelConfig`.
        vocabulary: V, of source and target alike; PAD, START and END (0, 1, 2) are among it.
        grammar: what may follow what in a target; None: anything may.
        styles: symbols of styles, with one of which each source begins; none by default.
        clock: when symbols are; needed for attention by time.
    """

    z_size = 0
    """There is no latent vector: the memory is as long as the source."""

    def __init__(
        self,
        config: ModelConfig,
        vocabulary: int,
        grammar: Grammar | None = None,
        styles: range = range(0),
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self.clock = clock if config.attention_by_time else None
        self.config, self.vocabulary, self.styles = config, vocabulary, styles
        self.grammar = None if grammar is None else GrammarMask(grammar)
        size, depth = config.units, config.decoder_layers
        self.encoder = Encoder(vocabulary, config)
        self.to_state = nn.Linear(size, 2 * depth * size)
        self.embedding = nn.Embedding(vocabulary, config.embedding_size)
        fed = size if config.feeds_input else 0
        self.layers = lstm_layers((config.embedding_size + fed, *[size] * (depth - 1)), [size] * depth)
        self.attention = None
        if config.attention != "none":
            span = None if self.clock is None else self.clock.span
            self.attention = LuongAttention(size, size, config.attention, config.attention_window, span)
        self.dropout = Dropout(config.dropout)
        self.to_logits = nn.Linear(size, vocabulary)

    def read(self, source: Tensor, lengths: Tensor) -> tuple[Memory | None, State]:
        """Symbols [B, S] with lengths [B] → what can be asked about them (keys computed once), and the
        decoder's first state.
        """
        values, last = self.encoder(source, lengths)
        states = torch.tanh(self.to_state(last)).unflatten(1, (2, len(self.layers), -1))
        h, c = states.permute(1, 2, 0, 3)
        times = None if self.clock is None else self.clock.times(source)
        memory = None if self.attention is None else self.attention.remember(values, lengths, times)
        now = torch.zeros_like(lengths) if self.clock is None else self.clock.begin(len(source))
        return memory, State(h, c, torch.zeros_like(last), now)

    def entry(self) -> Tensor:
        """What each symbol adds to the first layer's gates, [V, 4H]; computed once for a sequence."""
        w_x, bias = self.layers[0].input_weights()
        return torch.addmm(bias, self.embedding.weight, w_x[: self.config.embedding_size])

    def step(
        self, symbols: Tensor, gates: Tensor, state: State, memory: Memory | None
    ) -> tuple[Tensor, Tensor | None, State]:
        """One step of N decoders.

        Args:
            symbols: [N] int64, what they were told, or said last.
            gates: [N, 4H], what they hear of it: rows of `entry`.
            state, memory: as `read` gives them.

        Returns:
            (h̃ [N, H], where they looked [N, S] or None, the new state).
        """
        now = state.time if self.clock is None else self.clock.after(state.time, symbols)
        h, c, x = [], [], None
        for k, layer in enumerate(self.layers):
            if x is not None:
                gates = layer.gates(self.dropout(x))
            elif self.config.feeds_input:
                gates = gates + state.feed @ layer.w_x[self.config.embedding_size :]
            x, memory_of_layer = _cell(torch.addmm(gates, state.h[k], layer.w_h), state.c[k])
            h.append(x)
            c.append(memory_of_layer)
        attended, weights = h[-1], None
        if self.attention is not None and memory is not None:
            looked = self.attention(h[-1][:, None], memory, now[:, None])
            attended, weights = (part[:, 0] for part in looked)
        return attended, weights, State(torch.stack(h), torch.stack(c), attended, now)

    def logits(self, attended: Tensor) -> Tensor:
        """h̃ [..., H] → unnormalised log p [..., V] (6)."""
        return self.to_logits(self.dropout(attended))

    def teacher_forced(
        self,
        told: Tensor,
        memory: Memory | None,
        state: State,
        own: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """h̃ [B, T, H] of decoders that are told symbols [B, T], from START on.

        Args:
            told: what they read.
            memory, state: as `read` gives them.
            own: share of symbols that are replaced by the decoder's own draw (scheduled sampling).
            generator: of these draws.
        """
        entry, unheard = self.entry(), self.config.unheard if self.training else 0.0
        heard = told
        if unheard:
            heard = told.masked_fill(
                torch.rand(told.shape, generator=generator, device=told.device) < unheard, PAD
            )
        if not self.config.feeds_input and not own:
            return self._all_at_once(told, F.embedding(heard.t(), entry), memory, state)
        attended: list[Tensor] = []
        replaced = torch.rand(told.shape, generator=generator, device=told.device) < own
        for t, symbols in enumerate(told.unbind(1)):
            if own and t:
                symbols = torch.where(replaced[:, t], self._draw(attended[-1], generator), symbols)
            gates = F.embedding(symbols.where(heard[:, t] != PAD, PAD), entry)
            h, _, state = self.step(symbols, gates, state, memory)
            attended.append(h)
        return torch.stack(attended, 1)

    def _all_at_once(self, told: Tensor, gates: Tensor, memory: Memory | None, state: State) -> Tensor:
        """`teacher_forced` where nothing is fed back: layer by layer, then all steps' attention. `gates`
        [T, B, 4H] are what is heard of `told` [B, T].
        """
        x, _ = lstm_sequence(gates, self.layers[0].w_h, state.h[0], state.c[0])
        for layer, h0, c0 in zip(self.layers[1:], state.h[1:], state.c[1:], strict=True):
            x, _ = lstm_sequence(layer.gates(self.dropout(x)), layer.w_h, h0, c0)
        h = x.transpose(0, 1)
        if self.attention is None or memory is None:
            return h
        return self.attention(h, memory, None if self.clock is None else self.clock.times(told))[0]

    @torch.no_grad()
    def _draw(self, attended: Tensor, generator: torch.Generator | None) -> Tensor:
        """A symbol [B] from the distribution after h̃ [B, H]."""
        return torch.multinomial(self.to_logits(attended).softmax(-1), 1, generator=generator)[:, 0]

    def _turns_back(self, step: int, batch: Batch, generator: torch.Generator | None) -> bool:
        """Whether a step learns from the model's own translations."""
        share = self.config.back_translation if step >= self.config.back_translation_from else 0.0
        drawn = torch.rand((), generator=generator, device=batch.x.device) if share else 1.0
        return float(drawn) < share and len(self.styles) > 1

    def loss(self, batch: Batch, step: int, generator: torch.Generator | None = None) -> LossParts:
        """Nats a symbol of the targets, END included.

        Args:
            batch: x [B, S + T] int64, the sources and then the targets, from START to END, each padded with
                PAD to the longest of them; lengths [B, 2] of both.
            step: for the schedule of scheduled sampling.
            generator: of its draws.

        Returns:
            `loss`: cross-entropy with label smoothing (in eval mode without); `nll`: without smoothing;
            `accuracy`: share of symbols that are the likeliest; `own`: the share of own draws.
        """
        if self.training and self._turns_back(step, batch, generator):
            batch = back_translated(self, batch, self.styles, generator)
        source, target = batch.x.split([int(n) for n in batch.lengths.amax(0)], dim=1)
        memory, state = self.read(source, batch.lengths[:, 0])
        own = self.config.own_share(step) if self.training else 0.0
        attended = self.teacher_forced(target[:, :-1], memory, state, own, generator)
        wanted = target[:, 1:]
        real = wanted != PAD
        log_p, wanted = self.logits(attended[real]).log_softmax(-1), wanted[real]
        nll = F.nll_loss(log_p, wanted)
        smoothing = self.config.label_smoothing if self.training else 0.0
        loss = (1 - smoothing) * nll - smoothing * log_p.mean() if smoothing else nll
        accuracy = (log_p.argmax(-1) == wanted).float().mean()
        return {"loss": loss, "nll": nll.detach(), "accuracy": accuracy, "own": loss.new_tensor(own)}


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One LSTM step with gradient: gates [N, 4H] (forget bias added), c [N, H] → the new (h, c)."""
    i, f, g, o = gates.chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def build(config: ModelConfig, representation: Any) -> nn.Module:
    """The network of a preset: for sentences of events, or for the velocities of a roll."""
    if isinstance(representation, DynamicsRepresentation):
        return DynamicsModel(config, representation.steps_per_bar, max(len(representation.styles), 1))
    vocabulary = representation.vocabulary
    styles = range(vocabulary.style(0), vocabulary.style(vocabulary.styles))
    clock = Clock(vocabulary, representation.bars)
    return Seq2Seq(config, vocabulary.size, vocabulary.grammar(representation.bars), styles, clock)
