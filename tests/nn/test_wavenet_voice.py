"""What a voice says: the same by every engine, in one go or in stretches, and as teacher forcing has it."""

from argparse import Namespace
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kikibouba.cli.common import ENGINES as OFFERED
from kikibouba.cli.common import use_engine
from kikibouba.errors import KikiboubaError
from kikibouba.nn import wavenet_voice
from kikibouba.nn.wavenet import WaveNet, delayed, dilations
from kikibouba.nn.wavenet_voice import Engine, Voice, _chosen, pick

HOP = 16
INPUTS = torch.arange(256) / 255 - 0.5
NEEDS_NUMBA = pytest.mark.skipif(not wavenet_voice.compiled(), reason="numba is not installed")
FP32, INT8 = (pytest.param(engine, marks=NEEDS_NUMBA) for engine in ("fp32", "int8"))
ENGINES = ["torch", FP32, INT8]
GATES = {"torch": 1e-5, "fp32": 1e-5, "int8": 0.05}
"""Most that an engine's logits may be off, as a share of their standard deviation."""


def make(kernel=2):
    torch.manual_seed(0)
    net = WaveNet(dilations(2, 4), residual=24, skip=20, latent=3, kernel=kernel).eval()
    with torch.no_grad():
        net.logits.weight *= 20  # untrained logits are nearly flat
    return net


def z(batch=2, frames=6):
    return torch.randn(batch, 3, frames, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("engine", ENGINES)
def test_forced_logits_are_those_of_the_parallel_form(engine, kernel):
    """And the nats are, within a fifth of the gate."""
    net, gate = make(kernel), GATES[engine]
    codes = torch.randint(256, (2, 6 * HOP), generator=torch.Generator().manual_seed(2))
    expected = net(delayed(INPUTS[codes]), z()).detach()
    _, logits = Voice(net, INPUTS, HOP, 2, engine=engine).say(z(), forced=codes, logits=True)
    error = (logits - expected).abs().max() / expected.std()
    assert error < gate
    nats = [F.cross_entropy(one, codes).item() for one in (logits, expected)]
    assert nats[0] == pytest.approx(nats[1], abs=0.2 * gate + 1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_stretches_join_without_a_seam(engine, temperature):
    net = make()
    whole, _ = Voice(net, INPUTS, HOP, 2, engine=engine, temperature=temperature, seed=3).say(z())
    voice = Voice(net, INPUTS, HOP, 2, engine=engine, temperature=temperature, seed=3)
    parts = [voice.say(z()[:, :, a:b])[0] for a, b in ((0, 1), (1, 4), (4, 6))]
    assert torch.equal(torch.cat(parts, 1), whole)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_said_follows_from_what_was_said(engine):
    """Heard again as teacher forcing, the greedy codes are the likeliest ones in the parallel form."""
    net = make()
    codes, _ = Voice(net, INPUTS, HOP, 2, engine=engine, temperature=0.0).say(z())
    logits = net(delayed(INPUTS[codes]), z()).detach()
    short = logits.amax(1) - logits.gather(1, codes[:, None])[:, 0]
    assert short.max() < (1e-4 if engine != "int8" else 0.2) * logits.std()


@NEEDS_NUMBA
@pytest.mark.parametrize("threads", [1, 3])
def test_compiled_says_what_torch_says(monkeypatch, threads):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    said = [
        Voice(make(), INPUTS, HOP, 5, engine=engine, temperature=1.0, seed=5).say(z(5))[0]
        for engine in ("torch", "fp32")
    ]
    assert torch.equal(*said)


@NEEDS_NUMBA
def test_which_engine_is_taken(monkeypatch):
    """Few streams, or narrow ones: compiled. A GPU: triton if it is there."""
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [_chosen("auto", batch, 128, cpu) for batch in (1, 8, 9)] == ["fp32", "fp32", "torch"]
    assert [_chosen("auto", batch, 32, cpu) for batch in (32, 33)] == ["fp32", "torch"]
    monkeypatch.setattr(wavenet_voice, "fused", lambda device: device.type == "cuda")
    assert _chosen("auto", 64, 128, gpu) == "triton"
    monkeypatch.setattr(wavenet_voice, "fused", lambda device: False)
    assert _chosen("auto", 64, 128, gpu) == "torch"
    for engine, device, says in (("int8", gpu, "runs on the CPU"), ("triton", cpu, "runs on a GPU")):
        with pytest.raises(KikiboubaError, match=says):
            _chosen(engine, 1, 128, device)


@NEEDS_NUMBA
def test_int8_keeps_its_gate_without_vnni(monkeypatch):
    """On a CPU without that instruction; on one that has it, both say nearly the same."""
    from kikibouba.nn import wavenet_vnni

    net = make()
    codes = torch.randint(256, (2, 6 * HOP), generator=torch.Generator().manual_seed(2))
    expected = net(delayed(INPUTS[codes]), z()).detach()
    found = [Voice(net, INPUTS, HOP, 2, engine="int8").say(z(), forced=codes, logits=True)[1]]
    monkeypatch.setattr(wavenet_vnni, "available", lambda: False)
    found.append(Voice(net, INPUTS, HOP, 2, engine="int8").say(z(), forced=codes, logits=True)[1])
    assert (found[1] - expected).abs().max() < GATES["int8"] * expected.std()
    assert (found[1] - found[0]).abs().max() < 0.002 * expected.std()


def test_seeds_and_streams_differ():
    net = make()
    one, again, other = (Voice(net, INPUTS, HOP, 2, seed=seed).say(z())[0] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])


def test_picking():
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]])).repeat(5, 1)
    uniform = torch.tensor([0.0, 0.05, 0.15, 0.59, 0.9999999])
    assert pick(logits, 1.0, uniform).tolist() == [0, 0, 1, 2, 3]
    assert pick(logits, 0.0, uniform).tolist() == [3] * 5
    drawn = pick(logits[:1].repeat(20_000, 1), 1.0, torch.from_numpy(np.random.default_rng(0).random(20_000)))
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, [0.1, 0.2, 0.3, 0.4], atol=0.015)


def test_without_numba_torch_speaks(monkeypatch):
    monkeypatch.setattr(wavenet_voice, "compiled", lambda: False)
    assert Voice(make(), INPUTS, HOP, 1).say(z(1, 1))[0].shape == (1, HOP)
    with pytest.raises(KikiboubaError, match="kikibouba\\[fast\\]"):
        Voice(make(), INPUTS, HOP, 1, engine="int8")


def test_the_command_line_offers_every_engine():
    assert get_args(Engine) == OFFERED
    use_engine(Namespace(engine=None), "a model of drawings")
    with pytest.raises(KikiboubaError, match="models of sound"):
        use_engine(Namespace(engine="int8"), "a model of drawings")
