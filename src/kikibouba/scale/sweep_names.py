"""Names of trials: said by their settings alone, safe as names of folders, and never two alike."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from kikibouba.errors import KikiboubaError

LONGEST = 120
"""Characters. A longer name is cut, and ends in a hash of the whole."""


def trial_names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each trial, such as "z_size=64,learning_rate=0.003,seed=1".

    Raises:
        KikiboubaError: two trials would have one name (capital letters count as small ones), and so one
            folder, where the later would overwrite the earlier.
    """
    short = short_names([name for one in settings for name in one])
    found: dict[str, Mapping[str, Any]] = {}
    names = []
    for one in settings:
        name = _cut(",".join(f"{short[field]}={_said(value)}" for field, value in one.items()))
        if name.lower() in found:
            raise KikiboubaError(
                f"two trials would be called {name}, and overwrite each other: {_shown(found[name.lower()])} "
                f"and {_shown(one)}; change or leave out one of the values"
            )
        found[name.lower()] = one
        names.append(name)
    return names


def short_names(fields: Sequence[str]) -> dict[str, str]:
    """Dotted field → its last part, where no other field ends in the same."""
    different = list(dict.fromkeys(fields))
    lasts = [field.rpartition(".")[2] for field in different]
    return {
        field: last if lasts.count(last) == 1 else field for field, last in zip(different, lasts, strict=True)
    }


def _said(value: Any) -> str:
    """A value in letters, digits and the signs . + - _."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "x".join(map(_said, value)) or "empty"
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", str(value)) or "empty"


def _cut(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 9]}-{sha256(name.encode()).hexdigest()[:8]}"


def _shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in settings.items())
