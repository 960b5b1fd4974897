"""Recordings played on other instruments: a process that keeps music translation networks, and the sound it
says, passed on while it says it.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kikibouba import hub
from kikibouba.data.audio_files import to_int16, wav_header
from kikibouba.errors import KikiboubaError, did_you_mean
from kikibouba.web import limits
from kikibouba.web.workers import Pool, Tell

Offered = dict[str, tuple[str, tuple[str, ...]]]
"""Name → where the model is, and its domains."""


def offered(models: Sequence[str | Path]) -> Offered:
    """The bundled music translation networks, and those in folders; nothing is loaded.

    Raises:
        KikiboubaError: no model, one that cannot play a recording in several domains, or two of one name.
    """
    found: Offered = {}
    for model in dict.fromkeys([*hub.instruments().values(), *map(str, models)]):
        preset, name = hub.read_preset(model), hub.locate(model).resolve().name
        domains = getattr(preset.model, "domains", ())
        if preset.representation is None or preset.representation.kind != "audio" or not domains:
            raise KikiboubaError(f"{model} is no music translation network, which serve --model takes")
        if name in found:
            raise KikiboubaError(f"two models are called {name}: rename the folder {model}")
        found[name] = model, tuple(domains)
    return found


class Voices:
    """What the process does. Recordings come as samples, sound goes as the bytes of a WAV file."""

    def __init__(self, models: Offered) -> None:
        import torch

        torch.set_num_threads(1)
        self.models: dict[str, Any] = {name: hub.load_model(place) for name, (place, _) in models.items()}
        for name, (_, domains) in models.items():  # the first word takes long: the kernel is compiled
            model = self.models[name]
            next(model.say(np.zeros((1, model.z_size)), domains[0]))

    def play(self, name: str, wave: np.ndarray, to: str, temperature: float, seed: int, tell: Tell) -> None:
        """Tell the header of a WAV file, and then its samples, stretch by stretch, as they are said.

        Args:
            wave: float32 [N] at 16 kHz.
            to: domain.
        """
        if name not in self.models:
            raise KikiboubaError(f"no model {name!r} plays recordings here{did_you_mean(name, self.models)}")
        model = self.models[name]
        said = model.say(model.encode(wave).mu, to, temperature, seed)
        first = next(said)
        tell(wav_header(len(wave) // model.hop * model.hop))
        tell(to_int16(first).tobytes())
        for stretch in said:
            tell(to_int16(stretch).tobytes())


async def played(pool: Pool, *arguments: Any) -> AsyncIterator[bytes]:
    """The bytes of `Voices.play` as they come. Who stops listening stops it.

    Raises:
        as `Pool.run`, before the first bytes.
    """
    loop, stop = asyncio.get_running_loop(), threading.Event()
    parts = asyncio.Queue[bytes | None]()

    def tell(part: bytes) -> None:
        loop.call_soon_threadsafe(parts.put_nowait, part)

    saying = asyncio.create_task(
        pool.run("play", *arguments, limit=limits.VOICE_SECONDS, tell=tell, stop=stop)
    )
    saying.add_done_callback(lambda _: parts.put_nowait(None))
    try:
        while (part := await parts.get()) is not None:
            yield part
        await saying
    finally:
        stop.set()
        saying.add_done_callback(lambda task: task.cancelled() or task.exception())
