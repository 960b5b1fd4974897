"""What may follow what in a sequence of tokens, as data, so that a decoder can be kept to it.

A token has a kind (a bar line, a position, a pitch, …). A grammar says

    follows   which kind may come after which
    rises     of which kinds a token must be larger than the last one of its kind: within a bar positions
              go forward, within a chord pitches go up, so that a piece has one spelling only
    resets    after which kind such a rise begins anew
    quota     how often a kind occurs: a window has so many bars, no more, and ends only after them

These tables are all that a decoder needs: see `models.seq2seq.grammar`.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Grammar:
    """Rules for tokens of V symbols and K kinds."""

    kind: np.ndarray
    """[V] int64: the kind of each symbol"""
    follows: np.ndarray
    """[K, K] bool: row, the kind that was; column, whether that kind may be next"""
    rises: np.ndarray
    """[K] bool"""
    resets: np.ndarray
    """[K, K] bool: row, the kind that comes; column, whose rise begins anew"""
    counted: int
    """The kind with a quota."""
    quota: int
    """How often it occurs, exactly."""
    start: int
    """The symbol before the first."""
    end: int
    """The symbol after the last; it is allowed only once the quota is used up."""

    def violation(self, tokens: np.ndarray) -> str | None:
        """Why tokens [N] (without the start symbol) are no whole sentence; None if they are one.

        For tests and for checking data; a decoder applies the same rules step by step.
        """
        kinds = self.kind[tokens]
        last, count = self.kind[self.start], 0
        highest = np.full(len(self.follows), -1)
        for place, (token, kind) in enumerate(zip(tokens.tolist(), kinds.tolist(), strict=True)):
            if not self.follows[last, kind]:
                return f"token {place}: kind {kind} after kind {last}"
            if self.rises[kind] and token <= highest[kind]:
                return f"token {place}: {token} does not rise above {highest[kind]}"
            count += kind == self.counted
            if count > self.quota or (token == self.end and count < self.quota):
                return f"token {place}: {count} of {self.quota} of kind {self.counted}"
            highest[kind] = token
            highest[self.resets[kind]] = -1
            last = kind
        return None if len(tokens) and tokens[-1] == self.end else "it does not end"
