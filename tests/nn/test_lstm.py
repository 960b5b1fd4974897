import pytest
import torch
from torch import nn

from kikibouba.nn.factor import Factor
from kikibouba.nn.lstm import LSTMLayer, dense, halve_weights, lstm_sequence, lstm_step


def random_inputs(steps=5, batch=3, width=4, dtype=torch.float64):
    g = torch.Generator().manual_seed(0)
    shapes = [(steps, batch, 4 * width), (width, 4 * width), (batch, width), (batch, width)]
    return [torch.randn(s, generator=g, dtype=dtype).requires_grad_() for s in shapes]


def torch_lstm(gates_x, w_h, h0, c0):
    """The same recurrence by nn.LSTM, whose inputs are the gates."""
    width = w_h.shape[0]
    weights = [torch.eye(4 * width, dtype=w_h.dtype), w_h.T, *torch.zeros(2, 4 * width, dtype=w_h.dtype)]
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    lstm = nn.LSTM(4 * width, width, dtype=w_h.dtype)
    h, (_, c) = torch.func.functional_call(
        lstm, dict(zip(names, weights, strict=True)), (gates_x, (h0[None], c0[None]))
    )
    return h, c[0]


def test_values_and_gradients_equal_torch_lstm():
    inputs = random_inputs()
    results = []
    for run in (torch_lstm, lstm_sequence):
        h, c = run(inputs[0].clone(), *inputs[1:])
        weight_h, weight_c = (
            torch.linspace(-1, 1, h.numel()).view_as(h),
            torch.linspace(1, 2, c.numel()).view_as(c),
        )
        results.append((h, c, *torch.autograd.grad((h * weight_h).sum() + (c * weight_c).sum(), inputs)))
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected)


def test_gradients_without_initial_state_are_those_of_a_zero_state():
    gates_x, w_h, h0, _ = random_inputs()
    zeros = torch.zeros_like(h0)
    expected, got = (
        torch.autograd.grad(lstm_sequence(gates_x.clone(), w_h, *state)[0].square().sum(), [gates_x, w_h])
        for state in ((zeros, zeros), ())
    )
    torch.testing.assert_close(got, expected)


def test_without_initial_state_is_zero_state():
    gates_x, w_h, h0, _ = random_inputs()
    zeros = torch.zeros_like(h0)
    torch.testing.assert_close(
        lstm_sequence(gates_x.clone(), w_h), lstm_sequence(gates_x.clone(), w_h, zeros, zeros)
    )


def test_steps_equal_sequence():
    gates_x, w_h, h, c = (x.detach() for x in random_inputs(dtype=torch.float32))
    expected, expected_c = lstm_sequence(gates_x.clone(), w_h, h, c)
    for t in range(len(gates_x)):
        h, c = lstm_step(gates_x[t], Factor(w_h, len(h)), h, c)
        torch.testing.assert_close(h, expected[t])
    torch.testing.assert_close(c, expected_c)


def test_inputs_that_share_memory_are_not_overwritten():
    gates_x, w_h, _, _ = (x.detach() for x in random_inputs())
    one_step = gates_x[:1]
    h, _ = lstm_sequence(one_step.expand(4, -1, -1), w_h)
    torch.testing.assert_close(h, lstm_sequence(one_step.repeat(4, 1, 1), w_h)[0])
    torch.testing.assert_close(one_step, gates_x[:1])


def test_second_backward_pass_is_an_error_not_a_wrong_gradient():
    gates_x, w_h, _, _ = random_inputs()
    h, _ = lstm_sequence(gates_x.clone(), w_h)
    h.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()


def test_bf16_products_keep_float32_states_and_nearby_gradients():
    gates_x, w_h, h0, c0 = random_inputs(steps=8, batch=16, width=32, dtype=torch.float32)
    w_h = (w_h.detach() / 8).requires_grad_()

    def run():
        h, _ = lstm_sequence(gates_x.clone(), w_h, h0, c0)
        return h, *torch.autograd.grad(h.square().sum(), [gates_x, w_h, h0, c0])

    exact = run()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = run()
    for a, b in zip(exact, rounded, strict=True):
        assert b.dtype == torch.float32
        assert (a - b).norm() < 0.02 * a.norm()


def test_layer_starts_as_the_original_does():
    layer = LSTMLayer(90, 64)
    limit = (6 / (90 + 64 + 256)) ** 0.5
    for w in (layer.w_x, layer.w_h):
        assert 0.98 * limit < w.abs().max() <= limit
    assert not layer.bias.any()
    bias = layer.run_time_bias().view(4, 64)
    assert (bias[1] == 1).all()
    assert not bias[[0, 2, 3]].any()


def test_halved_weights_run_like_the_rounded_ones():
    layer = LSTMLayer(6, 8)
    with torch.no_grad():
        for w in (layer.w_x, layer.w_h):
            w.copy_(w.half().float())
    x, h, c = torch.randn(3, 2, 6), torch.randn(2, 8), torch.randn(2, 8)
    expected = lstm_sequence(layer.gates(x), layer.w_h, h, c)
    assert halve_weights(layer) == 1
    assert layer.w_h.dtype == layer.w_x.dtype == torch.float16
    torch.testing.assert_close(lstm_sequence(layer.gates(x), layer.w_h, h, c), expected)
    with torch.no_grad():
        step, _ = lstm_step(layer.gates(x[0, :1]), Factor(layer.w_h, 1), h[:1], c[:1])
    assert step.dtype == torch.float32
    assert (step - expected[0][0, :1]).norm() < 1e-3 * step.norm()


@pytest.mark.parametrize("with_bias", [True, False])
def test_dense_is_linear_and_its_gradients_need_no_reordering(with_bias):
    x, weight, bias = torch.randn(3, 5, 4), torch.randn(4, 6, requires_grad=True), torch.randn(6)
    y = dense(x, weight, bias if with_bias else None)
    torch.testing.assert_close(y, nn.functional.linear(x, weight.t(), bias if with_bias else None))
    (gradient,) = torch.autograd.grad(y.square().sum(), weight)
    assert gradient.is_contiguous()
    with torch.autocast("cpu", torch.bfloat16):
        assert dense(x, weight, bias).dtype == torch.float32
