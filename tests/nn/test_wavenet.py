"""WaveNet against an independent numpy recomputation, and its cached form against the parallel one."""

import numpy as np
import pytest
import torch

from kikibouba.nn.wavenet import DilatedEncoder, WaveNet, delayed, dilations
from kikibouba.nn.wavenet_cache import CachedWaveNet

HOP = 8


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def causal(x, weight, bias, dilation):
    """The definition, tap by tap: x [inputs, T] → [outputs, T]."""
    out = np.repeat(bias[:, None], x.shape[1], 1)
    taps = weight.shape[2]
    for t in range(x.shape[1]):
        for tap in range(taps):
            source = t - (taps - 1 - tap) * dilation
            if source >= 0:
                out[:, t] += weight[:, :, tap] @ x[:, source]
    return out


def one(x, weight, bias):
    return weight[:, :, 0] @ x + bias[:, None]


def decoder_in_numpy(w, x, c, all_dilations):
    """The formulas at sample rate, with the condition repeated as the originals do it."""
    c = np.repeat(c, x.shape[1] // c.shape[1], 1)
    h = causal(x, w["first_conv.weight"], w["first_conv.bias"], 1)
    s = one(h, w["skip_conv.weight"], w["skip_conv.bias"])
    for i, d in enumerate(all_dilations):
        p = {name.split(".", 2)[2]: value for name, value in w.items() if name.startswith(f"layers.{i}.")}
        a = causal(h, p["causal.weight"], p["causal.bias"], d)
        a = a + one(c, p["condition.weight"], p["condition.bias"])
        half = len(a) // 2
        u = sigmoid(a[:half]) * np.tanh(a[half:])
        h = h + one(u, p["residual.weight"], p["residual.bias"])
        s = s + one(u, p["skip.weight"], p["skip.bias"])
    s = one(np.maximum(s, 0), w["fc.weight"], w["fc.bias"]) + one(
        c, w["condition.weight"], w["condition.bias"]
    )
    return one(np.maximum(s, 0), w["logits.weight"], w["logits.bias"])


def make(kernel, dtype=torch.float64):
    torch.manual_seed(0)
    return WaveNet(dilations(2, 4), residual=6, skip=5, latent=3, kernel=kernel).to(dtype).eval()


def inputs(frames=6, batch=2, dtype=torch.float64):
    torch.manual_seed(1)
    return torch.rand(batch, frames * HOP, dtype=dtype) - 0.5, torch.randn(batch, 3, frames, dtype=dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("kernel", [2, 3])
def test_decoder_follows_its_formulas(kernel, dtype, tolerance):
    net = make(kernel, dtype)
    x, c = inputs(dtype=dtype)
    found = net(x, c).detach()
    weights = {name: value.double().numpy() for name, value in net.state_dict().items()}
    for b in range(2):
        expected = decoder_in_numpy(
            weights, x[b : b + 1].double().numpy(), c[b].double().numpy(), net.dilations
        )
        np.testing.assert_allclose(found[b].double().numpy(), expected, atol=tolerance)


@pytest.mark.parametrize(("relu_first", "dtype", "tolerance"), [
    (False, torch.float64, 1e-10), (True, torch.float64, 1e-10), (False, torch.float32, 1e-5),
])  # fmt: skip
def test_encoder_follows_its_formulas(relu_first, dtype, tolerance):
    torch.manual_seed(0)
    net = DilatedEncoder(dilations(2, 3), channels=6, latent=3, hop=HOP, relu_first=relu_first).to(dtype)
    x = torch.rand(1, 5 * HOP + 3, dtype=dtype) - 0.5
    w = {name: value.double().numpy() for name, value in net.state_dict().items()}

    def centred(h, name, d):
        padded = np.pad(h, ((0, 0), (d, d)))
        shifted = [padded[:, tap * d : tap * d + h.shape[1]] for tap in range(3)]
        return (
            sum(w[f"{name}.weight"][:, :, tap] @ s for tap, s in enumerate(shifted))
            + w[f"{name}.bias"][:, None]
        )

    h = centred(x.double().numpy(), "start", 1)
    for i, d in enumerate(dilations(2, 3)):
        u = centred(np.maximum(h, 0) if relu_first else h, f"dilated_convs.{i}.dilated_conv", d)
        name = f"dilated_convs.{i}.conv_1x1"
        h = h + one(np.maximum(u, 0), w[f"{name}.weight"], w[f"{name}.bias"])
    z = one(h, w["conv_1x1.weight"], w["conv_1x1.bias"])[:, : 5 * HOP].reshape(3, 5, HOP).mean(-1)
    np.testing.assert_allclose(net(x)[0].detach().double().numpy(), z, atol=tolerance)


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("batch", [1, 3])
def test_sample_by_sample_is_all_at_once(kernel, batch):
    """Also where one stretch of frames ends and the next begins: the state goes on."""
    net = make(kernel, torch.float32)
    x, c = inputs(12, batch, torch.float32)
    expected = net(x, c).detach()
    cached = CachedWaveNet(net)
    state = cached.start(batch)
    logits = []
    for first in (0, 5, 10):
        told = cached.told(c[:, :, first : first + 5])
        for t in range(first * HOP, min(first + 5, 12) * HOP):
            logits.append(cached.step(x[:, t], told[t // HOP - first], state).detach())
    np.testing.assert_allclose(torch.stack(logits, 2).numpy(), expected.numpy(), atol=1e-5)


def test_receptive_field():
    """The sample after the last one in reach does not matter, the last one does."""
    net = make(2)
    assert net.receptive_field == 32  # (1 + 2 + 4 + 8) twice, the first convolution, the present
    x, c = inputs(8)
    changed = {}
    for back in (31, 32):
        other = x.clone()
        other[:, 63 - back] += 1.0
        changed[back] = (net(other, c)[:, :, 63] - net(x, c)[:, :, 63]).abs().max() > 0
    assert changed == {31: True, 32: False}


def test_dilations_of_the_originals():
    assert sum(dilations(4, 14)) == 65_532
    assert sum(dilations(4, 10)) == 4_092
    assert WaveNet(dilations(3, 10), 2, 2, 1, kernel=3).receptive_field == 6141


def test_delayed():
    assert delayed(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[0.0, 1.0, 2.0]]
