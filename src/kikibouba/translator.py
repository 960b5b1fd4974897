"""Translate: a drawing becomes a tune, a tune becomes a drawing, through the latent spaces of two models
and a bridge.

source ─base.encode→ z ─bridge→ z′ ─other base.decode→ artifact
"""

import dataclasses
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kikibouba import hub
from kikibouba.bridges.latent_translation.choosing import translate_ways
from kikibouba.bridges.latent_translation.model import LatentTranslation
from kikibouba.config import Preset
from kikibouba.data.artifacts import Artifact, Drawing, Sound, Tune
from kikibouba.data.audio import SILENCE
from kikibouba.data.notes import DEFAULT_QPM
from kikibouba.data.pieces import join
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.generate import Mode, Model, check_seed, interpolate_latents
from kikibouba.inputs import Source, kind_of, read_examples, read_piece
from kikibouba.sequence_translator import Choice, SequenceTranslator
from kikibouba.sounds import TEMPERATURE as SOUND_TEMPERATURE
from kikibouba.sounds import SoundModel

TRIES = 8
"""Ways of translating, of which `translate` takes the best."""

ENOUGH_NOTES, ENOUGH_STROKES, ENOUGH_SAMPLES = 4, 1, 1
"""What a translation should have; of samples, those that are not silent."""

OTHERWISE = {"sound": "audio"}
"""What a kind may be called besides."""

TEMPERATURE = 0.2
"""Of a translation: near the likeliest, so that the result depends on the source more than on chance."""


class Translator:
    """A bridge with its bases: latent vectors of one model become latent vectors of another."""

    def __init__(
        self, preset: Preset, bridge: Any, bases: dict[str, Model], name: str, device: str = "cpu"
    ) -> None:
        """`bases`: domain of the bridge → its model, all on `device`."""
        self.preset, self.bridge, self.bases, self.name, self.device = preset, bridge, bases, name, device

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of content it translates between."""
        return tuple(base.kind for base in self.bases.values())

    def __repr__(self) -> str:
        return f"Translator({self.name!r}, {' ↔ '.join(self.kinds)})"

    @torch.inference_mode()
    def translate_z(self, z: np.ndarray, source: str, target: str) -> np.ndarray:
        """Latent vectors [n, Z] of domain `source` → [n, Z'] float32 of domain `target`."""
        rows = torch.from_numpy(np.asarray(z, np.float32)).to(self.device)
        return self.bridge.translate(rows, source, target).cpu().numpy()

    def translate(
        self,
        source: Source,
        to: str | None = None,
        *,
        kind: str | None = None,
        seed: int = 0,
        temperature: float = TEMPERATURE,
        whole: bool = False,
        tries: int = TRIES,
    ) -> Artifact:
        """A drawing as a tune, a tune as a drawing, …

        The mean of the source's posterior is translated in several ways, and of those that give a result with
        something in it (`ENOUGH_NOTES`) that one is taken which carries the attributes best; see
        `bridges.latent_translation.choosing`. If none does, the fullest is returned with a warning.

        Args:
            source: what to translate.
            to: kind of the result, or one of the bridge's domains; may be left out where only one is
                possible.
            kind: what the source is, where `inputs.kind_of` would guess wrong; also a domain.
            seed: of decoding and of the ways of translating.
            temperature: of decoding; 0 takes what is likeliest.
            whole: translate all of the source. Of a piece every window finds its place again, in the piece's
                tempo, or becomes a drawing on one sheet; several drawings become tunes one after the other.
            tries: ways of translating; 1 = through the mean of the shared space alone.

        Raises:
            KikiboubaError: this translator does not know the kind; nothing usable in the source.
        """
        check_seed(seed)
        here = self.domain(kind or kind_of(source), other_than=to)
        there = self._other(here) if to is None else self.domain(to, other_than=here)
        base, goal = self.bases[here], self.bases[there]
        if here == there:
            raise KikiboubaError(
                f"the input is {base.kind} already; `reconstruct` passes it through its own model"
            )
        if tries < 1:
            raise KikiboubaError(f"{tries} tries make no translation; give 1 or more")
        piece = read_piece(source, base.representation) if whole else None
        arrays = read_examples(source, base.representation) if piece is None else piece.arrays
        results = [
            self._best(mu, array, here, there, temperature, seed + row, tries)
            for row, (mu, array) in enumerate(zip(base.encode(arrays).mu, arrays, strict=True))
        ]
        if piece is None:
            return results[0]
        fits = piece.places and goal.seconds == base.seconds
        return join(results, piece, None if fits else goal.seconds)

    @torch.inference_mode()
    def interpolate(
        self,
        a: Source,
        b: Source,
        n: int = 7,
        mode: Mode = "slerp",
        *,
        to: str | None = None,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> dict[str, list[Artifact]]:
        """One path through the shared space, seen in several domains at once: a row of drawings beside a row
        of tunes.

        Args:
            a, b: where it begins and ends: the first example of each, of one kind or of two.
            n, mode: see `generate.interpolate_latents`.
            to: kind of another row, beside those of the kinds of a and b; may be left out where these are
                two, or where only one other is possible.
            temperature, seed: of decoding.

        Returns: kind → n artifacts.

        Raises:
            KikiboubaError: an unknown kind; the bridge has no shared space.
        """
        check_seed(seed)
        if not (hasattr(self.bridge, "encode") and hasattr(self.bridge, "decode")):
            raise KikiboubaError(f"the bridge of {self.name} has no shared space to find a path in")
        ends = [self.domain(kind_of(end)) for end in (a, b)]
        begin, end = (self._shared(source, domain) for source, domain in zip((a, b), ends, strict=True))
        path = torch.from_numpy(interpolate_latents(begin, end, n, mode)).to(self.device)
        if to is not None:
            ends.append(self.domain(to))
        elif ends[0] == ends[1]:
            ends.append(self._other(ends[0]))
        return {
            self.bases[domain].kind: self.bases[domain].decode(
                self.bridge.decode(path, domain).cpu().numpy(), temperature, seed
            )
            for domain in dict.fromkeys(ends)
        }

    def _shared(self, source: Source, domain: str) -> np.ndarray:
        """Where the first example of a source lies in the shared space. [d]"""
        mu = torch.from_numpy(self.bases[domain].encode(source).mu).to(self.device)
        return self.bridge.encode(mu, domain).mu[0].cpu().numpy()

    def _best(
        self,
        mu: np.ndarray,
        array: np.ndarray,
        here: str,
        there: str,
        temperature: float,
        seed: int,
        tries: int,
    ) -> Artifact:
        """One example's translation: of those that hold enough the one that carries the attributes best, or
        the fullest. `mu` [Z] and `array` are the source's.
        """
        goal = self.bases[there]

        def decode(z: np.ndarray) -> list[np.ndarray]:
            return goal.decode_arrays(z, temperature, seed)

        if isinstance(self.bridge, LatentTranslation):
            names = [row[self.bridge.index(here)] for row in self.bridge.config.attributes]
            measured = self.bases[here].representation.attributes([array])
            wanted = np.array([[measured[name][0] for name in names]]).reshape(1, len(names))
            measure = goal.representation.attributes
            ways = translate_ways(self.bridge, mu[None], wanted, here, there, tries, decode, measure, seed)
            found, order = [way[0] for way in ways.examples], np.argsort(ways.distance[:, 0], kind="stable")
        else:
            found, order = decode(self.translate_z(mu[None], here, there)), np.zeros(1, int)
        artifacts = [goal.representation.to_artifact(found[way]) for way in order.tolist()]
        for artifact in artifacts:
            size, enough, _ = _size(artifact)
            if size >= enough:
                return artifact
        fullest = max(artifacts, key=_size)
        size, _, what = _size(fullest)
        warnings.warn(
            f"{self.name} made {goal.kind} with only {size} {what} in {len(artifacts)} tries; "
            "try another seed or a higher temperature",
            stacklevel=3,
        )
        return fullest

    def domain(self, word: str, other_than: str | None = None) -> str:
        """The domain that a kind or a name means; of two of one kind, the one that is not `other_than`.

        Raises:
            KikiboubaError: there is none (says the nearest).
        """
        if word in self.bases:
            return word
        word = OTHERWISE.get(word, word)
        matching = [domain for domain, base in self.bases.items() if base.kind == word]
        rest = [domain for domain in matching if domain != other_than]
        if not matching:
            known = [*self.bases, *self.kinds]
            raise KikiboubaError(f"{self.name} does not translate {word}{did_you_mean(word, known)}")
        return (rest or matching)[0]

    def _other(self, domain: str) -> str:
        others = [name for name in self.bases if name != domain]
        if len(others) != 1:
            raise KikiboubaError(f"{self.name} can translate to {', '.join(others)}: say which")
        return others[0]


def translate(
    source: Source,
    to: str,
    *,
    translator: "str | Path | Translator | SequenceTranslator | SoundModel | None" = None,
    kind: str | None = None,
    seed: int = 0,
    temperature: float | None = None,
    whole: bool = False,
    tries: int = TRIES,
    device: str = "cpu",
    style: str | None = None,
    beam: int = 1,
) -> Artifact:
    """Translate with a translator found by kind or named: see `Translator.translate`, and for
    sequence-to-sequence models `SequenceTranslator.translate`.

    Args:
        source: what to translate.
        to: "melody", "drums", "sketch", or a domain of the translator; or what a sequence-to-sequence model
            makes, e.g. "piano-arrangement", or one of its styles.
        translator: bundled name, folder, or a loaded one; by default the bundled one for these kinds.
            Bundled ones stay loaded.
        tries: see `Translator.translate`.
        whole: see `Translator.translate`; sequence-to-sequence models always translate the whole piece.
        temperature: by default `TEMPERATURE`, and for sounds `sounds.TEMPERATURE`.
        style, beam: for sequence-to-sequence models. With a beam above 1 there is no temperature.
    """
    if translator is None:
        if to in (*hub.BASES, *OTHERWISE, *OTHERWISE.values()):
            translator = hub.find_translator(kind or kind_of(source), to)
        else:
            translator = hub.instruments().get(to) or hub.find_sequences(to)
    if isinstance(translator, str | Path):
        folder = hub.locate(translator)
        load = _load_bundled if folder.parent == hub.WEIGHTS else hub.load_any_translator
        translator = load(folder, device)
    if isinstance(translator, SoundModel):
        _refuse(translator.name, style, beam)
        heat = SOUND_TEMPERATURE if temperature is None else temperature
        return translator.translate(source, to, heat, seed, progress=True)
    temperature = TEMPERATURE if temperature is None else temperature
    if isinstance(translator, SequenceTranslator):
        choice = Choice(beam, 0.0 if beam > 1 else temperature, seed=seed)
        return translator.translate(source, to, style=style, choice=choice)
    _refuse(translator.name, style, beam)
    return translator.translate(
        source, to, kind=kind, seed=seed, temperature=temperature, whole=whole, tries=tries
    )


def _refuse(name: str, style: str | None, beam: int) -> None:
    """What only sequence-to-sequence models take."""
    if style is not None or beam != 1:
        raise KikiboubaError(f"{name} takes no --style and no --beam: it is no sequence-to-sequence model")


def set_tempo(tune: Tune, qpm: float) -> Tune:
    """The tune played at `qpm` quarter notes a minute throughout; a translation is at 120, a whole piece in
    its own tempo.
    """
    if not 10 <= qpm <= 1000:
        raise KikiboubaError(f"tempo {qpm:g} must lie between 10 and 1000 quarter notes a minute")
    sequence = tune.notes
    tempos = sequence.tempos
    if not len(tempos) or tempos[0, 0] > 0:
        tempos = np.concatenate([[[0.0, DEFAULT_QPM]], tempos])

    def moved(seconds: np.ndarray) -> np.ndarray:
        return _quarters(seconds, tempos) * 60.0 / qpm

    notes = sequence.notes.copy()
    notes["start"], notes["end"] = moved(notes["start"]), moved(notes["end"])
    tables = {}
    for name in ("time_signatures", "key_signatures", "pedals"):
        tables[name] = getattr(sequence, name).copy()
        tables[name][:, 0] = moved(tables[name][:, 0])
    times = moved(np.array([time for time, _ in sequence.chords]))
    return Tune(
        dataclasses.replace(
            sequence,
            notes=notes,
            tempos=np.array([[0.0, qpm]]),
            chords=tuple(zip(times.tolist(), (symbol for _, symbol in sequence.chords), strict=True)),
            total_time=float(moved(np.array([sequence.total_time]))[0]),
            **tables,
        )
    )


def set_instrument(tune: Tune, program: int) -> Tune:
    """The tune played by another instrument, 0..127 of General MIDI; drums stay drums."""
    if not 0 <= program <= 127:
        raise KikiboubaError(f"instrument {program} must be 0 to 127, a program of General MIDI")
    notes = tune.notes.notes.copy()
    notes["program"][~notes["is_drum"]] = program
    return Tune(dataclasses.replace(tune.notes, notes=notes))


def _quarters(seconds: np.ndarray, tempos: np.ndarray) -> np.ndarray:
    """Times [n] in quarter notes from the start, under tempos [K, 2], the first of them from 0 on."""
    begin, qpm = tempos.T
    before = np.cumsum(np.append(0.0, np.diff(begin) * qpm[:-1] / 60.0))
    part = np.searchsorted(begin, seconds, side="right") - 1
    return before[part] + (seconds - begin[part]) * qpm[part] / 60.0


def _size(artifact: Artifact) -> tuple[int, int, str]:
    """How much there is in an artifact, how much there should be, and of what: notes, strokes that are more
    than a dot, samples that are not silent.
    """
    if isinstance(artifact, Tune):
        return len(artifact.notes.notes), ENOUGH_NOTES, "notes"
    if isinstance(artifact, Sound):
        return int(np.sum(np.abs(artifact.wave) > SILENCE)), ENOUGH_SAMPLES, "samples that are heard"
    assert isinstance(artifact, Drawing)
    return sum(len(line) > 1 for line in artifact.lines), ENOUGH_STROKES, "strokes"


@lru_cache(maxsize=8)
def _load_bundled(folder: Path, device: str) -> Translator | SequenceTranslator | SoundModel:
    return hub.load_any_translator(folder, device)
