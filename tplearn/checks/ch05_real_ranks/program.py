"""Exercise 05.6: a whole program for torchrun: join, exchange, leave."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch05_real_ranks.drive import as_torchrun_does
from tplearn.checks.ch05_real_ranks.wrong.program import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each
from tplearn.ranks import per_rank


def table_column(row: Tensor) -> Tensor:
    """row: [p], this rank's row of a p × p table → [p], this rank's column of it. In no group, before and after."""
    dist.init_process_group("gloo")
    column = [torch.empty_like(number) for number in row.split(1)]
    dist.all_to_all(column, list(row.split(1)))
    dist.destroy_process_group()
    return torch.cat(column)


def _cases(generator: Generator) -> list[Case]:
    return [Case(tp, (per_rank(one_each(tp, generator, tp)),)) for tp in (2, 3)]


TABLE_COLUMN = Exercise(
    number="05.6",
    name="table_column",
    points=10,
    difficulty=2,
    minutes=12,
    reference=table_column,
    cases=_cases,
    observe=as_torchrun_does,
    ranks=True,
    mutants=MUTANTS,
)
