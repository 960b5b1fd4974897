"""Sketch-RNN's cells against their equations, written out step by step and differentiated by autograd."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kikibouba.nn import recurrent_dropout_lstm
from kikibouba.nn.hyper_lstm import HyperLSTM
from kikibouba.nn.layer_norm_lstm import GateNorm, LayerNormLSTM
from kikibouba.nn.recurrent_dropout_lstm import RecurrentDropoutLSTM, batch_sizes, dropout_mask

STEPS, BATCH, INPUT, CONTEXT, HIDDEN, UNITS, EMBEDDING, KEEP = 5, 4, 2, 3, 6, 4, 3, 0.7
LENGTHS = torch.tensor([5, 3, 3, 1])


def cells() -> dict[str, Callable[[], nn.Module]]:
    size = INPUT + CONTEXT
    return {
        "lstm": lambda: RecurrentDropoutLSTM(size, HIDDEN, KEEP),
        "layer_norm": lambda: LayerNormLSTM(size, HIDDEN, KEEP),
        "hyper": lambda: HyperLSTM(size, HIDDEN, KEEP, UNITS, EMBEDDING),
    }


def make(kind: str) -> nn.Module:
    """A cell in float64 whose weights are all random, so that none hides behind a zero or a one."""
    torch.manual_seed(0)
    cell = cells()[kind]().double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.7)
    return cell


def inputs(cell: nn.Module) -> list[Tensor]:
    """x, h, c, context."""
    shapes = [(STEPS, BATCH, INPUT), (BATCH, cell.state_size), (BATCH, cell.state_size), (BATCH, CONTEXT)]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def gated(a: Tensor, c: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    i, f, o, g = a.chunk(4, 1)
    return torch.sigmoid(f) * c + torch.sigmoid(i) * mask * torch.tanh(g), torch.sigmoid(o)


def normalise(a: Tensor) -> Tensor:
    return (a - a.mean(-1, keepdim=True)) / torch.sqrt(a.var(-1, keepdim=True, unbiased=False) + 1e-3)


def normed_step(norm: GateNorm, a: Tensor, c: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    y = torch.cat([normalise(block) for block in a.chunk(4, 1)], 1) * norm.gamma + norm.beta
    c, o = gated(y, c, mask)
    return o * torch.tanh(normalise(c) * norm.gamma_c + norm.beta_c), c


def lstm_step(
    cell: RecurrentDropoutLSTM, x: Tensor, h: Tensor, c: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    c, o = gated(x @ cell.weight_x.T + h @ cell.weight_h.T + cell.bias, c, mask)
    return o * torch.tanh(c), c


def layer_norm_step(
    cell: LayerNormLSTM, x: Tensor, h: Tensor, c: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    return normed_step(cell.norm, x @ cell.weight_x.T + h @ cell.weight_h.T, c, mask)


def hyper_step(cell: HyperLSTM, x: Tensor, h: Tensor, c: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    (main, v), (main_c, small_c) = h.split([HIDDEN, UNITS], 1), c.split([HIDDEN, UNITS], 1)
    small_a = x @ cell.small_weight_x.T + main @ cell.small_weight_main.T + v @ cell.small_weight_h.T
    v, small_c = normed_step(cell.small_norm, small_a, small_c, torch.ones(()))
    bias = torch.cat([cell.embed_bias, cell.embed_bias.new_zeros(4 * EMBEDDING)])
    embeddings = (v @ cell.embed_weight.T + bias).chunk(12, 1)
    modulations = [e @ b for e, b in zip(embeddings, cell.modulate_weight, strict=True)]
    alpha_x, alpha_h, beta = (torch.cat(modulations[k : k + 4], 1) for k in (0, 4, 8))
    a = alpha_x * (x @ cell.weight_x.T) + alpha_h * (main @ cell.weight_h.T) + beta + cell.bias
    main, main_c = normed_step(cell.norm, a, main_c, mask)
    return torch.cat([main, v], 1), torch.cat([main_c, small_c], 1)


def by_equations(kind: str, cell: nn.Module, x: Tensor, h: Tensor, c: Tensor, context: Tensor, masks: Tensor):
    step = {"lstm": lstm_step, "layer_norm": layer_norm_step, "hyper": hyper_step}[kind]
    outputs = []
    for t in range(STEPS):
        running = (t < LENGTHS)[:, None]
        new_h, new_c = step(cell, torch.cat([x[t], context], 1), h, c, masks[t])
        h, c = torch.where(running, new_h, h), torch.where(running, new_c, c)
        outputs.append(torch.where(running, new_h[:, :HIDDEN], 0))
    return torch.stack(outputs), h, c


def weighted_sum(results: tuple[Tensor, ...]) -> Tensor:
    """A scalar in which every element of every result counts differently."""
    return sum((r * torch.linspace(-1, 2, r.numel(), dtype=r.dtype).view_as(r)).sum() for r in results)


@pytest.mark.parametrize("training", [True, False], ids=["dropout", "no_dropout"])
@pytest.mark.parametrize("kind", cells())
def test_sequence_and_gradients_follow_the_equations(kind: str, training: bool) -> None:
    cell = make(kind).train(training)
    arguments = inputs(cell)
    x, h, c, context = arguments
    like = torch.empty((), dtype=torch.float64)
    shape = (STEPS, BATCH, HIDDEN)
    masks = (
        dropout_mask(shape, KEEP, like, torch.Generator().manual_seed(7)) if training else torch.ones(shape)
    )
    wanted = by_equations(kind, cell, *arguments, masks)
    found = cell(x, h, c, LENGTHS, context, torch.Generator().manual_seed(7))
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    leaves = [*arguments, *cell.parameters()]
    wanted_gradients = torch.autograd.grad(weighted_sum(wanted), leaves)
    for a, b in zip(torch.autograd.grad(weighted_sum(found), leaves), wanted_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", cells())
def test_steps_repeat_a_sequence(kind: str) -> None:
    cell = make(kind).eval()
    x, h, c, context = (tensor.detach() for tensor in inputs(cell))
    outputs, last_h, last_c = cell(x, h, c, torch.full((BATCH,), STEPS), context)
    with torch.no_grad():
        step = cell.stepper(context)
        for t in range(STEPS):
            h, c = step(x[t], h, c)
            torch.testing.assert_close(h[:, :HIDDEN], outputs[t])
    torch.testing.assert_close(h, last_h)
    torch.testing.assert_close(c, last_c)


@pytest.mark.parametrize("kind", cells())
def test_autocast_uses_bfloat16_products_and_keeps_float32(kind: str) -> None:
    cell = make(kind).float().eval()
    arguments = [tensor.detach().float().requires_grad_() for tensor in inputs(cell)]
    x, h, c, context = arguments
    exact = cell(x, h, c, LENGTHS, context)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = cell(x, h, c, LENGTHS, context)
    assert not torch.equal(rounded[0], exact[0])
    leaves = [*arguments, *cell.parameters()]
    exact_gradients = torch.autograd.grad(weighted_sum(exact), leaves)
    gradients = torch.autograd.grad(weighted_sum(rounded), leaves)
    for a, b in zip((*rounded, *gradients), (*exact, *exact_gradients), strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() <= 0.05 * b.norm()


def test_rows_after_the_end_are_not_seen() -> None:
    cell = make("lstm").eval()
    x, h, c, context = (tensor.detach() for tensor in inputs(cell))
    before = cell(x, h, c, LENGTHS, context)
    x[torch.arange(STEPS)[:, None] >= LENGTHS] = torch.nan
    for a, b in zip(before, cell(x, h, c, LENGTHS, context), strict=True):
        assert torch.equal(a, b)


def test_a_second_backward_pass_is_refused() -> None:
    cell = make("lstm")
    x, h, c, context = inputs(cell)
    loss = weighted_sum(cell(x, h, c, LENGTHS, context))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_batch_sizes_count_running_sequences() -> None:
    assert batch_sizes(torch.tensor([3, 1]), 4) == [2, 1, 1, 0]


@pytest.mark.parametrize("keep", [0.9, 0.5, 1.0])
def test_dropout_mask_keeps_the_fraction_and_the_mean(keep: float) -> None:
    mask = dropout_mask((250, 401, 10), keep, torch.empty(0), torch.Generator().manual_seed(0))
    assert mask.shape == (250, 401, 10)
    assert set(mask.unique().tolist()) <= {0.0, torch.tensor(1 / keep).item()}
    deviation = (keep * (1 - keep) / mask.numel()) ** 0.5
    assert abs((mask > 0).double().mean().item() - keep) <= 5 * deviation
    again = dropout_mask((250, 401, 10), keep, torch.empty(0), torch.Generator().manual_seed(0))
    assert torch.equal(mask, again)


def test_dropout_is_independent_between_neighbours() -> None:
    mask = dropout_mask((100_000, 4), 0.5, torch.empty(0), torch.Generator().manual_seed(1)) > 0
    correlation = torch.corrcoef(mask.T.double()) - torch.eye(4)
    assert correlation.abs().max() < 5 / 100_000**0.5


def test_initial_weights() -> None:
    torch.manual_seed(0)
    for cell in (RecurrentDropoutLSTM(133, 64), LayerNormLSTM(133, 64)):
        assert cell.weight_x.abs().max() <= (6 / (133 + 256)) ** 0.5
        for block in cell.weight_h.chunk(4):
            torch.testing.assert_close(block @ block.T, torch.eye(64), atol=1e-5, rtol=0)
    hyper = HyperLSTM(133, 64)
    embedding = torch.cat([hyper.embed_bias, torch.zeros(4 * 32)]).view(12, 32)
    modulations = torch.einsum("ke,keh->kh", embedding, hyper.modulate_weight)
    torch.testing.assert_close(modulations[:8], torch.full((8, 64), 0.1))
    assert not modulations[8:].any()


@pytest.mark.parametrize("kind", ["lstm", "layer_norm"])
def test_inputs_of_an_upper_layer_are_multiplied_otherwise_and_give_the_same(kind: str, monkeypatch) -> None:
    def results(wide: int) -> list[Tensor]:
        monkeypatch.setattr(recurrent_dropout_lstm, "WIDE", wide)
        torch.manual_seed(0)
        cell = {"lstm": RecurrentDropoutLSTM, "layer_norm": LayerNormLSTM}[kind](80, HIDDEN)
        x = torch.randn(STEPS, BATCH, 80, requires_grad=True)
        zero = torch.zeros(BATCH, HIDDEN)
        outputs, _, _ = cell(x, zero, zero, LENGTHS, zero[:, :0])
        outputs.square().sum().backward()
        return [outputs, x.grad, *(parameter.grad for parameter in cell.parameters())]

    for one, other in zip(results(64), results(1000), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
