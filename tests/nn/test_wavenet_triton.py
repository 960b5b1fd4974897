"""The kernel for GPUs, in Triton's interpreter, which needs none: in a process of its own, as triton looks at
its environment when it is imported.
"""

import importlib.util
import os
import subprocess
import sys

import pytest

SCRIPT = """
import torch
from kikibouba.nn.wavenet import WaveNet, delayed, dilations
from kikibouba.nn.wavenet_voice import Voice

torch.manual_seed(0)
net = WaveNet(dilations(1, 2), residual=5, skip=7, latent=3, kernel={kernel}).eval()
with torch.no_grad():
    net.logits.weight *= 20
inputs, hop = torch.arange(256) / 255 - 0.5, 3
z, codes = torch.randn(2, 3, 2), torch.randint(256, (2, 2 * hop))
expected = net(delayed(inputs[codes]), z).detach()
voice = Voice(net, inputs, hop, 2, engine="{engine}")
parts = [voice.say(z[:, :, i : i + 1], codes[:, i * hop : (i + 1) * hop], logits=True) for i in (0, 1)]
error = (torch.cat([logits for _, logits in parts], 2) - expected).abs().max() / expected.std()
assert error < {gate}, error
said = [
    Voice(net, inputs, hop, 2, engine=engine, temperature={temperature}, seed=3).say(z[:, :, :1])[0]
    for engine in ("torch", "triton")
]
assert torch.equal(*said), said
"""


@pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="triton is not installed")
@pytest.mark.parametrize(
    ("kernel", "engine", "gate", "temperature"), [(2, "triton", 1e-5, 1.0), (3, "triton_bf16", 0.05, 0.0)]
)
def test_it_says_what_the_others_say(kernel, engine, gate, temperature):
    """As teacher forcing has it, without a seam between stretches, greedily and by chance."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    script = SCRIPT.format(kernel=kernel, engine=engine, gate=gate, temperature=temperature)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
