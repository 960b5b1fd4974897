"""What a sweep file means: its trials, their names, and what is refused before anything runs."""

import numpy as np
import pytest

from kikibouba.config import find_preset
from kikibouba.errors import KikiboubaError
from kikibouba.scale.sweep_file import read_sweep
from kikibouba.scale.sweep_names import LONGEST, trial_names
from kikibouba.scale.sweep_space import Range


def sweep_of(tmp_path, text, head='preset = "mel_2bar"\ndata = "melodies"\nsteps = 100\n'):
    path = tmp_path / "sweep.toml"
    path.write_text(head + text, encoding="utf-8")
    return read_sweep(path)


def names_of(sweep):
    return trial_names([trial.settings for trial in sweep.trials])


def test_a_grid_is_every_combination(tmp_path):
    sweep = sweep_of(
        tmp_path,
        "[model]\nfree_bits = 12.0\n[grid]\nmodel.z_size = [4, 8]\n"
        "model.enc_rnn_size = [[8], [8, 16]]\nseed = [0, 1]",
    )
    assert names_of(sweep)[:3] == [
        "z_size=4,enc_rnn_size=8,seed=0",
        "z_size=4,enc_rnn_size=8,seed=1",
        "z_size=4,enc_rnn_size=8x16,seed=0",
    ]
    assert len(sweep.trials) == 8
    last = sweep.trials[-1]
    assert (last.preset.model.z_size, last.preset.model.enc_rnn_size, last.seed) == (8, (8, 16), 1)
    assert {trial.preset.model.free_bits for trial in sweep.trials} == {12.0}
    assert {trial.preset.train.num_steps for trial in sweep.trials} == {100}
    unchanged = find_preset("mel_2bar")
    assert last.preset.train.learning_rate == unchanged.train.learning_rate
    assert sweep.rungs(last) == (100,)


def test_draws_stay_the_same_when_there_are_more(tmp_path):
    text = "[random]\ndraws = {}\ntrain.learning_rate = {{ min = 1e-4, max = 1e-2, log = true }}\n"
    text += "model.z_size = {{ min = 4, max = 40 }}"
    few, many = (names_of(sweep_of(tmp_path, text.format(draws))) for draws in (5, 12))
    assert many[:5] == few
    assert len(set(many)) == 12
    other = sweep_of(tmp_path, text.format(5), 'preset = "mel_2bar"\ndata = "d"\nseed = 1\n')
    assert not set(names_of(other)) & set(few)
    for trial in other.trials:
        assert 1e-4 <= trial.preset.train.learning_rate <= 1e-2
        assert 4 <= trial.preset.model.z_size <= 40
        assert trial.seed == 1


def test_every_draw_is_made_with_the_whole_grid(tmp_path):
    sweep = sweep_of(
        tmp_path, "[grid]\nseed = [0, 1]\n[random]\ndraws = 3\ntrain.decay_rate = { min = 0.9, max = 1 }"
    )
    rates = [trial.preset.train.decay_rate for trial in sweep.trials]
    assert rates[0::2] == rates[1::2]
    assert len(set(rates)) == 3
    assert [trial.seed for trial in sweep.trials] == [0, 1] * 3


def test_ranges_are_covered_evenly():
    rng = np.random.default_rng(0)
    whole = Range(2.0, 5.0, log=False, whole=True)
    counts = np.bincount([whole.draw(rng) for _ in range(4000)], minlength=6)
    assert counts[:2].sum() == 0
    assert (abs(counts[2:] - 1000) < 120).all()
    log = Range(1e-4, 1e-2, log=True, whole=False)
    assert 0.45 < np.mean([log.draw(rng) < 1e-3 for _ in range(2000)]) < 0.55


def test_presets_can_vary_too(tmp_path):
    sweep = sweep_of(
        tmp_path, '[grid]\npreset = ["mel_2bar", "cat-mel_2bar_big"]\nmodel.z_size = [4, 8]', 'data = "d"\n'
    )
    assert names_of(sweep)[0] == "preset=mel_2bar,z_size=4"
    big = find_preset("cat-mel_2bar_big").model.enc_rnn_size
    assert [trial.preset.model.enc_rnn_size == big for trial in sweep.trials] == [False, False, True, True]


def test_the_command_repeats_a_trial(tmp_path):
    from kikibouba.config import load_preset

    sweep = sweep_of(tmp_path, '[train]\nprecision = "bf16"\n[grid]\nmodel.dec_rnn_size = [[8], [9, 9]]')
    for trial in sweep.trials:
        assert load_preset(trial.source, dict(trial.overrides)) == trial.preset


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[grid]\nmodel.z_sise = [4]", "unknown field 'z_sise'.*did you mean 'z_size'"),
        ("[grid]\nmodle.z_size = [4]", "unknown field 'modle'.*did you mean 'model'"),
        ("[grid]\nsede = [4]", "unknown field 'sede'.*did you mean 'seed'"),
        ("[gird]\nseed = [4]", "unknown key 'gird'.*did you mean 'grid'"),
        ('[grid]\nmodel.z_size = ["big"]', "z_size = 'big' must be of type int"),
        ("", "nothing varies"),
        ("[grid]", "nothing varies"),
        ("[grid]\nseed = []", "lists no values"),
        ("[grid]\nseed = 3", "must be a list"),
        ("[grid]\nseed = [3, 3]", "lists 3 twice"),
        ("[grid]\nseed = [-1]", "whole number"),
        ("[grid]\nmodel.z_size = [4]\n[model]\nz_size = 4", "set twice"),
        ("[random]\ntrain.learning_rate = { min = 1, max = 2 }", "needs a number of draws"),
        ("[random]\ndraws = 4\ntrain.learning_rate = { min = 2, max = 1 }", "min below max"),
        ("[random]\ndraws = 4\ntrain.learning_rate = { min = 0, max = 1, log = true }", "above 0"),
        ("[random]\ndraws = 4\ntrain.learning_rate = { mni = 0, max = 1 }", "did you mean 'min'"),
        ("[random]\ndraws = 4\ntrain.precision = { min = 0, max = 1 }", "is no number"),
        ("[random]\ndraws = 9\nseed = [1, 2, 3]", "hardly 9 different draws"),
        ("[random]\ndraws = 9", "nothing varies"),
        ("[grid]\nseed = [1]\n[asha]\nfirst_steps = 100", "from 1 to 99"),
        ("[grid]\nseed = [1]\n[asha]\nfirst_steps = 10\nfactor = 1", "2 or more"),
        ("[grid]\nseed = [1]\n[asha]\nfirst_step = 10", "did you mean 'first_steps'"),
        ('goal = "low"\n[grid]\nseed = [1]', "min for a loss"),
        ('[grid]\npreset = ["mel_2bar"]', "one preset"),
        ("grid = 3", "must be a table"),
        ("[train]\nnum_steps = 3\n[grid]\nseed = [1]", "the same"),
        ("[grid]\nseed = [1", "not valid TOML"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(KikiboubaError, match=message) as caught:
        sweep_of(tmp_path, text)
    assert "sweep.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_data_or_preset_is_refused(tmp_path):
    with pytest.raises(KikiboubaError, match="names no data"):
        sweep_of(tmp_path, "[grid]\nseed = [1]", 'preset = "mel_2bar"\n')
    with pytest.raises(KikiboubaError, match="preset must be named"):
        sweep_of(tmp_path, "[grid]\nseed = [1]", 'data = "d"\n')
    with pytest.raises(KikiboubaError, match="cannot read"):
        read_sweep(tmp_path / "none.toml")


def test_names_never_collide():
    with pytest.raises(KikiboubaError, match="would be called"):
        trial_names([{"model.cell": "a/b"}, {"model.cell": "a-b"}])
    with pytest.raises(KikiboubaError, match="would be called"):
        trial_names([{"model.cell": "LSTM"}, {"model.cell": "lstm"}])
    names = trial_names([{"model.cell": "x" * 200 + "1"}, {"model.cell": "x" * 200 + "2"}])
    assert len(set(names)) == 2
    assert max(map(len, names)) <= LONGEST
    (name,) = trial_names([{"model.size": True, "train.size": ()}])
    assert name == "model.size=true,train.size=empty"


def test_a_bridge_has_no_representation_to_vary(tmp_path):
    with pytest.raises(KikiboubaError, match="is a bridge"):
        sweep_of(
            tmp_path, "[grid]\nrepresentation.steps = [3]", 'preset = "translation"\ndata = ["a", "b"]\n'
        )


def test_rungs(tmp_path):
    sweep = sweep_of(tmp_path, "[grid]\nseed = [1, 2]\n[asha]\nfirst_steps = 10\nfactor = 3")
    assert sweep.rungs(sweep.trials[0]) == (10, 30, 90, 100)
