"""The dual pairs: the transpose rule, first and second derivatives, inputs left alone, nothing sent on one rank."""

import functools
from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from tests.parallel.twin import fresh_seed, numbers
from tplearn import per_rank, run_ranks
from tplearn.parallel import (
    Place,
    copy_to_group,
    gather_from_group,
    gather_sequence,
    reduce_from_group,
    reduce_scatter_sequence,
    scatter_to_group,
)

PAIRS = {
    "copy": copy_to_group,
    "reduce": reduce_from_group,
    "gather": gather_from_group,
    "scatter": scatter_to_group,
    "gather_sequence": gather_sequence,
    "reduce_scatter_sequence": reduce_scatter_sequence,
}
FORWARD = {
    "gather": "all_gather",
    "gather_sequence": "all_gather",
    "reduce": "all_reduce",
    "reduce_scatter_sequence": "reduce_scatter",
}
BACKWARD = {
    "copy": "all_reduce",
    "gather_sequence": "reduce_scatter",
    "scatter": "all_gather",
    "reduce_scatter_sequence": "all_gather",
}


def dot(a: Tensor, b: Tensor, alike: bool) -> Tensor:
    """<a, b> over all ranks' numbers; what is the same on every rank counts once."""
    total = (a * b).sum()
    dist.all_reduce(total)
    return total / dist.get_world_size() if alike else total


def transposed(name: str, x: Tensor, dy: Tensor) -> tuple[bool, bool]:
    """<A x, y> = <x, Aᵀ y>, where replicated sides count once; and the inputs are as they were."""
    kept = x.clone(), dy.clone()
    x.requires_grad_()
    y = PAIRS[name](x)
    y.backward(dy)
    left = dot(y.detach(), dy, alike=name in ("reduce", "gather"))
    right = dot(x.detach(), x.grad, alike=name in ("copy", "scatter"))
    return bool((left - right).abs() < 1e-10), torch.equal(x, kept[0]) and torch.equal(dy, kept[1])


@pytest.mark.parametrize("tp", [2, 3, 4])
@pytest.mark.parametrize("name", PAIRS)
def test_backward_is_the_transpose(name: str, tp: int) -> None:
    seed = fresh_seed()
    shapes = {"gather": ((2, 12, 3), (2, 12, 3 * tp)), "scatter": ((2, 12, 24), (2, 12, 24 // tp))}
    shapes |= {
        "gather_sequence": ((2, 5, 3), (2, 5 * tp, 3)),
        "reduce_scatter_sequence": ((2, 12, 3), (2, 12 // tp, 3)),
    }
    of_x, of_y = shapes.get(name, ((2, 3), (2, 3)))
    x_alike, y_alike = name in ("copy", "scatter"), name in ("reduce", "gather")
    x = [numbers(*of_x, seed=seed if x_alike else seed + r) for r in range(tp)]
    dy = [numbers(*of_y, seed=seed + 100 if y_alike else seed + 100 + r) for r in range(tp)]
    run = run_ranks(transposed, tp, name, per_rank(x), per_rank(dy))
    assert run.values == [(True, True)] * tp, seed
    ops = [row.op for row in run.ledger.rows if row.rank == 0][:-2]  # the last two are the test's own sums
    assert ops == [op for op in (FORWARD.get(name), BACKWARD.get(name)) if op]


def around(pair: str, x: Tensor) -> Tensor:
    """From an x that all ranks have to a y that all ranks have, through both of a pair: differences need that."""
    weight = numbers(*x.shape, seed=dist.get_rank())  # what each rank does on its own
    if pair == "copy and reduce":
        return reduce_from_group(copy_to_group(x).sin() * weight)
    if pair == "scatter and gather":
        return gather_from_group(scatter_to_group(x).sin())
    own = scatter_to_group(x, dim=1)
    return gather_from_group(reduce_scatter_sequence(gather_sequence(own).sin() * weight), dim=1)


def checked(pair: str) -> bool:
    """First and second derivatives against central differences; all ranks move the same entries at the same time."""
    torch.manual_seed(0)
    p = dist.get_world_size()
    x = numbers(1, p, p, seed=99).requires_grad_()
    function = functools.partial(around, pair)
    return torch.autograd.gradcheck(function, x) and torch.autograd.gradgradcheck(function, x)


@pytest.mark.parametrize("tp", [2, 3])
@pytest.mark.parametrize("pair", ["copy and reduce", "scatter and gather", "gather and reduce-scatter"])
def test_gradcheck(pair: str, tp: int) -> None:
    assert run_ranks(checked, tp, pair, record=False).values == [True] * tp


def on_one_rank_alone() -> list[bool]:
    """A group of one: every function checks against its own finite differences."""
    x = numbers(2, 4, 6, seed=1).requires_grad_()
    return [torch.autograd.gradcheck(function, x) for function in PAIRS.values()]


def test_one_rank_sends_nothing() -> None:
    run = run_ranks(on_one_rank_alone, 1)
    assert run.values == [[True] * 6] and run.ledger.rows == []
    assert all(function(x) is x for x in [torch.ones(2, 4, 6)] for function in PAIRS.values())


def _in_a_group_of_others() -> str:
    group = dist.new_group([0])
    try:
        copy_to_group(torch.ones(2), group)
    except ValueError as error:
        return str(error)
    return "fine"


def test_a_group_this_rank_is_not_in() -> None:
    inside, outside = run_ranks(_in_a_group_of_others, 2).values
    assert inside == "fine"
    assert outside == (
        "rank 1 is not in the given group and cannot hold a shard of it; a group that contains this rank works"
    )


def _half(make: Callable[[], Tensor]) -> tuple[list[int], list[float]]:
    groups = [dist.new_group([0, 1]), dist.new_group([2, 3])]
    group = groups[dist.get_rank() // 2]
    place = Place.of(group)
    return [place.rank, place.world_size], reduce_from_group(make() * (dist.get_rank() + 1), group).tolist()


def test_a_group_inside_the_world() -> None:
    values = run_ranks(_half, 4, lambda: torch.ones(1)).values
    assert values == [([0, 2], [3.0]), ([1, 2], [3.0]), ([0, 2], [7.0]), ([1, 2], [7.0])]


def test_sizes_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="dim = 3 does not exist"):
        gather_from_group(torch.ones(2), dim=3)

    def refused() -> list[str]:
        said = []
        for function in (scatter_to_group, reduce_scatter_sequence):
            with pytest.raises(ValueError) as caught:
                function(torch.ones(2, 5, 5))
            said.append(str(caught.value))
        return said

    for said in run_ranks(refused, 2).values:
        assert said == [
            "size of dim 2 = 5 cannot be split over tp = 2 ranks; sizes that work: 1, 5",
            "size of dim 1 (sequence) = 5 cannot be split over tp = 2 ranks; sizes that work: 1, 5",
        ]
