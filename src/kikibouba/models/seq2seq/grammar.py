"""A grammar as a mask: at every step of decoding, which symbols may come next.

The rules are tables (`data.event_grammar.Grammar`); here they are applied to many sentences at once. What
comes out of a decoder that obeys the mask is a whole sentence, however badly the decoder is trained: where
room gets short, bars are closed and the sentence is ended in time.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from kikibouba.data.event_grammar import Grammar

LONGEST_NOTE = 3
"""Symbols that a note begun may still need: pitch, duration, velocity."""


class GrammarState(NamedTuple):
    """How far N sentences are."""

    kind: Tensor
    """[N] int64: kind of the last symbol"""
    highest: Tensor
    """[N, K] int64: the last symbol of each kind that rises, -1 where a rise begins anew"""
    count: Tensor
    """[N] int64: how much of the quota is used"""

    def rows(self, index: Tensor) -> "GrammarState":
        """The sentences of these numbers [M] int64."""
        return GrammarState(*(part[index] for part in self))


class GrammarMask(nn.Module):
    """The tables of a grammar on a device; it has no weights, and its tables are in no checkpoint."""

    kind: Tensor
    follows: Tensor
    rises: Tensor
    resets: Tensor

    def __init__(self, grammar: Grammar) -> None:
        super().__init__()
        for name in ("kind", "follows", "rises", "resets"):
            self.register_buffer(name, torch.from_numpy(getattr(grammar, name)), persistent=False)
        self.counted, self.quota = grammar.counted, grammar.quota
        self.start, self.end_kind = grammar.start, int(grammar.kind[grammar.end])

    def begin(self, rows: int) -> GrammarState:
        """N sentences of which only the start symbol is there."""
        kinds = len(self.follows)
        kind = self.kind[self.start].expand(rows)
        return GrammarState(kind, kind.new_full((rows, kinds), -1), kind.new_zeros(rows))

    def allowed(self, state: GrammarState, room: int) -> Tensor:
        """Which symbols may come next, [N, V] bool, if `room` symbols may still be written."""
        kinds = self.follows[state.kind].clone()
        kinds[:, self.counted] &= state.count < self.quota
        kinds[:, self.end_kind] &= state.count == self.quota
        closing = torch.zeros_like(kinds)
        closing[:, [self.counted, self.end_kind]] = kinds[:, [self.counted, self.end_kind]]
        needed = self.quota - state.count + 1  # bars to come, and the end
        must_close = (room <= needed + 1 + LONGEST_NOTE) & closing.any(1)
        kinds = torch.where(must_close[:, None], closing, kinds)
        symbols = torch.arange(len(self.kind), device=kinds.device)
        return kinds[:, self.kind] & (symbols > state.highest[:, self.kind])

    def advance(self, state: GrammarState, symbols: Tensor) -> GrammarState:
        """The sentences with one more symbol [N] int64 each."""
        kind = self.kind[symbols]
        highest = state.highest.masked_fill(self.resets[kind], -1)
        risen = torch.where(self.rises[kind], symbols, -1)
        highest = highest.scatter(1, kind[:, None], risen[:, None])
        return GrammarState(kind, highest, state.count + (kind == self.counted))
