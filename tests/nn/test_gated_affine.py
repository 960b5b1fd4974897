"""Gated mixing."""

import torch

from kikibouba.nn.gated_affine import GatedAffine, GatedMLP, linear


def test_gate_chooses_between_shortcut_and_deep_path() -> None:
    layer, h, u = GatedAffine(5, 3, 2), torch.randn(4, 5), torch.randn(4, 3)
    value = layer.value_and_gate(h)[:, :2]
    gate_bias = layer.value_and_gate.bias.data[2:]
    gate_bias.fill_(-100.0)
    torch.testing.assert_close(layer(h, u), layer.skip(u))
    gate_bias.fill_(100.0)
    torch.testing.assert_close(layer(h, u), value)
    layer.value_and_gate.weight.data[2:] = 0.0
    gate_bias.fill_(0.0)
    torch.testing.assert_close(layer(h, u), (layer.skip(u) + value) / 2)


def test_mlp_has_the_shapes_asked_for() -> None:
    u = torch.randn(4, 7)
    assert [y.shape for y in GatedMLP(7, [3, 2], width=8, layers=2)(u)] == [(4, 3), (4, 2)]
    plain = GatedMLP(7, [3], width=8, layers=1, gated=False)
    hidden = torch.relu(plain.hidden[0](u))
    torch.testing.assert_close(plain(u)[0], plain.heads[0](hidden))


def test_without_layers_it_is_linear_unless_gated() -> None:
    a, b = torch.randn(4, 6), torch.randn(4, 6)
    straight, bent = (GatedMLP(6, [3], width=6, layers=0, gated=gated) for gated in (False, True))
    torch.testing.assert_close(straight((a + b) / 2)[0], (straight(a)[0] + straight(b)[0]) / 2)
    assert not torch.allclose(bent((a + b) / 2)[0], (bent(a)[0] + bent(b)[0]) / 2)


def test_linear_starts_as_documented() -> None:
    torch.manual_seed(0)
    layer = linear(400, 300)
    assert layer.weight.abs().max() <= 2 * 400**-0.5
    assert (
        abs(layer.weight.std().item() * 400**0.5 - 0.88) < 0.01
    )  # a normal cut at two deviations has std 0.88
    assert not layer.bias.any()
