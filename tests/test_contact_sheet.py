"""Translations side by side: contact sheets, and paths through a shared space seen as two kinds at once."""

from pathlib import Path

import numpy as np
import pytest

from kikibouba import hub
from kikibouba.cli import main
from kikibouba.contact_sheet import contact_sheet, sources_in
from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.midi import read_midi
from kikibouba.data.svg import read_svg
from kikibouba.errors import KikiboubaError
from tiny_models import make_weights, notes_of

EXAMPLES = Path(__file__).parents[1] / "examples"
CIRCLE, ZIGZAG, SHEEP, RIVER = (EXAMPLES / n for n in ("circle.svg", "zigzag.svg", "sheep.svg", "river.mid"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def bundled(monkeypatch, weights):
    monkeypatch.setattr(hub, "WEIGHTS", weights)


def test_a_sheet_is_in_order_and_its_tunes_follow_one_another():
    page = contact_sheet(hub.load("sketch-mel_2bar"), [ZIGZAG, SHEEP, CIRCLE], "melody", by="angularity")
    assert page.values == sorted(page.values)
    assert page.values[0] < 0.5 < page.values[-1]  # circle, …, zigzag
    assert [type(s) for s in page.sources] == [Drawing] * 3
    whole = page.together()
    assert isinstance(whole, Tune)
    assert whole.notes.total_time == pytest.approx(3 * (4 + 1))
    begins = notes_of(whole)[:, 1]
    for number, tune in enumerate(page.results):
        inside = (begins >= 5 * number) & (begins < 5 * number + 4)
        np.testing.assert_allclose(notes_of(whole)[inside, 1] - 5 * number, notes_of(tune)[:, 1], atol=1e-6)
    assert not ((begins % 5) >= 4).any()
    assert page.picture().startswith(b"\x89PNG")


def test_of_many_those_are_shown_that_divide_the_order_evenly():
    translator = hub.load("sketch-mel_2bar")
    drawings = sources_in([EXAMPLES])
    everything = contact_sheet(translator, drawings, by="density", n=len(drawings)).values
    shown = contact_sheet(translator, drawings, by="density", n=3).values
    assert shown == [everything[0], everything[round((len(everything) - 1) / 2)], everything[-1]]


def test_drawings_of_tunes_share_a_page():
    page = contact_sheet(hub.load("sketch-mel_2bar"), [RIVER], "sketch", kind="melody", by="density")
    assert isinstance(page.together(), Drawing)


def test_a_path_through_the_shared_space_is_seen_in_both_domains():
    translator = hub.load("sketch-mel_2bar")
    found = translator.interpolate(CIRCLE, ZIGZAG, 3)
    assert {kind: [type(a) for a in row] for kind, row in found.items()} == {
        "sketch": [Drawing] * 3,
        "melody": [Tune] * 3,
    }
    across = translator.interpolate(SHEEP, RIVER, 2)
    there = translator.interpolate(SHEEP, ZIGZAG, 2)
    assert list(across) == ["sketch", "melody"]
    assert np.array_equal(across["sketch"][0].strokes, there["sketch"][0].strokes)  # both begin at the sheep
    with pytest.raises(KikiboubaError, match="does not translate drums"):
        translator.interpolate(CIRCLE, ZIGZAG, to="drums")
    translator.bridge = object()
    with pytest.raises(KikiboubaError, match="no shared space"):
        translator.interpolate(CIRCLE, ZIGZAG)


def test_commands(tmp_path, capsys):
    def run(*argv):
        status = main([str(word) for word in argv])
        return status, *(text.splitlines() for text in capsys.readouterr())

    sheet = tmp_path / "sheet.png"
    status, out, _ = run(
        "plot", "translations", CIRCLE, ZIGZAG, "--to", "melody", "-o", sheet, "--also", "mid"
    )
    assert (status, out) == (0, [str(tmp_path / "sheet.mid"), str(sheet)])
    assert len(read_midi(tmp_path / "sheet.mid").notes) >= 2

    folder = tmp_path / "morph"
    status, out, _ = run("interpolate", CIRCLE, ZIGZAG, "--to", "melody", "-n", 2, "-o", folder)
    assert status == 0
    names = [
        f"circle-zigzag-{end}" for end in ("sketch-1.svg", "sketch-2.svg", "melody-1.mid", "melody-2.mid")
    ]
    assert [Path(line).name for line in out] == [*names, "circle-zigzag.png"]
    assert len(read_svg(folder / names[0]))
    for argv, message in (
        (("interpolate", CIRCLE, ZIGZAG, "--to", "melody", "-o", tmp_path / "x.mid"), "a folder"),
        (("interpolate", CIRCLE, ZIGZAG, "--to", "melody", "--key", "C", "-o", folder), "--key"),
        (("interpolate", CIRCLE, ZIGZAG, "--to", "sketch", "-o", folder), "reconstruct"),
        (("plot", "translations", CIRCLE, "--to", "melody", "--by", "angularty", "-o", sheet), "angularity"),
        (("plot", "translations", CIRCLE, "--to", "melody", "-n", "0", "-o", sheet), "1 or more"),
        (("plot", "translations", CIRCLE, "--to", "melody", "-o", sheet, "--also", "svg"), ".svg"),
    ):
        status, _, err = run(*argv)
        assert (status, len(err)) == (1, 1)
        assert message in err[0]
