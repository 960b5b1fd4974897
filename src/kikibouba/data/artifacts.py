"""What a model's output is to a user: something to see, hear and save; a file's suffix names its form."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from kikibouba.data import strokes as stroke_arrays
from kikibouba.data.files import write_bytes
from kikibouba.data.svg import write_svg
from kikibouba.errors import KikiboubaError

if TYPE_CHECKING:
    from kikibouba.data.notes import NoteSequence


class Artifact(Protocol):
    """Something to see, hear and save."""

    suffixes: ClassVar[tuple[str, ...]]
    """What `save` can write, e.g. (".svg", ".png"); the first is the usual one."""

    def save(self, path: str | Path) -> Path:
        """Write the file atomically in the form its suffix names; returns its path."""
        ...


def _encode(path: str | Path, encoders: Mapping[str, Callable[[], bytes]]) -> Path:
    """Write what the encoder of the path's suffix makes; nothing is written when encoding fails."""
    suffix = Path(path).suffix.lower()
    if suffix not in encoders:
        raise KikiboubaError(
            f"cannot write {path}: unknown suffix {suffix!r}; allowed: {', '.join(encoders)}"
        )
    return write_bytes(path, encoders[suffix]())


@dataclass(frozen=True, eq=False)
class Tune:
    """Notes with their times: a melody or a drum pattern."""

    notes: "NoteSequence"

    suffixes: ClassVar[tuple[str, ...]] = (".mid", ".wav", ".png", ".json")

    def save(self, path: str | Path) -> Path:
        """Write .mid, .wav (48 kHz stereo), .png (piano roll or drum grid) or .json (notes).

        Raises:
            KikiboubaError: unknown suffix or no permission.
        """
        return _encode(
            path, {".mid": self.to_midi, ".wav": self.to_wav, ".png": self._repr_png_, ".json": self.to_json}
        )

    def to_midi(self) -> bytes:
        """The bytes of a Standard MIDI File. Hits played ahead of the first beat, before 0, come at 0."""
        from kikibouba.data.midi import midi_bytes

        notes = self.notes.notes.copy()
        notes["start"] = notes["start"].clip(min=0)
        return midi_bytes(replace(self.notes, notes=notes))

    def to_wav(self) -> bytes:
        """The bytes of a WAV file, played with the default soundfont, its peak at 0.7 of full scale."""
        from kikibouba.data.render import amplified, wav_bytes

        return amplified(wav_bytes(self.to_midi()))

    def to_json(self) -> bytes:
        """`{"notes": [{"pitch": 60, "velocity": 80, "start": 0.0, "end": 0.5, …}, …], "total_time": …}`, and
        `"chords": [{"time": 0.0, "symbol": "C"}, …]` where there are any.
        """
        notes = self.notes.notes
        names = notes.dtype.names or ()
        rows = [dict(zip(names, row.tolist(), strict=True)) for row in notes]
        tune: dict[str, Any] = {"notes": rows, "total_time": float(self.notes.total_time)}
        if self.notes.chords:
            tune["chords"] = [{"time": time, "symbol": symbol} for time, symbol in self.notes.chords]
        return json.dumps(tune, indent=1).encode()

    def _repr_png_(self) -> bytes:
        from kikibouba.data.picture import tune_picture

        return tune_picture(self.notes)

    def _repr_html_(self) -> str:
        from kikibouba.data.picture import png_tag
        from kikibouba.data.render import audio_tag

        return png_tag(self._repr_png_()) + audio_tag(self.to_wav())


@dataclass(frozen=True, eq=False)
class Drawing:
    """Pen strokes, as stroke-3 [N, 3] in drawing units (`data.strokes`); y points down."""

    strokes: np.ndarray

    suffixes: ClassVar[tuple[str, ...]] = (".svg", ".png", ".npz", ".json")

    @property
    def lines(self) -> list[np.ndarray]:
        """The absolute points of each pen stroke, float [n, 2]."""
        return stroke_arrays.to_lines(self.strokes)

    def save(self, path: str | Path) -> Path:
        """Write .svg (one path a stroke), .png, .npz (`strokes`: stroke-3) or .json (a QuickDraw record).

        Raises:
            KikiboubaError: unknown suffix or no permission.
        """
        encoders = {".svg": self.to_svg, ".png": self._repr_png_, ".npz": self.to_npz, ".json": self.to_json}
        return _encode(path, encoders)

    def to_svg(self) -> bytes:
        """The bytes of an SVG file."""
        return self._repr_svg_().encode()

    def to_npz(self) -> bytes:
        """The bytes of an .npz with one array `strokes`, float32 [N, 3]; needs no pickle to load."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, strokes=np.asarray(self.strokes, np.float32))
        return buffer.getvalue()

    def to_json(self) -> bytes:
        """`{"drawing": [[[x, …], [y, …]], …]}`: one QuickDraw record, absolute coordinates."""
        record = {"drawing": [np.round(line.T.astype(float), 2).tolist() for line in self.lines]}
        return json.dumps(record).encode()

    def _repr_svg_(self) -> str:
        return write_svg(self.strokes)

    def _repr_png_(self) -> bytes:
        from kikibouba.data.picture import drawing_picture

        return drawing_picture(self.strokes)

    def _repr_html_(self) -> str:
        return self._repr_svg_()


@dataclass(frozen=True, eq=False)
class Sound:
    """A recording, or what a model made of one: samples of one channel."""

    wave: np.ndarray
    """float32 [N] in [-1, 1]"""
    rate: int = 16_000
    """Samples a second."""

    suffixes: ClassVar[tuple[str, ...]] = (".wav", ".png", ".npz")

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.wave) / self.rate

    def save(self, path: str | Path) -> Path:
        """Write .wav (16 bit), .png (waveform and spectrogram) or .npz (`wave`, `rate`).

        Raises:
            KikiboubaError: unknown suffix or no permission.
        """
        return _encode(path, {".wav": self.to_wav, ".png": self._repr_png_, ".npz": self.to_npz})

    def to_wav(self) -> bytes:
        """The bytes of a WAV file, 16 bit, one channel."""
        from kikibouba.data.audio_files import wav_bytes

        return wav_bytes(self.wave, self.rate)

    def to_npz(self) -> bytes:
        """The bytes of an .npz with `wave`, float32 [N], and `rate`; needs no pickle to load."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, wave=np.asarray(self.wave, np.float32), rate=self.rate)
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        from kikibouba.data.picture import sound_picture

        return sound_picture(self)

    def _repr_html_(self) -> str:
        from kikibouba.data.picture import png_tag
        from kikibouba.data.render import audio_tag

        return png_tag(self._repr_png_()) + audio_tag(self.to_wav())
