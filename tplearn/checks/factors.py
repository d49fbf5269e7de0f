"""Clues that are one factor or one number: exactly tp times, minus an argument, log(tp) too much."""

import math
from collections.abc import Callable

import torch

from tplearn.checks.leaf import Leaf, kind_of, telling_sizes, wrong_pairs
from tplearn.checks.other_ranks import equal
from tplearn.checks.relations import FACTORS, factor_of, multiple_of

Table = tuple[tuple[str, Callable[[int], float]], ...]


def of_sizes(leaves: list[Leaf], table: Table) -> list[tuple[str, Callable[[Leaf], float]]]:
    """A table of functions of tp, for each size of the ranks that something can be said about, as functions of a leaf.

    What does not depend on tp comes once, in its place.
    """
    names, rows = telling_sizes(leaves), []
    for text, function in table:
        if function(2) == function(7):
            rows.append((text, lambda leaf, function=function: function(leaf.tp)))
        else:
            rows += [
                (text.replace("tp", name), lambda leaf, function=function, name=name: function(leaf.sizes[name]))
                for name in names
            ]
    return rows


def ratio(leaves: list[Leaf]) -> str | None:
    """One factor for every wrong tensor, as a number or as a function of tp, or of a mesh's sizes."""
    factors = [(leaf, factor_of(got, want)) for leaf, got, want in wrong_pairs(leaves)]
    if any(factor is None for _, factor in factors):
        return None
    for text, function in of_sizes([leaf for leaf, _ in factors], FACTORS):
        if all(abs(factor - function(leaf)) <= 1e-9 * max(1.0, abs(function(leaf))) for leaf, factor in factors):
            ranks = {leaf.ranks for leaf, _ in factors}
            alone = f" ({ranks.pop()})" if len(ranks) == 1 and factors[0][0].tp > 1 else ""
            return f"Yours is exactly {text} the right one{alone}."
    constant = factors[0][1]
    if len(factors) > 1 and all(abs(factor - constant) <= 1e-9 * abs(constant) for _, factor in factors):
        root = round(constant**2)
        squared = f", which is √{root}" * (constant > 0 and abs(constant**2 - root) < 1e-9 and root**0.5 % 1 != 0)
        return f"Yours is {constant:.6g} times the right one{squared}."
    return None


def difference(leaves: list[Leaf]) -> str | None:
    """Yours minus the right one is a multiple of an argument."""
    names = set.intersection(*(set(leaf.inputs) for leaf in leaves)) if leaves else set()
    if not all(leaf.alike_in_shape and kind_of(leaf.want[0]) != "bool" for leaf in leaves):
        return None
    for name in sorted(names):
        factors = []
        for leaf in leaves:
            for rank in leaf.wrong:
                arguments = leaf.inputs[name]
                argument = arguments[rank if len(arguments) > 1 else 0]
                try:
                    whole = argument.expand_as(leaf.want[rank])
                except RuntimeError:
                    whole = _joined(arguments, leaf.want[rank])
                factors.append((leaf, multiple_of(leaf.got[rank] - leaf.want[rank], whole)))
        if any(factor is None for _, factor in factors):
            continue
        for text, function in of_sizes(leaves, DIFFERENCES):
            if all(abs(factor - function(leaf)) <= 1e-9 * max(1.0, abs(function(leaf))) for leaf, factor in factors):
                return f"Yours minus the right one is {text}{name}."
    return None


def _joined(arguments: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """All ranks' shards side by side, where they fit so; else a zero, which is no difference."""
    try:
        return torch.cat(arguments, -1).expand_as(like)
    except RuntimeError:
        return torch.zeros(())


SHIFTS: Table = (("log(tp)", math.log), ("1", lambda tp: 1.0))
DIFFERENCES: Table = (
    ("(tp − 1) · ", lambda tp: tp - 1),
    ("minus ", lambda tp: -1),
    ("", lambda tp: 1),
    ("tp · ", lambda tp: tp),
    ("minus (tp − 1) · ", lambda tp: 1 - tp),
    ("(1/tp − 1) · ", lambda tp: 1 / tp - 1),
)


def shifted_by(leaves: list[Leaf]) -> str | None:
    """The same number too much everywhere, which is a function of tp."""
    if not all(leaf.alike_in_shape and leaf.got[0].is_floating_point() for leaf in leaves):
        return None
    for text, function in of_sizes(leaves, SHIFTS):
        for sign, word in ((1, "more"), (-1, "less")):
            if all(equal(got, want + sign * function(leaf)) for leaf, got, want in wrong_pairs(leaves)):
                where = ", everywhere" * any(leaf.want[0].ndim for leaf in leaves)
                return f"Yours is exactly {text} {word} than the right one{where}."
    return None
