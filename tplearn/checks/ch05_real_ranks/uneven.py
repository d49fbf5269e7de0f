"""Exercise 05.3: sum row by row where ranks have different numbers of rows, and nobody leaves early."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch05_real_ranks.wrong.uneven import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import pick, randn
from tplearn.checks.traffic import Traffic
from tplearn.ranks import per_rank

COUNTS = {  # rows of each rank; where it is not the same, their sum is more than one row above the largest
    1: ([2],),
    2: ([2, 4], [3, 0]),
    3: ([2, 2, 2], [4, 0, 2]),
    4: ([2, 0, 3, 1], [0, 0, 0, 2]),
}


def sum_until_done(count: Tensor, values: Tensor) -> Tensor:
    """count: [1] int64; values: [count, n] -> [largest count, n]: row i is the sum over the ranks that have a row i."""
    longest = count.clone()
    dist.all_reduce(longest, op=dist.ReduceOp.MAX)
    total = values.new_zeros(int(longest), values.shape[1])
    total[: len(values)] = values
    dist.all_reduce(total)
    return total


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for tp, several in COUNTS.items():
        for own in several:
            n = pick(generator, 3, 6)
            values = per_rank([randn(generator, count, n) for count in own])
            counts = per_rank([torch.tensor([count]) for count in own])
            cases.append(Case(tp, (counts, values), label=f"{', '.join(map(str, own))} rows"))
    return cases


SUM_UNTIL_DONE = Exercise(
    number="05.3",
    name="sum_until_done",
    points=10,
    difficulty=2,
    minutes=10,
    reference=sum_until_done,
    cases=_cases,
    ranks=True,
    sent=Traffic(spare=64),  # the agreement may be had by another collective: a few numbers
    mutants=MUTANTS,
)
