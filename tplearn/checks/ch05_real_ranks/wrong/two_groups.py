"""Wrong answers to 05.5: sums over a tp group and over a dp group."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.ch05_real_ranks.grid import lines, my_groups, sum_over
from tplearn.checks.exercise import Mutant


def _checkerboard(x: Tensor) -> Tensor:
    row, column = divmod(dist.get_rank(), 2)
    groups, sums = my_groups(), [x, x]
    order: Sequence[int] = (0, 1) if (row + column) % 2 == 0 else (1, 0)
    for kind in order:
        sums[kind] = sum_over(x, groups[kind])
    return torch.stack(sums)


def _only_my_groups(x: Tensor) -> Tensor:
    own = [next(members for members in kind if dist.get_rank() in members) for kind in lines()]
    tp, dp = [dist.new_group(members) for members in own]
    return torch.stack([sum_over(x, tp), sum_over(x, dp)])


def _only_my_sums(x: Tensor) -> Tensor:
    """Every group is made, and summed over by its members as soon as it is there: rows first, which fits."""
    return torch.stack([sum_over(x, group) for group in my_groups()]).flip(0)


def _columns_as_rows(x: Tensor) -> Tensor:
    half = dist.get_world_size() // 2
    rows = [list(range(half)), list(range(half, 2 * half))]
    tp, dp = my_groups((rows, [[column, column + half] for column in range(half)]))
    return torch.stack([sum_over(x, tp), sum_over(x, dp)])


def _halves_for_columns(x: Tensor) -> Tensor:
    half = dist.get_world_size() // 2
    tp, dp = my_groups((lines()[0], [list(range(half)), list(range(half, 2 * half))]))
    return torch.stack([sum_over(x, tp), sum_over(x, dp)])


def _sum_by_gather(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    everybody = [torch.empty_like(x) for _ in range(dist.get_world_size(group))]
    dist.all_gather(everybody, x, group=group)
    return torch.stack(everybody).sum(0)


def _tp_then_all(x: Tensor) -> Tensor:
    tp, _ = my_groups()
    return torch.stack([sum_over(x, tp), _sum_by_gather(x, None)])


def _tp_then_nobody_named(x: Tensor) -> Tensor:
    tp, _ = my_groups()
    return torch.stack([sum_over(x, tp), sum_over(x, None)])


def _chained(x: Tensor) -> Tensor:
    tp, dp = my_groups()
    first = sum_over(x, tp)
    return torch.stack([first, sum_over(first, dp)])


def _one_tensor(x: Tensor) -> Tensor:
    """Both sums in one tensor, which is in the result twice."""
    chained = _chained(x)
    return torch.stack([chained[1], chained[1]])


def _means(x: Tensor) -> Tensor:
    sizes = torch.tensor([[2.0], [dist.get_world_size() / 2]], dtype=x.dtype)
    return torch.stack([sum_over(x, group) for group in my_groups()]) / sizes


def _in_place(x: Tensor) -> Tensor:
    tp, dp = my_groups()
    dp_sum = sum_over(x, dp)
    dist.all_reduce(x, group=tp)
    return torch.stack([x, dp_sum])


MUTANTS = (
    Mutant(
        "wrong group order",
        _checkerboard,
        "Half of the ranks begin with the tp group, the others with the dp group. Each waits in one group for a rank "
        "that waits in another: a circle.",
        "the order of the two sums. Rank must not appear in it.",
        alone=True,
    ),
    Mutant(
        "only my own groups",
        _only_my_groups,
        "Not every rank makes all groups in the same order. new_group is itself an appointment of all ranks: everybody "
        "makes every group, in one order, also those it does not belong to.",
        "the calls of new_group: the same list of calls on every rank.",
        alone=True,
    ),
    Mutant(
        "the second sum runs over all",
        _tp_then_all,
        "Your first row is right, and the second is the sum over all ranks. Either the dp sum was given the result of "
        "the tp sum, or its collective got no group and took the default one, the whole world.",
        "what goes into the second sum, and its group=.",
    ),
    Mutant(
        "chained sums",
        _chained,
        "Your second row is the sum over all ranks: the dp sum was given the result of the tp sum. all_reduce writes "
        "into its argument, so the next one starts from there.",
        "what goes into the second all_reduce: a clone of x, not the first sum.",
    ),
    Mutant(
        "no group in the second sum",
        _tp_then_nobody_named,
        "Your second row is the sum over all ranks: without group=..., all_reduce takes the default group, the whole "
        "world.",
        "the group argument of the second all_reduce.",
    ),
    Mutant(
        "one tensor for both sums",
        _one_tensor,
        "Both rows are the sum over all ranks: both all_reduce worked on one tensor, the second on what the first had "
        "made of it, and the result holds it twice.",
        "a clone of x for each sum.",
    ),
    Mutant(
        "everybody",
        lambda x: torch.stack([_sum_by_gather(x, None), sum_over(x, None)]),
        "Both rows are the sum over all ranks. Either no group was given, and the default one is the whole world; or "
        "both sums were made in one tensor, one after the other.",
        "group= in both all_reduce, and a clone of x for each.",
    ),
    Mutant(
        "no groups given",
        lambda x: torch.stack([sum_over(x, None), sum_over(x, None)]),
        "Both sums run over all ranks. Without group=..., all_reduce takes the default group, the whole world.",
        "the group argument.",
    ),
    Mutant(
        "tp and dp swapped",
        _only_my_sums,
        "Rows and columns are swapped: row 0 of your result is the sum over the dp group.",
        "tp ranks are neighbours, 2k and 2k + 1; dp ranks are two apart.",
    ),
    Mutant(
        "two long rows",
        _columns_as_rows,
        "Your grid has 2 rows and p/2 columns. It has p/2 rows and 2 columns here: a tp group is two neighbours, 2k "
        "and 2k + 1. (With 4 ranks both are the same.)",
        "which ranks are in a tp group, and which in a dp group.",
    ),
    Mutant(
        "halves for columns",
        _halves_for_columns,
        "Your tp groups are right. Your dp groups are the first and the second half of the ranks; a column takes every "
        "other rank: 0, 2, 4 and 1, 3, 5.",
        "range(first, p, 2) for the columns.",
    ),
    Mutant(
        "never summed",
        lambda x: torch.stack([x, x]),
        "Both rows are this rank's own x: nothing was summed.",
        "all_reduce, in each of the two groups.",
    ),
    Mutant(
        "mean for sum",
        _means,
        "You divided each sum by the size of its group. Sums were asked for.",
        "the division.",
    ),
    Mutant(
        "x changed in place",
        _in_place,
        "Both sums are right, and x is not what it was: all_reduce writes into its argument.",
        "a clone of x for each sum.",
    ),
)
