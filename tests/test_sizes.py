"""Equal parts in rank order, and refusals that name the sizes that work."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tplearn.sizes import (
    divisors,
    require_dim,
    require_divisible,
    require_flags,
    require_rank,
    require_size,
    shard_range,
)


@given(p=st.integers(1, 8), size=st.integers(0, 50))
def test_ranges_tile_the_dimension(p: int, size: int) -> None:
    ranges = [shard_range(p * size, rank, p) for rank in range(p)]
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(p * size))
    assert {stop - start for start, stop in ranges} == {size}


@given(total=st.integers(1, 2000))
def test_divisors_are_exactly_the_sizes_that_work(total: int) -> None:
    assert divisors(total) == [d for d in range(1, total + 1) if total % d == 0]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: require_divisible("out_features", 10, 4),
            "out_features = 10 cannot be split over tp = 4 ranks; sizes that work: 1, 2, 5, 10",
        ),
        (
            lambda: require_divisible("vocab_size", 128256, 5),
            "vocab_size = 128256 cannot be split over tp = 5 ranks; "
            "sizes that work: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, ...",
        ),
        (lambda: require_divisible("n", -1, 1), "n = -1 is not a size; sizes that work: 0, 1, 2, ..."),
        (lambda: shard_range(8, 4, 4), "rank = 4 does not exist; with 4 ranks, ranks go from 0 to 3"),
        (lambda: shard_range(8, -1, 4), "rank = -1 does not exist; with 4 ranks, ranks go from 0 to 3"),
        (
            lambda: shard_range(9, 0, 4, "heads"),
            "heads = 9 cannot be split over tp = 4 ranks; sizes that work: 1, 3, 9",
        ),
        (lambda: require_rank("src", 2, 2), "src = 2 does not exist; with 2 ranks, ranks go from 0 to 1"),
        (
            lambda: require_rank("src", 1.0, 2),
            "src = 1.0 is not a whole number; with 2 ranks, ranks go from 0 to 1",
        ),
        (lambda: require_size("batch", 0), "batch = 0 is not a size; sizes that work: 1, 2, 3, ..."),
        (lambda: require_size("batch", 8.0), "batch = 8.0 is not a whole number; sizes that work: 1, 2, 3, ..."),
        (lambda: require_size("batch", True), "batch = True is not a whole number; sizes that work: 1, 2, 3, ..."),
        (lambda: require_size("batch", "8"), "batch = '8' is not a whole number; sizes that work: 1, 2, 3, ..."),
        (
            lambda: require_size("batch", torch.ones(2, 3)),
            "batch = <Tensor of shape (2, 3)> is not a whole number; sizes that work: 1, 2, 3, ...",
        ),
        (lambda: require_divisible("n", 8.0, 2), "n = 8.0 is not a whole number; sizes that work: 0, 1, 2, ..."),
        (
            lambda: require_divisible("n", 8, 2.0),
            "world_size = 2.0 is not a whole number; sizes that work: 1, 2, 3, ...",
        ),
        (
            lambda: require_rank("rank", 0, 0),
            "world_size = 0 is not a number of ranks; sizes that work: 1, 2, 3, ...",
        ),
        (
            lambda: require_dim(None, 2),
            "dim = None is not a whole number; dims that work: 0, 1, ..., and -1 for the last",
        ),
        (lambda: require_flags(bias=True, gather="no"), "gather = 'no' is neither True nor False"),
    ],
)
def test_bad_sizes_are_named(call, text: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == text


def test_other_whole_numbers_are_sizes_too() -> None:
    assert require_size("n", np.int64(3)) == 3 and type(require_size("n", np.int64(3))) is int
    assert require_divisible("n", torch.tensor(8), np.int32(2)) == 4
    assert require_dim(np.int64(-1), 3) == 2
