"""Exercise 05.2: exchange a tensor with both neighbours, without a circle of listeners."""

import torch
import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.ch05_real_ranks.wrong.neighbours import MUTANTS
from tplearn.checks.exercise import Case, Exercise
from tplearn.checks.inputs import one_each, pick
from tplearn.ranks import per_rank


def exchange(x: Tensor) -> Tensor:
    """x: [n] -> [3, n]: the left neighbour's x, my x, the right neighbour's x."""
    rank, p = dist.get_rank(), dist.get_world_size()
    left, right = (rank - 1) % p, (rank + 1) % p
    from_left, from_right = torch.empty_like(x), torch.empty_like(x)
    works = [
        dist.isend(x, dst=right),
        dist.isend(x, dst=left),
        dist.irecv(from_left, src=left),
        dist.irecv(from_right, src=right),
    ]
    for work in works:
        work.wait()
    return torch.stack([from_left, x, from_right])


def _cases(generator: Generator) -> list[Case]:
    return [Case(tp, (per_rank(one_each(tp, generator, pick(generator, 6, 9))),)) for tp in (2, 3, 4, 5)]


EXCHANGE = Exercise(
    number="05.2",
    name="exchange",
    points=10,
    difficulty=2,
    minutes=10,
    reference=exchange,
    cases=_cases,
    ranks=True,
    mutants=MUTANTS,
)
