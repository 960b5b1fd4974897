"""What makes recordings, in the process that asks for them or in one of its own (`render_pool`).

A process of its own speaks JSON lines: `{"task": name, "arguments": {...}}` is answered by `{"result": ...}`
or by `{"error": text}`.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kikibouba.data.audio_files import SAMPLE_RATE, wav_bytes
from kikibouba.data.files import write_bytes
from kikibouba.data.music_files import first_piece
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.render_piece import Instrument, render_piece, rendered
from kikibouba.errors import KikiboubaError

SECONDS, HELD, PEAK = 4.0, 3.0, 0.9
"""Of single notes: how long they are, how long they are held, and how loud the loudest is."""


def make_piece(
    source: str,
    out: str,
    instrument: tuple[int, int, int],
    font: str,
    seconds: float,
    cents: float,
    tilt: float,
) -> str | None:
    """Write the recording of a file's first piece; see `render_piece`. Returns why there is none, if so."""
    try:
        wave = render_piece(first_piece(Path(source)), Instrument(*instrument), font, seconds, cents, tilt)
    except KikiboubaError as error:
        return str(error).replace(source, "it")
    write_bytes(out, wav_bytes(wave))
    return None


def make_single_notes(
    name: str,
    instrument: tuple[int, int, int],
    pitches: list[int],
    velocities: list[int],
    font: str,
    out: str,
) -> list[str]:
    """Write the notes of an instrument, scaled together; those that are not heard are left out.

    Returns:
        Their names: instrument, pitch and velocity, as NSynth writes them.
    """
    program, lowest, highest = instrument
    waves = {
        f"{name}-{pitch:03}-{velocity:03}": _single_note(pitch, velocity, program, font)
        for pitch in pitches
        if lowest <= pitch <= highest
        for velocity in velocities
    }
    peaks = {note: float(np.abs(wave).max()) for note, wave in waves.items()}
    peak = max(peaks.values(), default=0.0)
    heard = [note for note in waves if peaks[note] > 1e-3 * peak]
    for note in heard:
        write_bytes(Path(out) / f"{note}.wav", wav_bytes(waves[note] * (PEAK / peak)))
    return heard


def _single_note(pitch: int, velocity: int, program: int, font: str) -> np.ndarray:
    played = make_notes(np.array([pitch]), np.zeros(1), np.full(1, HELD), velocity, 0, program)
    wave = rendered(NoteSequence(played, total_time=SECONDS), font)
    length = int(SECONDS * SAMPLE_RATE)
    return np.pad(wave[:length], (0, max(0, length - len(wave))))


TASKS: dict[str, Callable[..., Any]] = {"piece": make_piece, "notes": make_single_notes}


def main() -> None:
    """Answer on the real standard output, until there are no more questions."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            reply = {"result": TASKS[question["task"]](**question["arguments"])}
        except Exception as error:
            what = "" if isinstance(error, KikiboubaError) else f"unexpected {type(error).__name__}: "
            reply = {"error": f"{what}{error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
