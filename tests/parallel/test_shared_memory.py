"""Collectives through shared memory: the right sums, the same bits on every rank, at every size, shape and dtype."""

import math

import pytest
import torch
import torch.distributed as dist
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tplearn import RankFailed, run_ranks
from tplearn.parallel import transport
from tplearn.parallel.place import Place
from tplearn.parallel.shared_memory import BUFFER

SUM, MAX = "sum", "max"
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.int32, torch.uint8]


def agree() -> None:
    """Two collectives by gloo, and then the memory is agreed."""
    for _ in range(2):
        transport.carry_all_reduce(torch.ones(1), SUM, Place.of())


def own(sizes: list[int], dtype: torch.dtype, rank: int) -> list[torch.Tensor]:
    """Numbers of one rank, of very different sizes, so that the order of a sum shows in its last bits."""
    generator = torch.Generator().manual_seed(rank)
    xs = [torch.randn(size, generator=generator, dtype=torch.float64) * 10.0 ** (rank % 3) for size in sizes]
    return [x.abs().clamp(max=9).to(dtype) if not dtype.is_signed else x.to(dtype) for x in xs]


def turned(x: torch.Tensor) -> torch.Tensor:
    """[n] → [p, n]: another part for each rank."""
    return torch.stack([x.roll(rank) for rank in range(dist.get_world_size())])


def exchanged(sizes: list[int], dtype: torch.dtype) -> list[list[torch.Tensor]]:
    agree()
    xs = own(sizes, dtype, dist.get_rank())
    before = [x.clone() for x in xs]
    results = [
        [transport.carry_all_reduce(x, SUM, Place.of()) for x in xs],
        [transport.carry_all_reduce(x, MAX, Place.of()) for x in xs],
        [transport.carry_all_gather(x, Place.of()) for x in xs],
        [transport.carry_reduce_scatter(turned(x), Place.of())[0] for x in xs],
    ]
    assert all(torch.equal(x, old) for x, old in zip(xs, before, strict=True))
    return results


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ranks=st.integers(2, 8),
    dtype=st.sampled_from(DTYPES),
    sizes=st.lists(st.integers(0, BUFFER) | st.integers(0, 40), min_size=1, max_size=4),
)
def test_every_rank_has_the_same_bits(ranks: int, dtype: torch.dtype, sizes: list[int]) -> None:
    sizes = [min(size, int((transport.LIMIT / ranks**2) / dtype.itemsize)) for size in sizes]
    run = run_ranks(exchanged, ranks, sizes, dtype)
    assert {row.transport for row in run.ledger.rows if row.index >= 2} == {"shared memory"}
    xs = [own(sizes, dtype, rank) for rank in range(ranks)]
    for rank, values in enumerate(run.values):
        for number in range(len(sizes)):
            stacked = torch.stack([x[number] for x in xs])
            wide = torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype
            total = stacked[0].to(wide)
            for x in stacked[1:]:  # in rank order: to the last bit
                total = total + x
            assert torch.equal(values[0][number], total.to(dtype))
            assert torch.equal(values[1][number], stacked.amax(0) if sizes[number] else stacked[0])
            assert torch.equal(values[2][number], stacked)
            assert torch.equal(values[3][number], total.to(dtype).roll(rank))


def shapes(rank: int) -> list[torch.Tensor]:
    """A cube, a turned matrix of several pieces, every second column, a number."""
    numbers = torch.Generator().manual_seed(rank)
    sizes = (2, 3, 5), (900, 1000), (4, 6), ()
    cube, matrix, wide, number = (torch.randn(size, generator=numbers) for size in sizes)
    return [cube, matrix.T, wide[:, ::2], number]


def of_every_shape() -> list[list[torch.Tensor]]:
    agree()
    *xs, number = shapes(dist.get_rank())
    return [
        [transport.carry_all_reduce(x, SUM, Place.of()) for x in [*xs, number]],
        [transport.carry_all_gather(x, Place.of()) for x in xs],
        [transport.carry_reduce_scatter(x, Place.of()) for x in xs],
    ]


def test_every_shape() -> None:
    run = run_ranks(of_every_shape, 2)
    assert {row.transport for row in run.ledger.rows if row.index >= 2} == {"shared memory"}
    for rank, (sums, gathered, parts) in enumerate(run.values):
        both = list(zip(shapes(0), shapes(1), strict=True))
        assert all(torch.equal(total, a + b) for total, (a, b) in zip(sums, both, strict=True))
        assert all(torch.equal(x, torch.stack(pair)) for x, pair in zip(gathered, both[:-1], strict=True))
        assert all(torch.equal(part, (a + b).chunk(2)[rank]) for part, (a, b) in zip(parts, both[:-1], strict=True))


def test_watched_or_not_the_same_bits_come_out() -> None:
    """Where a recorder looks, an exchange is an operator of torch; where none does, what the operator calls."""
    watched, alone = (run_ranks(of_every_shape, 2, record=record).values for record in (True, False))
    for ours, theirs in zip(watched, alone, strict=True):
        for some, others in zip(ours, theirs, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def largest_beside_a_nan() -> list[list[float]]:
    agree()
    x = torch.tensor([float("nan") if dist.get_rank() == 2 else 1.0, float(dist.get_rank())])
    return [
        transport.carry_all_reduce(x.to(dtype), MAX, Place.of()).tolist() for dtype in (torch.float32, torch.bfloat16)
    ]


def test_no_rank_overlooks_a_nan() -> None:
    for values in run_ranks(largest_beside_a_nan, 3).values:
        assert [(math.isnan(first), second) for first, second in values] == [(True, 2.0)] * 2


def many(calls: int) -> bool:
    agree()
    torch.set_num_threads(1)
    rank, x = dist.get_rank(), torch.empty(16)
    return all(
        bool((transport.carry_all_reduce(x.fill_(call % 1000 + rank), SUM, Place.of()) == 2 * (call % 1000) + 1).all())
        for call in range(calls)
    )


@pytest.mark.slow
def test_a_hundred_thousand_in_a_row() -> None:
    assert run_ranks(many, 2, 100_000, record=False, timeout=300).values == [True, True]


def uneven() -> None:
    agree()
    transport.carry_all_reduce(torch.ones(3 + dist.get_rank()), SUM, Place.of())


def test_unequal_sizes_are_refused() -> None:
    with pytest.raises(RankFailed, match=r"exchanges 12 bytes and rank 1 16|exchanges 16 bytes and rank 0 12"):
        run_ranks(uneven, 2, record=False)
