"""Inputs for functions between ranks: tensors and gradients of a group's ranks, alike or each its own."""

from torch import Generator, Tensor

from tplearn.checks.inputs import one_each, randn

LAYOUTS = {  # ranks → groups: next to each other or not, of different sizes; the world is a group too
    2: ([[0, 1]],),
    3: ([[0, 1, 2]], [[0, 2], [1]]),
    4: ([[0, 1, 2, 3]], [[0, 2], [1, 3]]),
}


def alike(groups: list[list[int]], generator: Generator, *shape: int) -> list[Tensor]:
    """For each rank a tensor in memory of its own: the same numbers within a group, other ones in each group."""
    by_group = one_each(len(groups), generator, *shape)
    ranks = range(sum(map(len, groups)))
    return [by_group[next(k for k, group in enumerate(groups) if rank in group)].clone() for rank in ranks]


def copies(tp: int, generator: Generator, *shape: int) -> list[Tensor]:
    """The same numbers for every rank, in memory of its own."""
    whole = randn(generator, *shape)
    return [whole.clone() for _ in range(tp)]
