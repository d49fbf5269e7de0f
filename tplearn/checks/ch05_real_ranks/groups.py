"""Exercise 05.5: two sums over two kinds of groups, in one order for all ranks."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.checks.inputs import one_each
from tplearn.ranks import per_rank


def _lines() -> tuple[list[list[int]], list[list[int]]]:
    """The rows (tp groups of two neighbours) and the columns (dp groups) of the p / 2 × 2 grid."""
    p = dist.get_world_size()
    return [[first, first + 1] for first in range(0, p, 2)], [list(range(first, p, 2)) for first in (0, 1)]


def _groups() -> list[dist.ProcessGroup]:
    """This rank's tp and dp group; every rank makes all groups, in the same order."""
    own = []
    for lines in _lines():
        groups = [dist.new_group(members) for members in lines]
        own.append(next(g for members, g in zip(lines, groups, strict=True) if dist.get_rank() in members))
    return own


def _sum(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total


def two_groups(x: Tensor) -> Tensor:
    """x: [n] -> [2, n]: its sum over my tp group (a row of two ranks), its sum over my dp group (a column)."""
    tp, dp = _groups()
    return torch.stack([_sum(x, tp), _sum(x, dp)])


def _cases(generator: torch.Generator) -> list[Case]:
    return [Case(tp, (per_rank(one_each(tp, generator, 3)),)) for tp in (2, 4)]


def _checkerboard(x: Tensor) -> Tensor:
    row, column = divmod(dist.get_rank(), 2)
    groups, sums = _groups(), [x, x]
    order: Sequence[int] = (0, 1) if (row + column) % 2 == 0 else (1, 0)
    for kind in order:
        sums[kind] = _sum(x, groups[kind])
    return torch.stack(sums)


def _only_my_groups(x: Tensor) -> Tensor:
    own = [next(members for members in lines if dist.get_rank() in members) for lines in _lines()]
    tp, dp = [dist.new_group(members) for members in own]
    return torch.stack([_sum(x, tp), _sum(x, dp)])


def _chained(x: Tensor) -> Tensor:
    tp, dp = _groups()
    first = _sum(x, tp)
    return torch.stack([first, _sum(first, dp)])


def _swapped(x: Tensor) -> Tensor:
    tp, dp = _groups()
    return torch.stack([_sum(x, dp), _sum(x, tp)])


def _everybody(x: Tensor) -> Tensor:
    return torch.stack([_sum(x, None), _sum(x, None)])


def _mean_for_sum(x: Tensor) -> Tensor:
    sizes = torch.tensor([[2.0], [dist.get_world_size() / 2]], dtype=x.dtype)
    return two_groups(x) / sizes


TWO_GROUPS = Exercise(
    number="05.5",
    name="two_groups",
    points=15,
    difficulty=3,
    minutes=15,
    reference=two_groups,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "wrong group order",
            _checkerboard,
            "Half of the ranks begin with the tp group, the others with the dp group. Each waits in one group for a "
            "rank "
            "that waits in another: a circle of four.",
            "the order of the two sums. Rank must not appear in it.",
            alone=True,
        ),
        Mutant(
            "only my own groups",
            _only_my_groups,
            "Each rank makes only the groups that it is in. new_group is itself an appointment of all ranks: "
            "everybody makes "
            "every group, in the same order, also those it does not belong to.",
            "the calls of new_group: the same list of calls on every rank.",
            alone=True,
        ),
        Mutant(
            "chained sums",
            _chained,
            "Your second row is the sum over all ranks: the dp sum was given the result of the tp sum. all_reduce "
            "writes into "
            "its argument, so the next one starts from there.",
            "what goes into the second all_reduce: a clone of x, not the first sum.",
        ),
        Mutant(
            "tp and dp swapped",
            _swapped,
            "Rows and columns are swapped: row 0 of your result is the sum over the dp group.",
            "tp ranks are neighbours, 2k and 2k + 1; dp ranks are two apart.",
        ),
        Mutant(
            "everybody",
            _everybody,
            "Both sums run over all ranks. Without group=..., all_reduce takes the default group, the whole world.",
            "the group argument.",
        ),
        Mutant(
            "mean for sum",
            _mean_for_sum,
            "You divided each sum by the size of its group. Sums were asked for.",
            "the division.",
        ),
    ),
)
