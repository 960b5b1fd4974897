"""How the columns of an example enter a layer.

A layer begins with features @ weight + bias. The features of a label are a row of a table, so their product
is a row of table @ weight: a look-up, where multiplying one-hot vectors would be a matrix product as wide as
the vocabulary. Numbers are multiplied. Of several parts the terms are added.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kikibouba.data.layout import Part
from kikibouba.nn.lstm import dense

Tables = list[tuple[Tensor, Tensor | None]]
"""Of each part a matrix and what to add after multiplying by it (numbers only)."""


class Columns(nn.Module):
    """Some columns of an example as features. It has no weights of its own.

    Args:
        parts: what the columns are; `start` and `stop` count in the arrays given to `look_up`.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.parts = tuple(parts)
        self.widths = [part.width for part in parts]
        self.width = sum(self.widths)
        for i, part in enumerate(parts):
            given = None if part.table is None or selects(part.table) else torch.tensor(part.table)
            self.register_buffer(f"table_{i}", given, persistent=False)

    def tables(self, weight: Tensor, bias: Tensor | None = None) -> Tables:
        """A layer's weight [width, N] and bias [N], made ready for `look_up`.

        A table has one row more than there are labels, for the zero vector before the first step.
        """
        tables: Tables = []
        for i, (part, rows) in enumerate(zip(self.parts, weight.split(self.widths), strict=True)):
            if part.table is None:
                tables.append((rows, bias))
            else:
                given = getattr(self, f"table_{i}")
                matrix = rows if given is None else (given @ rows).to(rows.dtype)
                matrix = F.pad(matrix, (0, 0, 0, len(part.table) + 1 - len(matrix)))
                tables.append((matrix if bias is None else matrix + bias, None))
            bias = None
        return tables

    def look_up(self, x: Tensor, tables: Tables) -> Tensor:
        """Features @ weight + bias of x [..., columns]. [..., N]"""
        total = None
        for part, (matrix, bias) in zip(self.parts, tables, strict=True):
            if part.table is None:
                term = dense(numbers(x, part), matrix, bias)
            else:
                term = F.embedding(x[..., part.start].long(), matrix)
            total = term if total is None else total.add_(term)
        if total is None:
            raise ValueError("there are no columns to look up")
        return total

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`look_up` with tables made for this once."""
        return self.look_up(x, self.tables(weight, bias))

    def features(self, x: Tensor) -> Tensor:
        """The features themselves, float32 [..., width]."""
        return self.look_up(x, self.tables(torch.eye(self.width, device=x.device)))

    def start(self, batch: int, device: torch.device) -> Tensor:
        """Columns [batch, columns] that stand for the zero vector."""
        rows = [
            torch.full((part.stop - part.start,), 0 if part.table is None else len(part.table))
            for part in self.parts
        ]
        labels_only = all(part.table is not None for part in self.parts)
        return torch.cat(rows).to(device, torch.int64 if labels_only else torch.float32).repeat(batch, 1)


def numbers(x: Tensor, part: Part) -> Tensor:
    """What a model sees in a part that holds numbers. [..., part.width]"""
    seen = x[..., part.start : part.stop].float()
    return torch.cat([seen, (seen == 0).all(-1, keepdim=True)], -1) if part.adds_none else seen


def selects(table: np.ndarray) -> bool:
    """Whether its rows are the one-hot vectors in order, then zeros: looking up needs no product."""
    width = table.shape[1]
    return np.array_equal(table[:width], np.eye(width)) and not table[width:].any()
