"""The results of a sweep: a table on the screen, as CSV and as JSON, the same wherever it ran."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kikibouba.scale.halving import Standing
from kikibouba.scale.sweep_board import Board
from kikibouba.scale.sweep_names import short_names


@dataclass(frozen=True)
class Row:
    """What came of one trial."""

    name: str
    settings: Mapping[str, Any]
    status: str
    """"finished", "stopped" (early), "failed", or "unfinished" in a sweep that goes on."""
    steps: int
    """That it was judged at."""
    value: float | None
    """What it is judged by; None if it came to nothing."""
    reason: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class Table:
    """All trials: the finished ones first, the best on top; then those that were stopped, the last first."""

    metric: str
    goal: str
    fields: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def best(self) -> Row | None:
        """The best finished trial."""
        return self.rows[0] if self.rows and self.rows[0].status == "finished" else None

    def lines(self) -> list[str]:
        """For the screen."""
        heads, body = self._cells()
        columns = list(zip(heads, *body, strict=True))
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (heads, *body)
        ]
        return [lines[0], "-" * max(map(len, lines)), *lines[1:]]

    def csv(self) -> str:
        """With a line at the top."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["trial", *self.fields, "status", "steps", self.metric])
        for row in self.rows:
            settings = [_plain(row.settings.get(field, "")) for field in self.fields]
            value = "" if row.value is None else repr(row.value)
            writer.writerow([row.name, *settings, row.status, row.steps, value])
        return text.getvalue()

    def json(self) -> str:
        """Everything."""
        rows = [
            {"trial": row.name, "settings": dict(row.settings), "status": row.status, "steps": row.steps}
            | {self.metric: row.value}
            | ({"reason": row.reason} if row.reason else {})
            for row in self.rows
        ]
        best = self.best.name if self.best else None
        content = {"metric": self.metric, "goal": self.goal, "best": best, "trials": rows}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        short = short_names(self.fields)
        heads = ["", *(short[field] for field in self.fields), "steps", self.metric, "status"]
        body = []
        for number, row in enumerate(self.rows, 1):
            settings = [_plain(row.settings.get(field, "-")) for field in self.fields]
            value = "-" if row.value is None else f"{row.value:.5g}"
            body.append([str(number), *settings, str(row.steps), value, row.status])
        return heads, body


def table_of(board: Board, trials: Sequence[Mapping[str, Any]], metric: str, goal: str) -> Table:
    """The table of a board.

    Args:
        board: of a sweep that has ended.
        trials: their entries in `sweep.json`.
        metric, goal: as in the sweep file.
    """
    rows = [
        _row(entry, outcome, board.errors.get(number, ""))
        for number, (entry, outcome) in enumerate(zip(trials, board.outcomes(), strict=True))
    ]
    fields = tuple(dict.fromkeys(name for entry in trials for name in entry["settings"]))
    order = ("finished", "stopped", "unfinished", "failed")
    sign = -1.0 if goal == "max" else 1.0

    def rank(row: Row) -> tuple[int, int, float]:
        return order.index(row.status), -row.steps, sign * (row.value or 0.0)

    return Table(metric, goal, fields, tuple(sorted(rows, key=rank)))


def _row(entry: Mapping[str, Any], outcome: tuple[Standing, int, float | None], reason: str) -> Row:
    standing, steps, value = outcome
    status = "unfinished" if standing.kind in ("ready", "waiting") else standing.kind
    return Row(entry["name"], entry["settings"], status, steps, value, reason)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
