"""Clues that look at all ranks at once: a neighbour's result, partials whose sum is due, shards that fit together."""

import torch
from torch import Tensor

from tplearn.checks.compare import first_difference
from tplearn.checks.leaf import Leaf


def copies(leaves: list[Leaf]) -> str | None:
    """Another rank's result in the place of one's own."""
    several = [leaf for leaf in leaves if leaf.tp > 1 and len(leaf.want) > 1 and leaf.alike_in_shape]
    if len(several) != len(leaves):
        return None
    if all(first_difference(got, leaf.want[0]) is None for leaf in leaves for got in leaf.got):
        return "Every rank has what is due on rank 0."
    for step in (1, -1):
        if all(
            first_difference(got, leaf.want[(rank + step) % len(leaf.want)]) is None
            for leaf in leaves
            for rank, got in enumerate(leaf.got)
        ):
            return f"Each rank has what is due on its {'right' if step == 1 else 'left'} neighbour."
    if all(first_difference(leaf.got, leaf.want[::-1]) is None for leaf in leaves):
        return "The ranks' results are in reverse order."
    owners = [[_owner(rank, got, leaf.want) for rank, got in enumerate(leaf.got)] for leaf in leaves]
    if any(None in of_leaf for of_leaf in owners):
        return None
    leaf, of_leaf = max(zip(leaves, owners, strict=True), key=lambda pair: pair[0].tp)
    told = [f"rank {rank} has what is due on rank {owner}" for rank, owner in enumerate(of_leaf) if owner != rank]
    return f"On {leaf.ranks}, {', '.join(told)}."


def _owner(rank: int, got: Tensor, want: list[Tensor]) -> int | None:
    """The rank on which `got` is due: the one that has it, or another."""
    return next((k for k in (rank, *range(len(want))) if first_difference(got, want[k]) is None), None)


def dealt_otherwise(leaves: list[Leaf]) -> str | None:
    """The right numbers on the wrong ranks: all of them are there, each once."""
    for leaf in leaves:
        pairs = list(zip(leaf.got, leaf.want, strict=True))
        if leaf.tp == 1 or len(pairs) == 1 or not all(tensor.is_floating_point() for pair in pairs for tensor in pair):
            return None
        if not _same_numbers(*(torch.cat([tensor.flatten() for tensor in side]) for side in (leaf.got, leaf.want))):
            return None
        if any(_same_numbers(*pairs[rank]) for rank in leaf.wrong):
            return None
    return "All ranks together have the right numbers, each as often as is due, but not each on its rank."


def _same_numbers(got: Tensor, want: Tensor) -> bool:
    """In any order."""
    return got.numel() == want.numel() and equal(got.flatten().sort().values, want.flatten().sort().values)


def partial(leaves: list[Leaf]) -> str | None:
    """The ranks' tensors, added, averaged or put side by side, are the right one."""
    if not all(leaf.tp > 1 and len(leaf.got) == leaf.tp and leaf.got[0].is_floating_point() for leaf in leaves):
        return None
    if all(leaf.alike_in_shape and len({tensor.shape for tensor in leaf.want}) == 1 for leaf in leaves):
        if all(equal(torch.stack(leaf.got).sum(0), want) for leaf in leaves for want in leaf.want):
            return "The sum of all ranks' results is the right one: each rank has a partial."
        if all(equal(torch.stack(leaf.want).sum(0), got) for leaf in leaves for got in leaf.got):
            return "Yours is the sum of what is due on all ranks."
    for dim in range(leaves[0].got[0].ndim):
        if all(_joins_to(leaf.got, want, dim) for leaf in leaves for want in leaf.want):
            return f"All ranks' results side by side along dim {dim} are the right one: each rank has a shard."
        if all(_joins_to(leaf.want, got, dim) for leaf in leaves for got in leaf.got):
            return f"Yours is what is due on all ranks, side by side along dim {dim}."
    return None


def _joins_to(shards: list[Tensor], whole: Tensor, dim: int) -> bool:
    """Whether the shards, side by side along dim, are the whole."""
    other_dims = {(*shard.shape[:dim], *shard.shape[dim + 1 :]) for shard in shards}
    fit = len(other_dims) == 1 and all(dim < shard.ndim == whole.ndim for shard in shards)
    return fit and equal(torch.cat(shards, dim), whole)


def equal(got: Tensor, want: Tensor) -> bool:
    """Whether shape and all numbers are the same."""
    return got.shape == want.shape and first_difference(got, want) is None
