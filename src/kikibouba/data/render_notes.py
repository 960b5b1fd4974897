"""Single notes of instruments, rendered with a soundfont and laid out as NSynth's, to morph between.

    out/audio/<instrument>-<pitch>-<velocity>.wav    4 s at 16 kHz: 3 s held, 1 s released
    out/split/train.txt, …                           drawn for each pitch of an instrument

An instrument's notes are scaled together, so that the loudest peaks at 0.9, and loud ones stay louder.
"""

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kikibouba.data.audio_files import SAMPLE_RATE, wav_bytes
from kikibouba.data.files import write_bytes, write_text
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.render_piece import Instrument, existing_soundfont, instruments_of, rendered
from kikibouba.data.sources import draw_split
from kikibouba.data.store import SPLITS
from kikibouba.errors import KikiboubaError

SECONDS, HELD, PEAK = 4.0, 3.0, 0.9
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
        fractions, workers, progress: as for `prepare.prepare`; workers are threads.

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
    lists: dict[str, list[str]] = {split: [] for split in SPLITS}
    bar = tqdm(instruments.items(), unit="instrument", disable=not progress, leave=False)
    for name, instrument in bar:
        for note, wave in _scaled(name, instrument, wanted, velocities, font, workers or os.cpu_count() or 1):
            write_bytes(out / "audio" / f"{note}.wav", wav_bytes(wave))
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


def _scaled(
    name: str,
    instrument: Instrument,
    pitches: Sequence[int],
    velocities: Sequence[int],
    font: Path,
    workers: int,
) -> list[tuple[str, np.ndarray]]:
    """(name, samples) of the notes of an instrument; those that are not heard are left out."""
    own = [pitch for pitch in pitches if instrument.lowest <= pitch <= instrument.highest]
    notes = [(pitch, velocity) for pitch in own for velocity in velocities]

    def one(note: tuple[int, int]) -> np.ndarray:
        pitch, start, end = np.array([note[0]]), np.zeros(1), np.full(1, HELD)
        played = make_notes(pitch, start, end, note[1], 0, instrument.program)
        wave = rendered(NoteSequence(played, total_time=SECONDS), font)
        length = int(SECONDS * SAMPLE_RATE)
        return np.pad(wave[:length], (0, max(0, length - len(wave))))

    with ThreadPoolExecutor(workers) as threads:
        waves = list(threads.map(one, notes))
    peak = max((float(np.abs(wave).max()) for wave in waves), default=0.0)
    return [
        (f"{name}-{pitch:03}-{velocity:03}", wave * (PEAK / peak))
        for (pitch, velocity), wave in zip(notes, waves, strict=True)
        if np.abs(wave).max() > 1e-3 * peak
    ]
