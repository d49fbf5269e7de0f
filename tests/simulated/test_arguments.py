"""What is no list of tensors, no dimension, no ledger: each function says so; a generator is a list as good as any."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tplearn.simulated import (
    Ledger,
    Partial,
    Replicate,
    Ring,
    Shard,
    all_gather,
    all_reduce,
    all_to_all,
    broadcast,
    collective_between,
    convert,
    reduce_scatter,
    ring_all_gather,
    ring_all_reduce,
    ring_reduce_scatter,
    split,
    unshard,
)

X = torch.ones(4, 2)
ROW = torch.ones(4)
OF_LISTS: dict[str, Callable] = {
    "all_reduce": all_reduce,
    "all_gather": lambda x: all_gather(x, 0),
    "reduce_scatter": lambda x: reduce_scatter(x, 0),
    "all_to_all": lambda x: all_to_all(x, 0, 1),
    "unshard Replicate": lambda x: unshard(x, Replicate()),
    "unshard Shard": lambda x: unshard(x, Shard(0)),
    "unshard Partial": lambda x: unshard(x, Partial()),
    "convert": lambda x: convert(x, Shard(0), Shard(1)),
    "convert nothing": lambda x: convert(x, Partial(), Partial()),
    "ring_reduce_scatter": lambda x: ring_reduce_scatter(x, Ring(2)),
    "ring_all_gather": lambda x: ring_all_gather(x, Ring(2)),
    "ring_all_reduce": lambda x: ring_all_reduce(x, Ring(2)),
}
NO_LISTS = {
    "a tensor": torch.ones(2, 2),
    "an array": np.ones((2, 2)),
    "arrays": [np.ones((2, 2))] * 2,
    "None": None,
    "text": "ab",
    "a number": 3,
    "a dictionary": {0: X, 1: X},
    "lists": [[X], [X]],
    "numbers": [1.0, 2.0],
    "nothing": [],
    "one of two": [X, None],
    "sparse": [X.to_sparse()] * 2,
    "other shapes": [torch.ones(4, 2), torch.ones(4, 3)],
    "other dtypes": [X, X.double()],
    "other devices": [X, X.to("meta")],
}


@pytest.mark.parametrize("what", NO_LISTS)
@pytest.mark.parametrize("function", OF_LISTS)
def test_what_is_no_list_of_tensors(function: str, what: str) -> None:
    if (function, what) == ("unshard Shard", "other shapes"):
        OF_LISTS[function]([torch.ones(4, 2), torch.ones(1, 2)])  # along the cut dimension shards may be uneven
    with pytest.raises(ValueError):
        OF_LISTS[function](NO_LISTS[what])


@pytest.mark.parametrize("function", OF_LISTS)
def test_a_generator_and_a_tuple_are_lists(function: str) -> None:
    run, x = OF_LISTS[function], ROW if "ring" in function else X
    due = run([x, x.clone()])
    for given in ((x, x), (x for _ in range(2)), map(torch.clone, (x, x))):
        got = run(given)
        assert torch.equal(torch.stack(list(got)), torch.stack(list(due)))


DIMS: dict[str, Callable] = {
    "split": lambda dim: split(X, 2, dim),
    "all_gather": lambda dim: all_gather([X, X], dim),
    "reduce_scatter": lambda dim: reduce_scatter([X, X], dim),
    "split_dim": lambda dim: all_to_all([X, X], dim, 0),
    "concat_dim": lambda dim: all_to_all([X, X], 0, dim),
    "Shard": lambda dim: unshard([X, X], Shard(dim)),
}


@pytest.mark.parametrize("dim", [None, 1.0, "0", True, [0], X, 2, -3, Ledger()], ids=str)
@pytest.mark.parametrize("function", DIMS)
def test_what_is_no_dimension(function: str, dim: object) -> None:
    with pytest.raises(ValueError, match="dim = "):
        DIMS[function](dim)


@pytest.mark.parametrize("function", DIMS)
def test_dimensions_from_the_end(function: str) -> None:
    DIMS[function](-2)
    DIMS[function](np.int64(1))


LEDGERS: dict[str, Callable] = {
    "all_reduce": lambda ledger: all_reduce([X, X], ledger),
    "all_gather": lambda ledger: all_gather([X, X], 0, ledger),
    "reduce_scatter": lambda ledger: reduce_scatter([X, X], 0, ledger),
    "all_to_all": lambda ledger: all_to_all([X, X], 0, 1, ledger),
    "broadcast": lambda ledger: broadcast(X, 2, ledger),
    "convert": lambda ledger: convert([X, X], Partial(), Partial(), ledger),
    "Ring": lambda ledger: Ring(2, ledger),
}


@pytest.mark.parametrize("ledger", [0, -1, [], "ledger", X, Ledger], ids=str)
@pytest.mark.parametrize("function", LEDGERS)
def test_what_is_no_ledger(function: str, ledger: object) -> None:
    with pytest.raises(ValueError, match="ledger = .* is not a Ledger; "):
        LEDGERS[function](ledger)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: all_reduce(X),
            "all_reduce got <Tensor of shape (4, 2)>; give a list with one tensor per rank, such as list(x) or "
            "split(x, world_size, dim)",
        ),
        (lambda: all_reduce(3), "all_reduce got 3; give a list with one tensor per rank"),
        (
            lambda: all_reduce([X, np.ones(2)]),
            "all_reduce: tensors[1] = <ndarray of shape (2,)> is not a tensor; torch.from_numpy(...) makes one",
        ),
        (
            lambda: all_reduce([X > 0, X > 0]),
            "all_reduce: tensors[0] of dtype torch.bool cannot be summed; torch.int64 works",
        ),
        (
            lambda: split([X, X], 2, 0),
            "x = <list of 2, first <Tensor of shape (4, 2)>> is not a tensor; one tensor works",
        ),
        (lambda: split(X, 2.0, 0), "world_size = 2.0 is not a whole number; sizes that work: 1, 2, 3, ..."),
        (lambda: broadcast(X, -1), "world_size = -1 is not a number of ranks; sizes that work: 1, 2, 3, ..."),
        (
            lambda: broadcast([X], 2),
            "x = <list of 1, first <Tensor of shape (4, 2)>> is not a tensor; one tensor works",
        ),
        (lambda: Ring("2"), "world_size = '2' is not a whole number; sizes that work: 1, 2, 3, ..."),
        (lambda: Ring(2).send(0, 1, 5), "tensor = 5 is not a tensor; a torch.Tensor works"),
        (lambda: Ring(2).send(0.0, 1, ROW), "src = 0.0 is not a whole number; with 2 ranks, ranks go from 0 to 1"),
        (lambda: ring_all_reduce([ROW, ROW], 2), "ring = 2 is not a Ring; Ring(world_size) works"),
        (
            lambda: ring_reduce_scatter([ROW > 0, ROW > 0], Ring(2)),
            "ring_reduce_scatter: tensors[0] of dtype torch.bool cannot be summed; torch.int64 works",
        ),
        (lambda: Shard("0"), "dim = '0' is not a whole number; dims that work: 0, 1, ..., and -1 for the last"),
        (
            lambda: collective_between(0, Partial()),
            "state = 0 is not a state; states that work: Replicate(), Shard(dim), Partial()",
        ),
        (
            lambda: unshard([torch.ones(2, 3), torch.ones(2, 4)], Shard(0)),
            "unshard along dim 0 needs the same dtype, device and other dims on every rank: rank 0 brings "
            "(2, 3) float32 (cpu), rank 1 (2, 4) float32 (cpu)",
        ),
    ],
)
def test_it_is_named(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value).startswith(text)


def test_nothing_is_written_of_a_collective_that_is_refused() -> None:
    ledger = Ledger()
    for call in (
        lambda: all_reduce([X > 0] * 2, ledger),
        lambda: all_gather([X, X], 2, ledger),
        lambda: reduce_scatter([X, X], 2, ledger),
        lambda: all_to_all([X, X], 0, 2, ledger),
        lambda: all_to_all([torch.ones(3, 2)] * 2, 0, 1, ledger),
    ):
        with pytest.raises(ValueError):
            call()
    assert ledger.rows == []


def test_shards_that_share_memory_are_fine() -> None:
    """A list may hold one tensor p times: the results never share memory, and the argument is not changed."""
    x = torch.ones(4)
    for result in (all_reduce([x] * 4), reduce_scatter([x] * 4, 0), ring_all_reduce([x] * 4, Ring(4))):
        for number, tensor in enumerate(result):
            tensor.fill_(number)
        assert [tensor[0].item() for tensor in result] == [0, 1, 2, 3]
    assert torch.equal(x, torch.ones(4))
