"""Clues that are one factor or one number: exactly tp times, minus an argument, log(tp) too much."""

from collections.abc import Callable

import torch

from tplearn.checks.leaf import Leaf, wrong_pairs
from tplearn.checks.other_ranks import equal
from tplearn.checks.relations import FACTORS, factor_of, multiple_of


def ratio(leaves: list[Leaf]) -> str | None:
    """One factor for every wrong tensor, as a number or as a function of tp."""
    factors = [(tp, factor_of(got, want)) for tp, got, want in wrong_pairs(leaves)]
    if any(factor is None for _, factor in factors):
        return None
    tps = {tp for tp, _ in factors}
    for text, function in FACTORS:
        if tps == {1} and function(1) != function(7):
            continue  # on one rank nothing can be said about tp
        if all(abs(factor - function(tp)) <= 1e-9 * max(1.0, abs(function(tp))) for tp, factor in factors):
            alone = f" (tp = {min(tps)})" if len(tps) == 1 < min(tps) else ""
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
    if not all(leaf.alike_in_shape for leaf in leaves):
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
                factors.append((leaf.tp, multiple_of(leaf.got[rank] - leaf.want[rank], whole)))
        if any(factor is None for _, factor in factors):
            continue
        for text, function in DIFFERENCES:
            if all(abs(factor - function(tp)) <= 1e-9 * max(1.0, abs(function(tp))) for tp, factor in factors):
                return f"Yours minus the right one is {text}{name}."
    return None


def _joined(arguments: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """All ranks' shards side by side, where they fit so; else a zero, which is no difference."""
    try:
        return torch.cat(arguments, -1).expand_as(like)
    except RuntimeError:
        return torch.zeros(())


DIFFERENCES: tuple[tuple[str, Callable[[int], float]], ...] = (
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
    for text, function in (("log(tp)", lambda tp: torch.log(torch.tensor(float(tp))).item()), ("1", lambda tp: 1.0)):
        for sign, word in ((1, "more"), (-1, "less")):
            if all(equal(got, want + sign * function(tp)) for tp, got, want in wrong_pairs(leaves)):
                where = ", everywhere" * any(leaf.want[0].ndim for leaf in leaves)
                return f"Yours is exactly {text} {word} than the right one{where}."
    return None
