"""Music → recordings of it on several instruments, with soundfonts, for music translation networks.

    out/<domain>/<piece>.wav    16 kHz, one channel
    out/split/train.txt, …      so that `prepare audio out` knows them
    out/render.json             the settings, and of every recording domain, soundfont, tuning and tilt

A piece for training is played on one instrument only, so that none is heard on two: translation is learnt
without pairs, as in UMTN. A piece for testing is played on all of them: the true translations. What could
tell domains apart but is not timbre is evened out (`render_piece`).
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from kikibouba.config import read_json
from kikibouba.data.files import write_text
from kikibouba.data.music_files import MUSIC_SUFFIXES
from kikibouba.data.prepare_ledger import Tally
from kikibouba.data.render_piece import (
    CENTS,
    INSTRUMENTS,
    TILT,
    Instrument,
    existing_soundfont,
    instruments_of,
)
from kikibouba.data.render_pool import Crashed, Renderers, in_threads
from kikibouba.data.sources import Source, find_sources
from kikibouba.data.store import SPLITS
from kikibouba.errors import KikiboubaError


@dataclass(frozen=True)
class Settings:
    """All that decides what is rendered."""

    domains: dict[str, int]
    """Name → General MIDI program from 0."""
    soundfonts: tuple[str, ...]
    """Names of the files; pieces for training take turns among them, those for testing have the first."""
    seconds: float
    """At most so much of a piece."""
    seed: int
    """Of which piece is played on what, and of its tuning and tilt."""


@dataclass(frozen=True)
class Recording:
    """One recording to make."""

    file: str
    """Relative to the folder of recordings."""
    source: str
    domain: str
    split: str
    soundfont: str
    cents: float
    tilt: float


@dataclass(frozen=True)
class _Music:
    """What `find_sources` asks of a representation."""

    suffixes: tuple[str, ...] = MUSIC_SUFFIXES


def render(
    inputs: Sequence[str | Path],
    out: str | Path,
    domains: Sequence[str] = ("piano", "strings"),
    *,
    soundfonts: Sequence[str | Path] = (),
    splits: Sequence[str | Path] | str | Path | None = None,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seconds: float = 60.0,
    seed: int = 0,
    limit: int | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> list[Recording]:
    """Render the first piece of every file; what is there already is not rendered again.

    Args:
        inputs: files or folders of music.
        out: folder of the recordings; made if need be.
        domains: names in `INSTRUMENTS`, or NAME=PROGRAM with a program 0..127 of General MIDI.
        soundfonts: .sf2 files; by default that of `data.render`.
        seconds, seed: see `Settings`.
        splits, fractions, limit, workers, progress: as for `prepare.prepare`.

    Returns:
        What was made, or was there; files that could not be rendered are listed in `out/skipped.txt`.

    Raises:
        KikiboubaError: an unknown instrument (says the nearest), no soundfont, nothing that can be rendered;
            the folder holds recordings that were rendered with other settings; interrupted.
    """
    fonts = {font.name: font for font in map(existing_soundfont, soundfonts or [None])}
    if not 1 <= seconds < np.inf:
        raise KikiboubaError(f"seconds = {seconds:g} must be at least 1")
    instruments = instruments_of(domains)
    if len(instruments) < 2:
        raise KikiboubaError(f"give two or more domains; allowed: {', '.join(INSTRUMENTS)}, NAME=PROGRAM")
    programs = {name: one.program for name, one in instruments.items()}
    settings = Settings(programs, tuple(fonts), float(seconds), seed)
    out = Path(out)
    sources, _ = find_sources(_Music(), [Path(path) for path in inputs], splits, fractions, out)
    plan = plan_recordings(sources[:limit], settings)
    _begin(out, settings, plan)
    failed = Tally()
    workers = min(workers or os.cpu_count() or 1, len(plan))
    with Renderers(workers) as renderers:
        make = _maker(sources, instruments, fonts, float(seconds), out, failed, renderers)
        made = in_threads(make, plan, workers, progress, "file")
    if not made:
        raise KikiboubaError(f"none of {len(sources)} files could be rendered: {failed.rows()[0][2]}")
    _finish(out, settings, made, failed)
    return made


def _maker(
    sources: Sequence[Source],
    instruments: dict[str, Instrument],
    fonts: dict[str, Path],
    seconds: float,
    out: Path,
    failed: Tally,
    renderers: Renderers,
) -> Callable[[Recording], Recording | None]:
    """What makes a recording, unless it is there; None if that fails, and `failed` is told why."""
    paths = {source.name: source.path for source in sources}

    def make(one: Recording) -> Recording | None:
        if (out / one.file).is_file():
            return one
        arguments = {
            "source": str(paths[one.source]),
            "out": str(out / one.file),
            "instrument": instruments[one.domain],
            "font": str(fonts[one.soundfont]),
            "seconds": seconds,
            "cents": one.cents,
            "tilt": one.tilt,
        }
        try:
            reason = renderers.ask("piece", arguments)
        except Crashed as error:
            reason = str(error)
        if reason is not None:
            failed.add(reason, one.source)
        return one if reason is None else None

    return make


def plan_recordings(sources: Sequence[Source], settings: Settings) -> list[Recording]:
    """Which piece is played on what. Pieces of train and valid are shuffled, by the seed and their names, and
    dealt to the domains in turn.
    """

    def drawn(source: Source) -> np.random.Generator:
        digest = sha256(f"{settings.seed}:{source.name}".encode(errors="surrogateescape")).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "big"))

    domains, plan = list(settings.domains), []
    for split in SPLITS:
        own = [(drawn(source), source) for source in sources if source.split == split]
        own.sort(key=lambda pair: pair[0].random())
        for number, (rng, source) in enumerate(own):
            stem = f"{Path(source.name).with_suffix('')}".replace("/", "-")
            name = f"{stem}-{sha256(source.name.encode(errors='surrogateescape')).hexdigest()[:6]}.wav"
            cents, tilt = rng.uniform(-CENTS, CENTS), rng.uniform(-TILT, TILT)
            if split == "test":
                font = settings.soundfonts[0]
                plan += [Recording(f"{d}/{name}", source.name, d, split, font, 0.0, 0.0) for d in domains]
            else:
                domain = domains[number % len(domains)]
                font = settings.soundfonts[number // len(domains) % len(settings.soundfonts)]
                plan.append(Recording(f"{domain}/{name}", source.name, domain, split, font, cents, tilt))
    return plan


def _begin(out: Path, settings: Settings, plan: Sequence[Recording]) -> None:
    """Make the folders; refuse those that hold what was rendered with other settings."""
    told = json.loads(json.dumps(asdict(settings)))
    if (out / "render.json").is_file():
        before = read_json(out / "render.json").get("settings", {})
        for name in [name for name in told if before.get(name) != told[name]][:1]:
            raise KikiboubaError(
                f"{out} holds recordings with {name} {before.get(name)}, not {told[name]}: choose another one"
            )
    try:
        for folder in ("split", *{one.domain for one in plan}):
            (out / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KikiboubaError(f"cannot write recordings to {out}: {error.strerror}") from None
    write_text(out / "render.json", json.dumps({"settings": told}, indent=1) + "\n")


def _finish(out: Path, settings: Settings, made: Sequence[Recording], failed: Tally) -> None:
    """The split lists, and what was made and how."""
    for split in SPLITS:
        lines = [one.file for one in made if one.split == split]
        write_text(out / "split" / f"{split}.txt", "".join(f"{line}\n" for line in lines))
    content = {"settings": asdict(settings), "recordings": [asdict(one) for one in made]}
    write_text(out / "render.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    skipped = "".join(f"{count} x {why}, e.g. {where}\n" for count, where, why in failed.rows())
    write_text(out / "skipped.txt", skipped)
