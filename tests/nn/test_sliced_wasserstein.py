"""Sliced Wasserstein distance."""

import itertools

import torch

from kikibouba.nn.sliced_wasserstein import random_directions, sliced_wasserstein


def test_directions_are_unit_and_repeatable() -> None:
    a, b = (random_directions(5, 64, torch.Generator().manual_seed(1)) for _ in range(2))
    torch.testing.assert_close(a.norm(dim=0), torch.ones(64))
    assert torch.equal(a, b)


def test_symmetric_and_zero_only_between_equal_clouds() -> None:
    a, b, directions = torch.randn(50, 6), torch.randn(50, 6), random_directions(6, 32)
    forth, back = sliced_wasserstein(a, b, directions), sliced_wasserstein(b, a, directions)
    torch.testing.assert_close(forth, back)
    assert forth > 0
    assert sliced_wasserstein(a, a[torch.randperm(50)], directions) == 0


def test_on_a_line_it_is_the_cheapest_pairing() -> None:
    a, b = torch.randn(5, 1), torch.randn(5, 1)
    cheapest = min((a - b[list(order)]).abs().mean() for order in itertools.permutations(range(5)))
    torch.testing.assert_close(sliced_wasserstein(a, b, torch.ones(1, 1)), cheapest)


def test_shift_costs_its_mean_shadow() -> None:
    a, shift, directions = torch.randn(40, 3), torch.tensor([1.0, -2.0, 0.5]), random_directions(3, 200)
    expected = (shift @ directions).abs().mean()
    torch.testing.assert_close(sliced_wasserstein(a, a + shift, directions), expected)


def test_descending_its_gradient_moves_one_cloud_onto_the_other() -> None:
    torch.manual_seed(0)
    a, b, directions = (
        torch.randn(64, 2, requires_grad=True),
        torch.randn(64, 2) + 3,
        random_directions(2, 32),
    )
    before = sliced_wasserstein(a, b, directions)
    for _ in range(60):
        (gradient,) = torch.autograd.grad(sliced_wasserstein(a, b, directions), a)
        a = (a - 10.0 * gradient).detach().requires_grad_()
    assert sliced_wasserstein(a, b, directions) < 0.1 * before
