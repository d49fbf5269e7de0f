"""Exercise 05.5: two sums over two kinds of groups, in one order for all ranks."""

import torch
from torch import Generator, Tensor

from tplearn.checks.ch05_real_ranks.grid import my_groups, sum_over
from tplearn.checks.ch05_real_ranks.wrong.two_groups import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick
from tplearn.ranks import per_rank


def two_groups(x: Tensor) -> Tensor:
    """x: [n] -> [2, n]: its sum over my tp group (a row of two ranks), its sum over my dp group (a column)."""
    tp, dp = my_groups()
    return torch.stack([sum_over(x, tp), sum_over(x, dp)])


def _cases(generator: Generator) -> list[Case]:
    return [Case(tp, (per_rank(one_each(tp, generator, pick(generator, 7, 9))),)) for tp in (2, 4, 6)]


TWO_GROUPS = Exercise(
    number="05.5",
    name="two_groups",
    points=15,
    difficulty=3,
    minutes=15,
    reference=two_groups,
    cases=_cases,
    ranks=True,
    mutants=MUTANTS,
)
