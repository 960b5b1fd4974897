"""NADE: a distribution over bits, its gradient and its draws."""

from itertools import product

import pytest
import torch

from kikibouba.models.music_vae.heads import logistic
from kikibouba.nn.nade import NADE, log_prob

BITS, HIDDEN = 4, 5


@pytest.fixture
def nade() -> NADE:
    torch.manual_seed(0)
    return NADE(BITS, HIDDEN).double()


def biases(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    b_enc = torch.randn(rows, HIDDEN, generator=g, dtype=torch.float64)
    return b_enc, torch.randn(rows, BITS, generator=g, dtype=torch.float64)


def all_patterns() -> torch.Tensor:
    return torch.tensor(list(product([0.0, 1.0], repeat=BITS)), dtype=torch.float64)


def test_probabilities_of_all_patterns_sum_to_one(nade):
    b_enc, b_dec = (b.expand(2**BITS, -1) for b in biases(1))
    patterns = all_patterns()
    with torch.no_grad():
        total = log_prob(nade(patterns, b_enc, b_dec), patterns).exp().sum()
    assert total.item() == pytest.approx(1.0, abs=1e-4)  # 10⁻⁶ is added to every probability of a bit


def test_gradients_are_those_of_finite_differences(nade):
    b_enc, b_dec = (b.requires_grad_() for b in biases(7))
    v = (torch.rand(7, BITS, generator=torch.Generator().manual_seed(2)) < 0.5).double()

    def nats(b_enc, b_dec, w_enc, w_dec):
        return log_prob(
            torch.func.functional_call(nade, {"w_enc": w_enc, "w_dec": w_dec}, (v, b_enc, b_dec)), v
        )

    torch.autograd.gradcheck(nats, (b_enc, b_dec, nade.w_enc, nade.w_dec))


def test_draws_follow_the_probabilities(nade):
    rows = 40_000
    b_enc, b_dec = (b.expand(rows, -1) for b in biases(1))
    noise = logistic((rows, BITS), torch.Generator().manual_seed(3), torch.device("cpu")).double()
    drawn = nade.sample(b_enc, b_dec, noise)
    shares = (drawn @ (2.0 ** torch.arange(BITS - 1, -1, -1)).double()).long().bincount(
        minlength=2**BITS
    ) / rows
    patterns = all_patterns()
    with torch.no_grad():
        expected = log_prob(nade(patterns, b_enc[: 2**BITS], b_dec[: 2**BITS]), patterns).exp()
    torch.testing.assert_close(shares.double(), expected, rtol=0, atol=0.01)


def test_without_noise_each_bit_is_the_likelier_one(nade):
    b_enc, b_dec = biases(50)
    said = nade.sample(b_enc, b_dec)
    with torch.no_grad():
        logits = nade(said, b_enc, b_dec)
    assert torch.equal(said, (logits > 0).double())
    assert len(said.unique(dim=0)) > 3


def test_initial_weights_are_cut_at_two_standard_deviations():
    nade = NADE(64, 200)
    assert nade.w_enc.abs().max() <= 2 / 8
    assert nade.w_dec.std().item() == pytest.approx(0.88 / 8, rel=0.05)
