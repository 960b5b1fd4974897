"""Luong attention against formulas written out position by position in numpy."""

import numpy as np
import pytest
import torch

from kikibouba.nn.luong_attention import LuongAttention

B, S, T, H = 3, 7, 4, 6
LENGTHS = torch.tensor([7, 1, 4])


def setup(score, window=None, memory_size=H):
    generator = torch.Generator().manual_seed(3)
    attention = LuongAttention(H, memory_size, score, window).double()
    for weight in attention.parameters():
        weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    query = torch.randn(B, T, H, generator=generator, dtype=torch.float64)
    values = torch.randn(B, S, memory_size, generator=generator, dtype=torch.float64)
    return attention, query, values


def by_hand(attention, query, values, score, window):
    """h̃ [B, T, H] and weights [B, T, S], with explicit loops."""
    w = {name: value.detach().numpy() for name, value in attention.named_parameters()}
    query, values = query.numpy(), values.numpy()
    weights, attended = np.zeros((B, T, S)), np.zeros((B, T, H))
    for b in range(B):
        length = int(LENGTHS[b])
        for t in range(T):
            h, scores = query[b, t], []
            for s in range(length):
                m = values[b, s]
                if score == "dot":
                    scores.append(np.einsum("i,i->", h, m))
                elif score == "general":
                    scores.append(np.einsum("i,ij,j->", h, w["to_keys.weight"], m))
                else:
                    w_a = np.concatenate([w["to_query.weight"], w["to_keys.weight"]], axis=1)
                    scores.append(w["v_a.weight"][0] @ np.tanh(w_a @ np.concatenate([h, m])))
            scores, s = np.array(scores), np.arange(length)
            if window is None:
                inside, gauss = np.ones(length, bool), np.ones(length)
            else:
                p = length / (1 + np.exp(-(w["v_p.weight"][0] @ np.tanh(w["w_p.weight"] @ h))))
                inside, gauss = np.abs(s - p) <= window, np.exp(-((s - p) ** 2) / (2 * (window / 2) ** 2))
            align = np.where(inside, np.exp(scores - scores.max()), 0)
            weights[b, t, :length] = align / align.sum() * gauss
            context = np.einsum("s,sm->m", weights[b, t], values[b])
            attended[b, t] = np.tanh(w["combine.weight"] @ np.concatenate([context, h]))
    return attended, weights


@pytest.mark.parametrize("window", [None, 1, 2])
@pytest.mark.parametrize(
    ("score", "memory_size"), [("dot", H), ("general", H), ("general", 2 * H), ("concat", 5)]
)
def test_equals_the_formulas(score, memory_size, window):
    attention, query, values = setup(score, window, memory_size)
    attended, weights = attention(query, attention.remember(values, LENGTHS))
    expected, expected_weights = by_hand(attention, query, values, score, window)
    np.testing.assert_allclose(weights.detach(), expected_weights, atol=1e-12)
    np.testing.assert_allclose(attended.detach(), expected, atol=1e-12)


def test_global_weights_sum_to_one_and_never_look_beyond_the_end():
    attention, query, values = setup("general")
    weights = attention.weights(query, attention.remember(values, LENGTHS))
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, T, dtype=torch.float64))
    assert (weights[1, :, 1:] == 0).all()
    assert (weights[2, :, 4:] == 0).all()


@pytest.mark.parametrize("window", [None, 2])
def test_what_lies_beyond_the_end_changes_nothing(window):
    attention, query, values = setup("concat", window)
    other = values.clone()
    other[1, 1:], other[2, 4:] = 99.0, -99.0
    attended, _ = attention(query, attention.remember(values, LENGTHS))
    same, _ = attention(query, attention.remember(other, LENGTHS))
    torch.testing.assert_close(attended, same, rtol=0, atol=0)


def test_one_step_equals_all_steps_at_once_and_rows_can_be_taken():
    attention, query, values = setup("general", 2)
    memory = attention.remember(values, LENGTHS)
    attended, weights = attention(query, memory)
    order = torch.tensor([2, 0, 2])
    for t in range(T):
        step, step_weights = attention(query[order, t : t + 1], memory.rows(order))
        torch.testing.assert_close(step, attended[order, t : t + 1])
        torch.testing.assert_close(step_weights, weights[order, t : t + 1])


def test_distance_in_time_adds_its_own_score():
    attention, query, values = setup("general")
    by_time = LuongAttention(H, H, "general", span=9).double()
    by_time.load_state_dict(attention.state_dict() | {"nearness": torch.randn(17, dtype=torch.float64)})
    times, now = torch.randint(0, 9, (B, S)), torch.randint(0, 9, (B, T))
    plain = attention.scores(query, attention.remember(values, LENGTHS)).detach().numpy()
    weights = by_time.weights(query, by_time.remember(values, LENGTHS, times), now).detach().numpy()
    for b in range(B):
        length = int(LENGTHS[b])
        for t in range(T):
            apart = times[b, :length].numpy() - int(now[b, t])
            total = np.exp(plain[b, t, :length] + by_time.nearness.detach().numpy()[apart + 8])
            np.testing.assert_allclose(weights[b, t, :length], total / total.sum(), atol=1e-12)
            assert not weights[b, t, length:].any()


def test_at_first_what_is_now_is_looked_at_most():
    attention = LuongAttention(H, H, "general", span=5)
    assert attention.nearness.argmax() == 4
    assert (attention.nearness[:5].diff() > 0).all()
    torch.testing.assert_close(attention.nearness, attention.nearness.flip(0))


@pytest.mark.parametrize("score", ["dot", "general", "concat"])
def test_gradients_are_those_of_the_formula(score):
    attention, query, values = setup(score, window=3)
    query, values = query.requires_grad_(), values.requires_grad_()
    torch.autograd.gradcheck(lambda q, v: attention(q, attention.remember(v, LENGTHS))[0], (query, values))


def test_dot_needs_one_width():
    with pytest.raises(ValueError, match="one width"):
        LuongAttention(4, 8, "dot")
