"""Which entries are wrong: those where minus infinity is due, or those where an argument is largest."""

import torch

from tplearn.checks.compare import wrong_entries
from tplearn.checks.leaf import Leaf, wrong_pairs

FEW = 4  # rows of which each may be wrong at its largest number by chance


def number_for_infinity(leaves: list[Leaf]) -> str | None:
    """Wrong only where −∞ is due."""
    for _, got, want in wrong_pairs(leaves):
        if got.shape != want.shape or not want.is_floating_point():
            return None
        wrong = wrong_entries(got, want)
        if not torch.isneginf(want[wrong]).all() or not torch.isfinite(got[wrong]).all():
            return None
    return "Yours is wrong only where −∞ is due: there it has a number, and exp of a number is more than nothing."


def at_the_largest(leaves: list[Leaf]) -> str | None:
    """Wrong only where an argument of the same shape has the largest number of its row."""
    shared = set.intersection(*(set(leaf.inputs) for leaf in leaves)) if leaves else set()
    if sum(leaf.got[rank].shape[:-1].numel() for leaf in leaves for rank in leaf.wrong) < FEW:
        return None
    for name in sorted(shared):
        if all(_only_at_the_largest(leaf, rank, name) for leaf in leaves for rank in leaf.wrong):
            return f"Yours is wrong only at the largest number of each row of {name}: did its maximum get a gradient?"
    return None


def _only_at_the_largest(leaf: Leaf, rank: int, name: str) -> bool:
    got, want, given = leaf.got[rank], leaf.want[rank], leaf.inputs[name]
    argument = given[rank if len(given) > 1 else 0]
    if not got.shape == want.shape == argument.shape or argument.ndim < 1 or argument.shape[-1] < 2:
        return False
    largest = argument == argument.amax(-1, keepdim=True)
    return bool((largest.sum(-1) == 1).all()) and not (wrong_entries(got, want) & ~largest).any()
