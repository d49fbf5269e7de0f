"""Exercise 05.3: sum row by row where ranks have different numbers of rows, and nobody leaves early."""

import torch
import torch.distributed as dist
from torch import Tensor

from tplearn.checks.exercise import Case, Exercise, Mutant
from tplearn.ranks import per_rank


def _padded_sum(count: Tensor, values: Tensor, op: dist.ReduceOp.RedOpType) -> Tensor:
    rows = count.clone()
    dist.all_reduce(rows, op=op)
    total = values.new_zeros(int(rows), values.shape[1])
    total[: len(values)] = values[: len(total)]
    dist.all_reduce(total)
    return total


def sum_until_done(count: Tensor, values: Tensor) -> Tensor:
    """count: [1] int64; values: [count, n] -> [largest count, n]: row i is the sum over the ranks that have a row i."""
    return _padded_sum(count, values, dist.ReduceOp.MAX)


def _cases(generator: torch.Generator) -> list[Case]:
    counts = {1: [2], 2: [1, 3], 4: [2, 0, 3, 1]}  # another rank has most each time, and one has nothing at all
    cases = []
    for tp, own in counts.items():
        values = [torch.randn(count, 3, generator=generator, dtype=torch.float64) for count in own]
        cases.append(Case(tp, (per_rank([torch.tensor([count]) for count in own]), per_rank(values))))
    return cases


def _leaves_early(count: Tensor, values: Tensor) -> Tensor:
    total = values.clone()
    for row in total:
        dist.all_reduce(row)
    return total


def _drops_the_rest(count: Tensor, values: Tensor) -> Tensor:
    return _padded_sum(count, values, dist.ReduceOp.MIN)


def _adds_the_counts(count: Tensor, values: Tensor) -> Tensor:
    return _padded_sum(count, values, dist.ReduceOp.SUM)


def _mean_for_sum(count: Tensor, values: Tensor) -> Tensor:
    return sum_until_done(count, values) / dist.get_world_size()


SUM_UNTIL_DONE = Exercise(
    number="05.3",
    name="sum_until_done",
    points=10,
    difficulty=2,
    minutes=10,
    reference=sum_until_done,
    cases=_cases,
    ranks=True,
    mutants=(
        Mutant(
            "early return",
            _leaves_early,
            "Each rank calls all_reduce as often as it has rows. The rank with the fewest rows leaves, and the "
            "others wait "
            "for it in a sum that it does not know of.",
            "the number of all_reduces must be the same on every rank: agree on it first.",
            alone=True,
        ),
        Mutant(
            "the rest is dropped",
            _drops_the_rest,
            "Nobody hangs, but you stop when the first rank runs out: the rows of the others are lost. "
            "Go on to the largest count; a rank without a row brings zeros.",
            "MIN or MAX over the counts.",
        ),
        Mutant(
            "counts added",
            _adds_the_counts,
            "You agreed on the sum of the counts. There are only as many rows as the longest rank has; yours end in "
            "zeros.",
            "the reduce op of the agreement. all_reduce sums unless told otherwise.",
        ),
        Mutant(
            "mean for sum",
            _mean_for_sum,
            "Your result is the sum divided by the number of ranks. A mean was not asked for, and would be wrong here: "
            "not every rank has every row.",
            "the division by the world size.",
        ),
    ),
)
