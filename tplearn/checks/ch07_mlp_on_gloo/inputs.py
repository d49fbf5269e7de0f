"""Sizes and tp groups for chapter 07's layers, and the references' way to cut: as even as it goes, in rank order."""

from collections.abc import Sequence

import torch.distributed as dist
from torch import Generator, Tensor

from tplearn.checks.exercise import Case
from tplearn.checks.groups import Groups, members, named
from tplearn.checks.inputs import pick, randn
from tplearn.ranks import per_rank

Group = dist.ProcessGroup | None
Shard = tuple[Tensor, Tensor]  # weight and bias

# (tp, groups): the world as one group, two groups of two in both orders, groups of different sizes.
LAYOUTS: tuple[tuple[int, Groups], ...] = (
    (1, None),
    (2, None),
    (3, None),
    (3, ((0,), (1, 2))),
    (4, None),
    (4, ((0, 1), (2, 3))),
    (4, ((0, 2), (1, 3))),
)


def bounds(size: int, group: Group) -> tuple[int, int]:
    """This rank's (start, stop) of `size`; the first size mod p ranks hold one more than the others."""
    rank, p = dist.get_rank(group), dist.get_world_size(group)
    each, more = divmod(size, p)
    start = rank * each + min(rank, more)
    return start, start + each + (rank < more)


def group_sizes(ranks: Sequence[int], size: int) -> list[int]:
    """How many of `size` each rank of a group holds."""
    return [size // len(ranks) + (k < size % len(ranks)) for k in range(len(ranks))]


def layer_case(
    generator: Generator, tp: int, groups: Groups, sizes: tuple[int, int], features: int, cut: bool = False
) -> Case:
    """A layer of `sizes`: x, [..., sizes[0]], and the gradient of its result, [..., features].

    Both are the same within a group and others in the next one. cut: each rank has an own gradient, of its shard of the
    features. With several groups x has two dimensions, otherwise three.
    """
    own, batch = members(groups, tp), (2, 3) if groups is None else (4,)
    x = {ranks[0]: [randn(generator, *batch, sizes[0])] for ranks in own}
    dy = {ranks[0]: randn(generator, *batch, features) for ranks in own}
    xs, upstream = [x[ranks[0]] for ranks in own], [dy[ranks[0]] for ranks in own]
    if cut:
        shards = [group_sizes(ranks, features)[ranks.index(rank)] for rank, ranks in enumerate(own)]
        upstream = [randn(generator, *batch, shard) for shard in shards]
    return Case(tp, (sizes, groups, pick(generator, 1, 10**6), per_rank(xs), per_rank(upstream)), label=named(groups))
