"""A WaveNet that speaks: latent frames in, samples out, stretch after stretch, without a seam.

    voice = Voice(net, inputs, hop, batch)
    codes = voice.say(z[:, :, :20]);  more = voice.say(z[:, :, 20:])

What speaks is `CachedWaveNet` in plain torch; or, on a CPU where numba is installed, the compiled
`wavenet_kernel`, tens of times quicker; or, on a GPU where triton is, `wavenet_triton`. The same uniform
random numbers go into all, so they say the same but for rounding: with float32 weights their logits agree to
about 1e-5, with smaller ones to what `tests/nn/test_wavenet_voice.py` states.
"""

import importlib.util
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from kikibouba.errors import KikiboubaError
from kikibouba.nn.wavenet import CLASSES, WaveNet
from kikibouba.nn.wavenet_cache import CachedWaveNet, State

if TYPE_CHECKING:
    from kikibouba.nn.wavenet_triton import TritonWaveNet

Engine = Literal["auto", "torch", "fp32", "int8", "triton", "triton_bf16"]

FEW = 8
"""Streams of 128 channels up to which compiled float32, one stream after the other, is quicker than torch; of
fewer channels more, as measured by benchmarks/bench_wavenet.py."""


class Voice:
    """B streams of one decoder.

    Args:
        net: the decoder, in eval mode.
        inputs: [256], what the network reads for each code.
        hop: samples a frame.
        batch: B.
        temperature: 0 always says the likeliest class, 1 what the model learnt.
        seed: of what is said; several, one for each stream: what it says is then what it would say alone.
        engine: "torch"; "fp32" or "int8": compiled for the CPU, with weights in this form; "triton" or
            "triton_bf16": for a GPU, with weights of 32 or 16 bits; "auto": fp32 or triton where possible.

    Raises:
        KikiboubaError: an engine for another device, or without the package that it needs.
    """

    def __init__(
        self,
        net: WaveNet,
        inputs: Tensor,
        hop: int,
        batch: int = 1,
        *,
        temperature: float = 1.0,
        seed: int | Sequence[int] = 0,
        engine: Engine = "auto",
    ) -> None:
        self.hop, self.batch, self.temperature = hop, batch, temperature
        seeds = [seed] if isinstance(seed, int) else seed
        self.rngs = [np.random.default_rng(one) for one in seeds]
        self.device = inputs.device
        engine = _chosen(engine, batch, net.skip_conv.in_channels, inputs.device)
        self._speak = _speaker(engine, CachedWaveNet(net), inputs, batch)

    @torch.inference_mode()
    def say(
        self, z: Tensor, forced: Tensor | None = None, logits: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """The next F · hop samples.

        Args:
            z: [B, latent, F].
            forced: codes [B, F hop] int64 that are heard in place of what is said (teacher forcing).
            logits: also give all logits.

        Returns:
            codes [B, F hop] int64, logits [B, 256, F hop] or None.
        """
        shape = z.shape[2] * self.hop, self.batch // len(self.rngs)
        uniforms = np.concatenate([rng.random(shape, np.float32) for rng in self.rngs], 1)
        return self._speak.say(z.float(), self.hop, self.temperature, uniforms, forced, logits)


def compiled() -> bool:
    """Whether numba is there."""
    return importlib.util.find_spec("numba") is not None


def fused(device: torch.device) -> bool:
    """Whether triton is there, and a GPU, or triton's interpreter in its place."""
    interpreted = device.type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
    return (device.type == "cuda" or interpreted) and importlib.util.find_spec("triton") is not None


def _chosen(engine: Engine, batch: int, channels: int, device: torch.device) -> Engine:
    on_cpu = device.type == "cpu" and compiled()
    if engine == "auto" and device.type == "cuda" and fused(device):
        return "triton"
    if engine == "auto":
        return "fp32" if on_cpu and batch * channels <= FEW * 128 else "torch"
    if engine in ("fp32", "int8") and not on_cpu:
        raise KikiboubaError(
            f"engine {engine} runs on the CPU and needs numba: pip install 'kikibouba[fast]'; or take torch"
        )
    if engine in ("triton", "triton_bf16") and not fused(device):
        raise KikiboubaError(
            f"engine {engine} runs on a GPU and needs triton, which PyTorch for CUDA brings; or take torch"
        )
    return engine


def _speaker(
    engine: Engine, net: CachedWaveNet, inputs: Tensor, batch: int
) -> "_Torch | _Compiled | TritonWaveNet":
    if engine == "torch":
        return _Torch(net, inputs, batch)
    if engine in ("fp32", "int8"):
        return _Compiled(net, inputs, batch, engine)
    from kikibouba.nn.wavenet_triton import TritonWaveNet

    return TritonWaveNet(net, inputs, batch, torch.float32 if engine == "triton" else torch.bfloat16)


class _Torch:
    """`CachedWaveNet` step by step, on any device."""

    def __init__(self, net: CachedWaveNet, inputs: Tensor, batch: int) -> None:
        self.net, self.inputs = net, inputs
        self.state: State = net.start(batch)
        self.x = inputs.new_zeros(batch)

    def say(
        self,
        z: Tensor,
        hop: int,
        temperature: float,
        uniforms: np.ndarray,
        forced: Tensor | None,
        keep: bool,
    ) -> tuple[Tensor, Tensor | None]:
        told = self.net.told(z)
        draws = torch.from_numpy(uniforms).to(z.device)
        said, kept = [], []
        for t in range(len(draws)):
            logits = self.net.step(self.x, told[t // hop], self.state)
            said.append(pick(logits, temperature, draws[t]))
            self.x = self.inputs[said[-1] if forced is None else forced[:, t]]
            if keep:
                kept.append(logits)
        return torch.stack(said, 1), torch.stack(kept, 2) if keep else None


def pick(logits: Tensor, temperature: float, uniform: Tensor) -> Tensor:
    """Of each row of [B, 256], the first class at which the cumulated probabilities reach a number [B]."""
    if temperature == 0:
        return logits.argmax(1)
    reached = torch.softmax(logits.double() / temperature, 1).cumsum(1)
    reached[:, -1].clamp_(min=1.0)
    return (reached < uniform[:, None].double()).sum(1)


class _Compiled:
    """`wavenet_kernel`, stream by stream, in as many threads as torch has."""

    def __init__(self, net: CachedWaveNet, inputs: Tensor, batch: int, engine: Engine) -> None:
        self.net, self.table = net, inputs.numpy()
        dense = (net.first, net.skip_first, net.fc, net.logits)
        self.dense = tuple((w.numpy(), b.numpy()) for w, b in dense)
        rows = [(net.kernel - 1) * d for d in net.dilations]
        self.layers = (
            _weights(torch.stack(net.causal), engine),
            _weights(torch.stack([w for w, _ in net.out]), engine),
            torch.stack([b for _, b in net.out]).numpy(),
            np.array(net.dilations),
            np.concatenate([[0], np.cumsum(rows)[:-1]]),
        )
        self.t = 0
        self.recent = np.zeros((batch, net.kernel), np.float32)
        self.rings = np.zeros((batch, sum(rows), net.residual), np.float32)

    def say(
        self,
        z: Tensor,
        hop: int,
        temperature: float,
        uniforms: np.ndarray,
        forced: Tensor | None,
        keep: bool,
    ) -> tuple[Tensor, Tensor | None]:
        from kikibouba.nn import wavenet_kernel

        told = self.net.told(z).transpose(0, 1).contiguous().numpy()
        batch, count = len(told), len(uniforms)
        codes = np.empty((batch, count), np.int64)
        logits = np.empty((batch, count if keep else 1, CLASSES), np.float32)
        heard = np.zeros((batch, 0), np.int64) if forced is None else forced.numpy()

        def stream(b: int) -> None:
            wavenet_kernel.say(
                self.dense, *self.layers, told[b], hop, self.table, np.ascontiguousarray(uniforms[:, b]),
                float(temperature), heard[b], self.t, self.recent[b], self.rings[b], codes[b], logits[b],
            )  # fmt: skip

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            list(pool.map(stream, range(batch)))
        self.t += count
        kept = torch.from_numpy(logits).transpose(1, 2) if keep else None
        return torch.from_numpy(codes), kept


def _weights(weight: Tensor, engine: Engine) -> tuple[np.ndarray, ...]:
    """[L, rows, columns] in a form of `wavenet_kernel.Weights`."""
    from kikibouba.nn import wavenet_vnni

    if engine == "fp32":
        return (weight.contiguous().numpy(),)
    scale = weight.abs().amax(2).clamp(min=1e-12) / 127
    whole = torch.round(weight / scale[..., None]).to(torch.int8).numpy()
    if wavenet_vnni.available():
        return *wavenet_vnni.tiles(whole), scale.numpy()
    return whole, scale.numpy()
