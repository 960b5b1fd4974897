"""Attention after Luong: at every step a decoder asks which parts of the source matter now.

Luong, Pham and Manning, *Effective Approaches to Attention-based Neural Machine Translation*
(arXiv:1508.04025); equation numbers are theirs. h_t is the state of the decoder's top layer at step t, and
the memory holds a vector h̄_s for each position s of the source.

    score(h_t, h̄_s) = h_tᵀ h̄_s                       dot
                      h_tᵀ W_a h̄_s                   general
                      v_aᵀ tanh(W_a [h_t; h̄_s])      concat
    a_t(s) = softmax over s of score(h_t, h̄_s)       (7)
    c_t    = Σ_s a_t(s) h̄_s
    h̃_t    = tanh(W_c [c_t; h_t])                    (5)

Words are predicted from h̃_t, softmax(W_s h̃_t) (6), and *input feeding* gives h̃_t to the decoder's next step
beside the next word, so that it knows where it has looked. Unlike Bahdanau's, this attention asks with h_t,
not with h_{t-1}, so it sits on top of the recurrence and can be computed for all steps at once wherever
nothing is fed back.

Attention may also be *local*: from h_t alone it is guessed where to look (local-p),

    p_t    = S σ(v_pᵀ tanh(W_p h_t))                                      (9)
    a_t(s) = align(h_t, h̄_s) exp(-(s - p_t)² / (2 σ²)),   σ = D / 2       (10)

with S the source's length, and align the softmax (7) over the positions within D of p_t. As in the paper, the
weights of (10) no longer sum to 1.

TensorFlow 1's class of the same name is "general" without the tanh of (5).

Beyond the paper: where source and target lie on one line of time, as music does, a learned number for each
difference in time can be added to the score, b(time of s - time of t). It says where to look before anything
has been learnt of what is there, as local-m (p_t = t) does, but bends to what is found.

What depends on the source alone is computed once for a sequence: `remember` gives a `Memory`, with W_a h̄_s as
keys, and `forward` makes any number of steps with it.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

FALL = 8.0
"""How much lower than now something scores at first that is a whole span away."""

Score = Literal["dot", "general", "concat"]


class Memory(NamedTuple):
    """A batch of sources, ready to be asked. S is the longest source's length."""

    keys: Tensor
    """[B, S, A]: what queries are compared with"""
    values: Tensor
    """[B, S, M]: h̄_s"""
    penalty: Tensor
    """[B, 1, S]: added to scores; 0 where the source is real, -inf beyond its end"""
    lengths: Tensor
    """[B] int64, at least 1"""
    by_time: Tensor
    """[B, P, S]: added to scores of a query at each of P times; [B, 0, S] where time does not count"""

    def rows(self, index: Tensor) -> "Memory":
        """The sources of these numbers [N] int64, in this order: N sources."""
        return Memory(*(part[index] for part in self))


class LuongAttention(nn.Module):
    """Scores, weights, context and attentional vector.

    Args:
        query_size: H, width of h_t and of h̃_t.
        memory_size: M, width of h̄_s; "dot" needs M = H.
        score: how a query and a position are compared.
        window: D, to look only near a predicted position (local-p); None to look everywhere.
        span: P, to score differences between times 0 … P - 1 too; None to know no time.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        score: Score = "general",
        window: int | None = None,
        span: int | None = None,
    ) -> None:
        super().__init__()
        if score == "dot" and query_size != memory_size:
            raise ValueError(f"score dot compares vectors of one width, not {query_size} and {memory_size}")
        self.score, self.window, self.span = score, window, span
        if score != "dot":
            self.to_keys = nn.Linear(memory_size, query_size, bias=False)
        if score == "concat":  # W_a [h_t; h̄_s] as the sum of a query's part and a key
            self.to_query = nn.Linear(query_size, query_size, bias=False)
            self.v_a = nn.Linear(query_size, 1, bias=False)
        if window is not None:
            self.w_p = nn.Linear(query_size, query_size, bias=False)
            self.v_p = nn.Linear(query_size, 1, bias=False)
        if span is not None:  # at first, what is now is looked at most
            self.nearness = nn.Parameter(-FALL * torch.arange(1 - span, span).abs() / span)
        self.combine = nn.Linear(memory_size + query_size, query_size, bias=False)

    def remember(self, values: Tensor, lengths: Tensor, times: Tensor | None = None) -> Memory:
        """Sources [B, S, M] with lengths [B], at least 1 each, and, with a span, times [B, S] int64."""
        keys = values if self.score == "dot" else self.to_keys(values)
        beyond = torch.arange(values.shape[1], device=values.device) >= lengths[:, None]
        penalty = torch.zeros_like(beyond, dtype=values.dtype).masked_fill(beyond, -torch.inf)
        by_time = values.new_zeros(len(values), 0, values.shape[1])
        if self.span is not None and times is not None:
            each = torch.arange(self.span, device=values.device)
            table = self.nearness[each - each[:, None] + self.span - 1]  # time of a query → of a position
            by_time = table.to(values.dtype) @ self._at(times, values.dtype).transpose(1, 2)
        return Memory(keys, values, penalty[:, None], lengths, by_time)

    def _at(self, times: Tensor, dtype: torch.dtype) -> Tensor:
        """Times [B, N] int64 → [B, N, P], 1 at each time. A product with it is faster than looking up."""
        return (times[..., None] == torch.arange(self.span or 0, device=times.device)).to(dtype)

    def scores(self, query: Tensor, memory: Memory) -> Tensor:
        """h_t [B, T, H] → score(h_t, h̄_s) [B, T, S], beyond the sources' ends too."""
        if self.score != "concat":
            return query @ memory.keys.transpose(1, 2)
        return self.v_a(torch.tanh(self.to_query(query)[:, :, None] + memory.keys[:, None])).squeeze(-1)

    def weights(self, query: Tensor, memory: Memory, times: Tensor | None = None) -> Tensor:
        """h_t [B, T, H] → a_t [B, T, S]: (7), or (10) with a window; 0 beyond the sources' ends. `times`
        [B, T] int64 of the queries are needed with a span.
        """
        scores = self.scores(query, memory) + memory.penalty
        if self.span is not None and times is not None:
            scores = scores + self._at(times, memory.by_time.dtype) @ memory.by_time
        if self.window is None:
            return scores.softmax(-1)
        off = torch.arange(scores.shape[-1], device=scores.device) - self.predicted_position(query, memory)
        near = scores.masked_fill(off.abs() > self.window, -torch.inf).softmax(-1)
        return near * torch.exp(-(off**2) / (2 * (self.window / 2) ** 2))

    def predicted_position(self, query: Tensor, memory: Memory) -> Tensor:
        """h_t [B, T, H] → p_t [B, T, 1] (9), between 0 and the length of the source."""
        return memory.lengths[:, None, None] * torch.sigmoid(self.v_p(torch.tanh(self.w_p(query))))

    def forward(self, query: Tensor, memory: Memory, times: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """h_t [B, T, H], at times [B, T] → (h̃_t [B, T, H] (5), a_t [B, T, S])."""
        weights = self.weights(query, memory, times)
        context = weights @ memory.values
        return torch.tanh(self.combine(torch.cat([context, query], -1))), weights
