import pytest
import torch

from kikibouba.nn.factor import Factor


def matrices(rows, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    shapes = (rows, 48), (48, 80), (rows, 80)
    return [torch.randn(s, generator=g).to(dtype) for s in shapes]


@pytest.mark.parametrize("rows", [1, 2, 33])
@pytest.mark.parametrize("transposed", [False, True])
def test_is_the_product(rows, transposed):
    x, w, plus = matrices(rows)
    factor = Factor(w.t().contiguous().t() if transposed else w, rows)
    torch.testing.assert_close(factor.product(x), x @ w)
    torch.testing.assert_close(factor.product(x, plus), x @ w + plus)
    torch.testing.assert_close(factor.add_product(plus.clone(), x), x @ w + plus)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("columns", [80, 79])
@pytest.mark.parametrize("count", [1, 2])
def test_one_row_is_the_same_on_one_core_and_on_two(threads, count, columns):
    threads(count)
    x, w, plus = matrices(1)
    w, plus = w[:, :columns], plus[:, :columns]
    factor = Factor(w, 1)
    torch.testing.assert_close(factor.product(x), x @ w)
    torch.testing.assert_close(factor.product(x, plus), x @ w + plus)


def test_takes_another_number_of_rows_than_it_was_made_for():
    x, w, plus = matrices(33)
    torch.testing.assert_close(Factor(w, 7).product(x, plus), x @ w + plus)


def test_leaves_its_arguments_alone():
    arguments = matrices(4)
    x, w, plus = (a.clone() for a in arguments)
    Factor(w, 4).product(x, plus)
    for before, after in zip(arguments, (x, w, plus), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_keeps_the_type_of_what_is_added(rows, dtype):
    x, w, plus = matrices(rows)
    got = Factor(w, rows, dtype).product(x, plus)
    assert got.dtype == torch.float32
    exact = x.double() @ w.double() + plus
    assert (got - exact).norm() < 4 * torch.finfo(dtype).eps * exact.norm()


def test_float16_multiplies_several_rows_in_float32():
    x, w, plus = matrices(5)
    stored = w.half()
    torch.testing.assert_close(Factor(stored, 5).product(x, plus), x @ stored.float() + plus)


def test_float64_is_not_rounded():
    x, w, plus = matrices(5, torch.float64)
    torch.testing.assert_close(Factor(w, 5).product(x, plus), x @ w + plus)
