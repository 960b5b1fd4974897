"""Presets written as TOML read back as the same presets."""

import dataclasses

import pytest

from kikibouba.config import all_presets, load_preset
from kikibouba.toml import preset_to_toml


@pytest.mark.parametrize("name", list(all_presets()))
def test_round_trip(tmp_path, name):
    file = tmp_path / "mine.toml"
    file.write_text(preset_to_toml(all_presets()[name]), encoding="utf-8")
    assert load_preset(file) == all_presets()[name]


def test_a_preset_of_the_users_own(tmp_path):
    """Its name is no preset, so the file names the first of its family; texts may hold anything."""
    base = all_presets()["cat-drums_2bar_small"]
    mine = dataclasses.replace(
        base,
        name='mine "ü"',
        description="back\\slash\ttab\nline \x01 \x7f",
        model=dataclasses.replace(base.model, z_size=7, enc_rnn_size=(3, 4)),
        representation=dataclasses.replace(base.representation, max_bars=None),
    )
    file = tmp_path / "mine.toml"
    file.write_text(preset_to_toml(mine), encoding="utf-8")
    assert load_preset(file) == mine
