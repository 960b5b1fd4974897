"""Pairs of pieces from tracks and from tables, as windows of events; sketches for restyling."""

import numpy as np
import pytest

from kikibouba.data.event_tokens import END, START, Steps
from kikibouba.data.midi import write_midi
from kikibouba.data.notes import NoteSequence, make_notes
from kikibouba.data.pairs import PairsRepresentation
from kikibouba.data.pairs_files import lead, style_of, tracks_pair
from kikibouba.data.pairs_key import shift_to_c, shifted
from kikibouba.data.pairs_restyle import RestyleRepresentation
from kikibouba.data.pairs_windows import split
from kikibouba.data.prepare import prepare, report
from kikibouba.errors import KikiboubaError

SIXTEENTH = 0.125


def notes(rows, instrument=0, is_drum=False):
    """Rows of (step, pitch, duration) as notes at 120 quarters a minute."""
    start, pitch, duration = np.array(rows, float).reshape(-1, 3).T
    begin, end = start * SIXTEENTH, (start + duration) * SIXTEENTH
    return make_notes(pitch, begin, end, 80, instrument, 0, is_drum)


def song(bars=8, names=("MELODY", "BRIDGE", "PIANO"), **tables):
    """A tune of quarters, a silent middle track, and whole notes under it; drums besides."""
    tune = notes([(4 * i, 60 + i % 12, 4) for i in range(4 * bars)])
    chords = notes([(16 * i, 40 + i, 16) for i in range(bars)], instrument=2)
    middle = notes([(0, 70, 1)], instrument=1)
    drums = notes([(8 * i, 36, 1) for i in range(2 * bars)], instrument=3, is_drum=True)
    everything = np.concatenate([tune, middle, chords, drums])
    return NoteSequence(everything, total_time=everything["end"].max(), instrument_names=names, **tables)


def test_tracks_of_one_file_are_a_pair(tmp_path):
    kind = PairsRepresentation(bars=2, hop_bars=1)
    (pair,) = kind.read(write_midi(song(), tmp_path / "a.mid"))
    arrays = kind.windows(pair)
    assert len(arrays) == 7  # of 8 bars, 2 at a time
    source, target = split(arrays[1])
    assert (target[0], target[-1]) == (START, END)
    assert kind.vocabulary.decode(source).pitch.tolist() == [64, 65, 66, 67, 68, 69, 70, 71]
    heard = kind.vocabulary.decode(target)
    assert heard.pitch.tolist() == [41, 42]
    assert heard.start.tolist() == [0, 16]
    assert kind.vocabulary.grammar(2).violation(target[1:]) is None
    np.testing.assert_allclose(kind.attributes(arrays)["density"], 1 / 4)
    tune = kind.to_artifact(arrays[1]).notes
    assert np.bincount(tune.notes["instrument"]).tolist() == [8, 2]


def test_tracks_by_number_and_the_rest(tmp_path):
    pair = tracks_pair(song(), ["1"], ["rest"])
    assert sorted(set(pair.target.notes["instrument"].tolist())) == [1, 2]
    assert not pair.target.notes["is_drum"].any()
    with pytest.raises(KikiboubaError, match="no track LEAD; allowed: BRIDGE"):
        tracks_pair(song(), ["LEAD"], ["PIANO"])
    problems = []
    kind = PairsRepresentation(source_tracks=("LEAD",))
    assert list(kind.read_many(write_midi(song(), tmp_path / "a.mid"), problems)) == []
    assert "no track LEAD" in problems[0]


def test_collate_and_back():
    kind = PairsRepresentation(bars=2, hop_bars=1)
    arrays = kind.windows(tracks_pair(song(), kind.source_tracks, kind.target_tracks))
    shorter = np.concatenate([arrays[0][:1], arrays[0][split(arrays[0]).source.size :]])
    x, lengths = kind.collate([*arrays[:2], shorter])
    assert x.shape == (3, lengths[:, 0].max() + lengths[:, 1].max())
    assert (x[:, lengths[:, 0].max()] == START).all()
    for array, same in zip([*arrays[:2], shorter], kind.split_batch(x, lengths), strict=True):
        np.testing.assert_array_equal(array, same)


def test_augmentation_moves_source_and_target_together():
    kind = PairsRepresentation(bars=2, transpose_range=(-12, 12))
    arrays = kind.windows(tracks_pair(song(), kind.source_tracks, kind.target_tracks))
    rng, seen = np.random.default_rng(0), set()
    for _ in range(60):
        varied = kind.augment(arrays[0], rng)
        before, after = split(arrays[0]), split(varied)
        moves = {
            int(d)
            for old, new in zip(before, after, strict=True)
            for d in kind.vocabulary.decode(new).pitch - kind.vocabulary.decode(old).pitch
        }
        assert len(moves) == 1
        seen |= moves
    assert min(seen) < -8
    assert max(seen) > 8
    low = PairsRepresentation(bars=2, transpose_range=(-60, 0))
    assert all(
        low.vocabulary.decode(split(low.augment(arrays[0], rng)).target).pitch.min() >= 0 for _ in range(30)
    )


def test_dense_windows_are_left_out():
    kind = PairsRepresentation(bars=2, max_tokens=9)
    with pytest.raises(KikiboubaError, match="raise max_tokens"):
        kind.windows(tracks_pair(song(), kind.source_tracks, kind.target_tracks))


def test_other_meters_are_named_and_tempo_changes_do_not_matter():
    kind = PairsRepresentation(bars=2)
    waltz = song(time_signatures=np.array([[0.0, 3, 4]]))
    with pytest.raises(KikiboubaError, match="the meter is 3/4"):
        kind.windows(tracks_pair(waltz, kind.source_tracks, kind.target_tracks))
    straight = song()
    slower = song(tempos=np.array([[0.0, 120.0], [4.0, 60.0]]))
    for column in ("start", "end"):  # the second half takes twice as long
        late = slower.notes[column] > 4
        slower.notes[column][late] = 4 + 2 * (slower.notes[column][late] - 4)
    pairs = [tracks_pair(piece, kind.source_tracks, kind.target_tracks) for piece in (straight, slower)]
    for one, other in zip(*map(kind.windows, pairs), strict=True):
        np.testing.assert_array_equal(one, other)


def table(folder, rows, header="source,target"):
    (folder / "pairs.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder / "pairs.csv"


def test_a_table_of_pairs_becomes_a_dataset(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    for number in range(6):
        tune = NoteSequence(notes([(4 * i, 60 + number + i % 7, 4) for i in range(32)]), total_time=16.0)
        low = NoteSequence(notes([(16 * i, 36 + number, 16) for i in range(8)]), total_time=16.0)
        write_midi(tune, files / f"tune{number}.mid")
        write_midi(low, files / f"low{number}.mid")
    write_midi(NoteSequence(notes([(0, 60, 4)]), total_time=0.5), files / "short.mid")
    rows = [f"files/tune{n}.mid,files/low{n}.mid,{'ab'[n % 2]}" for n in range(6)]
    rows += [
        "files/tune0.mid,files/short.mid,a",
        "files/tune0.mid,files/none.mid,a",
        "files/tune1.mid,files/low1.mid,c",
    ]
    path = table(tmp_path, rows, "source,target,style")
    kind = PairsRepresentation(bars=2, styles=("a", "b"))
    dataset = prepare(kind, path, tmp_path / "out", fractions=(0.5, 0.25, 0.25), workers=1, progress=False)
    assert sum(dataset.meta["counts"].values()) == 6 * 4
    text = report(dataset)
    assert "the pair does not align: the source lasts 8 bars and the target 0" in text
    assert "there is no file" in text or "cannot read" in text
    assert "unknown style 'c'" in text
    source, _ = split(dataset.split(dataset.splits[0])[0])
    assert source[0] in (kind.vocabulary.style(0), kind.vocabulary.style(1))


def test_tables_that_are_none(tmp_path):
    with pytest.raises(KikiboubaError, match="must begin with the line source,target"):
        PairsRepresentation().read(table(tmp_path, ["a,b"], header="from,to"))
    with pytest.raises(KikiboubaError, match="a source and a target are expected"):
        PairsRepresentation().read(table(tmp_path, ["a.mid"]))


def test_the_lead_of_a_users_piece():
    assert set(lead(song(), ["MELODY"]).notes["instrument"].tolist()) == {0}
    assert set(lead(song(), ["PIANO"]).notes["instrument"].tolist()) == {2}
    assert set(lead(song(), ["NOTHING"]).notes["instrument"].tolist()) == {0}
    drums = song()
    drums.notes["is_drum"] = True
    with pytest.raises(KikiboubaError, match="no notes but drums"):
        lead(drums, ["MELODY"])


def test_settings_are_checked():
    for wrong in ({"bars": 0}, {"velocity_bins": 65}, {"program": 128}, {"transpose_range": (1, 2)}):
        with pytest.raises(KikiboubaError):
            PairsRepresentation(**wrong)
    with pytest.raises(KikiboubaError, match="two or more"):
        RestyleRepresentation(styles=("one",))
    with pytest.raises(KikiboubaError, match="corruption"):
        RestyleRepresentation(corruption=1.5)


def test_restyling_learns_to_repair_a_sketch(tmp_path):
    folder = tmp_path / "Fiddle"
    folder.mkdir()
    kind = RestyleRepresentation(bars=2, styles=("pop", "fiddle"), corruption=0.5)
    (item,) = kind.read(write_midi(song(names=("MELODY", "B", "P")), folder / "a.mid"))
    assert item[1] == "fiddle"
    arrays = kind.windows(item)
    assert split(arrays[0]).source.tolist() == [kind.vocabulary.style(1)]
    x, lengths = kind.collate(arrays)
    again, _ = kind.collate(arrays)
    np.testing.assert_array_equal(x, again)
    halves = [split(array) for array in kind.split_batch(x, lengths)]
    tunes, sketches = ([len(kind.vocabulary.decode(half[i]).start) for half in halves] for i in (1, 0))
    assert 0 < sum(sketches) < sum(tunes)
    rng = np.random.default_rng(0)
    one, other = (split(kind.augment(arrays[0], rng)) for _ in range(2))
    assert one.source.tolist() != other.source.tolist()
    for varied in (one, other):
        assert kind.vocabulary.grammar(2).violation(varied.target[1:]) is None
        assert varied.source[0] == kind.vocabulary.style(1)
    with pytest.raises(KikiboubaError, match="no folder on its path is called like a style: pop, fiddle"):
        style_of(tmp_path / "a.mid", kind.styles)


def test_a_sketch_keeps_a_note_and_without_corruption_all():
    tune = Steps(*(np.array(column) for column in ([0, 4, 8], [60, 62, 64], [4, 4, 4], [80, 80, 80])))
    rng = np.random.default_rng(0)
    vague = RestyleRepresentation(corruption=1.0)
    assert all(1 <= len(vague.sketch(tune, rng).start) <= 3 for _ in range(50))
    same = RestyleRepresentation(corruption=0.0).sketch(tune, rng)
    for column, wanted in zip(same, tune, strict=True):
        np.testing.assert_array_equal(column, wanted)


def test_the_key_is_guessed_from_the_source_alone():
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12, 7, 4, 0])
    for tonic in range(12):
        tune = Steps(np.arange(11) * 4, 60 + tonic + scale, np.full(11, 4), np.full(11, 80))
        assert (tonic + shift_to_c(tune)) % 12 == 0
        minor = tune._replace(pitch=60 + tonic + np.array([0, 2, 3, 5, 7, 8, 10, 12, 7, 3, 0]))
        assert (tonic + shift_to_c(minor)) % 12 == 9
    assert shift_to_c(Steps(*np.zeros((4, 0), np.int64))) == 0
    assert shifted(tune._replace(pitch=np.array([1, 126])), -5).pitch.tolist() == [8, 121]


def test_in_c_moves_source_and_target_together():
    plain, in_c = PairsRepresentation(bars=2), PairsRepresentation(bars=2, in_c=True)
    piece = song()
    piece.notes["pitch"] += 3
    pair = tracks_pair(piece, plain.source_tracks, plain.target_tracks)
    shift = in_c.shift(pair.source)
    assert -6 <= shift <= 5
    for one, other in zip(plain.windows(pair), in_c.windows(pair), strict=True):
        for before, after in zip(split(one), split(other), strict=True):
            moved = plain.vocabulary.decode(after).pitch - plain.vocabulary.decode(before).pitch
            assert set(moved.tolist()) == {shift}
