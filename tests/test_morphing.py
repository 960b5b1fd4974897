"""Between two or four: the ends are the sources, and both kinds move. And the map of both."""

from pathlib import Path

import numpy as np
import pytest

from kikibouba import hub
from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.errors import KikiboubaError
from kikibouba.feelings import QUANTILES, feeling, rank
from kikibouba.mapping import latent_map
from kikibouba.morphing import morph

EXAMPLES = Path(__file__).parents[1] / "examples"
CIRCLE, ZIGZAG, RIVER = (EXAMPLES / name for name in ("circle.svg", "zigzag.svg", "river.mid"))


@pytest.fixture(scope="module")
def translator():
    return hub.load_translator("sketch-mel_2bar")


def same(a, b):
    return a.strokes.shape == b.strokes.shape and np.allclose(a.strokes, b.strokes, atol=0.05)


def test_a_line(translator):
    steps = morph(translator, [CIRCLE, ZIGZAG], 5, temperature=0)
    assert len(steps) == 5
    sketch = translator.bases["sketch"]
    assert same(steps[0]["sketch"], sketch.reconstruct(CIRCLE))
    assert same(steps[-1]["sketch"], sketch.reconstruct(ZIGZAG))
    for step, source in ((steps[0], CIRCLE), (steps[-1], ZIGZAG)):
        tune = translator.translate(source, "melody", temperature=0, tries=1)
        assert tune.to_json() == step["melody"].to_json()
    assert len({step["melody"].to_json() for step in steps}) > 2


def test_a_square_begins_and_ends_at_its_corners(translator):
    corners = [CIRCLE, ZIGZAG, ZIGZAG, CIRCLE]
    steps = morph(translator, corners, 3, temperature=0)
    line = morph(translator, [CIRCLE, ZIGZAG], 3, temperature=0)
    assert len(steps) == 9
    for there, expected in ((0, 0), (2, 2), (6, 2), (8, 0)):
        assert same(steps[there]["sketch"], line[expected]["sketch"])
    assert same(steps[1]["sketch"], line[1]["sketch"])


def test_of_both_kinds(translator):
    steps = morph(translator, [RIVER, CIRCLE], 2, temperature=0)
    assert steps[0]["melody"].to_json() == translator.bases["mel_2bar"].reconstruct(RIVER).to_json()
    assert isinstance(steps[0]["sketch"], Drawing)


@pytest.mark.parametrize("corners", [[CIRCLE], [CIRCLE] * 3])
def test_two_or_four(translator, corners):
    with pytest.raises(KikiboubaError, match="2 corners or 4"):
        morph(translator, corners)


def test_kinds_that_are_not_known(translator):
    with pytest.raises(KikiboubaError, match="drums"):
        morph(translator, [CIRCLE, EXAMPLES / "drums_rock.mid"])


def test_the_map_goes_from_round_to_spiky(translator):
    found = latent_map(translator, each=40, seed=1)
    assert found.kinds == ["sketch"] * 40 + ["melody"] * 40
    drawings = [a.strokes for a in found.artifacts if isinstance(a, Drawing)]
    measured = translator.bases["sketch"].representation.attributes(drawings)["angularity"]
    places = found.places[:40, 0]
    assert np.corrcoef(places, measured)[0, 1] > 0.3
    assert all(isinstance(a, Tune) for a in found.artifacts[40:])
    np.testing.assert_array_equal(found.places, latent_map(translator, each=40, seed=1).places)


def test_a_map_needs_attribute_vectors():
    translator = hub.load_translator("sketch-mel_2bar")
    translator.bases["sketch"].vectors_file = None
    with pytest.raises(KikiboubaError, match="no attribute vectors"):
        latent_map(translator, each=2)


def test_feelings_are_shares():
    assert feeling("sketch", {"angularity": 0.0, "density": 1e9}) == {"spikiness": 0.0, "density": 1.0}
    assert feeling("groove", {"density": 1.0}) == {}
    for (kind, name), values in QUANTILES.items():
        assert list(values) == sorted(values)
        assert rank(kind, name, values[5]) == pytest.approx(0.5, abs=0.06)
