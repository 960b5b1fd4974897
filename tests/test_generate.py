"""One model and two: sampling, reconstructing, interpolating, translating, and their edge cases."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kikibouba import hub
from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.sheet import CELL
from kikibouba.errors import KikiboubaError
from kikibouba.generate import interpolate_latents
from kikibouba.inputs import kind_of, read_artifact, read_examples, read_piece
from kikibouba.translator import TRIES, Translator, set_tempo, translate
from tiny_models import make_weights, notes_of

EXAMPLES = Path(__file__).parents[1] / "examples"
SHEEP, CIRCLE = EXAMPLES / "sheep.svg", EXAMPLES / "circle.svg"
RIVER, ROCK = EXAMPLES / "river.mid", EXAMPLES / "drums_rock.mid"
SOURCES = {"mel_2bar": RIVER, "drums_2bar": ROCK, "sketch": SHEEP}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def bundled(monkeypatch, weights):
    monkeypatch.setattr(hub, "WEIGHTS", weights)


@pytest.fixture(params=list(SOURCES))
def model(request):
    return hub.load(request.param)


def as_array(artifact):
    return artifact.strokes if isinstance(artifact, Drawing) else notes_of(artifact)


def same(a, b):
    return np.array_equal(as_array(a), as_array(b))


# One model ----------------------------------------------------------------------------------------


def test_samples_follow_from_the_seed(model):
    first, again, other = (model.sample(3, temperature=1.0, seed=seed) for seed in (1, 1, 2))
    assert len(first) == 3
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not all(same(a, b) for a, b in zip(first, other, strict=True))


def test_more_samples_than_a_batch(model):
    assert len(model.sample(300, temperature=1.0)) == 300


def test_encode_gives_a_posterior_of_every_example(model):
    source = SOURCES[model.name]
    one = model.encode(source)
    assert one.mu.shape == one.sigma.shape == (1, model.z_size)
    assert (one.sigma > 0).all()
    examples = read_examples(source, model.representation, whole=True)
    np.testing.assert_allclose(model.encode(source, whole=True).mu, model.encode(examples).mu, atol=1e-6)
    np.testing.assert_allclose(model.encode(examples).mu[0], one.mu[0], atol=1e-6)


def test_reconstruct_is_decode_of_encode(model):
    source = SOURCES[model.name]
    assert same(model.reconstruct(source), model.decode(model.encode(source).mu)[0])


def test_artifacts_are_sources_too(model):
    source = SOURCES[model.name]
    artifact = read_artifact(source)
    np.testing.assert_array_equal(model.encode(artifact).mu, model.encode(source).mu)


def test_interpolation_ends_at_the_reconstructions():
    model = hub.load("sketch")
    steps = model.interpolate(SHEEP, CIRCLE, 5)
    assert len(steps) == 5
    for step, end in ((steps[0], SHEEP), (steps[-1], CIRCLE)):
        np.testing.assert_allclose(step.strokes, model.reconstruct(end).strokes, atol=1e-2)


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros((2, 99)), "shape"),
        (np.zeros((2, 3, 4)), "shape"),
        (np.full(6, np.nan), "NaN"),
    ],
)
def test_decode_refuses_what_is_no_latent_vector(z, message):
    with pytest.raises(KikiboubaError, match=message):
        hub.load("mel_2bar").decode(z)


def test_settings_out_of_range(model):
    for call in (
        lambda: model.sample(0),
        lambda: model.sample(1, seed=-1),
        lambda: model.sample(1, temperature=-0.1),
        lambda: model.sample(1, temperature=math.nan),
        lambda: model.encode([]),
    ):
        with pytest.raises(KikiboubaError):
            call()


def test_a_model_refuses_another_kind():
    with pytest.raises(KikiboubaError):
        hub.load("sketch").encode(read_artifact(RIVER))
    with pytest.raises(KikiboubaError):
        hub.load("mel_2bar").encode(ROCK)


# Between latent vectors ---------------------------------------------------------------------------


def test_slerp_by_hand():
    # A right angle: sin(45°) / sin(90°) of each end, the ends as they are.
    middle = interpolate_latents(np.array([1.0, 0.0]), np.array([0.0, 2.0]), 3)[1]
    np.testing.assert_allclose(middle, [math.sqrt(0.5), 2 * math.sqrt(0.5)], rtol=1e-6)


unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
vectors = st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3).map(np.array)


@unhurried
@given(a=vectors, b=vectors, n=st.integers(2, 9), mode=st.sampled_from(["slerp", "lerp"]))
def test_interpolation_starts_and_ends_where_it_should(a, b, n, mode):
    points = interpolate_latents(a, b, n, mode)
    assert points.shape == (n, 3)
    np.testing.assert_allclose(points[[0, -1]], [a, b], atol=1e-4)


@unhurried
@given(a=vectors, factor=st.sampled_from([1.0, -1.0, 2.0, 0.0]))
def test_parallel_vectors_give_no_nan(a, factor):
    points = interpolate_latents(a, factor * a, 4)
    assert np.isfinite(points).all()
    np.testing.assert_allclose(points[1], a + (factor - 1) * a / 3, atol=1e-3)


def test_unknown_mode_and_too_few_steps():
    for n, mode in ((3, "cubic"), (1, "slerp")):
        with pytest.raises(KikiboubaError):
            interpolate_latents(np.ones(2), np.zeros(2), n, mode)


# Reading ------------------------------------------------------------------------------------------


def melody(bars, pitch=60, silent=()):
    """Four notes a bar at 120, pitches differing by bar, some bars silent."""
    onsets = [4 * bar + beat for bar in range(bars) if bar not in silent for beat in range(4)]
    starts = np.array(onsets) * 0.5
    pitches = pitch + np.array(onsets) // 4 % 12
    return NoteSequence(notes=make_notes(pitches, starts, starts + 0.5), total_time=bars * 2.0)


def test_kind_of():
    assert [kind_of(path) for path in (SHEEP, RIVER, ROCK)] == ["sketch", "melody", "drums"]
    assert kind_of(Tune(melody(2))) == "melody"
    assert kind_of(read_artifact(ROCK)) == "drums"
    for bad in ("there_is_no.mid", EXAMPLES / "make_tunes.py", np.zeros(3)):
        with pytest.raises(KikiboubaError):
            kind_of(bad)


# Two models ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "to"),
    [
        *((SHEEP, "melody"), (SHEEP, "drums")),
        *((RIVER, "sketch"), (RIVER, "drums")),
        *((ROCK, "melody"), (ROCK, "sketch")),
    ],
)
def test_every_direction(source, to):
    one, again = (translate(source, to, seed=3) for _ in range(2))
    assert same(one, again)
    assert kind_of(one) == to
    assert len(as_array(one)) >= (1 if to == "sketch" else 4)


def test_the_seed_decides():
    assert not same(translate(SHEEP, "melody", seed=1), translate(SHEEP, "melody", seed=2))


def test_all_of_a_piece():
    whole = translate(Tune(melody(6)), "drums", whole=True)
    assert whole.notes.total_time == pytest.approx(12.0)
    first = translate(Tune(melody(6)), "drums")
    opening = notes_of(whole)[notes_of(whole)[:, 1] < 4.0]
    np.testing.assert_array_equal(opening, notes_of(first))


def test_a_whole_piece_keeps_its_silence_and_tempo():
    song = set_tempo(Tune(melody(8, silent=(2, 3, 7))), 60)
    beat = translate(song, "drums", whole=True).notes
    starts = beat.notes["start"]
    assert beat.tempos.tolist() == [[0.0, 60.0]]
    assert beat.total_time == pytest.approx(32.0)
    assert not ((starts >= 8.0) & (starts < 16.0)).any()
    for begin in (0.0, 16.0, 24.0):
        assert ((starts >= begin) & (starts < begin + 4.0)).any(), begin


def test_a_whole_piece_becomes_a_sheet_of_drawings():
    drawn = translate(Tune(melody(6)), "sketch", whole=True)
    first = translate(Tune(melody(6)), "sketch")
    assert len(drawn.lines) > len(first.lines)
    columns = {int(line[:, 0].mean() // CELL) for line in drawn.lines}
    assert columns == {0, 1, 2}


def two_drawings(folder):
    """A file with a sheep and a circle."""
    records = [
        {"drawing": [np.round(line.T).tolist() for line in read_artifact(path).lines]}
        for path in (SHEEP, CIRCLE)
    ]
    (folder / "two.ndjson").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return folder / "two.ndjson"


def test_several_drawings_become_tunes_one_after_the_other(tmp_path):
    tune = translate(two_drawings(tmp_path), "melody", whole=True).notes
    assert tune.total_time == pytest.approx(8.0)
    assert {start >= 4.0 for start in tune.notes["start"].tolist()} == {False, True}


def test_a_translator_by_itself():
    translator = hub.load("sketch-mel_2bar")
    assert isinstance(translator, Translator)
    assert same(translator.translate(SHEEP, seed=4), translate(SHEEP, "melody", seed=4))
    with pytest.raises(KikiboubaError, match="drums"):
        translator.translate(SHEEP, "drums")
    with pytest.raises(KikiboubaError, match="already"):
        translate(SHEEP, "sketch")
    with pytest.raises(KikiboubaError, match="melody"):
        translate(SHEEP, "melodi")


class Sparse:
    """Stands in for a base: decodes as many notes as it is told to, a number for each way of translating."""

    kind = "melody"
    representation = property(lambda self: self)

    def __init__(self, sizes):
        self.sizes, self.seen = sizes, None

    def decode_arrays(self, z, temperature, seed):
        self.seen = z.copy()
        return [np.full(size, 60) for size in self.sizes]

    def attributes(self, arrays):
        raise AssertionError("this bridge knows no attributes")

    def to_artifact(self, array):
        starts = np.arange(len(array)) * 0.5
        return Tune(NoteSequence(notes=make_notes(array, starts, starts + 0.5)))


def with_sparse(sizes):
    translator = hub.load("sketch-mel_2bar")
    translator.bases["mel_2bar"] = Sparse(sizes)
    return translator, translator.bases["mel_2bar"]


def test_the_first_way_with_enough_notes_is_taken_where_no_attribute_decides():
    translator, base = with_sparse([0, 3, 4, 9])
    assert len(as_array(translator.translate(SHEEP, tries=4))) == 4
    assert len(np.unique(base.seen, axis=0)) == 4
    np.testing.assert_allclose(
        base.seen[:1],
        translator.translate_z(hub.load("sketch").encode(SHEEP).mu, "sketch", "mel_2bar"),
        atol=1e-6,
    )
    again, second = with_sparse([0, 3, 4, 9])
    again.translate(SHEEP, tries=4)
    np.testing.assert_array_equal(base.seen, second.seen)


def test_says_so_when_too_little_comes_out():
    translator, base = with_sparse([1, 3, 2] + [0] * (TRIES - 3))
    with pytest.warns(UserWarning, match=f"only 3 notes in {TRIES} tries"):
        assert len(as_array(translator.translate(SHEEP))) == 3
    assert len(base.seen) == TRIES
    with pytest.raises(KikiboubaError, match="1 or more"):
        translator.translate(SHEEP, tries=0)


def test_reconstructing_a_whole_piece():
    model = hub.load("mel_2bar")
    song = set_tempo(Tune(melody(5, silent=(2,))), 90)
    whole = model.reconstruct(song, whole=True).notes
    piece = read_piece(song, model.representation)
    assert len(piece.arrays) == 2
    assert whole.tempos.tolist() == [[0.0, 90.0]]
    first = model.reconstruct(song).notes.notes
    opening = whole.notes[whole.notes["start"] < 2 * 4 * 60 / 90 - 1e-6]
    np.testing.assert_allclose(opening["start"], first["start"] * 120 / 90)
    np.testing.assert_array_equal(opening["pitch"], first["pitch"])


def test_reconstructing_all_drawings_of_a_file(tmp_path):
    sheet = hub.load("sketch").reconstruct(two_drawings(tmp_path), whole=True)
    assert {int(line[:, 0].mean() // CELL) for line in sheet.lines} == {0, 1}


def test_tempo_changes_are_levelled():
    song = dataclasses.replace(
        melody(4),
        tempos=np.array([[0.0, 120.0], [4.0, 60.0]]),
        time_signatures=np.array([[0.0, 4, 4], [4.0, 2, 2]]),
        chords=((0.0, "C"), (6.0, "G")),
    )
    level = set_tempo(Tune(song), 120).notes
    start = song.notes["start"]
    expected = np.where(start < 4.0, start, 4.0 + (start - 4.0) / 2)
    np.testing.assert_allclose(level.notes["start"], expected)
    assert level.tempos.tolist() == [[0.0, 120.0]]
    assert level.time_signatures.tolist() == [[0.0, 4, 4], [4.0, 2, 2]]
    assert level.chords == ((0.0, "C"), (5.0, "G"))
    assert level.total_time == pytest.approx(6.0)
    late = dataclasses.replace(song, tempos=np.array([[4.0, 60.0]]))
    np.testing.assert_allclose(set_tempo(Tune(late), 120).notes.notes["start"], expected)


def test_tempo():
    tune = set_tempo(Tune(melody(2)), 60)
    assert tune.notes.total_time == pytest.approx(8.0)
    assert notes_of(tune)[:, 2].max() == pytest.approx(8.0)
    assert tune.notes.tempos.tolist() == [[0.0, 60.0]]
    back = set_tempo(tune, 120)
    np.testing.assert_allclose(notes_of(back), notes_of(Tune(melody(2))))
    with pytest.raises(KikiboubaError):
        set_tempo(tune, 0)


def test_representations_survive_as_dataclasses():
    """Examples are read with the model's own representation, scale included."""
    model = hub.load("sketch")
    assert model.representation.scale_factor == 20.0
    (small,) = read_examples(SHEEP, model.representation)
    (large,) = read_examples(SHEEP, dataclasses.replace(model.representation, scale_factor=1.0))
    np.testing.assert_allclose(small[:, :2] * 20.0, large[:, :2], rtol=1e-5)
