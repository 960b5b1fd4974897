"""From examples to attribute vectors and back into what a model says, with tiny and with bundled models."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kikibouba as kb
from kikibouba import hub
from kikibouba.attributes import FEWEST, measure_vectors, shared_out, vectors_from_examples
from kikibouba.bridges.attribute_vectors import FILE_NAME, read_vectors
from kikibouba.bridges.posteriors import weights_hash
from kikibouba.data.artifacts import Tune
from kikibouba.data.notes import transpose
from kikibouba.errors import KikiboubaError
from kikibouba.inputs import read_examples
from tiny_models import make_weights

EXAMPLES = Path(__file__).parents[1] / "examples"
RIVER = EXAMPLES / "river.mid"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def tiny(monkeypatch, weights):
    monkeypatch.setattr(hub, "WEIGHTS", weights)
    return hub.load_model("mel_2bar")


@pytest.fixture(scope="module")
def tunes(tmp_path_factory):
    """The example tunes at several pitches."""
    folder = tmp_path_factory.mktemp("tunes")
    for path in sorted(EXAMPLES.glob("*.mid")):
        if not path.name.startswith("drums"):
            for semitones in (-6, 0, 5):
                kb.write_midi(
                    transpose(kb.read_midi(path), semitones), folder / f"{path.stem}{semitones}.mid"
                )
    return sorted(folder.iterdir())


def test_vectors_of_files_are_kept_beside_a_model(tiny, tunes, weights):
    vectors = kb.attribute_vectors(tiny, tunes)
    measured = {"jaggedness", "density", "register", "contour", "range", "repetition", "syncopation"}
    assert set(vectors.vectors) == measured
    assert vectors.model_hash == weights_hash(tiny.module)
    assert {vector.shape for vector in vectors.vectors.values()} == {(tiny.z_size,)}
    with pytest.raises(KikiboubaError, match="has no attribute vectors"):
        tiny.shifted(np.zeros((1, tiny.z_size)), {"density": 1})
    vectors.save(weights / "mel_2bar" / FILE_NAME)
    again = hub.load_model("mel_2bar")
    (weights / "mel_2bar" / FILE_NAME).unlink()
    assert again.vectors_file is not None


def test_amounts_reach_z(tiny, tunes, tmp_path):
    vectors = kb.attribute_vectors(tiny, tunes, calibrate=False)
    path = str(vectors.save(tmp_path / "all = ü.npz"))
    one = str(vectors.only(["density"]).save(tmp_path / "one.npz"))
    z = np.ones((2, tiny.z_size), np.float32)
    expected = z + 2 * vectors.vectors["density"]
    for name in (f"{path}:density", f"{path}:note_density", one):
        np.testing.assert_allclose(tiny.shifted(z, {name: 2}), expected, rtol=1e-6)
    np.testing.assert_array_equal(tiny.shifted(z, None), z)
    both = tiny.shifted(z, {one: 2, f"{path}:register": -1})
    np.testing.assert_allclose(both, expected - vectors.vectors["register"], rtol=1e-5)
    for bad, message in ((path, "say which"), (f"{path}:desnity", "did you mean 'density'")):
        with pytest.raises(KikiboubaError, match=message):
            tiny.shifted(z, {bad: 1})
    for amount in (float("nan"), float("-inf"), 11.0):
        with pytest.raises(KikiboubaError, match="no amount"):
            tiny.shifted(z, {one: amount})
    with pytest.raises(KikiboubaError, match="other weights"):
        hub.load_model("drums_2bar").shifted(z, {one: 1})


def test_everything_that_decodes_takes_attributes(tiny, tunes, tmp_path):
    one = str(kb.attribute_vectors(tiny, tunes).only(["density"]).save(tmp_path / "one.npz"))
    more = {one: 3.0}
    z = tiny.shifted(tiny.encode(RIVER).mu, more)
    (expected,) = tiny.decode(z)
    same = tiny.reconstruct(RIVER, attributes=more)
    assert np.array_equal(same.notes.notes, expected.notes.notes)
    ends = tiny.interpolate(RIVER, RIVER, 2, attributes=more)
    assert all(np.array_equal(end.notes.notes, expected.notes.notes) for end in ends)
    assert len(tiny.sample(2, attributes=more)) == 2
    assert isinstance(tiny.reconstruct(RIVER, whole=True, attributes=more), Tune)


def test_few_or_uniform_examples(tiny, tunes):
    with pytest.raises(KikiboubaError, match=f"give {FEWEST}"):
        kb.attribute_vectors(tiny, RIVER)
    example = read_examples(RIVER, tiny.representation)
    with pytest.raises(KikiboubaError, match="measure alike"):
        vectors_from_examples(tiny, example * 30)


def test_examples_are_shared_out_without_overlap(tiny, tunes):
    (fit, held_out), (again, _) = shared_out(tiny, tunes), shared_out(tiny, tunes)
    assert len(held_out) == (len(fit) + len(held_out)) // 5
    assert all(np.array_equal(a, b) for a, b in zip(fit, again, strict=True))


def has_z(name):
    """Whether a bundled model has latent vectors; one of sequences or sounds, or a translator, has not."""
    preset = hub.read_preset(name)
    return preset.representation is not None and getattr(preset.model, "z_size", 0) > 0


@pytest.mark.parametrize("name", [name for name in hub.bundled() if has_z(name)])
def test_bundled_vectors_belong_to_the_bundled_weights(name):
    model = kb.load(name)
    assert model.vectors_file is not None
    vectors = read_vectors(model.vectors_file, weights_hash(model.module))
    layout = getattr(model.representation, "layout", None)
    width = sum(part.stop - part.start for part in layout.controls) if layout else 0
    told = np.zeros((model.representation.steps, width), np.float32) if width else None
    (array,) = model.decode_arrays(np.zeros((1, model.z_size)), controls=told)
    assert set(vectors.vectors) <= set(model.representation.attributes([array]))
    assert model.vectors_file.stat().st_size < 20_000


def test_more_density_is_more_density(tunes):
    """The bundled melody model, on tunes it has never seen."""
    model = kb.load("mel_2bar")
    _, held_out = shared_out(model, tunes)
    vectors = read_vectors(model.vectors_file, weights_hash(model.module))
    figures = measure_vectors(model, vectors.only(["density"]), held_out)
    assert figures["density moved"] > 0.8
    assert 0.5 < figures["density gain"] < 1.5


@settings(deadline=None, max_examples=15)
@given(amount=st.floats(-3, 3))
def test_shifts_are_linear(amount):
    vectors = read_vectors(kb.load("mel_2bar").vectors_file, weights_hash(kb.load("mel_2bar").module))
    once = vectors.shift({"density": 1.0})
    np.testing.assert_allclose(vectors.shift({"density": amount}), amount * once, atol=1e-5)
