import copy
import math

import pytest
import torch
from torch import nn

from kikibouba.train.optimizer import TensorFlowAdam, clip_global_norm, clip_value


def parameters_with_gradients(*gradients):
    params = []
    for gradient in gradients:
        param = nn.Parameter(torch.zeros(len(gradient)))
        param.grad = torch.tensor(gradient)
        params.append(param)
    return params


def test_update_is_tensorflows_also_for_gradients_as_small_as_epsilon():
    lr, beta1, beta2, eps = 0.01, 0.9, 0.999, 1e-8
    gradients = torch.tensor([[3.0, -1e-8, 2e-9], [-1.0, 4e-8, -1e-9], [0.5, 1e-8, 0.0]])
    param = nn.Parameter(torch.zeros(3))
    optimizer = TensorFlowAdam([param], lr=lr)
    theta, m, v = torch.zeros(3, 3, dtype=torch.float64)
    for t, gradient in enumerate(gradients.double(), start=1):
        m = beta1 * m + (1 - beta1) * gradient
        v = beta2 * v + (1 - beta2) * gradient**2
        theta = theta - lr * math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (v.sqrt() + eps)
        param.grad = gradient.float()
        optimizer.step()
        torch.testing.assert_close(param.detach().double(), theta, rtol=1e-5, atol=1e-9)


def test_resumes_exactly_from_its_state():
    gradients = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    param = nn.Parameter(torch.zeros(5))
    optimizer = TensorFlowAdam([param], lr=0.1)
    for gradient in gradients[:3]:
        param.grad = gradient
        optimizer.step()
    resumed = nn.Parameter(param.detach().clone())
    resumed_optimizer = TensorFlowAdam([resumed], lr=0.1)
    resumed_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for gradient in gradients[3:]:
        param.grad = resumed.grad = gradient
        optimizer.step()
        resumed_optimizer.step()
    assert torch.equal(param, resumed)


def test_global_norm_is_scaled_down_to_the_limit_and_reported():
    params = parameters_with_gradients([3.0, 0.0], [4.0])
    assert clip_global_norm(params, max_norm=1.0) == pytest.approx(5.0)
    torch.testing.assert_close(torch.cat([p.grad for p in params]), torch.tensor([0.6, 0.0, 0.8]))


def test_gradients_below_the_limit_are_left_alone():
    params = parameters_with_gradients([0.3], [0.4])
    assert clip_global_norm(params, max_norm=1.0) == pytest.approx(0.5)
    assert [p.grad.item() for p in params] == pytest.approx([0.3, 0.4])


@pytest.mark.parametrize("bad", [10_000.0, math.inf, math.nan])
def test_exploded_gradients_become_zero(bad):
    params = parameters_with_gradients([bad, 1.0], [2.0])
    clip_global_norm(params, max_norm=1.0, zero_at=10_000.0)
    assert torch.equal(torch.cat([p.grad for p in params]), torch.zeros(3))


def test_clip_value_clamps_each_element():
    params = parameters_with_gradients([3.0, -0.5], [-4.0])
    assert clip_value(params, 1.0) == pytest.approx(math.sqrt(9 + 0.25 + 16))
    assert torch.equal(torch.cat([p.grad for p in params]), torch.tensor([1.0, -0.5, -1.0]))


def test_parameters_without_gradients_are_no_error():
    assert clip_global_norm([nn.Parameter(torch.zeros(2))], max_norm=1.0) == 0.0
    assert clip_value([nn.Parameter(torch.zeros(2))], 1.0) == 0.0
