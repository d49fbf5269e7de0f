"""Every state converts into every other, at the named cost, and still stands for the same tensor."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tplearn.simulated import Ledger, Partial, Replicate, Shard, collective_between, convert, unshard

STATES = [Replicate(), Shard(0), Shard(1), Shard(-1), Partial()]
PAIRS = list(product(STATES, STATES))
LOCAL = {"none", "slice", "keep_one"}


def random_in_state(state, p: int, rows: int, columns: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    if isinstance(state, Partial):
        return [torch.randn(rows * p, columns * p, dtype=torch.float64, generator=generator) for _ in range(p)]
    x = torch.randn(rows * p, columns * p, dtype=torch.float64, generator=generator)
    return [x.clone() for _ in range(p)] if isinstance(state, Replicate) else list(x.chunk(p, state.dim))


@settings(max_examples=150, deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    p=st.integers(1, 8),
    rows=st.integers(1, 3),
    columns=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
def test_every_pair_keeps_the_tensor_and_comes_back(pair, p: int, rows: int, columns: int, seed: int) -> None:
    source, target = pair
    shards = random_in_state(source, p, rows, columns, seed)
    kept, truth = [shard.clone() for shard in shards], unshard(shards, source)
    converted = convert(shards, source, target)
    back = convert(converted, target, source)
    torch.testing.assert_close(unshard(converted, target), truth, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(unshard(back, source), truth, rtol=1e-12, atol=1e-12)
    assert [shard.shape for shard in back] == [shard.shape for shard in shards]
    assert all(torch.equal(a, b) for a, b in zip(shards, kept, strict=True))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_the_ledger_shows_the_named_collective_and_nothing_else(source, target) -> None:
    ledger = Ledger()
    convert(random_in_state(source, 4, 1, 1, 0), source, target, ledger)
    name = collective_between(source, target)
    if {source, target} == {Shard(1), Shard(-1)}:
        name = "none"  # the same state of a matrix under two names
    assert [row.op for row in ledger.rows] == ([] if name in LOCAL else [name] * 4)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_gradients_flow_through_every_conversion(source, target) -> None:
    shards = [shard.clone().requires_grad_() for shard in random_in_state(source, 2, 1, 2, 1)]
    assert torch.autograd.gradcheck(lambda *xs: tuple(convert(list(xs), source, target)), shards)


def test_the_map() -> None:
    R, S0, S1, P = Replicate(), Shard(0), Shard(1), Partial()
    table = [[collective_between(a, b) for b in (R, S0, S1, P)] for a in (R, S0, S1, P)]
    assert table == [
        ["none", "slice", "slice", "keep_one"],
        ["all_gather", "none", "all_to_all", "keep_one"],
        ["all_gather", "all_to_all", "none", "keep_one"],
        ["all_reduce", "reduce_scatter", "reduce_scatter", "none"],
    ]


def test_a_replica_that_differs_is_named_and_nan_is_equal_to_nan() -> None:
    nan = torch.tensor([float("nan"), 1.0])
    assert unshard([nan, nan.clone()], Replicate()) is nan
    with pytest.raises(ValueError) as error:
        unshard([torch.zeros(2), torch.zeros(2), torch.ones(2)], Replicate())
    assert str(error.value) == "Replicate() promises the same tensor on every rank, but rank 2 differs from rank 0"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: unshard([], Partial()), "unshard got an empty list; give one tensor per rank, at least 1"),
        (lambda: convert([], Partial(), Partial()), "convert got an empty list; give one tensor per rank, at least 1"),
        (
            lambda: collective_between(Replicate(), "shard"),
            "state = 'shard' is not a state; states that work: Replicate(), Shard(dim), Partial()",
        ),
        (
            lambda: unshard([torch.zeros(2)], Shard),
            f"state = {Shard!r} is not a state; states that work: Replicate(), Shard(dim), Partial()",
        ),
        (
            lambda: convert([torch.zeros(2)] * 2, Partial(), Shard(1)),
            "dim = 1 does not exist in a 1-dimensional tensor; dims that work: -1 to 0",
        ),
        (
            lambda: convert([torch.zeros(3)] * 2, Replicate(), Shard(0)),
            "size of dim 0 = 3 cannot be split over tp = 2 ranks; sizes that work: 1, 3",
        ),
        (
            lambda: convert([torch.zeros(3), torch.zeros(2)], Shard(0), Replicate()),
            "convert needs the same shape and dtype on every rank: rank 0 brings (3,) float32, "
            "rank 1 brings (2,) float32",
        ),
    ],
)
def test_bad_input_is_named(call, text: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == text
