"""What time it is in a sentence of events: bars and positions say so, and notes happen then.

Source and target of a window lie on one line of bars, so their times can be compared (`nn.luong_attention`).
"""

import torch
from torch import Tensor, nn

from kikibouba.data.event_tokens import EventVocabulary, Kind


class Clock(nn.Module):
    """Times of symbols, in steps: 0 before the first bar line, which is at the length of a bar, the next at
    twice that, and so on. It has no weights, and its tables are in no checkpoint.

    Args:
        vocabulary: of the symbols.
        bars: how long a window is.
    """

    opens: Tensor
    """[V] bool: bar lines"""
    place: Tensor
    """[V] int64: the step in its bar that a symbol says; -1: it says none"""

    def __init__(self, vocabulary: EventVocabulary, bars: int) -> None:
        super().__init__()
        self.bar, self.span = vocabulary.steps_per_bar, (bars + 1) * vocabulary.steps_per_bar
        kind, symbols = torch.from_numpy(vocabulary.kind), torch.arange(vocabulary.size)
        place = torch.where(kind == Kind.POSITION, symbols - int(vocabulary.first[Kind.POSITION]), -1)
        self.register_buffer("opens", kind == Kind.BAR, persistent=False)
        self.register_buffer("place", place.masked_fill(kind == Kind.BAR, 0), persistent=False)

    def begin(self, rows: int) -> Tensor:
        """[N] int64: before anything is said."""
        return torch.zeros(rows, dtype=torch.int64, device=self.place.device)

    def after(self, time: Tensor, symbols: Tensor) -> Tensor:
        """The times [N] of symbols [N] that follow others of these times [N]."""
        begun = time - time % self.bar + self.bar * self.opens[symbols]
        place = self.place[symbols]
        return torch.where(place < 0, time, begun + place)

    def times(self, symbols: Tensor) -> Tensor:
        """Symbols [B, T] from the start of a sentence → times [B, T]."""
        steps, place = torch.arange(symbols.shape[1], device=symbols.device), self.place[symbols]
        said_at = torch.where(place < 0, 0, steps).cummax(1).values
        bar = self.opens[symbols].cumsum(1)
        return bar * self.bar + place.gather(1, said_at).clamp(min=0)
