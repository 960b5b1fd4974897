"""Morph: from one drawing or tune to another, or between four, seen and heard at once."""

from collections.abc import Sequence

import numpy as np

from kikibouba.data.artifacts import Artifact
from kikibouba.errors import KikiboubaError
from kikibouba.generate import interpolate_latents
from kikibouba.inputs import Source, kind_of
from kikibouba.translator import TEMPERATURE, Translator

Step = dict[str, Artifact]
"""Kind → the same place of a morph in that kind, such as "sketch" and "melody"."""


def morph(
    translator: Translator,
    corners: Sequence[Source],
    n: int = 7,
    *,
    kinds: Sequence[str] | None = None,
    temperature: float = TEMPERATURE,
    seed: int = 0,
) -> list[Step]:
    """Steps between sources of either kind, each decoded as both kinds of a translator.

    The path is a path between posterior means in the latent space of the first source's kind; what is of
    the other kind is translated there, and every step is translated from there.

    Args:
        translator: between two kinds.
        corners: two, for a line of n steps, or four (top left, top right, bottom left, bottom right), for a
            square of n · n, row by row.
        n: at least 2; the corners themselves are steps.
        kinds: what each corner is, where they are arrays.
        temperature, seed: of decoding.

    Raises:
        KikiboubaError: another number of corners, a kind the translator does not know, nothing usable in a
            source.
    """
    if len(corners) not in (2, 4):
        raise KikiboubaError(f"a morph has 2 corners or 4, not {len(corners)}")
    z, home = _at_home(translator, corners, kinds or [kind_of(corner) for corner in corners])
    rows = [interpolate_latents(z[k], z[k + 1], n) for k in range(0, len(z), 2)]
    path = rows[0]
    if len(rows) == 2:
        columns = [interpolate_latents(top, bottom, n) for top, bottom in zip(*rows, strict=True)]
        path = np.stack(columns, axis=1).reshape(n * n, -1)
    return decode_as_all(translator, path, home, temperature, seed)


def decode_as_all(
    translator: Translator, z: np.ndarray, home: str, temperature: float = TEMPERATURE, seed: int = 0
) -> list[Step]:
    """Latent vectors [n, Z] of a domain, decoded as every kind of a translator."""
    columns = {}
    for domain, base in translator.bases.items():
        here = z if domain == home else translator.translate_z(z, home, domain)
        columns[base.kind] = base.decode(here, temperature, seed)
    return [dict(zip(columns, step, strict=True)) for step in zip(*columns.values(), strict=True)]


def _at_home(
    translator: Translator, sources: Sequence[Source], kinds: Sequence[str]
) -> tuple[np.ndarray, str]:
    """The posterior means [n, Z] of sources in the domain of the first one, and that domain."""
    domains = [translator.domain(kind) for kind in kinds]
    home = domains[0]
    rows = []
    for source, domain in zip(sources, domains, strict=True):
        mu = translator.bases[domain].encode(source).mu
        rows.append(mu if domain == home else translator.translate_z(mu, domain, home))
    return np.concatenate(rows), home
