"""Saying a target: the likeliest symbol each time, a draw, or a search for the likeliest sentence.

All three obey the model's grammar, go on from a beginning that is given (`prefix`), and read the source once.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kikibouba.data.event_tokens import END, PAD, START
from kikibouba.models.seq2seq.grammar import GrammarState

if TYPE_CHECKING:
    from kikibouba.models.seq2seq.model import Seq2Seq

EMPTY = np.zeros(0, np.int64)


class Said(NamedTuple):
    """A target as it was said."""

    symbols: np.ndarray
    """[N] int64, without START and END; begins with the prefix"""
    log_prob: float
    """ln p of what was chosen, END included, the prefix not; under the grammar's mask"""
    looks: np.ndarray
    """[N, S] float32: a_t(s), where the decoder looked before each symbol; S = 0 without attention"""


@torch.inference_mode()
def say(
    model: "Seq2Seq",
    source: Tensor,
    lengths: Tensor,
    longest: int,
    *,
    temperature: float = 0.0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
    prefix: Sequence[np.ndarray] | None = None,
) -> list[Said]:
    """Targets of a batch of sources, symbol by symbol.

    Args:
        model: in eval mode.
        source: [B, S] int64, with their lengths [B].
        longest: symbols after which a target ends, END included.
        temperature: 0 takes the likeliest symbol; 1 draws from what the model learnt.
        top_p: draws from the fewest symbols that together have this probability (nucleus sampling).
        generator: of the draws.
        prefix: how each target begins, int64 [N_b] without START.
    """
    rows = len(source)
    begin = [EMPTY] * rows if prefix is None else list(prefix)
    memory, state = model.read(source, lengths)
    entry, walk = model.entry(), _Walk(model, rows, longest)
    symbols = source.new_full((rows,), START)
    total, ended = torch.zeros_like(state.feed[:, 0]), symbols == END
    said, looks = [], []
    while walk.room and not ended.all():
        attended, weights, state = model.step(symbols, F.embedding(symbols, entry), state, memory)
        log_p = _log_softmax(model.logits(attended), walk.allowed(begin), temperature)
        symbols = _choose(log_p, temperature, top_p, generator).masked_fill(ended, PAD)
        total += log_p.gather(1, symbols[:, None])[:, 0].masked_fill(ended, 0.0)
        ended |= symbols == END
        said.append(symbols)
        looks.append(_or_nowhere(weights, rows))
        walk.advance(symbols)
    table, looked = torch.stack(said, 1).cpu().numpy(), torch.stack(looks, 1).cpu().numpy()
    whole = [int(np.argmax(row == END)) if END in row else len(row) for row in table]
    return [
        Said(table[b, :n], float(total[b]), looked[b, :n, :s])
        for b, (n, s) in enumerate(zip(whole, lengths.tolist(), strict=True))
    ]


@torch.inference_mode()
def search(
    model: "Seq2Seq",
    source: Tensor,
    longest: int,
    *,
    beam: int = 5,
    length_penalty: float = 1.0,
    prefix: np.ndarray = EMPTY,
) -> Said:
    """The likeliest target of one source, as far as a beam finds it.

    At every step the `beam` likeliest beginnings are kept. A finished target scores ln p / n^length_penalty
    with n its symbols, so that short ones are not preferred; 0 compares ln p itself. The search ends when
    `beam` targets are finished and no beginning, scored likewise, is ahead of the best of them.

    Args:
        model: in eval mode.
        source: [S] int64.
        longest, prefix: as for `say`.
        beam: 1 or more.
        length_penalty: see above.
    """
    memory, state = model.read(source[None], source.new_tensor([len(source)]))
    entry, walk = model.entry(), _Walk(model, 1, longest)
    symbols, said = source.new_full((1,), START), source.new_zeros(1, 0)
    scores = torch.zeros_like(state.feed[:, 0])
    looks = scores.new_zeros(1, 0, 0 if memory is None else len(source))
    finished: list[tuple[float, Said]] = []
    while walk.room:
        rows = len(symbols)
        here = None if memory is None else memory.rows(symbols.new_zeros(rows))
        attended, weights, state = model.step(symbols, F.embedding(symbols, entry), state, here)
        log_p = _log_softmax(model.logits(attended), walk.allowed([prefix] * rows), 0.0)
        n = max(said.shape[1] + 1 - len(prefix), 1) ** length_penalty
        ends = scores + log_p[:, END]
        finished += [(one.log_prob / n, one) for one in _ended(ends, said, looks)]
        finished = sorted(finished, key=lambda found: -found[0])[:beam]
        log_p[:, END] = -torch.inf
        best, place = (scores[:, None] + log_p).flatten().topk(min(beam, log_p.numel()))
        place, best = place[best.isfinite()], best[best.isfinite()]
        if not len(best) or (len(finished) == beam and float(best[0]) / n <= finished[0][0]):
            break
        row, symbols = place // model.vocabulary, place % model.vocabulary
        looks = torch.cat([looks[row], _or_nowhere(weights, rows)[row][:, None]], 1)
        scores, state, said = best, state.rows(row), torch.cat([said[row], symbols[:, None]], 1)
        walk.take(row)
        walk.advance(symbols)
    if finished:
        return finished[0][1]
    return Said(said[0].cpu().numpy(), float(scores[0]), looks[0].cpu().numpy())  # nothing made it end


def _ended(log_p: Tensor, said: Tensor, looks: Tensor) -> list[Said]:
    """The targets [N, n] that may end here, which is where log_p [N] is finite."""
    rows = log_p.isfinite().nonzero()[:, 0].tolist()
    return [Said(said[row].cpu().numpy(), float(log_p[row]), looks[row].cpu().numpy()) for row in rows]


def _or_nowhere(weights: Tensor | None, rows: int) -> Tensor:
    """Where N decoders looked [N, S]; [N, 0] without attention."""
    return torch.zeros(rows, 0) if weights is None else weights


class _Walk:
    """How far N targets are, and what may come next in each: the prefix first, then what the grammar says."""

    def __init__(self, model: "Seq2Seq", rows: int, longest: int) -> None:
        self.model, self.done, self.longest = model, 0, longest
        self.state: GrammarState | None = None if model.grammar is None else model.grammar.begin(rows)

    @property
    def room(self) -> int:
        """Symbols that may still be said."""
        return self.longest - self.done

    def allowed(self, prefix: Sequence[np.ndarray]) -> Tensor:
        """[N, V] bool"""
        if self.model.grammar is None or self.state is None:
            allowed = torch.ones(len(prefix), self.model.vocabulary, dtype=torch.bool)
            allowed[:, [PAD, START]] = False
            allowed = allowed.to(self.model.to_logits.weight.device)
        else:
            allowed = self.model.grammar.allowed(self.state, self.room)
        for row, beginning in enumerate(prefix):
            if self.done < len(beginning):
                allowed[row] = False
                allowed[row, int(beginning[self.done])] = True
        return allowed

    def advance(self, symbols: Tensor) -> None:
        self.done += 1
        if self.model.grammar is not None and self.state is not None:
            self.state = self.model.grammar.advance(self.state, symbols)

    def take(self, rows: Tensor) -> None:
        if self.state is not None:
            self.state = self.state.rows(rows)


def _log_softmax(logits: Tensor, allowed: Tensor, temperature: float) -> Tensor:
    """ln p [N, V] of the allowed symbols, -inf of all others; where none is allowed, PAD has it all."""
    nothing = ~allowed.any(1)
    allowed = allowed.clone()
    allowed[nothing, PAD] = True
    return (logits / (temperature or 1.0)).masked_fill(~allowed, -torch.inf).log_softmax(-1)


def _choose(log_p: Tensor, temperature: float, top_p: float, generator: torch.Generator | None) -> Tensor:
    """One symbol [N] of each row."""
    if temperature == 0:
        return log_p.argmax(-1)
    if top_p >= 1:
        return torch.multinomial(log_p.exp(), 1, generator=generator)[:, 0]
    p, order = log_p.exp().sort(-1, descending=True)
    outside = p.cumsum(-1) - p >= top_p  # those before it have enough already
    place = torch.multinomial(p.masked_fill(outside, 0.0), 1, generator=generator)
    return order.gather(1, place)[:, 0]
