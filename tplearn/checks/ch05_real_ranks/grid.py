"""The p / 2 × 2 grid of 05.5: rows are tp groups of two neighbours, columns are dp groups."""

import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

Lines = list[list[int]]


def lines() -> tuple[Lines, Lines]:
    """The rows and the columns."""
    p = dist.get_world_size()
    return [[first, first + 1] for first in range(0, p, 2)], [list(range(first, p, 2)) for first in (0, 1)]


def my_groups(kinds: tuple[Lines, Lines] | None = None) -> list[ProcessGroup]:
    """This rank's group of each kind; every rank makes all groups, in the same order."""
    own = []
    for kind in kinds or lines():
        groups = [dist.new_group(members) for members in kind]
        own.append(next(g for members, g in zip(kind, groups, strict=True) if dist.get_rank() in members))
    return own


def sum_over(x: Tensor, group: ProcessGroup | None) -> Tensor:
    """The sum of x over the group, in a new tensor."""
    total = x.clone()
    dist.all_reduce(total, group=group)
    return total
