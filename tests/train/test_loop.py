"""The training loop learns, resumes bit by bit, and stops for good reasons only."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kikibouba.errors import KikiboubaError
from kikibouba.models.base import Batch
from kikibouba.train.checkpoint import load_checkpoint
from kikibouba.train.log import read_log
from kikibouba.train.state import load_state, state_files
from toy_family.make import toy_dataset, toy_preset
from toy_family.model import ToyModel
from toy_family.train import train

PATIENCE = 300
"""Seconds, for machines that are busy with something else."""


@contextmanager
def start(out: Path, data: Path, recipe: dict[str, Any], **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Train in a process of its own, which does not outlive this context."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, "-m", "toy_family.train", str(out), str(data), json.dumps(recipe)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_step(out: Path, step: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while not any(line["step"] >= step for line in read_log(out)):
        assert time.monotonic() < deadline, f"step {step} was never reached"
        time.sleep(0.01)


def same_tensors(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_learns(tmp_path: Path) -> None:
    metrics = train(tmp_path / "out", tmp_path / "data", toy_preset(num_steps=300, learning_rate=0.02))
    lines = read_log(tmp_path / "out")
    first = next(line["loss"] for line in lines if line["split"] == "valid")
    assert metrics["valid"]["loss"] < 0.1 * first
    assert metrics["steps_done"] == 300
    assert (tmp_path / "out" / "loss.png").stat().st_size > 1000


def test_overfits_one_batch(tmp_path: Path) -> None:
    toy_dataset(tmp_path / "data", train=8, valid=0)
    preset = toy_preset(num_steps=400, learning_rate=0.02, augment=False, grad_clip=100.0)
    train(tmp_path / "out", tmp_path / "data", preset)
    losses = [line["loss"] for line in read_log(tmp_path / "out")]
    assert min(losses[-20:]) < 0.05 * losses[0]


def test_keeps_the_best_weights(tmp_path: Path) -> None:
    metrics = train(tmp_path / "out", tmp_path / "data", toy_preset(num_steps=60, learning_rate=0.3))
    valid = {line["step"]: line["loss"] for line in read_log(tmp_path / "out") if line["split"] == "valid"}
    assert metrics["step"] == min(valid, key=lambda step: valid[step])
    preset, module = load_checkpoint(tmp_path / "out")
    assert preset.train.num_steps == 60
    kept = ToyModel(preset.model)
    kept.load_state_dict(module.state_dict())
    assert metrics["valid"]["loss"] == valid[metrics["step"]]


@pytest.mark.parametrize("recipe", [{}, {"ema_decay": 0.9, "precision": "bf16"}, {"clip_mode": "value"}])
def test_resumes_bit_by_bit(tmp_path: Path, recipe: dict[str, Any]) -> None:
    train(tmp_path / "whole", tmp_path / "data", toy_preset(num_steps=40, **recipe))
    train(tmp_path / "parts", tmp_path / "data", toy_preset(num_steps=17, save_every=7, **recipe))
    train(tmp_path / "parts", tmp_path / "data", toy_preset(num_steps=40, **recipe))
    whole, parts = load_state(tmp_path / "whole"), load_state(tmp_path / "parts")
    assert whole
    assert parts
    assert parts.step == 40
    assert same_tensors(whole.tensors, parts.tensors)
    in_training = [
        [line for line in read_log(tmp_path / name) if line["split"] == "train"]
        for name in ("whole", "parts")
    ]
    assert in_training[0] == in_training[1]
    assert len(state_files(tmp_path / "parts")) == 2


def test_a_run_killed_before_its_first_save_starts_over(tmp_path: Path) -> None:
    class Killed(ToyModel):
        def loss(self, batch: Batch, step: int, generator: Any = None) -> dict[str, torch.Tensor]:
            if step == 15:
                raise MemoryError
            return super().loss(batch, step, generator)

    preset = toy_preset(num_steps=20, save_every=1000)
    with pytest.raises(MemoryError):
        train(tmp_path / "out", tmp_path / "data", preset, Killed)
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert train(tmp_path / "out", tmp_path / "data", preset)["steps_done"] == 20
    steps = [line["step"] for line in read_log(tmp_path / "out") if line["split"] == "train"]
    assert steps == list(range(1, 21))


def test_kill_9_leaves_no_trace(tmp_path: Path) -> None:
    recipe = {"num_steps": 60, "save_every": 7, "slow": True}
    with start(tmp_path / "killed", tmp_path / "data", recipe) as process:
        wait_for_step(tmp_path / "killed", 25)
        process.kill()
    with start(tmp_path / "killed", tmp_path / "data", recipe) as process:
        _, message = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, message
    train(tmp_path / "whole", tmp_path / "data", toy_preset(num_steps=60, save_every=7))
    killed, whole = ((tmp_path / name / "log.jsonl").read_bytes() for name in ("killed", "whole"))
    assert killed == whole
    steps = [line["step"] for line in read_log(tmp_path / "killed") if line["split"] == "train"]
    assert steps == list(range(1, 61))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("killed", "whole")]
    assert weights[0] == weights[1]


def test_a_torn_state_falls_back_to_the_one_before(tmp_path: Path) -> None:
    train(tmp_path / "out", tmp_path / "data", toy_preset(num_steps=30))
    latest = state_files(tmp_path / "out")[0]
    latest.write_bytes(latest.read_bytes()[:100])
    state = load_state(tmp_path / "out")
    assert state
    assert state.step == 20


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    with start(
        tmp_path / "out", tmp_path / "data", {"num_steps": 100_000, "save_every": 10**6, "slow": True}
    ) as process:
        wait_for_step(tmp_path / "out", 5)
        process.send_signal(signal.SIGINT)
        message = process.communicate(timeout=PATIENCE)[1]
    state = load_state(tmp_path / "out")
    assert process.returncode == 1
    assert state
    assert f"interrupted after step {state.step}" in message.splitlines()[-1]
    assert "repeat the command" in message.splitlines()[-1]


def test_nan_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    class Exploding(ToyModel):
        def loss(self, batch: Batch, step: int, generator: Any = None) -> dict[str, torch.Tensor]:
            parts = super().loss(batch, step, generator)
            return parts if step != 13 else parts | {"loss": parts["loss"] * float("nan")}

    preset = toy_preset(num_steps=30)
    with pytest.raises(
        KikiboubaError, match=r"loss became nan at step 13; the last good state \(step 10\) .*learning_rate"
    ):
        train(tmp_path / "out", tmp_path / "data", preset, Exploding)
    state = load_state(tmp_path / "out")
    assert state
    assert state.step == 10
    assert all(torch.isfinite(t).all() for t in state.tensors.values())


def test_max_minutes_stops_in_time_and_saves(tmp_path: Path) -> None:
    began = time.monotonic()
    metrics = train(
        tmp_path / "out", tmp_path / "data", toy_preset(num_steps=10**7, log_every=1000), max_minutes=0.01
    )
    assert 0.6 <= time.monotonic() - began < PATIENCE
    state = load_state(tmp_path / "out")
    assert state
    assert state.step == metrics["steps_done"] > 0
    assert metrics["valid"]["loss"] > 0


def test_refuses_to_go_on_with_other_settings(tmp_path: Path) -> None:
    train(tmp_path / "out", tmp_path / "data", toy_preset(num_steps=10))
    with pytest.raises(KikiboubaError, match=r"train\.learning_rate \(was 0\.001, now 0\.5\)"):
        train(tmp_path / "out", tmp_path / "data", toy_preset(num_steps=20, learning_rate=0.5))
    assert train(
        tmp_path / "out", tmp_path / "data", toy_preset(num_steps=20, learning_rate=0.5), resume=False
    )
    steps = [line["step"] for line in read_log(tmp_path / "out") if line["split"] == "train"]
    assert steps == list(range(1, 21))


def test_refuses_to_overwrite_a_finished_model(tmp_path: Path) -> None:
    train(tmp_path / "out", tmp_path / "data", toy_preset(num_steps=10))
    for path in state_files(tmp_path / "out"):
        path.unlink()
    with pytest.raises(KikiboubaError, match="holds a model but no state"):
        train(tmp_path / "out", tmp_path / "data", toy_preset(num_steps=20))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = train(tmp_path / "out", tmp_path / "data", toy_preset(num_steps=10))
    assert train(tmp_path / "out", tmp_path / "data", toy_preset(num_steps=10)) == first


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    """Up to the order of summation, noise apart (every process draws its own)."""
    toy_dataset(tmp_path / "data")
    recipe = {"num_steps": 12, "save_every": 12, "noise": 0.0}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    with ExitStack() as stack:
        ranks = ({"RANK": r, "LOCAL_RANK": r} for r in "01")
        crew = [
            stack.enter_context(start(tmp_path / "two", tmp_path / "data", recipe, **shared, **rank))
            for rank in ranks
        ]
        for process in crew:
            _, message = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, message
    train(tmp_path / "one", tmp_path / "data", toy_preset(**recipe))
    one, two = load_state(tmp_path / "one"), load_state(tmp_path / "two")
    assert one
    assert two
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(two.tensors[name], tensor, rtol=1e-5, atol=1e-6)
    losses = [[line["loss"] for line in read_log(tmp_path / name)] for name in ("one", "two")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_needs_few_packages_only(tmp_path: Path) -> None:
    """Training from a prepared dataset needs torch, numpy, safetensors and tqdm alone."""
    missing = {"symusic", "pretty_midi", "mido", "midirenderer", "matplotlib", "svgelements", "tensorboard"}
    program = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ImportError(name + " is not installed here")
sys.meta_path.insert(0, Refuse())
from pathlib import Path
from toy_family.make import toy_preset
from toy_family.train import train
train(Path({str(tmp_path / "out")!r}), Path({str(tmp_path / "data")!r}), toy_preset(num_steps=5))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert not (tmp_path / "out" / "loss.png").exists()


def test_unusable_devices_and_folders_are_the_users_errors(tmp_path: Path) -> None:
    with pytest.raises(KikiboubaError, match="device 'quantum' cannot be used"):
        train(tmp_path / "out", tmp_path / "data", toy_preset(), device="quantum")
    (tmp_path / "file").write_text("")
    with pytest.raises(KikiboubaError, match="cannot write to"):
        train(tmp_path / "file" / "out", tmp_path / "data", toy_preset())
