"""Dropout by bytes: how much is dropped, what becomes of the rest, and that chance can be repeated."""

import pytest
import torch

from kikibouba.nn.dropout import Dropout


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_is_zero_and_the_mean_stays(share, dtype):
    torch.manual_seed(0)
    x = torch.ones(301, 501, dtype=dtype)  # no multiple of 8
    y = Dropout(share).train()(x)
    assert y.dtype == dtype
    assert float((y == 0).float().mean()) == pytest.approx(share, abs=0.005)
    assert float(y.float().mean()) == pytest.approx(1, abs=0.01)
    assert len(y.unique()) == 2


def test_values_are_dropped_independently():
    torch.manual_seed(0)
    kept = (Dropout(0.5).train()(torch.ones(20_000, 8)) != 0).float()
    pairs = (kept.t() @ kept) / len(kept)
    torch.testing.assert_close(
        pairs[~torch.eye(8, dtype=torch.bool)], torch.full((56,), 0.25), atol=0.02, rtol=0
    )


def test_gradients_go_where_values_went():
    torch.manual_seed(0)
    x = torch.ones(64, requires_grad=True)
    y = Dropout(0.3).train()(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_it_is_a_matter_of_seed_and_of_training():
    x, dropout = torch.randn(9, 7), Dropout(0.4).train()
    torch.manual_seed(3)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(3)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(first, second)
    assert dropout.eval()(x) is x
    assert Dropout(0.0).train()(x) is x
