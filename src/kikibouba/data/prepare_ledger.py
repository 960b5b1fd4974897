"""What became of every file of a `prepare`: lists on disk, and counts by rule that fit on a screen."""

import re
from typing import Any, TextIO

_DETAIL = re.compile(r"""b?'[^']*'|"[^"]*"|[-+]?\d[\d.,:/% ]*""")
"""Numbers and quotations: what differs from file to file while the rule is the same."""


class Tally:
    """How often each rule struck, and one example of each."""

    def __init__(self) -> None:
        self._rules: dict[str, list[Any]] = {}

    def add(self, text: str, where: str = "", count: int = 1) -> None:
        """Count one more, or several, of what `text` says happened at `where`."""
        row = self._rules.setdefault(_DETAIL.sub("#", text), [0, where, text])
        row[0] += count

    def rows(self) -> list[tuple[int, str, str]]:
        """(count, where, text) by rule, the first example of each; the most frequent rule first."""
        return sorted((tuple(row) for row in self._rules.values()), key=lambda row: -row[0])


class Ledger:
    """Writes skipped.txt and warnings.txt, a line a file, and counts as it goes."""

    def __init__(self, skipped: TextIO, warnings: TextIO) -> None:
        self._skipped_file, self._warnings_file = skipped, warnings
        self._skipped, self._left_out, self._warnings = Tally(), Tally(), Tally()

    def skip(self, name: str, reason: str) -> None:
        """A file gave nothing."""
        self._skipped_file.write(f"{_line(name)}\t{_line(reason)}\n")
        self._skipped.add(_line(reason), _line(name))

    def keep(self, name: str, record: dict[str, Any]) -> None:
        """A file gave examples; note what it was warned of, and which of its items gave none."""
        for count, where, text in record["left_out"]:
            example = _line(f"{where}: {text}" if where else text)
            self._skipped_file.write(f"{_line(name)}\titems left out: {count}, e.g. {example}\n")
            self._left_out.add(_line(text), _line(f"{name} {where}"), count)
        for where, text in record["warnings"]:
            warning = _line(f"{where}: {text}" if where else text)
            self._warnings_file.write(f"{_line(name)}\t{warning}\n")
            self._warnings.add(_line(text), _line(f"{name} {where}"))

    def summary(self) -> dict[str, list[tuple[int, str, str]]]:
        """Counts by rule, each with an example (count, where, text): of files, of items, of warnings."""
        return {
            "skipped": self._skipped.rows(),
            "left_out": self._left_out.rows(),
            "warnings": self._warnings.rows(),
        }


def _line(text: str) -> str:
    """Text as it can be printed in one line: no line breaks or tabs, no bytes that are not UTF-8."""
    return " ".join(text.encode(errors="surrogateescape").decode(errors="replace").split())
