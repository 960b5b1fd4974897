"""Use one trained model of sound: encode, decode, reconstruct, interpolate, translate.

    sound ─codes→ x ─encode→ z [frames, Z] ─Voice→ codes → sound

The verbs are those of `generate.Model`, and always take all of a sound. A row of z is one latent frame, 32 or
50 ms, so that what is a batch of latent vectors elsewhere is one sound here.
"""

import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, takewhile
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from kikibouba.data.artifacts import Artifact, Sound
from kikibouba.data.audio_files import SAMPLE_RATE, read_sound, to_int16, wav_header
from kikibouba.data.audio_resampling import resample
from kikibouba.data.files import atomic_write
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.generate import Mode, Model, Posterior, Prior, check_seed, interpolate_latents
from kikibouba.inputs import Source
from kikibouba.nn.wavenet_voice import Engine, Voice, compiled

TEMPERATURE = 1.0
"""Of what is said; at lower ones WaveNets fall silent or hum."""

STRETCH = 20
"""Frames said between two reports of progress."""

ENCODED = 200
"""Frames encoded at a time, beside those around them that they depend on."""

QUIET = 1
"""Classes between the lowest and the highest sample of what is silent."""

TOGETHER = 32
"""Sounds of which those of about the same length are said at once."""


class SoundModel(Model):
    """A WaveNet autoencoder, or a music translation network with its domains."""

    engine: Engine = "auto"
    """What says the samples: see `nn.wavenet_voice`."""

    @property
    def domains(self) -> tuple[str, ...]:
        """What it can translate to; () if it has one decoder for everything."""
        return getattr(self.module.config, "domains", ())

    @property
    def hop(self) -> int:
        """Samples a latent frame."""
        return self.module.hop

    # ------------------------------------------------------------------------------------------------- to z

    def codes_of(self, source: Source | Sound) -> np.ndarray:
        """The codes of a sound, uint8 [N]: a file, a `Sound`, samples (float [N] at 16 kHz) or codes (uint8).

        Warns if it is cut off at full scale.

        Raises:
            KikiboubaError: unreadable, NaN, no sound, silent, or shorter than one latent frame. Codes may be
                silent: who has them took them from somewhere, and a part of a sound may be a pause.
        """
        codes = self._codes(source)
        what = _called(source)
        if codes is not source and len(codes) and np.ptp(codes.astype(int)) <= QUIET:
            raise KikiboubaError(f"{what} is silent, so there is nothing to hear in it")
        if len(codes) < self.hop:
            raise KikiboubaError(
                f"{what} lasts {1000 * len(codes) / SAMPLE_RATE:.0f} ms, less than the "
                f"{1000 * self.hop / SAMPLE_RATE:.0f} ms of one latent frame"
            )
        return codes

    def _codes(self, source: Source | Sound) -> np.ndarray:
        if isinstance(source, np.ndarray) and source.dtype == np.uint8:
            return source
        if isinstance(source, np.ndarray):
            source = Sound(source)
        if isinstance(source, Sound):
            wave = np.asarray(source.wave, np.float32)
            if wave.ndim != 1 or not np.isfinite(wave).all():
                raise KikiboubaError("a sound must be finite samples [N] of one channel")
            wave = resample(wave, source.rate, SAMPLE_RATE)
        elif isinstance(source, str | Path):
            wave = read_sound(source)
        else:
            raise KikiboubaError(f"{self.name} hears sounds; this is a {type(source).__name__.lower()}")
        for warning in self.representation.warnings(wave) if len(wave) else []:
            warnings.warn(f"{_called(source)}: {warning}", stacklevel=4)
        return self.representation.codes(wave)

    def encode(self, source: Source | Sound | Sequence[np.ndarray], whole: bool = True) -> Posterior:
        """The latent frames of all of a sound: mu [frames, Z]; sigma is 0, as z is no distribution here.

        Samples after the last whole frame are left out. Several arrays follow each other. `whole` changes
        nothing.
        """
        several = isinstance(source, Sequence) and not isinstance(source, str)
        z = np.concatenate([self._frames(self.codes_of(one)) for one in (source if several else [source])])
        return Posterior(z, np.zeros_like(z))

    @torch.inference_mode()
    def _frames(self, codes: np.ndarray) -> np.ndarray:
        """[frames, Z] float32 of codes [N], `ENCODED` frames at a time; the same as all at once."""
        reach = 1 + sum(int(layer["dilated_conv"].dilation[0]) for layer in self.module.encoder.dilated_convs)
        around = -(-reach // self.hop)
        count, parts = len(codes) // self.hop, []
        for first in range(0, count, ENCODED):
            last = min(first + ENCODED, count)
            begin, end = max(first - around, 0), min(last + around, -(-len(codes) // self.hop))
            heard = torch.from_numpy(codes[begin * self.hop : end * self.hop].astype(np.int64))
            z = self.module.encode(heard[None].to(self.device))[0].T.cpu().numpy()
            parts.append(z[first - begin : last - begin])
        return np.concatenate(parts)

    # ----------------------------------------------------------------------------------------------- from z

    def say(
        self,
        z: np.ndarray,
        to: str | None = None,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        progress: bool = False,
    ) -> Iterator[np.ndarray]:
        """The samples of latent frames as they are said: float32 arrays, end to end without a seam.

        Args:
            z: [frames, Z].
            to: domain; may be left out where there is only one.
            temperature: 0 always says the likeliest sample.
            seed: of what is said.
            progress: show a progress bar, in seconds of sound.

        Raises:
            KikiboubaError: no such domain (says the nearest), z of another shape, or NaN.
        """
        number = self._domain(to)
        frames = self._checked(z)
        for codes in self._said([frames], number, temperature, seed, progress):
            yield self.representation.wave(codes[0])

    def _said(
        self, sounds: Sequence[np.ndarray], number: int, temperature: float, seed: int, progress: bool
    ) -> Iterator[np.ndarray]:
        """The codes [B, samples] of B sounds, stretch by stretch, said at once as each would be alone.

        Args:
            sounds: z [frames, Z] each; shorter ones end in frames of 0.
            number: of the domain.
        """
        if not 0 <= temperature < np.inf:
            raise KikiboubaError(f"temperature {temperature} must be 0 or more; 1 is what the model learnt")
        check_seed(seed)
        longest = max(map(len, sounds))
        given = torch.zeros(len(sounds), self.z_size, longest, device=self.device)
        for row, z in zip(given, sounds, strict=True):
            row[:, : len(z)] = torch.from_numpy(z.T)
        voice = Voice(
            self.module.wavenet(number),
            self.module.inputs(torch.arange(256, device=self.device)),
            self.hop,
            len(sounds),
            temperature=temperature,
            seed=[seed] * len(sounds),
            engine=self.engine,
        )
        bar = tqdm(
            total=round(longest * self.hop / SAMPLE_RATE, 2),
            unit="s",
            disable=None if progress else True,
            leave=False,
        )
        with bar:
            for first in range(0, longest, STRETCH):
                codes, _ = voice.say(given[:, :, first : first + STRETCH])
                yield codes.cpu().numpy()
                bar.update(round(codes.shape[1] / SAMPLE_RATE, 3))

    def _checked(self, z: np.ndarray) -> np.ndarray:
        rows = np.atleast_2d(np.asarray(z, np.float32))
        if rows.ndim != 2 or rows.shape[1] != self.z_size:
            raise KikiboubaError(
                f"z has shape {np.shape(z)}, but {self.name} decodes [frames, {self.z_size}]"
            )
        if not np.isfinite(rows).all():
            raise KikiboubaError("z holds NaN or infinite values")
        return rows

    def _domain(self, name: str | None) -> int:
        if not self.domains:
            if name is not None:
                raise KikiboubaError(f"{self.name} has no domains: it gives back what it hears")
            return 0
        if name is None and len(self.domains) > 1:
            raise KikiboubaError(
                f"{self.name} can play {', '.join(self.domains)}: say which (translate --to)"
            )
        if name is not None and name not in self.domains:
            raise KikiboubaError(f"{self.name} cannot play {name!r}{did_you_mean(name, self.domains)}")
        return self.domains.index(name) if name else 0

    def decode(
        self,
        z: np.ndarray,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        controls: np.ndarray | None = None,
        *,
        to: str | None = None,
        progress: bool = False,
    ) -> list[Artifact]:
        """Latent frames [frames, Z] → one sound; see `say`."""
        if controls is not None:
            raise KikiboubaError(f"{self.name} takes no controls")
        return [Sound(np.concatenate(list(self.say(z, to, temperature, seed, progress))))]

    def save(
        self,
        path: str | Path,
        z: np.ndarray,
        to: str | None = None,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        progress: bool = False,
    ) -> Path:
        """Write the sound of latent frames to a .wav as it is said, which appears when it is complete."""
        path = Path(path)
        if path.suffix.lower() != ".wav":
            raise KikiboubaError(f"cannot stream to {path}: a sound is written as .wav while it is said")
        with atomic_write(path) as file:
            file.write(wav_header(len(self._checked(z)) * self.hop))
            for wave in self.say(z, to, temperature, seed, progress):
                file.write(to_int16(wave).tobytes())
        return path

    # ------------------------------------------------------------------------------------------------ verbs

    def translate(
        self,
        source: Source | Sound,
        to: str | None = None,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        progress: bool = False,
    ) -> Sound:
        """A sound played in another domain, as long as it was but for less than a frame."""
        self._domain(to)  # before minutes of encoding
        (sound,) = self.decode(self.encode(source).mu, temperature, seed, to=to, progress=progress)
        assert isinstance(sound, Sound)
        return sound

    def translate_all(
        self,
        sources: Iterable[Source | Sound],
        to: str | None = None,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        progress: bool = False,
    ) -> Iterator[Sound | KikiboubaError]:
        """Every sound as `translate` makes it, or why it cannot be made; in the order of the sources.

        `TOGETHER` are heard before the first of them is said. Then those of about the same length are said at
        once by one network, or, by the compiled one, which says one after the other, in as many threads as
        torch has.
        """
        number, waiting = self._domain(to), iter(sources)
        while group := list(islice(waiting, TOGETHER)):
            found: list[Sound | KikiboubaError] = []
            heard: dict[int, np.ndarray] = {}
            for source in group:
                try:
                    heard[len(found)] = self.encode(source).mu
                    found.append(Sound(np.zeros(0)))
                except KikiboubaError as error:
                    found.append(error)
            for place, codes in self._together(heard, number, temperature, seed, progress):
                found[place] = Sound(self.representation.wave(codes))
            yield from found

    def _together(
        self, heard: dict[int, np.ndarray], number: int, temperature: float, seed: int, progress: bool
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(key, codes [N]) of latent frames by key."""
        one_by_one = self.device == "cpu" and self.engine != "torch" and compiled()
        batches = [[key] for key in heard] if one_by_one else _alike(heard)
        threads = torch.get_num_threads() if one_by_one else 1
        progress = progress and threads == 1  # several bars would overwrite each other
        over = threading.Event()

        def said(keys: list[int]) -> list[tuple[int, np.ndarray]]:
            sounds = [heard[key] for key in keys]
            stretches = self._said(sounds, number, temperature, seed, progress)
            codes = np.concatenate(list(takewhile(lambda _: not over.is_set(), stretches)), axis=1)
            return [(key, row[: len(z) * self.hop]) for key, row, z in zip(keys, codes, sounds, strict=True)]

        with ThreadPoolExecutor(threads) as pool:
            try:
                for rows in pool.map(said, batches):
                    yield from rows
            finally:  # after Ctrl-C nobody waits for the rest
                over.set()

    def reconstruct(
        self,
        source: Source | Sound,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        *,
        whole: bool = True,
        controls: np.ndarray | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> Artifact:
        """A sound through z and back; all of it, whatever `whole` says."""
        self._no_attributes(attributes)
        return self.decode(self.encode(source).mu, temperature, seed, controls)[0]

    def interpolate(
        self,
        a: Source | Sound,
        b: Source | Sound,
        n: int = 7,
        mode: Mode = "slerp",
        temperature: float = TEMPERATURE,
        seed: int = 0,
        *,
        controls: np.ndarray | None = None,
        attributes: Mapping[str, float] | None = None,
        to: str | None = None,
    ) -> list[Artifact]:
        """n sounds from a to b, as long as the shorter: in equal steps between each two latent frames."""
        self._no_attributes(attributes)
        ends = [self.encode(source).mu for source in (a, b)]
        length = min(map(len, ends))
        frames = [interpolate_latents(ends[0][t], ends[1][t], n, mode) for t in range(length)]
        if controls is not None:
            raise KikiboubaError(f"{self.name} takes no controls")
        steps = {step: self._checked(z) for step, z in enumerate(np.stack(frames).transpose(1, 0, 2))}
        said = dict(self._together(steps, self._domain(to), temperature, seed, progress=False))
        return [Sound(self.representation.wave(said[step])) for step in range(n)]

    def _no_attributes(self, attributes: Mapping[str, float] | None) -> None:
        if attributes:
            raise KikiboubaError(f"{self.name} has no attribute vectors: it is a model of sound")

    def sample(
        self,
        n: int = 1,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        prior: Prior = "fitted",
        *,
        controls: np.ndarray | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> list[Artifact]:
        """Raises KikiboubaError: nothing was learnt of which latent frames are likely."""
        raise self._nothing_to_sample()

    def sample_arrays(
        self,
        n: int = 1,
        temperature: float = TEMPERATURE,
        seed: int = 0,
        prior: Prior = "fitted",
        *,
        controls: np.ndarray | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> list[np.ndarray]:
        """As `sample`."""
        raise self._nothing_to_sample()

    def _nothing_to_sample(self) -> KikiboubaError:
        return KikiboubaError(
            f"{self.name} has no sounds of its own: give it some with reconstruct, interpolate or translate"
        )


def _alike(heard: Mapping[int, np.ndarray]) -> list[list[int]]:
    """The keys of arrays in lists, none of which holds one that is more than twice as long as another."""
    lists: list[list[int]] = []
    for key in sorted(heard, key=lambda key: len(heard[key])):
        if lists and len(heard[key]) <= 2 * len(heard[lists[-1][0]]):
            lists[-1].append(key)
        else:
            lists.append([key])
    return lists


def _called(source: Source | Sound) -> str:
    return str(source) if isinstance(source, str | Path) else "this sound"
