"""A tensor-parallel group inside a larger world: every rank makes every group, and gets its own."""

import functools
from collections.abc import Sequence

import torch.distributed as dist

Groups = Sequence[Sequence[int]] | None  # the ranks of each group; None: all ranks together, the default group


def own_group(groups: Groups) -> dist.ProcessGroup | None:
    """This rank's group among `groups`; None, the default group, for None. A rank makes a group once in its life."""
    return None if groups is None else _made(tuple(map(tuple, groups)))


@functools.cache
def _made(groups: tuple[tuple[int, ...], ...]) -> dist.ProcessGroup:
    made = [(dist.new_group(list(ranks)), ranks) for ranks in groups]
    return next(group for group, ranks in made if dist.get_rank() in ranks)


def members(groups: Groups, world_size: int) -> list[list[int]]:
    """For each rank, the ranks of its group in their order."""
    layout = [range(world_size)] if groups is None else groups
    return [next(list(ranks) for ranks in layout if rank in ranks) for rank in range(world_size)]


def named(groups: Groups) -> str:
    """ "groups [0, 2] and [1, 3]", for a case's label; "" for None."""
    return "" if groups is None else "groups " + " and ".join(str(list(ranks)) for ranks in groups)
