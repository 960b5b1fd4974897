"""The bundled humaniser: stiff drums come back with the same hits, played."""

import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kikibouba import hub
from kikibouba.cli import main
from kikibouba.data.midi import from_midi_bytes, read_midi
from kikibouba.errors import KikiboubaError
from kikibouba.evaluate.groove import groove_figures

ROCK = Path(__file__).parents[1] / "examples" / "drums_rock.mid"


def grid(path: Path) -> tuple[set[tuple[int, int]], np.ndarray, np.ndarray]:
    """(step, pitch) of every note of a file, how far off its step it is in steps, its velocity."""
    sequence = read_midi(path)
    steps = sequence.notes["start"] * sequence.tempos[0, 1] / 15
    at = np.rint(steps)
    hits = set(zip(at.astype(int).tolist(), sequence.notes["pitch"].tolist(), strict=True))
    return hits, steps - at, sequence.notes["velocity"]


def held_out(folder: Path, files: int = 20) -> Iterator[bytes]:
    """Content of the first files of the official test split."""
    names = (folder / "split" / "test.txt").read_text().split()[:files]
    with tarfile.open(folder / "groove_mid.tar.xz") as tar:
        for member in tar:
            if member.name.partition("/")[2] in names and (file := tar.extractfile(member)):
                yield file.read()


def test_a_stiff_beat_keeps_its_hits_and_tempo_and_gets_dynamics_and_timing(tmp_path: Path) -> None:
    out = tmp_path / "played.mid"
    assert main(["reconstruct", str(ROCK), "--model", "groove_humanize_2bar", "--whole", "-o", str(out)]) == 0
    (stiff, off_before, velocities), (played, off, dynamics) = grid(ROCK), grid(out)
    assert np.abs(off_before).max() < 0.01
    assert velocities.std() == 0
    assert played == stiff
    assert np.isclose(read_midi(out).tempos[0, 1], read_midi(ROCK).tempos[0, 1])
    assert dynamics.std() > 10
    assert 0.01 < np.abs(off).mean() < 0.2


def test_it_plays_unseen_patterns_more_like_the_drummers_than_a_machine_would(shared: Path) -> None:
    model = hub.load_model("groove_humanize_2bar")
    representation = replace(model.representation, pitch_classes="roland", hop_bars=None)
    played: list[np.ndarray] = []
    for content in held_out(shared / "data" / "drums" / "groove"):
        with suppress(KikiboubaError):  # most fills are too short
            played += representation.windows(from_midi_bytes(content))
    assert len(played) >= 100
    z = model.encode(played).mu
    hits = np.array(played)[:, :, :9]
    figures = groove_figures(model.decode_arrays(z, controls=hits), played)
    assert figures["hit F1"] == pytest.approx(1)
    assert figures["velocity MAE"] < 0.9 * figures["velocity MAE, flat"]
    assert figures["offset MAE ms"] < figures["offset MAE ms, flat"]


@pytest.mark.parametrize(
    ("name", "column", "unit"), [("loudness", "velocity", 10), ("lateness", "start", 0.01)]
)
def test_a_feel_can_be_asked_for(name: str, column: str, unit: float) -> None:
    model = hub.load_model("groove_humanize_2bar")
    less, more = (
        model.reconstruct(ROCK, attributes={name: amount}).notes.notes[column].mean()
        for amount in (-1.5, 1.5)
    )
    assert more > less + unit


def test_without_hits_it_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "groove_humanize_2bar", "-n", "1", "-o", str(tmp_path)]) == 0
    assert "plays the hits it is told" in capsys.readouterr().err
    told = ["sample", "groove_humanize_2bar", "-n", "2", "--controls-from", str(ROCK), "-o", str(tmp_path)]
    assert main(told) == 0
    assert "plays the hits" not in capsys.readouterr().err
