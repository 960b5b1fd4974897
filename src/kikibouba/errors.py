"""The one exception a user meets: one line saying what was wrong, what is allowed and what to do next."""

from collections.abc import Iterable
from difflib import get_close_matches


class KikiboubaError(ValueError):
    """Something the user can fix. The CLI prints its message as one line and exits with status 1."""


class Interrupted(KikiboubaError):
    """The user stopped a job that can go on later; the message says how. The CLI exits with status 130."""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """A hint to append to an error: the nearest allowed name, or all of them when none is near.

    >>> did_you_mean("z_sise", ["z_size", "free_bits"])
    "; did you mean 'z_size'?"
    """
    names = list(allowed)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; allowed: {', '.join(sorted(names))}" if names else ""
