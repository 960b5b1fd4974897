"""Reading strangers' files, in a process of its own whose memory and time are bounded.

The bytes go to a temporary file whose name the server chooses; no path of a client's is ever opened.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.audio import SILENCE
from kikibouba.data.audio_files import AUDIO_SUFFIXES, SAMPLE_RATE, read_sound
from kikibouba.data.music_files import is_music, read_music
from kikibouba.errors import KikiboubaError
from kikibouba.inputs import kind_of, read_artifact, read_windows
from kikibouba.web import limits
from kikibouba.web.describe import described, representation_of, to_json

SUFFIXES = (".mid", ".midi", ".musicxml", ".xml", ".mxl", ".abc", ".svg", ".json")


class Reader:
    """What a reading process does."""

    def __init__(self) -> None:
        with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (limits.READ_MEMORY, limits.READ_MEMORY))
        representation_of("melody")  # imports what the first file would wait for

    def read(self, name: str, content: bytes, kind: str | None) -> bytes:
        """A drawing, or a piece in windows of two bars, as artifacts.

        Args:
            name: the file's, for its suffix and for messages.
            kind: "melody" or "drums", of a piece that has both; by default melody if there is any.
        """
        with self._file(name, content) as path:
            artifact = read_artifact(path)
            if isinstance(artifact, Drawing):
                return to_json({"results": [described(artifact)]})
            kind = kind or kind_of(artifact)
            representation = representation_of(kind)
            windows = read_windows(path, representation)[: limits.MAX_WINDOWS]
            return to_json({"results": [described(representation.to_artifact(window)) for window in windows]})

    def songs(self, files: Sequence[tuple[str, bytes]]) -> list[Tune | Drawing]:
        """All pieces and drawings in files."""
        found: list[Tune | Drawing] = []
        for name, content in files:
            with self._file(name, content) as path:
                found += map(Tune, read_music(path)) if is_music(path) else [read_artifact(path)]
        return found

    def sound(self, name: str, content: bytes) -> np.ndarray:
        """A recording, float32 [N] at 16 kHz. Raises KikiboubaError: unreadable, silent, or too long."""
        with self._file(name, content, AUDIO_SUFFIXES) as path:
            wave, longest = read_sound(path), limits.MAX_SOUND_SECONDS
            if (seconds := len(wave) / SAMPLE_RATE) > longest:
                raise KikiboubaError(f"{path} lasts {seconds:.1f} s; {longest:g} s are allowed here")
            if not np.any(np.abs(wave) > SILENCE):
                raise KikiboubaError(f"{path} is silent")
            return wave

    @contextlib.contextmanager
    def _file(self, name: str, content: bytes, suffixes: Sequence[str] = SUFFIXES) -> Iterator[Path]:
        """The content as a file with the same suffix; messages name it as the client does."""
        suffix = Path(name).suffix.lower()
        shown = Path(name).name[-60:]
        if suffix not in suffixes:
            raise KikiboubaError(f"cannot read {shown!r}; allowed: {', '.join(suffixes)}")
        if not content:
            raise KikiboubaError(f"{shown} is empty")
        with tempfile.TemporaryDirectory(prefix="kikibouba-") as folder:
            path = Path(folder) / f"file{suffix}"
            path.write_bytes(content)
            try:
                yield path
            except KikiboubaError as error:
                raise KikiboubaError(str(error).replace(str(path), shown)) from None
            except MemoryError:
                raise KikiboubaError(f"{shown} takes more memory than it may") from None
