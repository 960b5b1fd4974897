"""Single notes of instruments, rendered with a soundfont and laid out as NSynth's, to morph between.

    out/audio/<instrument>-<pitch>-<velocity>.wav    4 s at 16 kHz: 3 s held, 1 s released
    out/split/train.txt, …                           drawn for each pitch of an instrument

An instrument's notes are scaled together, so that the loudest peaks at 0.9, and loud ones stay louder.
"""

import os
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from kikibouba.data.files import write_text
from kikibouba.data.render_piece import existing_soundfont, instruments_of
from kikibouba.data.render_pool import Renderers, in_threads
from kikibouba.data.sources import draw_split
from kikibouba.data.store import SPLITS
from kikibouba.errors import KikiboubaError

VELOCITIES = (25, 50, 75, 100, 127)
"""NSynth's."""


def render_notes(
    pitches: str,
    out: str | Path,
    domains: Sequence[str] = ("piano", "strings"),
    *,
    velocities: Sequence[int] = VELOCITIES,
    soundfont: str | Path | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    workers: int | None = None,
    progress: bool = True,
) -> list[str]:
    """Render every pitch that an instrument has, at every velocity.

    Args:
        pitches: the lowest and the highest, e.g. "48-72".
        out: folder; made if need be. Notes that are there already are made anew, the same.
        domains: as for `render_domains.render`; one is enough.
        velocities: 1..127.
        soundfont: an .sf2; by default that of `data.render`.
        fractions, workers, progress: as for `prepare.prepare`; an instrument is one process's work.

    Returns:
        Names of the files, relative to `out`.

    Raises:
        KikiboubaError: no range of pitches, unknown instrument (says the nearest), no soundfont, no note.
    """
    wanted = _range(pitches)
    if not velocities or not all(1 <= velocity <= 127 for velocity in velocities):
        raise KikiboubaError(f"velocities {', '.join(map(str, velocities))} must lie between 1 and 127")
    font = existing_soundfont(soundfont)
    instruments = instruments_of(domains)
    out = Path(out)
    try:
        for folder in ("audio", "split"):
            (out / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KikiboubaError(f"cannot write notes to {out}: {error.strerror}") from None
    workers = min(workers or os.cpu_count() or 1, len(instruments))
    with Renderers(workers) as renderers:

        def make(name: str) -> list[str]:
            arguments = {
                "name": name,
                "instrument": instruments[name],
                "pitches": list(wanted),
                "velocities": list(velocities),
                "font": str(font),
                "out": str(out / "audio"),
            }
            return renderers.ask("notes", arguments)

        notes = in_threads(make, list(instruments), workers, progress, "instrument")
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    for note in chain.from_iterable(notes):
        lists[draw_split(note.rpartition("-")[0], fractions)].append(f"audio/{note}.wav")
    for split, lines in lists.items():
        write_text(out / "split" / f"{split}.txt", "".join(f"{line}\n" for line in lines))
    made = [line for lines in lists.values() for line in lines]
    if not made:
        raise KikiboubaError(f"no instrument of {', '.join(instruments)} has pitches {pitches}")
    return made


def _range(text: str) -> range:
    """The pitches of e.g. "48-72"."""
    found = re.fullmatch(r"(\d{1,3})-(\d{1,3})", text)
    if not found or not int(found[1]) <= int(found[2]) <= 127:
        raise KikiboubaError(f"{text!r} must be a range of pitches within 0-127, e.g. 48-72")
    return range(int(found[1]), int(found[2]) + 1)
