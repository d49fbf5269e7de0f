"""Simulated collectives: equal to plain sums and concatenations, differentiable, never in place, in the ledger."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tplearn.simulated import Ledger, all_gather, all_reduce, all_to_all, broadcast, reduce_scatter, split

WORLD_SIZES = st.integers(1, 8)
SIZES = st.integers(1, 5)
SEEDS = st.integers(0, 2**16)
few = settings(max_examples=25, deadline=None)


def random_parts(p: int, *shape: int, seed: int, grad: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randn(*shape, dtype=torch.float64, generator=generator) for _ in range(p)]
    return [part.requires_grad_(grad) for part in parts]


@few
@given(p=WORLD_SIZES, rows=SIZES, columns=SIZES, dim=st.sampled_from([0, 1, -1, -2]), seed=SEEDS)
def test_split_then_gather_is_the_identity(p: int, rows: int, columns: int, dim: int, seed: int) -> None:
    [x] = random_parts(1, rows * p, columns * p, seed=seed)
    shards = split(x, p, dim)
    assert [torch.equal(a, b) for a, b in zip(shards, x.chunk(p, dim), strict=True)] == [True] * p
    assert all(torch.equal(whole, x) for whole in all_gather(shards, dim))


@few
@given(p=WORLD_SIZES, rows=SIZES, columns=SIZES, seed=SEEDS)
def test_all_reduce_is_the_sum_on_every_rank(p: int, rows: int, columns: int, seed: int) -> None:
    parts = random_parts(p, rows, columns, seed=seed)
    kept = [part.clone() for part in parts]
    totals = all_reduce(parts)
    torch.testing.assert_close(totals[0], torch.stack(parts).sum(0), rtol=1e-12, atol=1e-12)
    assert all(torch.equal(total, totals[0]) for total in totals)
    assert all(torch.equal(a, b) for a, b in zip(parts, kept, strict=True))


@few
@given(p=WORLD_SIZES, rows=SIZES, columns=SIZES, dim=st.sampled_from([0, 1]), seed=SEEDS)
def test_reduce_scatter_then_all_gather_is_all_reduce(p: int, rows: int, columns: int, dim: int, seed: int) -> None:
    parts = random_parts(p, rows * p, columns * p, seed=seed)
    mine = reduce_scatter(parts, dim)
    assert mine[0].shape[dim] == parts[0].shape[dim] // p
    assert torch.equal(all_gather(mine, dim)[-1], all_reduce(parts)[0])


@few
@given(p=WORLD_SIZES, rows=SIZES, columns=SIZES, seed=SEEDS)
def test_all_to_all_moves_the_cut(p: int, rows: int, columns: int, seed: int) -> None:
    [x] = random_parts(1, rows * p, columns * p, seed=seed)
    moved = all_to_all(split(x, p, 0), split_dim=1, concat_dim=0)
    assert all(torch.equal(a, b) for a, b in zip(moved, split(x, p, 1), strict=True))


def collectives(p: int):  # every collective as (name, function of a list of p parts [p, p])
    yield "split", lambda parts: split(parts[0], p, 0)
    yield "all_reduce", all_reduce
    yield "all_gather", lambda parts: all_gather(parts, 1)
    yield "reduce_scatter", lambda parts: reduce_scatter(parts, 0)
    yield "all_to_all", lambda parts: all_to_all(parts, 0, 1)
    yield "broadcast", lambda parts: broadcast(parts[0], p)


@pytest.mark.parametrize("p", [1, 3, 4])
def test_no_two_ranks_share_memory_and_no_input_changes(p: int) -> None:
    for name, collective in collectives(p):
        parts = random_parts(p, p, p, seed=0)
        kept = [part.clone() for part in parts]
        outputs = collective(parts)
        addresses = {tensor.untyped_storage().data_ptr() for tensor in [*parts, *outputs]}
        assert len(addresses) == len(parts) + len(outputs), name
        for output in outputs:
            output.fill_(7.0)
        assert all(torch.equal(a, b) for a, b in zip(parts, kept, strict=True)), name


@pytest.mark.parametrize("p", [2, 3])
def test_gradients_reach_every_part(p: int) -> None:
    """Against torch's numeric gradient, so the sum over ranks in the backward is right, not only there."""
    for name, collective in collectives(p):
        parts = random_parts(p, p, p, seed=1, grad=True)
        assert torch.autograd.gradcheck(lambda *xs, run=collective: tuple(run(list(xs))), parts), name


def test_all_reduce_gradient_is_the_sum_of_the_ranks_gradients() -> None:
    parts = random_parts(4, 3, seed=2, grad=True)
    upstream = random_parts(4, 3, seed=3)
    torch.autograd.backward(all_reduce(parts), upstream)
    for part in parts:  # the backward of all-reduce is an all-reduce
        torch.testing.assert_close(part.grad, torch.stack(upstream).sum(0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("p", [1, 2, 4])
def test_ledger_has_one_row_per_rank(p: int) -> None:
    parts = random_parts(p, p, 2 * p, seed=4)
    n = p * 2 * p * 8
    for op, run in {
        "all_reduce": lambda ledger: all_reduce(parts, ledger),
        "all_gather": lambda ledger: all_gather(parts, 0, ledger),
        "reduce_scatter": lambda ledger: reduce_scatter(parts, 0, ledger),
        "all_to_all": lambda ledger: all_to_all(parts, 0, 1, ledger),
        "broadcast": lambda ledger: broadcast(parts[0], p, ledger),
    }.items():
        ledger = Ledger()
        run(ledger)
        assert [(row.rank, row.op, row.bytes, row.group) for row in ledger.rows] == [
            (rank, op, n, tuple(range(p))) for rank in range(p)
        ]
        assert {row.transport for row in ledger.rows} == {"simulated"}
        reduces = op in ("all_reduce", "reduce_scatter")
        assert {row.reduce_op for row in ledger.rows} == {"SUM" if reduces else None}
        assert {row.root for row in ledger.rows} == {0 if op == "broadcast" else None}


def test_integers_are_summed_exactly() -> None:
    assert all_reduce([torch.tensor([1, 2]), torch.tensor([3, 4])])[1].tolist() == [4, 6]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: split(torch.zeros(10, 3), 4, 0),
            "size of dim 0 = 10 cannot be split over tp = 4 ranks; sizes that work: 1, 2, 5, 10",
        ),
        (
            lambda: split(torch.zeros(4, 4), 0, 0),
            "world_size = 0 is not a number of ranks; sizes that work: 1, 2, 3, ...",
        ),
        (
            lambda: split(torch.zeros(4, 4), 2, 2),
            "dim = 2 does not exist in a 2-dimensional tensor; dims that work: -2 to 1",
        ),
        (
            lambda: split(torch.tensor(1.0), 1, 0),
            "dim = 0 does not exist: the tensor is a single number and has no dimension to cut",
        ),
        (lambda: all_reduce([]), "all_reduce got an empty list; give one tensor per rank, at least 1"),
        (
            lambda: all_reduce([torch.zeros(4, 8), torch.zeros(4, 7)]),
            "all_reduce needs the same shape and dtype on every rank: rank 0 brings (4, 8) float32, "
            "rank 1 brings (4, 7) float32",
        ),
        (
            lambda: all_gather([torch.zeros(2), torch.zeros(2, dtype=torch.float64)], 0),
            "all_gather needs the same shape and dtype on every rank: rank 0 brings (2,) float32, "
            "rank 1 brings (2,) float64",
        ),
        (
            lambda: reduce_scatter([torch.zeros(3)] * 2, 0),
            "size of dim 0 = 3 cannot be split over tp = 2 ranks; sizes that work: 1, 3",
        ),
        (
            lambda: broadcast(torch.zeros(2), 0),
            "world_size = 0 is not a number of ranks; sizes that work: 1, 2, 3, ...",
        ),
    ],
)
def test_bad_input_is_named(call, text: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == text


def test_a_refused_collective_leaves_no_row() -> None:
    ledger = Ledger()
    with pytest.raises(ValueError):
        reduce_scatter([torch.zeros(3)] * 2, 0, ledger)
    assert len(ledger.rows) == 0
