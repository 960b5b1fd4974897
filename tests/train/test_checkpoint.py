"""Checkpoints come back bit by bit, or say what is wrong with them."""

import json
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from kikibouba.errors import KikiboubaError
from kikibouba.train.checkpoint import (
    build_module,
    load_checkpoint,
    model_card,
    save_checkpoint,
    weights_hash,
)
from toy_family.make import toy_preset

FILES = ["README.md", "config.json", "metrics.json", "model.safetensors"]


@pytest.fixture(params=["plain", "lr=0.1 z=ü 旋律"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return tmp_path / request.param


def save(folder: Path, dtype: str = "fp32") -> nn.Module:
    preset = toy_preset()
    module = build_module(preset, seed=7)
    save_checkpoint(folder, module, preset, {"step": 3}, "# toy", dtype)  # type: ignore[arg-type]
    return module


def test_round_trip(folder: Path) -> None:
    module = save(folder)
    preset, loaded = load_checkpoint(folder)
    assert preset == toy_preset()
    assert not loaded.training
    for name, tensor in module.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert json.loads((folder / "metrics.json").read_text()) == {"step": 3}


def test_half_precision_on_disk(folder: Path) -> None:
    module = save(folder, "fp16")
    assert {tensor.dtype for tensor in load_file(folder / "model.safetensors").values()} == {torch.float16}
    _, loaded = load_checkpoint(folder)
    for name, tensor in module.state_dict().items():
        assert loaded.state_dict()[name].dtype == torch.float32
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())


def test_the_hash_is_that_of_the_weights_file(folder: Path) -> None:
    save(folder)
    before = weights_hash(folder)
    digest = subprocess.run(
        ["sha256sum", folder / "model.safetensors"], capture_output=True, text=True, check=True
    )
    assert before == digest.stdout.lstrip("\\").split()[0]
    save_checkpoint(folder, build_module(toy_preset(), seed=8), toy_preset(), {}, "")
    assert weights_hash(folder) != before


def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(folder: Path) -> None:
    module = save(folder)
    with torch.no_grad():
        module.out.bias.fill_(1e6)  # type: ignore[union-attr]
    with pytest.raises(KikiboubaError, match=r"out\.bias is not finite in fp16"):
        save_checkpoint(folder, module, toy_preset(), {}, "", "fp16")
    load_checkpoint(folder)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {"out.bias": torch.tensor([float("nan")])}, folder / "model.safetensors")
    with pytest.raises(KikiboubaError, match=r"out\.bias has NaN"):
        load_checkpoint(folder)


def test_missing_and_damaged_files(folder: Path) -> None:
    with pytest.raises(KikiboubaError, match="no checkpoint folder"):
        load_checkpoint(folder)
    save(folder)
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    for cut in (0, 5, 60, len(content) - 1):
        weights.write_bytes(content[:cut])
        with pytest.raises(KikiboubaError, match="is damaged"):
            load_checkpoint(folder)
    save_file({"into.weight": torch.zeros(9, 9)}, weights)
    with pytest.raises(KikiboubaError, match=r"does not fit its config\.json"):
        load_checkpoint(folder)
    weights.unlink()
    with pytest.raises(KikiboubaError, match=r"has no model\.safetensors"):
        load_checkpoint(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(KikiboubaError, match="not valid JSON"):
        load_checkpoint(folder)
    (folder / "config.json").unlink()
    with pytest.raises(KikiboubaError, match="cannot read"):
        load_checkpoint(folder)


def test_tied_weights(tmp_path: Path) -> None:
    module = build_module(toy_preset())
    module.tied = module.out
    save_checkpoint(tmp_path, module, toy_preset(), {}, "")
    tensors = load_file(tmp_path / "model.safetensors")
    assert torch.equal(tensors["tied.weight"], tensors["out.weight"])


def test_initial_weights_follow_from_the_seed() -> None:
    a, b, c = (build_module(toy_preset(), seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["into.weight"], c["into.weight"])


def test_card_says_all_there_is_to_know() -> None:
    card = model_card(
        toy_preset(),
        data="numbers",
        licence="CC0",
        command="kikibouba train toy",
        seed=4,
        minutes=2.5,
        figures={"accuracy": 0.87654},
        weaknesses=["cannot count"],
    )
    for part in (
        "# toy",
        "numbers",
        "CC0",
        "`kikibouba train toy`",
        "4",
        "2.5 minutes",
        "0.8765",
        "- cannot count",
    ):
        assert part in card


def test_building_draws_nothing_from_the_global_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    build_module(toy_preset(), seed=1)
    assert torch.equal(torch.rand(2), expected)
